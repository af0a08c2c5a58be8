"""What a forecast has to beat: the last value, the same hour of yesterday and of last week, and ridge regression."""

from collections.abc import Callable, Mapping, Sequence
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


def ridge(series: Series, lags: int, horizon: int, stop: int) -> Forecaster:
    """Linear regression of the next `horizon` values on the last `lags`, for one series, on its rows before `stop`."""
    origins = np.arange(lags, stop - horizon + 1)
    forecast = regression([series.past(origins, lags)], series.future(origins, horizon))
    return lambda past: forecast([past[:, -lags:]])


def regression(
    blocks: Sequence[np.ndarray], future: np.ndarray, penalty: float = 3.0
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
    """Ridge regression of `future` [N, horizon] on blocks [N, features], each in units of its own.

    The first block's unit is also that of `future`. Gives a function from such blocks to forecasts.
    """
    units = [(block.mean(), block.std()) for block in blocks]

    def scaled(blocks: Sequence[np.ndarray]) -> np.ndarray:
        return np.hstack([(block - level) / scale for block, (level, scale) in zip(blocks, units, strict=True)])

    level, scale = units[0]
    model = Ridge(penalty).fit(scaled(blocks), (future - level) / scale)
    return lambda blocks: model.predict(scaled(blocks)) * scale + level


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
