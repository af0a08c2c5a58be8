"""The task's metric with its confidence intervals, and what the gate made of it."""

from collections.abc import Iterator, Mapping

import numpy as np

from exporter.page import bootstrap
from exporter.page.findings import Decision, Interval, Metric, Score, Split
from training.evaluation import Evaluation

Outputs = Mapping[str, Mapping[Split, np.ndarray]]
"""float32 [N, ...] by precision and split; fp32 is among the precisions."""
REFERENCE = "fp32"


def metric(splits: Mapping[Split, Evaluation], outputs: Outputs) -> Metric:
    """Scores of every precision on every split. Gates look at validation rows only."""
    gate = splits["validation"].gate
    scores = tuple(_scores(splits, outputs))
    bounded = any(score.value.low is not None for score in scores)
    return Metric(
        name=gate.metric,
        higher_is_better=gate.higher_is_better,
        allowed_loss=gate.allowed_loss,
        relative=gate.relative,
        rows={split: len(one.inputs) for split, one in splits.items()},
        scores=scores,
        decisions=tuple(_decisions(splits["validation"], scores)),
        resamples=bootstrap.RESAMPLES if bounded else 0,
        seed=bootstrap.SEED,
    )


def _scores(splits: Mapping[Split, Evaluation], outputs: Outputs) -> Iterator[Score]:
    for split, evaluation in splits.items():
        name = evaluation.gate.metric
        by_row = {precision: _by_row(evaluation, found[split]) for precision, found in outputs.items()}
        figures = {precision: evaluation.metrics(found[split]) for precision, found in outputs.items()}
        values = {precision: found[name] for precision, found in figures.items()}
        for precision, found in figures.items():
            reference = precision == REFERENCE
            yield Score(
                precision=precision,
                split=split,
                value=_interval(evaluation, by_row[precision], values[precision]),
                minus_fp32=None if reference else _difference(evaluation, by_row, values, precision),
                others={other: value for other, value in found.items() if other != name},
            )


def _by_row(evaluation: Evaluation, outputs: np.ndarray) -> np.ndarray | None:
    """The metric's shares of each row, if it is their mean."""
    if evaluation.row_scores is None:
        return None
    scores = np.asarray(evaluation.row_scores(outputs), np.float64)
    expected = evaluation.metrics(outputs)[evaluation.gate.metric]
    return scores if np.isclose(scores.mean(), expected, rtol=1e-5, atol=1e-9) else None


def _interval(evaluation: Evaluation, scores: np.ndarray | None, value: float) -> Interval:
    found = Interval(value=value) if scores is None else bootstrap.interval(scores, evaluation.groups)
    return found.model_copy(update={"value": value})


def _difference(
    evaluation: Evaluation, by_row: Mapping[str, np.ndarray | None], figures: Mapping[str, float], precision: str
) -> Interval:
    """Without scores by row there is a difference, but no interval."""
    value = figures[precision] - figures[REFERENCE]
    reference, scores = by_row[REFERENCE], by_row[precision]
    return _interval(evaluation, None if reference is None or scores is None else scores - reference, value)


def _decisions(validation: Evaluation, scores: tuple[Score, ...]) -> Iterator[Decision]:
    values = {score.precision: score.value.value for score in scores if score.split == "validation"}
    gate = validation.gate
    for precision, value in values.items():
        loss = gate.loss(values[REFERENCE], value)
        yield Decision(precision=precision, loss=loss, accepted=gate.accepts(values[REFERENCE], value))
