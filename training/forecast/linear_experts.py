"""The linear part of the forecast network in closed form: one ridge regression a series, as a start for training."""

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor

from training.forecast.series import Series
from training.networks.forecast import CONTEXT, DAY, DAYS, WEEK, ForecastHead


def linear_expert(series: Series, head: ForecastHead, penalty: float = 1e-3, stride: int = 2) -> Tensor:
    """Weights [horizon, CONTEXT] that map two weeks, less the last one's mean, to what the typical day leaves over.

    Fitted on the series' training rows; level and scale are taken from each window, so any series can use them.
    """
    origins = np.arange(CONTEXT, series.validation_start - head.horizon + 1, stride)
    past, future = series.past(origins, CONTEXT), series.future(origins, head.horizon)
    level = past[:, WEEK:].mean(1, keepdims=True)
    unit = np.abs(past - level).mean()
    past, future = (past - level) / unit, (future - level) / unit
    ridge = Ridge(penalty * len(origins), fit_intercept=False).fit(past, future - _typical(past, head))
    return torch.from_numpy(ridge.coef_).float()


@torch.inference_mode()
def _typical(past: np.ndarray, head: ForecastHead) -> np.ndarray:
    """The typical day as an untrained head sees it."""
    days = torch.from_numpy(past[:, WEEK:]).float().view(-1, DAYS, DAY)
    return head.typical_day(days, torch.zeros(len(past), head.mixture.in_features)).numpy()
