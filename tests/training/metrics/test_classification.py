import numpy as np
import pytest
from sklearn.metrics import log_loss as reference_log_loss

from training.metrics.classification import (
    best_temperature,
    classification,
    expected_calibration_error,
    log_loss,
    logit,
)

LABELS = np.array([0, 0, 1, 1])


def test_scores_of_a_perfect_and_sure_classifier() -> None:
    scores = classification(LABELS, np.array([0.001, 0.001, 0.999, 0.999]))
    assert (scores["rows"], scores["accuracy"], scores["f1"], scores["auc"]) == (4, 1, 1, 1)
    assert scores["ece"] == pytest.approx(0.001)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    assert expected_calibration_error(LABELS, np.full(4, 0.9)) == pytest.approx(0.4)


def test_log_loss_is_that_of_scikit_learn() -> None:
    positive = np.array([0.2, 0.6, 0.4, 0.9])
    assert log_loss(LABELS, logit(positive)) == pytest.approx(reference_log_loss(LABELS, positive))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, 40_000)
    labels = random.random(len(logits)) < 1 / (1 + np.exp(-logits))
    assert best_temperature(labels, logits * temperature) == pytest.approx(temperature, rel=0.05)
