"""`forecast-hourly`: one network for any hourly series; 168 or more values in, quantiles of the next 48 hours out."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from training import checkpoint, loop
from training.checkpoint import Checkpoint, Description, Limits, NetworkSpec
from training.evaluation import Evaluation, Split
from training.forecast.baselines import hourly_baselines
from training.forecast.evaluation import (
    Calibration,
    Figures,
    Sample,
    pinball_loss,
    predict_windows,
    sampled_evaluation,
    widening,
)
from training.forecast.linear_experts import linear_expert
from training.forecast.series import Series, hourly_series, seen
from training.forecast.windows import Augmentation, Windows, WindowSampler
from training.hyperparameters import Choice, Real, Rehearsal, Space, Whole
from training.metrics import forecast as metrics
from training.networks.forecast import CONTEXT, DAY, DAYS, QUANTILES, WEEK, ForecastNetwork

HORIZON = 48
REPORTED_HORIZON = 24
MAX_STEPS = 8760
LARGEST_LOSS = 10.0
SMALLEST_CHANGE = 1e-9
QUANTILE_WEIGHTS = (1.0, 2.0, 1.0)
LONGEST_SAMPLE = 3 * WEEK
SAMPLED_ORIGINS = 60
NOTES = {
    "coverage": "share of actual values within the 80 % interval; hours that had one and the same value on each of the "
    "last seven days, like a solar plant's nights, are left out: there the interval is a point, and right",
    "coverage_all_hours": "the same over every hour that was measured",
    "interpolated": "hours that are missing in a series are interpolated for the network to read; errors and coverage, "
    "of the network and of what it is compared with, leave out such hours, and forecasts that start inside a gap",
    "mae_from_one_week": "with the shortest history that is allowed, 168 values; all other figures are with two weeks",
}
DETAILS = {"horizon": HORIZON, "default_horizon": 24, "quantiles": list(QUANTILES), "frequency": "hour"}
AUGMENTATION = Augmentation(flip=0.3, mix=0.15)
SCHEDULE = loop.Schedule(epochs=10, steps_per_epoch=500, learning_rate=2e-3, warm_up=0.02, averaging=0.995, patience=4)


@dataclass(frozen=True)
class Settings:
    """What gave the lowest validation error within the time that the recipe is allowed."""

    hidden_size: int = 62
    layers: int = 1
    perceptron_size: int = 128
    dropout: float = 0.1
    steps: int = 400  # up to 400 points before an origin, and 168 at least
    rows: int = 32
    origins: int = 16
    augmentation: Augmentation = AUGMENTATION
    schedule: loop.Schedule = SCHEDULE

    def scaled(self, share: float) -> Self:
        """These settings with `share` times as many training windows as the recipe's, whatever the batch size."""
        steps = share * SCHEDULE.steps_per_epoch * Settings.rows / self.rows
        return replace(self, schedule=replace(self.schedule, steps_per_epoch=max(round(steps), 1)))


SPACE: Space = {
    "hidden_size": Whole(30, 126, step=32),  # with the exporter's two pins a multiple of 32
    "layers": Whole(1, 2),
    "perceptron_size": Whole(64, 256, step=64),
    "dropout": Real(0.0, 0.3),
    "steps": Whole(352, 544, step=48),
    "rows": Choice((16, 32, 64)),
    "augmentation.flip": Real(0.0, 0.5),
    "augmentation.mix": Real(0.0, 0.4),
    "schedule.learning_rate": Real(5e-4, 6e-3, log=True),
    "schedule.weight_decay": Real(1e-3, 0.3, log=True),
}


def prepare(seed: int) -> list[Series]:
    """The same random numbers, and the data."""
    torch.set_num_threads(1)  # sums over several threads would not be the same bits on another number of cores
    loop.seed_everything(seed)
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it, and it costs a quarter of a step
    return hourly_series()


def rehearsal(seed: int) -> Rehearsal[Settings]:
    """Trains on data that are loaded once; tells the mean absolute error of each series on validation rows."""
    series = prepare(seed)

    def rehearse(settings: Settings, on_epoch: loop.OnEpoch) -> dict[str, float]:
        loop.seed_everything(seed)
        network, _ = build(series, settings)
        train(network, series, seed, settings, on_epoch)
        return {name: error for name, (error, _) in validation_errors(network, series).items()}

    return rehearse


def fit(out: Path, seed: int, settings: Settings = Settings()) -> None:
    """Train, calibrate on the validation rows, report on the test rows, and write the checkpoint."""
    series = prepare(seed)
    network, spec = build(series, settings)
    curve = train(network, series, seed, settings)
    network.head.widening = widening(network, network.head, [calibration(one) for one in seen(series)], QUANTILES[0])
    report = measured(network, series)
    description = Description(
        name="forecast-hourly",
        recipe="forecast-hourly",
        network=spec,
        task="forecast",
        seed=seed,
        limits=Limits(min_steps=WEEK, max_steps=MAX_STEPS),
        details=DETAILS,
    )
    checkpoint.save(out, description, network, {**report, "curve": loop.as_json(curve)})


def train(
    network: ForecastNetwork,
    series: list[Series],
    seed: int,
    settings: Settings,
    on_epoch: loop.OnEpoch = loop.ignore,
) -> list[loop.Epoch]:
    """Pinball loss at many origins of random windows, each in units of what changed from day to day before it."""
    sampler = WindowSampler(series, settings.steps, HORIZON, settings.augmentation, np.random.default_rng(seed))
    weights = torch.tensor(QUANTILE_WEIGHTS)

    def batches() -> Iterator[Windows]:
        for _ in range(settings.schedule.steps_per_epoch):
            yield sampler.draw(settings.rows, settings.origins, WEEK)

    def loss_of(windows: Windows) -> Tensor:
        forecasts = network.at_origins(windows.values[:, : settings.steps], windows.origins)
        loss = (weights * pinball_loss(forecasts, windows.targets(HORIZON), QUANTILES)).mean((2, 3))
        return (loss / daily_change(windows.past(WEEK))).clamp_max(LARGEST_LOSS).mean()

    def validation_loss(average: nn.Module) -> dict[str, float]:
        return {"loss": validation_error(cast(ForecastNetwork, average), series)}

    return loop.fit(network, loss_of, batches, validation_loss, settings.schedule, "forecast-hourly", on_epoch)


def daily_change(past: Tensor) -> Tensor:
    """Mean change from one day to the next, and a little of the mean magnitude, over weeks [..., WEEK]: [...]."""
    magnitude = (past - past.mean(-1, keepdim=True)).abs().mean(-1)
    return (past[..., DAY:] - past[..., :-DAY]).abs().mean(-1) + 0.02 * magnitude + SMALLEST_CHANGE


def build(series: list[Series], settings: Settings) -> tuple[ForecastNetwork, NetworkSpec]:
    """A network with one linear expert for each series that trains, started from ridge regression on that series."""
    arguments: dict[str, Any] = {
        "hidden_size": settings.hidden_size,
        "perceptron_size": settings.perceptron_size,
        "experts": len(seen(series)),
        "horizon": HORIZON,
        "dropout": settings.dropout,
        "layers": settings.layers,
    }
    network = ForecastNetwork(**arguments)
    with threadpool_limits(1):
        network.head.start_experts([linear_expert(one, network.head) for one in seen(series)])
    return network, NetworkSpec.model_validate({"class": "forecast.ForecastNetwork", "arguments": arguments})


def calibration(series: Series, stride: int = 7) -> Calibration:
    """Validation windows, without the hours at which an interval is a point."""
    origins = series.origins("validation", CONTEXT, HORIZON)[::stride]
    past = series.past(origins, CONTEXT)
    return Calibration(past, series.future(origins, HORIZON), varied(past, HORIZON))


def varied(past: np.ndarray, horizon: int) -> np.ndarray:
    """[N, context] values -> bool [N, horizon]: False for hours that had one and the same value on all seven days."""
    hours = np.ptp(past[:, -WEEK:].reshape(-1, DAYS, DAY), axis=1) > 0
    return np.tile(hours, -(-horizon // DAY))[:, :horizon]


def validation_error(network: ForecastNetwork, series: list[Series]) -> float:
    """Mean absolute error by that of the same hour yesterday: the geometric mean over all series that train."""
    ratios = [error / yesterday for error, yesterday in validation_errors(network, series).values()]
    return float(np.exp(np.log(ratios).mean()))


def validation_errors(network: ForecastNetwork, series: list[Series]) -> dict[str, tuple[float, float]]:
    """By series that trains: the mean absolute error, and that of the same hour yesterday, at every 29th origin."""
    errors = {}
    for one in seen(series):
        origins = one.origins("validation", CONTEXT, REPORTED_HORIZON)[::29]
        past, actual = one.past(origins, CONTEXT), one.future(origins, REPORTED_HORIZON)
        median = predict_windows(network, past)[:, :REPORTED_HORIZON, 1]
        errors[one.name] = metrics.mae(median, actual), metrics.mae(past[:, -DAY:], actual)
    return errors


def measured(network: ForecastNetwork, series: list[Series]) -> dict[str, Any]:
    """What a checkpoint tells of a trained network, but for the curve of its training."""
    return {
        "validation": figures(network, series, "validation"),
        "test": figures(network, series, "test"),
        "notes": NOTES,
    }


def figures(network: ForecastNetwork, series: list[Series], split: Split) -> dict[str, Figures]:
    """By series and forecaster: errors of the next 24 hours over every origin of the split, in the series' units.

    Of what was measured: interpolated values are left out. Training, choosing an epoch and widening the intervals do
    read them.
    """
    return {one.name: _figures_of(network, one, split) for one in series}


def _figures_of(network: ForecastNetwork, series: Series, split: Split) -> Figures:
    origins = series.origins(split, CONTEXT, REPORTED_HORIZON)
    counted = series.counted(origins, REPORTED_HORIZON)
    origins, counted = origins[counted.any(1)], counted[counted.any(1)]
    past, actual = series.past(origins, CONTEXT), series.future(origins, REPORTED_HORIZON)
    came = actual[counted]
    quantiles = predict_windows(network, past)[:, :REPORTED_HORIZON]
    history = series.values[: series.validation_start]

    def errors(forecast: np.ndarray) -> dict[str, float]:
        return {
            "mae": metrics.mae(forecast[counted], came),
            "rmse": metrics.rmse(forecast[counted], came),
            "mase": metrics.mase(forecast[counted], came, history, DAY),
        }

    covered = (quantiles[..., 0] <= actual) & (actual <= quantiles[..., 2])
    week = predict_windows(network, past[:, -WEEK:])[:, :REPORTED_HORIZON, 1]
    interval = {
        "pinball": metrics.pinball(quantiles[counted], came, QUANTILES),
        "coverage": float(covered[counted & varied(past, REPORTED_HORIZON)].mean()),
        "coverage_all_hours": float(covered[counted].mean()),
        "mae_from_one_week": metrics.mae(week[counted], came),
    }
    baselines = hourly_baselines(series, REPORTED_HORIZON, stop=series.span(split)[0])
    rivals = {name: errors(baseline(past)) for name, baseline in baselines.items()}
    network_errors = errors(quantiles[..., 1]) | interval
    return {"origins": len(origins), "in_training": not series.unseen, "network": network_errors, **rivals}


def evaluation(trained: Checkpoint, split: Split) -> Evaluation:
    """A sample of origins of every series, with one to three weeks of past values each; what followed was measured."""
    return sampled_evaluation([sample for one in hourly_series() for sample in _samples(one, split)], QUANTILES)


def _samples(series: Series, split: Split) -> Iterator[Sample]:
    unit = metrics.seasonal_error(series.values[: series.validation_start], DAY)
    origins = series.origins(split, LONGEST_SAMPLE, HORIZON)
    some = origins[:: max(len(origins) // SAMPLED_ORIGINS, 1)]
    for origin in some[series.counted(some, HORIZON).all(1)].tolist():
        length = WEEK + origin * 7 % (LONGEST_SAMPLE - WEEK + 1)
        past = series.values[origin - length : origin, None].astype(np.float32)
        yield Sample(past, series.values[origin : origin + HORIZON], unit, series.name)
