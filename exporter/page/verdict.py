"""The verdict on top of the report: what was checked, what it found, what was not run and what is not offered."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from exporter.page.figures import THIN, exact, listed, plain
from exporter.page.findings import Check, Invariance, Metric, Parity, Speed
from models.manifest import Precision

TRAINED, FP32 = "PyTorch float32", "ONNX fp32"
LEFT_OUT = "left out when the bundle was exported"

Outcome = Literal["good", "partial", "bad"]


def checks(
    parity: Parity | None,
    invariance: Sequence[Invariance],
    metric: Metric | None,
    speeds: Sequence[Speed],
    reasons: Mapping[str, str],
) -> tuple[Check, ...]:
    """In the order of the report. `reasons` says of "int8", "chunks" and so on why it is not there."""
    found = [_parity(parity), _invariance(invariance), _gate(metric), *_speeds(speeds, invariance)]
    there = {check.name for check in found} | {speed.precision for speed in speeds}
    absent = dict.fromkeys(get_args(Precision), LEFT_OUT) | dict(reasons)
    left_out = [
        Check(name=name, state="not offered", text=sentence(reason))
        for name, reason in absent.items()
        if name not in there
    ]
    return (*found, *left_out)


def outcome(found: Sequence[Check]) -> Outcome:
    """Good only if nothing failed and nothing was left unchecked."""
    states = {check.state for check in found}
    return "bad" if "failed" in states else "partial" if "not run" in states else "good"


def headline(found: Sequence[Check]) -> str:
    """One line over the whole report."""
    failed, missing, absent = (
        [check.name for check in found if check.state == state] for state in ("failed", "not run", "not offered")
    )
    if failed:
        return f"Not to be published: {', '.join(failed)} failed"
    line = "Every check that was run passed" if missing else "All checks passed"
    notes = [f"not run: {', '.join(missing)}"] * bool(missing) + [f"not offered: {', '.join(absent)}"] * bool(absent)
    return "; ".join([line, *notes])


def sentence(text: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def _parity(parity: Parity | None) -> Check:
    pairs = {one.other: one.largest for one in parity.differences if one.one == TRAINED} if parity else {}
    if parity is None or FP32 not in pairs:
        return Check(name="parity", state="not run", text="fp32 was not compared with the trained network.")
    right = pairs[FP32] <= parity.tolerance
    text = (
        f"fp32 differs from the trained network by at most {plain(pairs[FP32])} over {parity.rows:,} rows; "
        f"up to {exact(parity.tolerance)} is accepted, or that share of what an output's values span, if it is less."
    )
    if parity.far_rows:
        text += f" fp32 also agrees on {parity.far_rows:,} rows far outside their range."
    return Check(name="parity", state="passed" if right else "failed", text=text)


def _invariance(invariance: Sequence[Invariance]) -> Check:
    offered = [one for one in invariance if not one.comparison_only]
    if not offered:
        return Check(name="invariance", state="not run", text="No precision could be run here.")
    if moved := [one.precision for one in offered if largest_move(one) > 0]:
        text = f"Results of {listed(moved)} depend on how, or with what else, a sequence is run."
        return Check(name="invariance", state="failed", text=text)
    count, precisions = min(one.sequences for one in offered), listed([one.precision for one in offered])
    text = f"{listed(ways(offered))} change the results of {count:,} sequences by not one bit, in {precisions}."
    return Check(name="invariance", state="passed", text=sentence(text))


def ways(offered: Sequence[Invariance]) -> list[str]:
    """What was varied, for all of them."""
    return [
        "batch-mates",
        "order",
        *["padding"] * all(one.padding is not None for one in offered),
        *["chunk length"] * all(one.chunks is not None for one in offered),
        "number of threads",
    ]


def largest_move(one: Invariance) -> float:
    """By any way of running; a way that does not exist moves nothing, and what is no number is infinitely far."""
    moves = [value for value in (one.batch, one.padding, one.chunks, one.threads) if value is not None]
    return max(math.inf if math.isnan(value) else value for value in moves)


def _gate(metric: Metric | None) -> Check:
    if metric is None:
        return Check(name="metric gate", state="not run", text="There were no labelled rows to measure the task on.")
    wrong = [one.precision for one in metric.decisions if not one.accepted]
    allowed = f"{100 * metric.allowed_loss:g}{THIN}%" if metric.relative else exact(metric.allowed_loss)
    if wrong:
        text = f"The {metric.name} of {listed(wrong)} is more than {allowed} worse than that of fp32."
        return Check(name="metric gate", state="failed", text=text)
    judged = [one for one in metric.decisions if one.precision != "fp32"]
    rows = f"{metric.rows['validation']:,} validation rows"
    if not judged:
        return Check(name="metric gate", state="passed", text=f"Only fp32 was run, on {rows}: nothing to compare.")
    worst = max(judged, key=lambda one: one.loss)
    found = f"{plain(100 * worst.loss)}{THIN}%" if metric.relative else plain(worst.loss)
    said = f"the {metric.name} of {listed([one.precision for one in judged])} is"
    worse = f"at most {found} worse than fp32's" if worst.loss > 0 else "no worse than fp32's"
    text = f"On {rows}, {said} {worse}; up to {allowed} worse is accepted."
    return Check(name="metric gate", state="passed", text=text)


def _speeds(speeds: Sequence[Speed], invariance: Sequence[Invariance]) -> Iterator[Check]:
    """A file that is shipped though nothing here could run it."""
    ran = {one.precision for one in invariance}
    for speed in speeds:
        if speed.precision not in ran:
            devices = listed([device.upper() for device in speed.devices])
            text = f"built for {devices} and part of the bundle, but never run: the exporting machine has no {devices}."
            yield Check(name=speed.precision, state="not run", text=sentence(text))
