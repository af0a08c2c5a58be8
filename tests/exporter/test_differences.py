"""How far outputs lie apart, and how far they may: judged by the rows, and by what rounding does anyway."""

import numpy as np
import pytest

from exporter.differences import accepted, differences, row_differences, scales

REFERENCE = np.array([[0.5, 0.25], [200.0, 100.0], [0.0, 0.0]])
RANDOM = np.random.default_rng(0)
ROWS = list(RANDOM.normal(size=(40, 2)))


def test_differences_are_by_the_largest_output_where_that_is_above_1() -> None:
    moved = REFERENCE + np.array([[0.1, 0.0], [0.0, 10.0], [0.0, 0.0]])
    found = row_differences(REFERENCE, moved, scales(REFERENCE))
    np.testing.assert_allclose(found, [0.1, 0.05, 0.0])


def test_what_is_a_number_in_one_of_two_is_infinitely_far() -> None:
    one = np.array([[np.nan, np.nan, np.inf, -np.inf, 1.0]])
    other = np.array([[np.nan, 1.0, np.inf, np.inf, np.inf]])
    assert differences(one, other).tolist() == [[0.0, np.inf, 0.0, np.inf, np.inf]]


@pytest.mark.parametrize("level", [0.0, 1e3, -1e3])
@pytest.mark.parametrize("unit", [1e-5, 1.0, 1e4])
def test_a_share_of_what_the_rows_span_is_accepted_whatever_their_unit_and_level(unit: float, level: float) -> None:
    rows = [unit * (row + level) for row in ROWS]
    span = unit * np.ptp(np.stack(ROWS), axis=0)
    most = accepted(rows, rows, False, 1e-4, 0)
    assert (most <= 1e-4 * span * (1 + 1e-6)).all()
    assert (most <= 1e-4 * np.maximum(1, np.abs(rows).max(1))[:, None]).all()


def test_each_output_has_a_unit_of_its_own() -> None:
    rows = [np.array([1e5 * one, 1e-5 * other]) for one, other in ROWS]
    first, second = accepted(rows, rows, False, 1e-4, 0).max(0)
    assert first > 1
    assert second < 1e-8


def test_what_rounding_does_to_the_network_itself_is_accepted_several_times_over() -> None:
    rows = [np.full(2, 0.3)] * 5
    assert accepted(rows, None, False, 1e-4, 10).max() == pytest.approx(10 * 0.3 * 2**-23)
    exact = [rows[0] + 1e-3, *rows[1:]]
    np.testing.assert_allclose(accepted(rows, exact, False, 1e-4, 10), 1e-2)


def test_steps_are_compared_with_steps() -> None:
    rows = [np.array([[100.0], [101.0]]), np.array([[100.5]])]
    np.testing.assert_allclose(accepted(rows, rows, True, 1e-4, 0), [[1e-4], [1e-4]])
