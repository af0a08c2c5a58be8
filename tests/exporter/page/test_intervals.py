"""Intervals are as wide as theory says, the same every time, and absent where they would mean nothing."""

import numpy as np
import pytest

from exporter.page import intervals
from exporter.page.intervals import bootstrap, wilson


def test_the_interval_of_a_mean_is_as_wide_as_the_normal_approximation() -> None:
    scores = np.random.default_rng(0).normal(5, 2, 4000)
    found = bootstrap(scores)
    half = 1.96 * scores.std() / np.sqrt(len(scores))
    assert found.value == pytest.approx(scores.mean())
    assert found.low == pytest.approx(scores.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(scores.mean() + half, abs=0.15 * half)


def test_it_covers_the_truth_nineteen_times_in_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "RESAMPLES", 400)
    random = np.random.default_rng(1)
    covered = [(found := bootstrap(random.random(200) < 0.8)).low <= 0.8 <= found.high for _ in range(200)]
    assert 0.9 <= np.mean(covered) <= 0.985


def test_the_same_rows_have_the_same_bootstrap() -> None:
    scores = np.random.default_rng(2).random(300)
    assert bootstrap(scores) == bootstrap(scores)


def test_rows_are_drawn_within_their_groups() -> None:
    """All variance is between the groups, so drawing within them leaves none."""
    scores, groups = np.array([0.0] * 50 + [1.0] * 10), ["a"] * 50 + ["b"] * 10
    found = bootstrap(scores, groups)
    assert (found.low, found.high) == (pytest.approx(found.value), pytest.approx(found.value))
    assert bootstrap(scores).low < found.value - 0.01


def test_many_rows_need_no_more_memory_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.random.default_rng(3).random(50)
    at_once = bootstrap(scores)
    monkeypatch.setattr(intervals, "DRAWS_AT_ONCE", 50)
    piece_by_piece = bootstrap(scores)
    assert piece_by_piece.low == pytest.approx(at_once.low, abs=0.01)


def test_scores_that_are_no_numbers_have_no_bootstrap() -> None:
    found = bootstrap(np.array([1.0, np.nan]))
    assert np.isnan(found.value)
    assert found.low is None


@pytest.mark.parametrize(
    ("successes", "rows", "low", "high"),
    [(100, 100, 0.9630, 1.0), (0, 100, 0.0, 0.0370), (81, 263, 0.2553, 0.3662), (1, 1, 0.2065, 1.0)],
)
def test_a_share_has_wilsons_interval(successes: int, rows: int, low: float, high: float) -> None:
    """81 of 263 is an example of Newcombe's (1998); 0 and all rows have an interval, too."""
    found = wilson(successes, rows)
    assert found.value == successes / rows
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.low <= found.value <= found.high
