import numpy as np
import pytest

from training.forecast.baselines import Naive, VolatilityInterval, hourly_baselines, ridge
from training.forecast.series import Series

HOURS = np.arange(3000)
WEEKLY = Series("weekly", np.sin(2 * np.pi * HOURS / 168) * 3 + 10, 2100, 2400)


def test_naive_forecasts_repeat_their_season() -> None:
    past = np.arange(48.0)[None]
    assert Naive(1, 3)(past).tolist() == [[47, 47, 47]]
    assert Naive(24, 26)(past)[0, [0, 23, 24, 25]].tolist() == [24, 47, 24, 25]


def test_ridge_learns_a_cycle_that_yesterday_misses() -> None:
    origins = WEEKLY.origins("test", 168, 24)
    past, actual = WEEKLY.past(origins, 168), WEEKLY.future(origins, 24)
    errors = {
        name: np.abs(baseline(past) - actual).mean()
        for name, baseline in hourly_baselines(WEEKLY, 24, stop=WEEKLY.test_start).items()
    }
    assert errors["ridge on 168 lags"] < 0.05
    assert errors["same hour last week"] == pytest.approx(0, abs=1e-9)
    assert min(errors["persistence"], errors["same hour yesterday"]) > 0.5


def test_ridge_never_sees_rows_from_stop_on() -> None:
    changed = Series("changed", np.where(HOURS < 2400, WEEKLY.values, 1e6), 2100, 2400)
    past = WEEKLY.past(np.array([2400]), 168)
    assert np.array_equal(ridge(WEEKLY, 168, 24, 2400)(past), ridge(changed, 168, 24, 2400)(past))


def test_the_volatility_interval_covers_a_random_walk() -> None:
    returns = np.random.default_rng(0).normal(0, 0.02, (4000, 66))
    prices = 100 * np.exp(returns.cumsum(1))
    quantiles = VolatilityInterval(60, 5, (0.1, 0.5, 0.9))(prices[:, :61])
    actual = prices[:, 61:]
    covered = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., 2])
    assert covered.mean() == pytest.approx(0.8, abs=0.02)
    assert quantiles[..., 1] == pytest.approx(np.repeat(prices[:, 60:61], 5, 1))
