"""Numbers as people read them."""

import math

import pytest

from exporter.page.figures import decimals_for, exact, fixed, percent, plain, signed, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.01834, "0.018"),
        (-0.5, "−0.50"),
        (12.34, "12"),
        (12400.0, "12,400"),
        (3.14e-6, "3.1\u202f×\u202f10⁻⁶"),
        (1e-4, "10⁻⁴"),
        (2.5e9, "2.5\u202f×\u202f10⁹"),
        (None, "–"),
        (math.nan, "not a number"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
    ],
)
def test_plain(value: float | None, shown: str) -> None:
    assert plain(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.005, "0.005"), (1e-4, "10⁻⁴"), (-0.05, "−0.05"), (0.0, "0")])
def test_limits_are_shown_as_they_were_set(value: float, shown: str) -> None:
    assert exact(value) == shown


def test_columns_are_aligned_and_signs_are_true_minus_signs() -> None:
    assert [fixed(value, 3) for value in (1.0, -0.5, math.nan, None)] == ["1.000", "−0.500", "not a number", "–"]
    assert [signed(value, 2) for value in (0.1, -0.1, 0.0)] == ["+0.10", "−0.10", "0.00"]


def test_a_difference_that_rounds_to_zero_has_no_sign() -> None:
    assert [signed(value, 2) for value in (0.001, -0.001)] == ["0.00", "0.00"]


def test_shares_sizes_and_digits() -> None:
    assert percent(0.1234) == "12.3\u202f%"
    assert [size(count) for count in (12, 3456, 7_676_974)] == ["12\u202fbytes", "3.46\u202fkB", "7.68\u202fMB"]
    assert [decimals_for(value) for value in (0.8, 12.0, 12345.0, 0.0, math.nan)] == [4, 2, 0, 4, 4]
