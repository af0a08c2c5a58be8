"""Perplexity of guesses whose quality is known."""

import numpy as np
import pytest

from training.metrics.language import perplexity

TARGETS = np.array([2, 0, 4, 1])


def test_knowing_nothing_is_as_perplexing_as_the_vocabulary_is_large() -> None:
    assert perplexity(TARGETS, np.full((4, 5), 3.0, np.float32)) == pytest.approx(5)


def test_a_prophet_is_not_perplexed() -> None:
    assert perplexity(TARGETS, 50 * np.eye(5)[TARGETS]) == pytest.approx(1)


def test_it_is_the_inverse_of_the_geometric_mean_probability() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), 4)
    chosen = probabilities[np.arange(4), TARGETS]
    assert perplexity(TARGETS, np.log(probabilities) + 7) == pytest.approx(chosen.prod() ** (-1 / 4))


def test_large_logits_do_not_overflow() -> None:
    assert perplexity(TARGETS, np.float32(1e30) * np.eye(5, dtype=np.float32)[TARGETS]) == pytest.approx(1)
