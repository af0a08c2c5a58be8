"""The task's metric with its confidence intervals, and what the gate made of it."""

from collections.abc import Iterator, Mapping

import numpy as np

from exporter.page import intervals
from exporter.page.findings import Decision, Interval, Metric, Score, Split
from training.evaluation import Evaluation

Outputs = Mapping[str, Mapping[Split, np.ndarray]]
"""float32 [N, ...] by precision and split; fp32 is among the precisions."""
ByRow = Mapping[str, np.ndarray | None]
"""The metric's shares of each row [N] by precision; None if the metric is no mean over rows."""
REFERENCE = "fp32"


def metric(splits: Mapping[Split, Evaluation], outputs: Outputs) -> Metric:
    """Scores of every precision on every split. Gates look at validation rows only."""
    gate = splits["validation"].gate
    by_row = {
        split: {precision: _by_row(one, found[split]) for precision, found in outputs.items()}
        for split, one in splits.items()
    }
    known = [rows for found in by_row.values() for rows in found.values() if rows is not None]
    shares = bool(known) and all(np.isin(rows, (0, 1)).all() for rows in known)
    scores = tuple(_scores(splits, outputs, by_row, shares))
    return Metric(
        name=gate.metric,
        higher_is_better=gate.higher_is_better,
        allowed_loss=gate.allowed_loss,
        relative=gate.relative,
        rows={split: len(one.inputs) for split, one in splits.items()},
        scores=scores,
        decisions=tuple(_decisions(splits["validation"], scores)),
        shares=shares,
        resamples=intervals.RESAMPLES if known else 0,
        seed=intervals.SEED,
    )


def _scores(
    splits: Mapping[Split, Evaluation], outputs: Outputs, by_row: Mapping[Split, ByRow], shares: bool
) -> Iterator[Score]:
    for split, evaluation in splits.items():
        name, rows = evaluation.gate.metric, by_row[split]
        figures = {precision: evaluation.metrics(found[split]) for precision, found in outputs.items()}
        values = {precision: found[name] for precision, found in figures.items()}
        for precision, found in figures.items():
            reference = precision == REFERENCE
            yield Score(
                precision=precision,
                split=split,
                value=_interval(evaluation, rows[precision], values[precision], shares),
                minus_fp32=None if reference else _difference(evaluation, rows, values, precision),
                others={other: value for other, value in found.items() if other != name},
            )


def _by_row(evaluation: Evaluation, outputs: np.ndarray) -> np.ndarray | None:
    """The metric's shares of each row, if it is their mean."""
    if evaluation.row_scores is None:
        return None
    scores = np.asarray(evaluation.row_scores(outputs), np.float64)
    expected = evaluation.metrics(outputs)[evaluation.gate.metric]
    return scores if np.isclose(scores.mean(), expected, rtol=1e-5, atol=1e-9) else None


def _interval(evaluation: Evaluation, scores: np.ndarray | None, value: float, share: bool = False) -> Interval:
    if scores is None:
        return Interval(value=value)
    if share:
        found = intervals.wilson(int(scores.sum()), len(scores))
    else:
        found = intervals.bootstrap(scores, evaluation.groups)
    return found.model_copy(update={"value": value})


def _difference(evaluation: Evaluation, by_row: ByRow, figures: Mapping[str, float], precision: str) -> Interval:
    """Without scores by row there is a difference, but no interval. A difference of shares is no share itself."""
    value = figures[precision] - figures[REFERENCE]
    reference, scores = by_row[REFERENCE], by_row[precision]
    return _interval(evaluation, None if reference is None or scores is None else scores - reference, value)


def _decisions(validation: Evaluation, scores: tuple[Score, ...]) -> Iterator[Decision]:
    values = {score.precision: score.value.value for score in scores if score.split == "validation"}
    gate = validation.gate
    for precision, value in values.items():
        loss = gate.loss(values[REFERENCE], value)
        yield Decision(precision=precision, loss=loss, accepted=gate.accepts(values[REFERENCE], value))
