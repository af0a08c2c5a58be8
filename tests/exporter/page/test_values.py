"""Spreads of any numbers, broken ones included."""

import numpy as np
import pytest

from exporter.page.values import histogram, spread


def test_every_number_is_in_the_histogram() -> None:
    numbers = np.random.default_rng(0).normal(size=(7, 30))
    found = spread(numbers)
    assert sum(found.histogram.counts) == found.count == 210
    assert (found.minimum, found.maximum) == (numbers.min(), numbers.max())
    assert found.quantiles["0.5"] == pytest.approx(np.median(numbers))


def test_what_lies_beyond_the_ends_is_in_the_outermost_bins() -> None:
    found = histogram(np.array([-5.0, 0.0, 9.0]), -1.0, 1.0, bins=4)
    assert found.counts == (1, 0, 1, 1)


@pytest.mark.parametrize("numbers", [[3.0, 3.0], [], [np.nan, np.inf], [np.nan, 1.0]])
def test_odd_numbers_break_nothing(numbers: list[float]) -> None:
    found = spread(np.array(numbers))
    assert found.count == len(numbers)
    assert found.histogram.low < found.histogram.high


def test_a_broken_number_is_seen_in_the_extremes() -> None:
    assert spread(np.array([0.0, np.inf])).maximum == np.inf
