"""Figures for point and interval forecasts, in the units of the series.

Arrays are float [N, horizon], or [M] where only some of these values count.
"""

import numpy as np


def mae(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Mean absolute error."""
    return float(np.abs(forecast - actual).mean())


def rmse(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Root of the mean squared error."""
    return float(np.sqrt(np.square(forecast - actual).mean()))


def mape(forecast: np.ndarray, actual: np.ndarray) -> float:
    """Mean absolute percentage error, in percent; for series that stay away from zero."""
    return float(100 * np.abs((forecast - actual) / actual).mean())


def seasonal_error(history: np.ndarray, season: int) -> float:
    """Mean absolute difference between values `season` steps apart in `history` [N]: what MASE divides by."""
    return float(np.abs(history[season:] - history[:-season]).mean())


def mase(forecast: np.ndarray, actual: np.ndarray, history: np.ndarray, season: int) -> float:
    """Mean absolute scaled error (Hyndman and Koehler 2006): 1 is as good as the seasonal naive method on `history`."""
    return mae(forecast, actual) / seasonal_error(history, season)


def pinball(forecast: np.ndarray, actual: np.ndarray, quantiles: tuple[float, ...]) -> float:
    """Mean quantile loss of `forecast` [N, horizon, quantiles], the average over the quantiles."""
    error = actual[..., None] - forecast
    levels = np.asarray(quantiles)
    return float(np.maximum(levels * error, (levels - 1) * error).mean())


def coverage(low: np.ndarray, high: np.ndarray, actual: np.ndarray) -> float:
    """Share of the actual values that lie in the interval, its ends included."""
    return float(((low <= actual) & (actual <= high)).mean())
