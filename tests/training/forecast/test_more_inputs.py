"""On synthetic series: a temperature that follows the pressure of a day ago, which its own past does not tell."""

import json
import re

import numpy as np
import pytest

from tests.processes import ROOT
from training.forecast import more_inputs
from training.forecast.baselines import ridge
from training.forecast.more_inputs import choices, error, season, table
from training.forecast.series import Series
from training.networks.forecast import CONTEXT
from training.recipes import forecast_hourly

HOURS = 2400


@pytest.fixture(scope="module")
def series() -> dict[str, Series]:
    noise = np.random.default_rng(0).normal(size=(2, HOURS))
    values = {"pressure": noise[0], "dew_point": noise[1], "temperature": 20 + 10 * np.roll(noise[0], 24)}
    return {name: Series(name, rows, 1700, 2000) for name, rows in values.items()}


def test_a_series_that_runs_ahead_is_what_is_missing(series) -> None:
    errors = {name: error(series["temperature"], inputs, "test") for name, inputs in choices(series).items()}
    ahead = {name for name, value in errors.items() if value < 1}
    assert ahead == {"336 lags and the air pressure", "the same and the dew point"}
    assert min(value for name, value in errors.items() if name not in ahead) > 5


def test_lags_alone_are_the_baseline_at_the_origins_of_the_recipe(series) -> None:
    target, horizon = series["temperature"], forecast_hourly.REPORTED_HORIZON
    origins = target.origins("test", CONTEXT, horizon)
    forecast = ridge(target, 168, horizon, target.test_start)(target.past(origins, CONTEXT))
    expected = np.abs(forecast - target.future(origins, horizon)).mean()
    assert error(target, choices(series)["168 lags"], "test") == expected


def test_no_input_looks_ahead(series) -> None:
    cut = {name: Series(name, np.where(np.arange(HOURS) < 1000, one.values, 0), 0, 0) for name, one in series.items()}
    for whole, known in zip(choices(series).values(), choices(cut).values(), strict=True):
        for block, seen in zip(whole.at(np.array([1000])), known.at(np.array([1000])), strict=True):
            assert np.array_equal(block, seen)


def test_the_season_returns_after_a_year() -> None:
    spring, summer, again = season(np.array([0, 8766 / 4, 8766]))
    assert spring == pytest.approx(again)
    assert spring @ summer == pytest.approx(0)


def test_the_document_shows_the_table_of_this_command(series) -> None:
    def inputs(text: str) -> list[str]:
        return re.findall(r"^\| (.*?) \| \d", text, re.M)

    section = (ROOT / "docs" / "search.md").read_text().split("## What an error of 2.05")[1].split("\n## ")[0]
    assert f"`python -m {more_inputs.__name__}`" in section
    assert inputs(section) == inputs(table(series))
    manifest = json.loads((ROOT / "models" / "forecast-hourly" / "1" / "manifest.json").read_text())
    baseline = f"{manifest['baselines']['mae temperature, ridge on 168 lags']:.3f}"
    assert re.search(rf"^\| 168 lags \| .* \| {baseline} \|$", section, re.M)
    assert f"the network has {manifest['figures']['mae temperature']:.3f}, ridge on 168 lags {baseline}" in section
