"""`forecast-stock`: 60 or more daily closing prices in, quantiles of the next 5 out; held-out years and tickers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from training import checkpoint, loop
from training.checkpoint import Checkpoint, Description, Limits, NetworkSpec
from training.evaluation import Evaluation, Split
from training.forecast.baselines import VolatilityInterval
from training.forecast.evaluation import (
    Calibration,
    Figures,
    Sample,
    pinball_loss,
    predict_windows,
    sampled_evaluation,
    widening,
)
from training.forecast.series import Series, seen, stock_series
from training.forecast.windows import Augmentation, Windows, WindowSampler
from training.hyperparameters import Choice, Real, Rehearsal, Space, Whole
from training.metrics import forecast as metrics
from training.networks.stock import CONTEXT, QUANTILES, StockNetwork

HORIZON = 5
MAX_STEPS = 5000
REPORTED_CONTEXT = 120
LAST_PRICE = "last price and volatility of 60 days"
SCHEDULE = loop.Schedule(epochs=8, steps_per_epoch=200, learning_rate=1e-3, warm_up=0.02, averaging=0.995)


@dataclass(frozen=True)
class Settings:
    """Small on purpose: there are 15,000 prices to learn from, and little in them."""

    hidden_size: int = 30
    layers: int = 1
    perceptron_size: int = 32
    dropout: float = 0.2
    steps: int = 250  # a year of trading days
    rows: int = 32
    origins: int = 32
    schedule: loop.Schedule = SCHEDULE

    def scaled(self, share: float) -> Self:
        """These settings with `share` times as many training windows as the recipe's, whatever the batch size."""
        steps = share * SCHEDULE.steps_per_epoch * Settings.rows / self.rows
        return replace(self, schedule=replace(self.schedule, steps_per_epoch=max(round(steps), 1)))

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the network."""
        return {
            "hidden_size": self.hidden_size,
            "perceptron_size": self.perceptron_size,
            "horizon": HORIZON,
            "dropout": self.dropout,
            "layers": self.layers,
        }


SPACE: Space = {
    "hidden_size": Whole(30, 94, step=32),
    "layers": Whole(1, 2),
    "perceptron_size": Whole(16, 64, step=16),
    "dropout": Real(0.0, 0.5),
    "steps": Whole(125, 375, step=25),
    "rows": Choice((16, 32, 64)),
    "schedule.learning_rate": Real(2e-4, 5e-3, log=True),
    "schedule.weight_decay": Real(1e-3, 0.3, log=True),
}


def rehearsal(seed: int) -> Rehearsal[Settings]:
    """Trains on data that are loaded once; tells the quantile loss of each ticker on validation rows, in percent."""
    torch.set_num_threads(1)
    series = stock_series()

    def rehearse(settings: Settings, on_epoch: loop.OnEpoch) -> dict[str, float]:
        loop.seed_everything(seed)
        network = StockNetwork(**settings.arguments)
        train(network, series, seed, settings, on_epoch)
        return {name: row["network"]["pinball"] for name, row in figures(network, seen(series), "validation").items()}

    return rehearse


def fit(out: Path, seed: int, settings: Settings = Settings()) -> None:
    """Train, calibrate on validation years, report on held-out years and tickers, and write the checkpoint."""
    torch.set_num_threads(1)  # as in forecast-hourly, for the same bits on any number of cores
    loop.seed_everything(seed)
    series = stock_series()
    network = StockNetwork(**settings.arguments)
    curve = train(network, series, seed, settings)
    windows = [calibration(one) for one in _with_rows(seen(series), "validation")]
    network.widening = widening(network, network, windows, QUANTILES[0])
    report = {split: figures(network, series, split) for split in ("validation", "test")}
    description = Description(
        name="forecast-stock",
        recipe="forecast-stock",
        network=NetworkSpec.model_validate({"class": "stock.StockNetwork", "arguments": settings.arguments}),
        task="forecast",
        seed=seed,
        limits=Limits(min_steps=CONTEXT, max_steps=MAX_STEPS),
        details={
            "horizon": HORIZON,
            "quantiles": list(QUANTILES),
            "above": 0.0,
            "frequency": "trading day",
        },
    )
    verdict = {"against_last_price": _verdict(report["test"])}
    checkpoint.save(out, description, network, {**verdict, **report, "curve": loop.as_json(curve)})


def train(
    network: StockNetwork, series: list[Series], seed: int, settings: Settings, on_epoch: loop.OnEpoch = loop.ignore
) -> list[loop.Epoch]:
    """Pinball loss of the log prices, in units of each window's mean daily move."""
    sampler = WindowSampler(series, settings.steps, HORIZON, Augmentation(), np.random.default_rng(seed))

    def batches() -> Iterator[Windows]:
        for _ in range(settings.schedule.steps_per_epoch):
            yield sampler.draw(settings.rows, settings.origins, CONTEXT)

    def loss_of(windows: Windows) -> Tensor:
        forecasts = network.at_origins(windows.values[:, : settings.steps], windows.origins)
        unit = windows.values.log().diff(dim=1).abs().mean(1)
        loss = pinball_loss(forecasts.log(), windows.targets(HORIZON).log(), QUANTILES).sum(3)
        return (loss / unit[:, None, None]).mean()

    def validation_loss(average: nn.Module) -> dict[str, float]:
        return {"loss": validation_error(cast(StockNetwork, average), series)}

    return loop.fit(network, loss_of, batches, validation_loss, settings.schedule, "forecast-stock", on_epoch)


def calibration(series: Series) -> Calibration:
    """All validation windows."""
    origins = series.origins("validation", REPORTED_CONTEXT, HORIZON)
    actual = series.future(origins, HORIZON)
    return Calibration(series.past(origins, REPORTED_CONTEXT), actual, np.ones_like(actual, bool))


def validation_error(network: StockNetwork, series: list[Series]) -> float:
    """Pinball loss by that of the historical-volatility interval: the mean over the tickers that train."""
    figures_by_ticker = [_figures_of(network, one, "validation") for one in _with_rows(seen(series), "validation")]
    return float(np.mean([row["network"]["pinball"] / row[LAST_PRICE]["pinball"] for row in figures_by_ticker]))


def figures(network: StockNetwork, series: list[Series], split: Split) -> dict[str, Figures]:
    """By ticker and forecaster: errors of the next 5 closing prices over every origin of the split, in percent."""
    return {one.name: _figures_of(network, one, split) for one in _with_rows(series, split)}


def _figures_of(network: StockNetwork, series: Series, split: Split) -> Figures:
    """Errors relative to the last price, in percent; so is the pinball loss."""
    origins = series.origins(split, REPORTED_CONTEXT, HORIZON)
    past, actual = series.past(origins, REPORTED_CONTEXT), series.future(origins, HORIZON)
    last = past[:, -1:]

    def scores(quantiles: np.ndarray) -> dict[str, float]:
        return {
            "mape": metrics.mape(quantiles[..., 1], actual),
            "mape_next_day": metrics.mape(quantiles[:, 0, 1], actual[:, 0]),
            "pinball": 100 * metrics.pinball(quantiles / last[..., None], actual / last, QUANTILES),
            "coverage": metrics.coverage(quantiles[..., 0], quantiles[..., 2], actual),
        }

    return {
        "origins": len(origins),
        "in_training": not series.unseen,
        "network": scores(predict_windows(network, past)),
        LAST_PRICE: scores(VolatilityInterval(CONTEXT, HORIZON, QUANTILES)(past)),
    }


def _verdict(report: dict[str, Figures]) -> str:
    """How the network stands against yesterday's price, in one plain sentence with its figures."""
    point = np.mean([row["network"]["mape"] / row[LAST_PRICE]["mape"] for row in report.values()]) - 1
    interval = np.mean([row["network"]["pinball"] / row[LAST_PRICE]["pinball"] for row in report.values()]) - 1
    return (
        f"On held-out years and tickers the median's percentage error is {abs(point):.1%} "
        f"{'lower' if point < 0 else 'higher'} than that of yesterday's price, and the quantile loss "
        f"{abs(interval):.1%} {'lower' if interval < 0 else 'higher'} than that of an interval from the volatility of "
        f"the last {CONTEXT} days."
    )


def evaluation(trained: Checkpoint, split: Split) -> Evaluation:
    """Every fifth origin of every ticker, with 60 to 250 prices before it; the unit is 1 % of the last price."""
    series = _with_rows(stock_series(), split)
    return sampled_evaluation([sample for one in series for sample in _samples(one, split)], QUANTILES)


def _samples(series: Series, split: Split) -> Iterator[Sample]:
    for origin in series.origins(split, 250, HORIZON)[::5].tolist():
        past = series.values[origin - CONTEXT - origin * 7 % 191 : origin, None].astype(np.float32)
        yield Sample(past, series.values[origin : origin + HORIZON], 0.01 * float(past[-1, 0]), series.name)


def _with_rows(series: list[Series], split: Split) -> list[Series]:
    return [one for one in series if len(one.origins(split, REPORTED_CONTEXT, HORIZON))]
