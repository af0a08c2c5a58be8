"""All checks of all precisions: parity, pins, invariance, the metric's gate; and their times."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from tqdm import tqdm

from exporter import describe, differences, measure, verify
from exporter.errors import CheckFailed
from exporter.options import Options
from exporter.report import Built, Finding
from exporter.sessions import Rows, StepSession, by_length, pad, some_of, together
from exporter.source import Outputs, Source
from exporter.verify import Subject
from models.manifest import Invariance, Precision
from training.evaluation import Evaluation, Gate, Split

PARITY_ROWS = 256
INVARIANCE_ROWS = 96
SCORE_BATCH = 32
FAR_ROWS = 16
ROUNDING = 30
FAR_LIMIT = 0.01

Splits = Mapping[Split, Evaluation]
Figures = Mapping[Split, Mapping[str, float]]
"""Metrics by split."""


def check(source: Source, built: Built, splits: Splits, rows: Rows, options: Options) -> dict[Precision, Finding]:
    """What was found of every precision, the cheap checks first. Raises CheckFailed. No splits, no metrics."""
    subjects = {precision: describe.subject(source, built, precision) for precision in built.models}
    some, far = some_of(rows, PARITY_ROWS), source.beyond(some_of(rows, FAR_ROWS)) if source.beyond else []
    reference = as_array(source.reference(some), built.per_step)
    check_answers(source, score(subjects["fp32"].session(), some, "fp32, answers"), some, built.per_step, options)
    compared = check_far(source, subjects["fp32"], far, options) if far else 0
    exact = {name: exactness(name, subjects[name], some, reference, options, far) for name in built.runnable}
    sessions = {name: subjects[name].session() for name in built.runnable}
    outputs = {name: answers(name, session, splits) for name, session in sessions.items()}
    metrics = {name: figures(splits, outputs[name]) for name in sessions}
    for name, found in metrics.items():
        check_gates(splits, metrics["fp32"], found, name, list(built.models))
    times = speed(source, built, sessions, rows)
    found = {name: Finding(*exact[name], metrics[name], *times[name], outputs[name]) for name in sessions}
    found["fp32"] = dataclasses.replace(found["fp32"], far_rows=compared)
    for name in built.models.keys() - sessions.keys():
        session = subjects[name].session()
        differs = simulated_parity(name, session, some, reference)
        check_gates(splits, metrics["fp32"], figures(splits, answers(name, session, splits)), name, list(built.models))
        found[name] = Finding(simulated_parity=differs)
    return {name: found[name] for name in built.models}


def answers(precision: Precision, session: StepSession, splits: Splits) -> dict[Split, np.ndarray]:
    return {split: score(session, one.inputs, f"{precision}, {split}") for split, one in splits.items()}


def figures(splits: Splits, outputs: Mapping[Split, np.ndarray]) -> dict[Split, dict[str, float]]:
    return {split: one.metrics(outputs[split]) for split, one in splits.items()}


def exactness(
    precision: Precision, subject: Subject, rows: Rows, reference: np.ndarray, options: Options, far: Rows = ()
) -> tuple[float, Invariance]:
    """Parity to the reference, and invariance, of `far` rows as well; the pins on the way."""
    parity = verify.parity(reference, score(subject.session(), rows, f"{precision}, parity"))
    if precision == "fp32":
        check_parity(parity, options)
    some = [*some_of(rows, INVARIANCE_ROWS), *far]
    verify.check_pins(subject, some)
    invariance = verify.invariance(subject, some)
    verify.check_invariance(invariance, precision, subject, some)
    print(f"{precision}: {parity:.1g} from PyTorch, exact over {invariance.sequences} sequences", flush=True)
    return parity, invariance


def check_answers(source: Source, outputs: np.ndarray, rows: Rows, per_step: bool, options: Options) -> None:
    """Each of fp32's outputs [N, ...] is the network's own, measured by how much that output's values differ from row
    to row. Raises CheckFailed."""
    truth = source.reference(rows)
    exact = None if source.float64 is None else list(source.float64(rows))
    accepted = differences.accepted(list(truth), exact, per_step, options.parity, ROUNDING)
    expected = as_array(truth, per_step)
    if unanswered := sum(not np.isfinite(row).all() for row in expected):
        raise CheckFailed(
            f"parity: the network itself answers {unanswered} of {len(rows)} rows with what is no finite number; leave "
            "such rows out, or let it answer them"
        )
    found = differences.differences(expected, outputs).reshape(len(rows), -1, accepted.shape[1])
    excess = found - accepted[:, None]
    if (excess > 0).any():
        row, step, output = np.unravel_index(int(excess.argmax()), excess.shape)
        raise CheckFailed(
            f"parity: fp32 differs from PyTorch by {found[row, step, output]:.3g} in an output whose values lie within "
            f"{np.ptp(expected.reshape(-1, accepted.shape[1])[:, output]):.3g}; at most {accepted[row, output]:.3g} is "
            "accepted there"
        )


def check_far(source: Source, fp32: Subject, rows: Rows, options: Options) -> int:
    """fp32 is the network for inputs far from all that was seen, too: on how many of the rows. Raises CheckFailed.

    Large inputs are large sums, which round more: what that does to the network itself is accepted, several times over.
    Where that is so much that it would prove nothing, a row does not count.
    """
    reference = as_array(source.reference(rows), fp32.per_step)
    accepted = np.full(len(rows), options.parity)
    if source.float64 is not None:
        own = verify.row_parities(as_array(source.float64(rows), fp32.per_step), reference)
        accepted = np.fmax(accepted, ROUNDING * own)
    parities = verify.row_parities(reference, score(fp32.session(), rows, "fp32, far from the rows"))
    compared = accepted <= max(FAR_LIMIT, options.parity)
    wrong = compared & ~(parities <= accepted)
    if wrong.any():
        raise CheckFailed(
            f"parity: fp32 differs from PyTorch by {parities[wrong].max():.3g} where inputs are far larger than in the "
            f"rows, at most {accepted[wrong].min():.3g} is accepted"
        )
    return int(compared.sum())


def simulated_parity(precision: Precision, session: StepSession, rows: Rows, reference: np.ndarray) -> float:
    """Parity of a graph that only a GPU runs as it is meant. A CPU computes it in float32, from its rounded weights, so
    this is the least difference that there can be."""
    outputs = score(session, rows, f"{precision}, rounded weights")
    if not np.isfinite(outputs).all() and np.isfinite(reference).all():
        raise CheckFailed(f"{precision}: an output is not a finite number; a weight may be too large for 16 bits")
    return verify.parity(reference, outputs)


def check_parity(parity: float, options: Options) -> None:
    """Of fp32; of other precisions the metric is the judge."""
    if not parity <= options.parity:
        raise CheckFailed(f"parity: fp32 differs from PyTorch by {parity:.3g}, at most {options.parity:g} is accepted")


def check_gates(
    splits: Splits, reference: Figures, found: Figures, precision: Precision, built: Sequence[Precision]
) -> None:
    """The gate of the validation rows, if there are any."""
    if splits:
        check_gate(splits["validation"].gate, reference["validation"], found["validation"], precision, built)


def check_gate(
    gate: Gate,
    reference: Mapping[str, float],
    found: Mapping[str, float],
    precision: Precision,
    built: Sequence[Precision],
) -> None:
    """Raises CheckFailed if a precision's metric on validation rows is too much worse than fp32's."""
    before, after = reference[gate.metric], found[gate.metric]
    if not gate.accepts(before, after):
        share = " of it" if gate.relative else ""
        others = ",".join(name for name in built if name not in ("fp32", precision)) or "fp32"
        raise CheckFailed(
            f"gate: {gate.metric} on validation rows is {after:.5g} with {precision} and {before:.5g} with fp32: "
            f"{gate.loss(before, after):.3g}{share} worse, at most {gate.allowed_loss:g} is accepted; "
            f"leave it out (--precisions {others}), or accept more (--allowed-loss)"
        )


def with_gate(evaluation: Evaluation, options: Options) -> Evaluation:
    """The evaluation with the allowed loss that the options give, where they give one."""
    wanted = {"allowed_loss": options.allowed_loss, "relative": options.relative}
    given = {name: value for name, value in wanted.items() if value is not None}
    return dataclasses.replace(evaluation, gate=dataclasses.replace(evaluation.gate, **given))


def speed(
    source: Source, built: Built, sessions: Mapping[Precision, StepSession], rows: Rows
) -> dict[Precision, tuple[dict[int, float], dict[int, float]]]:
    """Milliseconds by batch size: of whole sequences, and of chunks where there are chunks."""
    whole = measure.milliseconds(sessions, rows, describe.typical_steps(rows))
    chunk = max(measure.CHUNK, source.limits.first_chunk)
    chunks = measure.milliseconds(sessions, rows, chunk) if built.chunkable else {}
    return {precision: (whole[precision], chunks.get(precision, {})) for precision in sessions}


def score(session: StepSession, rows: Rows, title: str) -> np.ndarray:
    """Outputs [N, ...] for whole sequences, with a progress bar on a terminal."""
    with tqdm(by_length(rows, SCORE_BATCH), desc=title, unit="batch", leave=False, disable=None) as batches:
        return together(session, batches, rows).outputs


def as_array(outputs: Outputs, per_step: bool) -> np.ndarray:
    """[N, ...], or [N, longest, ...] with zeros past each row's length."""
    if isinstance(outputs, np.ndarray):
        return outputs
    return pad(outputs)[0] if per_step else np.stack(outputs)
