"""Differences of implementations, pair by pair."""

import numpy as np
import pytest

from exporter.page.parity import parity

REFERENCE = np.array([[0.5, 0.25], [200.0, 100.0], [0.0, 0.0]])


def test_each_pair_is_there_once_and_equal_rows_are_counted() -> None:
    moved = REFERENCE + np.array([[1e-3], [0.2], [0.0]])
    found = parity({"a": REFERENCE, "b": REFERENCE.copy(), "c": moved}, 1e-4)
    assert [(one.one, one.other) for one in found.differences] == [("a", "b"), ("a", "c"), ("b", "c")]
    same, apart, _ = found.differences
    assert (same.largest, same.equal_rows, same.log10_histogram) == (0.0, 3, None)
    assert (apart.largest, apart.median, apart.equal_rows) == (pytest.approx(1e-3), pytest.approx(1e-3), 1)
    assert sum(apart.log10_histogram.counts) == 2


def test_what_is_no_number_in_one_of_two_is_infinitely_far() -> None:
    broken = REFERENCE.copy()
    broken[0, 0] = np.nan
    assert parity({"a": REFERENCE, "b": broken}, 1e-4).differences[0].largest == np.inf
    assert parity({"a": broken, "b": broken}, 1e-4).differences[0].largest == 0.0


def test_outputs_of_any_shape_and_no_rows_at_all() -> None:
    steps = np.ones((4, 7, 3), np.float32)
    assert parity({"a": steps, "b": steps + 1}, 1e-4).differences[0].largest == 1.0
