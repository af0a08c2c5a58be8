"""The few figures that a person looks at first."""

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.page.figures import decimals_for, exact, fixed, listed, plain, signed
from exporter.page.findings import Findings
from exporter.page.verdict import FP32, TRAINED, largest_move, ways


@dataclass(frozen=True)
class Tile:
    """One large figure, what it is, and what it is to be held against."""

    label: str
    figure: str
    note: str


def tiles(found: Findings) -> Iterator[Tile]:
    """Those that there are data for."""
    for one in (_parity, _invariance, _metric, _speed):
        yield from one(found)


def _parity(found: Findings) -> Iterator[Tile]:
    pairs = found.parity.differences if found.parity else ()
    for one in pairs:
        if (one.one, one.other) == (TRAINED, FP32) and found.parity:
            limit = exact(found.parity.tolerance)
            note = f"largest difference over {found.parity.rows:,} rows; up to {limit} is accepted"
            yield Tile("ONNX fp32 against PyTorch", plain(one.largest), note)


def _invariance(found: Findings) -> Iterator[Tile]:
    offered = [one for one in found.invariance if not one.comparison_only]
    others = [one.batch_scaled for one in found.invariance if one.comparison_only]
    if offered:
        largest, (first, *rest) = max(map(largest_move, offered)), ways(offered)
        note = f"the largest change by {listed([first, *rest], 'or')}" if largest else f"nor by {listed(rest, 'or')}"
        against = f"; with plain int8, batch-mates move answers by up to {plain(max(others))}" if others else ""
        yield Tile(f"change by {first}", plain(largest), note + against)


def _metric(found: Findings) -> Iterator[Tile]:
    """Of int8, or else of the first precision that was compared with fp32."""
    metric = found.metric
    compared = [one for one in metric.scores if one.split == "test" and one.minus_fp32] if metric else []
    for one in sorted(compared, key=lambda score: score.precision != "int8")[:1]:
        change, digits = one.minus_fp32, decimals_for(one.value.value)
        interval = f"; 95\u00a0% interval {signed(change.low, digits + 1)} to {signed(change.high, digits + 1)}"
        note = f"{fixed(one.value.value, digits)} on {metric.rows['test']:,} test rows"
        unchanged = change.low == change.high == 0
        note += "; no row's score changed" if unchanged else "" if change.low is None else interval
        yield Tile(f"{metric.name}, {one.precision} − fp32", signed(change.value, digits + 1), note)


def _speed(found: Findings) -> Iterator[Tile]:
    """What the smallest file that was timed saves, and how fast it is."""
    timed = {one.precision: one for one in found.speeds.precisions if one.milliseconds}
    fp32, others = timed.get("fp32"), [one for name, one in timed.items() if name != "fp32"]
    if fp32 is None or not others:
        return
    best = min(others, key=lambda one: one.size_bytes)
    ratios = (
        f"{fp32.milliseconds[batch] / time:.2f}× at {batch}"
        for batch, time in best.milliseconds.items()
        if time and fp32.milliseconds.get(batch)
    )
    figure = f"{fp32.size_bytes / best.size_bytes:.1f}× smaller"
    yield Tile(f"{best.precision} against fp32", figure, f"speed by batch size: {', '.join(ratios)}")
