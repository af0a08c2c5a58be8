"""What a forecast has to beat: the last value, the same hour of yesterday and of last week, and ridge regression."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from sklearn.linear_model import Ridge

from training.forecast.series import Series

Forecaster = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Naive:
    """Repeats the last `season` values: float [N, context] -> [N, horizon]."""

    season: int
    horizon: int

    def __call__(self, past: np.ndarray) -> np.ndarray:
        repeats = -(-self.horizon // self.season)
        return np.tile(past[:, -self.season :], repeats)[:, : self.horizon]


def ridge(series: Series, lags: int, horizon: int, stop: int, penalty: float = 3.0) -> Forecaster:
    """Linear regression of the next `horizon` values on the last `lags`, for one series, on its rows before `stop`."""
    origins = np.arange(lags, stop - horizon + 1)
    past, future = series.past(origins, lags), series.future(origins, horizon)
    level, scale = past.mean(), past.std()
    model = Ridge(penalty).fit((past - level) / scale, (future - level) / scale)
    return lambda past: model.predict((past[:, -lags:] - level) / scale) * scale + level


def hourly_baselines(series: Series, horizon: int, stop: int) -> Mapping[str, Forecaster]:
    """The baselines by name; ridge sees all rows before `stop`."""
    return {
        "persistence": Naive(1, horizon),
        "same hour yesterday": Naive(24, horizon),
        "same hour last week": Naive(168, horizon),
        "ridge on 168 lags": ridge(series, 168, horizon, stop),
    }


@dataclass(frozen=True)
class VolatilityInterval:
    """The last price as the median, and normal quantiles from the volatility of the last `lookback` daily log returns.

    float [N, context] prices -> [N, horizon, quantiles]; the spread grows with the root of the days ahead.
    """

    lookback: int
    horizon: int
    quantiles: tuple[float, ...]

    def __call__(self, past: np.ndarray) -> np.ndarray:
        volatility = np.diff(np.log(past[:, -self.lookback - 1 :])).std(1)
        days = np.sqrt(np.arange(1, self.horizon + 1))
        spread = volatility[:, None, None] * days[:, None] * [NormalDist().inv_cdf(level) for level in self.quantiles]
        return past[:, -1:, None] * np.exp(spread)
