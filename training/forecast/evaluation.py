"""Forecasts of a trained network on held-out rows: predict, widen the intervals, hand a sample to the exporter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training.evaluation import Evaluation, Gate
from training.metrics import forecast as metrics

Figures = dict[str, Any]
"""Of one series: the scores of each forecaster by its name, the number of origins, whether the series trained."""
BATCH = 256
LOWEST_WIDENING = 0.1
SMALLEST_WIDTH = 1e-12


def pinball_loss(forecast: Tensor, actual: Tensor, quantiles: Sequence[float]) -> Tensor:
    """Quantile loss of `forecast` [..., quantiles] for `actual` [...]: [..., quantiles]."""
    levels = torch.tensor(quantiles)
    error = actual[..., None] - forecast
    return torch.maximum(levels * error, (levels - 1) * error)


@torch.inference_mode()
def predict_windows(network: nn.Module, past: np.ndarray) -> np.ndarray:
    """Quantiles after each window: [N, context] raw values -> float32 [N, horizon, quantiles]."""
    windows = torch.from_numpy(past.astype(np.float32))
    last = torch.full((BATCH, 1), past.shape[1])
    return torch.cat([network.at_origins(part, last[: len(part)])[:, 0] for part in windows.split(BATCH)]).numpy()


@dataclass(frozen=True)
class Calibration:
    """Windows of one series, float [N, context], what followed, [N, horizon], and which of it counts, bool."""

    past: np.ndarray
    actual: np.ndarray
    counted: np.ndarray


def widening(network: nn.Module, holder: nn.Module, calibration: Sequence[Calibration], tail: float) -> Tensor:
    """Factors [horizon, 2] for the half-widths below and above, after which `tail` of the actual values lie beyond.

    Split conformal prediction (Romano, Patterson and Candes 2019), with each series counted alike: one factor a horizon
    and side for all series. `holder` is the module whose `widening` the network's forecasts were made with.
    """
    scores, weights = zip(*(_scores(network, rows) for rows in calibration), strict=True)
    factors = _weighted_quantile(np.concatenate(scores), np.concatenate(weights), 1 - tail)
    return holder.widening * torch.from_numpy(factors).float().clamp_min(LOWEST_WIDENING)


def _scores(network: nn.Module, rows: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """How many half-widths a value lies below and above the median, [N, horizon, 2], and its weight [N, horizon]."""
    low, median, high = np.moveaxis(predict_windows(network, rows.past), 2, 0)
    below, above = (np.maximum(width, SMALLEST_WIDTH) for width in (median - low, high - median))
    scores = np.stack([(median - rows.actual) / below, (rows.actual - median) / above], 2)
    return scores, rows.counted / np.maximum(rows.counted.sum(0), 1)


def _weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> np.ndarray:
    """The quantile over the first axis of [N, horizon, 2], where a value counts `weights` [N, horizon] times."""
    order = np.argsort(values, axis=0)
    reached = np.take_along_axis(np.broadcast_to(weights[..., None], values.shape), order, 0).cumsum(0)
    first = np.argmax(reached >= level * reached[-1], axis=0)[None]
    return np.take_along_axis(np.take_along_axis(values, order, 0), first, 0)[0]


@dataclass(frozen=True)
class Sample:
    """One origin of a series: float32 [T, 1] before it, [horizon] from it on, and the unit of its errors."""

    past: np.ndarray
    actual: np.ndarray
    unit: float
    series: str = ""


def sampled_evaluation(samples: Sequence[Sample], quantiles: tuple[float, ...]) -> Evaluation:
    """What the exporter runs through every precision; it may lose 1 % of the scaled pinball loss."""
    actual = np.stack([sample.actual for sample in samples])
    unit = np.array([sample.unit for sample in samples])[:, None]

    def score(outputs: np.ndarray) -> dict[str, float]:
        return {
            "scaled_pinball": metrics.pinball(outputs / unit[..., None], actual / unit, quantiles),
            "scaled_mae": metrics.mae(outputs[..., 1] / unit, actual / unit),
            "coverage": metrics.coverage(outputs[..., 0], outputs[..., -1], actual),
        }

    def row_scores(outputs: np.ndarray) -> np.ndarray:
        rows = zip(outputs / unit[..., None], actual / unit, strict=True)
        return np.array([metrics.pinball(forecast, came, quantiles) for forecast, came in rows])

    gate = Gate("scaled_pinball", higher_is_better=False, allowed_loss=0.01, relative=True)
    series = [sample.series for sample in samples]
    return Evaluation([sample.past for sample in samples], score, gate, actual, series, row_scores)
