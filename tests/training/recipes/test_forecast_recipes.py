"""The forecast recipes end to end on small made-up series: what they write, that it loads, and that a seed repeats."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from training import checkpoint
from training.evaluation import predict
from training.forecast.series import Series
from training.recipes import forecast_hourly, forecast_stock

Fit = Callable[[Path, int], None]


def hourly(name: str, seed: int, unseen: bool = False) -> Series:
    random, hours = np.random.default_rng(seed), np.arange(1500)
    values = 20 + 5 * np.sin(2 * np.pi * hours / 24) + random.normal(0, 1, 1500)
    return Series(name, values, 1050, 1200, unseen)


def daily(name: str, seed: int, starts: tuple[int, int], unseen: bool = False) -> Series:
    prices = 30 * np.exp(np.random.default_rng(seed).normal(0, 0.02, 1000).cumsum())
    return Series(name, prices, *starts, unseen)


@pytest.fixture(params=["hourly", "stock"])
def recipe(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, Fit]:
    """A recipe module on made-up series, and its `fit` with three training steps."""
    if request.param == "hourly":
        module = forecast_hourly
        series = [hourly("load", 1), hourly("heat", 2), hourly("new", 3, unseen=True)]
    else:
        module = forecast_stock
        series = [daily("AAA", 1, (500, 700)), daily("BBB", 2, (500, 700)), daily("NEW", 3, (0, 0), unseen=True)]
    monkeypatch.setattr(module, f"{request.param}_series", lambda: series)
    short = replace(module.SCHEDULE, epochs=1, steps_per_epoch=3)
    settings = module.Settings(rows=4, origins=2, schedule=short)
    return module, lambda out, seed: module.fit(out, seed, settings)


def test_a_fit_writes_a_checkpoint_with_figures_beside_the_baselines(
    recipe: tuple[ModuleType, Fit], tmp_path: Path
) -> None:
    _, fit = recipe
    fit(tmp_path, 0)
    trained = checkpoint.load(tmp_path)
    assert trained.description.details["quantiles"] == [0.1, 0.5, 0.9]
    for figures in trained.metrics["test"].values():
        assert set(figures) > {"network", "in_training", "origins"}
        assert all(np.isfinite(value) for value in figures["network"].values())
    assert [name for name, figures in trained.metrics["test"].items() if not figures["in_training"]] in (
        ["new"],
        ["NEW"],
    )


def test_the_exporter_can_score_a_checkpoint(recipe: tuple[ModuleType, Fit], tmp_path: Path) -> None:
    module, fit = recipe
    fit(tmp_path, 0)
    trained = checkpoint.load(tmp_path)
    evaluation = module.evaluation(trained, "validation")
    lengths = {len(row) for row in evaluation.inputs}
    assert len(lengths) > 1
    assert min(lengths) >= trained.description.limits.min_steps
    scores = evaluation.metrics(predict(trained.network, evaluation.inputs))
    assert np.isfinite(scores[evaluation.gate.metric])


def test_errors_and_coverage_leave_out_what_was_interpolated() -> None:
    """The last ten values of a series are in no forecast's past, so figures that count them would be absurd."""
    gap = np.arange(1500) >= 1490
    fine, holed = hourly("fine", 1), hourly("holed", 1)
    holed = replace(holed, values=np.where(gap, 1e6, holed.values), interpolated=gap)
    network, _ = forecast_hourly.build([fine], forecast_hourly.Settings())
    known = replace(fine, interpolated=gap)
    found = forecast_hourly.figures(network.eval(), [known, holed], "test")
    assert found["fine"] == found["holed"]
    assert found["fine"] != forecast_hourly.figures(network, [fine], "test")["fine"]
    assert all(one.actual.max() < 1e6 for one in forecast_hourly._samples(holed, "test"))


def test_the_same_seed_gives_the_same_figures(recipe: tuple[ModuleType, Fit], tmp_path: Path) -> None:
    _, fit = recipe
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        fit(tmp_path / name, seed)
    one, two, other = (checkpoint.load(tmp_path / name).metrics["test"] for name in ("one", "two", "other"))
    assert one == two
    assert one != other
