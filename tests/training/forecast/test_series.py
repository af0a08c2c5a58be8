"""Splits lie apart in time, and tables become one value an hour."""

import numpy as np
import pandas as pd
import pytest

from training.forecast import series
from training.forecast.series import Series, seen

COUNTING = Series("counting", np.arange(100.0), validation_start=70, test_start=80)


@pytest.mark.parametrize(("context", "horizon"), [(1, 1), (30, 5), (60, 10)])
def test_targets_of_a_split_lie_in_it(context: int, horizon: int) -> None:
    validation = COUNTING.future(COUNTING.origins("validation", context, horizon), horizon)
    test = COUNTING.future(COUNTING.origins("test", context, horizon), horizon)
    assert (validation.min(), validation.max()) == (70, 79)
    assert (test.min(), test.max()) == (80, 99)


def test_the_past_ends_where_the_future_begins() -> None:
    origins = COUNTING.origins("test", 30, 5)
    assert (COUNTING.past(origins, 30)[:, -1] + 1 == COUNTING.future(origins, 5)[:, 0]).all()
    assert len(origins) == 16


def test_origins_without_enough_past_are_left_out() -> None:
    assert COUNTING.origins("validation", 75, 1).tolist() == [75, 76, 77, 78, 79]


def test_unseen_series_do_not_train() -> None:
    hidden = Series("hidden", np.arange(9.0), 5, 7, unseen=True)
    assert seen([COUNTING, hidden]) == [COUNTING]


def test_repeated_hours_are_dropped_and_missing_ones_interpolated() -> None:
    hours = pd.to_datetime(["2020-01-01 00:00", "2020-01-01 01:00", "2020-01-01 01:00", "2020-01-01 04:00"])
    values, interpolated = series._regular(pd.Series([1.0, 2.0, 9.0, 5.0], index=hours))
    assert values.tolist() == [1, 2, 3, 4, 5]
    assert interpolated.tolist() == [False, False, True, True, False]


def test_interpolated_values_do_not_count_nor_do_origins_inside_a_gap() -> None:
    gap = np.isin(np.arange(10), [4, 5])
    holed = Series("holed", np.arange(10.0), 3, 6, interpolated=gap)
    origins = np.array([2, 3, 4, 5, 6, 7])
    assert holed.counted(origins, 3).tolist() == [
        [True, True, False],
        [True, False, False],
        [False, False, True],
        [False, False, False],
        [False, False, False],
        [True, True, True],
    ]
    assert COUNTING.counted(origins, 3).all()


def test_stocks_are_cut_by_date_and_held_out_tickers_only_test() -> None:
    days = pd.bdate_range("2016-01-01", "2021-12-31").strftime("%Y-%m-%d")
    table = pd.concat(
        [pd.DataFrame({"symbol": ticker, "date": days, "adjusted": 1.0}) for ticker in ("AAPL", "NFLX")]
        + [pd.DataFrame({"symbol": "NEW", "date": days[:50], "adjusted": 1.0})]
    )
    apple, netflix = series._tickers(table, "2016-2021")
    assert days[apple.validation_start] == "2018-01-01"
    assert days[apple.test_start] == "2020-01-01"
    assert netflix.unseen
    assert netflix.span("test") == (0, len(days))
