"""What would a forecast of the hourly temperature have to see to be better? Ridge regressions on other inputs.

`python -m training.forecast.more_inputs` prints their mean absolute errors over the next 24 hours as a Markdown table,
over the splits and origins at which the recipe `forecast-hourly` reports. Each regression is fitted on all rows before
the split, like the recipe's baselines, of which the first row is one. An error on test rows that reaches the goal is
bold.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from training.evaluation import Split
from training.forecast.baselines import regression
from training.forecast.series import Series, hourly_series
from training.metrics.forecast import mae
from training.networks.forecast import CONTEXT, DAY, WEEK

TARGET = "temperature"
HORIZON = DAY
GOAL = 2.05
HOURS_OF_A_YEAR = 365.25 * DAY


@dataclass(frozen=True)
class Inputs:
    """What a regression sees at origins: blocks [N, features], the target's lags first, from `history` rows before."""

    history: int
    at: Callable[[np.ndarray], list[np.ndarray]]


def choices(series: Mapping[str, Series]) -> Mapping[str, Inputs]:
    """The inputs to compare. The series are measurements of the same hours."""

    def lags(count: int, *others: str) -> Inputs:
        return Inputs(count, lambda origins: [series[name].past(origins, count) for name in (TARGET, *others)])

    def level_and_season(origins: np.ndarray) -> list[np.ndarray]:
        past = series[TARGET].past(origins, 4 * WEEK)
        return [past[:, -CONTEXT:], past.mean(1, keepdims=True), season(origins)]

    return {
        "168 lags": lags(WEEK),
        "336 lags": lags(CONTEXT),
        "672 lags": lags(4 * WEEK),
        "336 lags, level of four weeks, season of the year": Inputs(4 * WEEK, level_and_season),
        "336 lags and the air pressure": lags(CONTEXT, "pressure"),
        "the same and the dew point": lags(CONTEXT, "pressure", "dew_point"),
    }


def season(origins: np.ndarray) -> np.ndarray:
    """A yearly cycle, of which a linear model can make one of any phase: [N] rows -> [N, 2]."""
    angle = 2 * np.pi * origins / HOURS_OF_A_YEAR
    return np.stack([np.sin(angle), np.cos(angle)], 1)


def error(target: Series, inputs: Inputs, split: Split) -> float:
    """Mean absolute error over every origin of the split."""
    known = np.arange(inputs.history, target.span(split)[0] - HORIZON + 1)
    forecast = regression(inputs.at(known), target.future(known, HORIZON))
    origins = target.origins(split, CONTEXT, HORIZON)
    return mae(forecast(inputs.at(origins)), target.future(origins, HORIZON))


def table(series: Mapping[str, Series]) -> str:
    lines = ["| inputs | validation | test |", "|---|---:|---:|"]
    for name, inputs in choices(series).items():
        validation, test = (error(series[TARGET], inputs, split) for split in ("validation", "test"))
        mark = "**" if test <= GOAL else ""
        lines.append(f"| {name} | {validation:.3f} | {mark}{test:.3f}{mark} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table({one.name: one for one in hourly_series()}))
