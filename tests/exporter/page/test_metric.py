"""Scores, their intervals, and the gate's decisions."""

import dataclasses

import numpy as np
import pytest

from exporter.page.metric import metric
from tests.exporter.page.samples import evaluation, outputs
from training.evaluation import Gate


def of(found: dict[str, np.ndarray], **fields: object):
    one = dataclasses.replace(evaluation(), **fields)
    by_split = {name: {"validation": values, "test": values} for name, values in found.items()}
    return metric({"validation": one, "test": one}, by_split)


def test_scores_are_the_evaluations_and_lie_in_their_intervals() -> None:
    found = of({"fp32": outputs(), "int8": outputs(noise=0.3)})
    assert [(score.split, score.precision) for score in found.scores] == [
        ("validation", "fp32"),
        ("validation", "int8"),
        ("test", "fp32"),
        ("test", "int8"),
    ]
    for score in found.scores:
        expected = evaluation().metrics(outputs(noise=0.3 if score.precision == "int8" else 0.0))
        assert score.value.value == expected["accuracy"]
        assert score.value.low < score.value.value < score.value.high
        assert score.others == {"confidence": expected["confidence"]}


def test_the_difference_is_paired() -> None:
    """The same outputs differ by nothing, though each figure alone is uncertain."""
    found = of({"fp32": outputs(), "int8": outputs()})
    change = found.scores[1].minus_fp32
    assert (change.value, change.low, change.high) == (0.0, 0.0, 0.0)
    assert found.scores[0].minus_fp32 is None


def test_the_gate_decides_on_what_is_lost() -> None:
    wrong = 1 - outputs()
    found = of({"fp32": outputs(), "int8": wrong}, gate=Gate("confidence", True, 0.001), row_scores=None)
    assert [one.accepted for one in found.decisions] == [True, True]
    worse = of({"fp32": outputs(), "int8": outputs() * 0.9}, gate=Gate("confidence", True, 0.001), row_scores=None)
    assert [one.accepted for one in worse.decisions] == [True, False]
    assert worse.decisions[1].loss == pytest.approx(0.1 * worse.scores[0].value.value, rel=1e-4)


def test_scores_whose_mean_is_not_the_metric_make_no_interval() -> None:
    found = of({"fp32": outputs()}, row_scores=lambda values: values[:, 0] + 7)
    assert found.resamples == 0
    assert found.scores[0].value.low is None


def test_without_scores_by_row_a_difference_has_no_interval() -> None:
    found = of({"fp32": outputs(), "int8": outputs(noise=0.5)}, row_scores=None)
    fp32, int8 = found.scores[:2]
    assert int8.minus_fp32.value == int8.value.value - fp32.value.value != 0
    assert int8.minus_fp32.low is None


def test_a_share_of_rows_has_wilsons_interval_and_its_difference_the_bootstraps() -> None:
    right = np.eye(2, dtype=np.float32)[evaluation().targets]
    fp32, int8 = of({"fp32": right, "int8": right}).scores[:2]
    assert (fp32.value.value, fp32.value.high) == (1.0, 1.0)
    assert fp32.value.low == pytest.approx(0.94, abs=0.005)
    assert (int8.minus_fp32.low, int8.minus_fp32.high) == (0.0, 0.0)
    assert of({"fp32": right}).shares


def test_a_mean_that_is_no_share_keeps_the_bootstrap() -> None:
    one = dataclasses.replace(
        evaluation(),
        metrics=lambda found: {"accuracy": float(found.max(1).mean())},
        row_scores=lambda found: found.max(1).astype(float),
    )
    values = {"validation": outputs(), "test": outputs()}
    found = metric({"validation": one, "test": one}, {"fp32": values})
    assert not found.shares
    assert found.resamples > 0
    assert found.scores[0].value.low < found.scores[0].value.value < found.scores[0].value.high
