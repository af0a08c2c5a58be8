"""Widened intervals cover what they say, and the exporter's sample scores a perfect forecast with zero."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from training.forecast.evaluation import (
    Calibration,
    Sample,
    pinball_loss,
    predict_windows,
    sampled_evaluation,
    widening,
)
from training.metrics import forecast as metrics

QUANTILES = (0.1, 0.5, 0.9)


class LastValue(nn.Module):
    """Forecasts the last value, with an interval of one unit to each side times `widening`."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("widening", torch.ones(3, 2))

    def at_origins(self, values: Tensor, origins: Tensor) -> Tensor:
        last = values.gather(1, origins - 1)[..., None].expand(-1, -1, 3)
        return torch.stack([last - self.widening[:, 0], last, last + self.widening[:, 1]], 3)


def random_walk(seed: int, scale: float, rows: int = 20_000) -> Calibration:
    """Steps that only go up, so no value lies below the median."""
    steps = scale * np.random.default_rng(seed).standard_exponential((rows, 13))
    values = steps.cumsum(1)
    return Calibration(values[:, :10], values[:, 10:], np.ones((rows, 3), bool))


def widened(*calibration: Calibration) -> LastValue:
    network = LastValue()
    network.widening = widening(network, network, calibration, tail=0.1)
    return network


def test_widened_intervals_leave_a_tenth_beyond_on_each_side() -> None:
    network, fresh = widened(random_walk(1, 0.1)), random_walk(2, 0.1)
    low, _, high = np.moveaxis(predict_windows(network, fresh.past), 2, 0)
    assert np.allclose((fresh.actual > high).mean(0), 0.1, atol=0.015)
    assert (fresh.actual < low).mean() < 0.01


def test_each_series_counts_alike_however_long() -> None:
    wild = random_walk(3, 1.0)
    few, many = (widened(random_walk(2, 0.01, rows), wild).widening for rows in (2_000, 20_000))
    assert torch.allclose(few, many, rtol=0.05)


def test_values_that_do_not_count_change_nothing() -> None:
    walk = random_walk(4, 1.0)
    spoilt = replace(walk, actual=walk.actual.copy(), counted=walk.counted.copy())
    spoilt.actual[::2] += 1e6
    spoilt.counted[::2] = False
    half = Calibration(walk.past[1::2], walk.actual[1::2], walk.counted[1::2])
    assert torch.equal(widened(spoilt).widening, widened(half).widening)


def test_a_perfect_forecast_scores_zero_and_passes_the_gate() -> None:
    random = np.random.default_rng(0)
    samples = [Sample(np.ones((9, 1), np.float32), random.normal(size=3), 2.0) for _ in range(4)]
    evaluation = sampled_evaluation(samples, QUANTILES)
    perfect = np.stack([np.repeat(sample.actual[:, None], 3, 1) for sample in samples])
    scores = evaluation.metrics(perfect)
    assert scores == {"scaled_pinball": 0, "scaled_mae": 0, "coverage": 1}
    worse = evaluation.metrics(perfect + 0.1)["scaled_pinball"]
    assert evaluation.gate.accepts(worse, worse * 1.009)
    assert not evaluation.gate.accepts(worse, worse * 1.011)


def test_the_scores_of_rows_have_the_metric_as_their_mean() -> None:
    random = np.random.default_rng(2)
    samples = [Sample(np.ones((9, 1), np.float32), random.normal(size=3), unit) for unit in (0.5, 2.0, 7.0)]
    evaluation, forecasts = sampled_evaluation(samples, QUANTILES), random.normal(size=(3, 3, 3))
    scores = evaluation.row_scores(forecasts)
    assert scores.shape == (3,)
    assert np.isclose(scores.mean(), evaluation.metrics(forecasts)["scaled_pinball"])


def test_the_training_loss_is_the_metric() -> None:
    random = np.random.default_rng(1)
    forecast, actual = random.normal(size=(5, 4, 3)), random.normal(size=(5, 4))
    loss = pinball_loss(torch.from_numpy(forecast), torch.from_numpy(actual), QUANTILES)
    assert np.isclose(loss.mean().item(), metrics.pinball(forecast, actual, QUANTILES))
