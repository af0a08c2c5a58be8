"""The card of a forecaster: errors and those of baselines for each series, coverage, error by horizon, examples."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from exporter.card import pictures
from exporter.card.markdown import bold, digits, picture, table
from exporter.card.story import Story
from exporter.report import Export, Headline

SEASONS = {"hour": 24}
"""Steps after which a series of a frequency is likely to repeat itself; 1, its last value, where there is none."""
NETWORK = "network"
EXAMPLES = 4
PAST_SHOWN = 3
"""Times the horizon."""
COVERAGE_WANTED = (0.75, 0.85)

SeriesFigures = Mapping[str, Any]


def story(done: Export, folder: Path) -> Story:
    test: Mapping[str, SeriesFigures] = done.source.checkpoint.metrics["test"]
    metric = next(iter(next(iter(test.values()))[NETWORK]))
    best = {name: min(baselines(figures), key=lambda other: figures[other][metric]) for name, figures in test.items()}
    headline = Headline(
        {f"{metric} {name}": figures[NETWORK][metric] for name, figures in test.items()},
        {f"{metric} {name}, {best[name]}": figures[best[name]][metric] for name, figures in test.items()},
    )
    parts = {
        "scores": scores(test, metric),
        "standing": standing(test, metric, best, folder),
        "verdict": str(done.source.checkpoint.metrics.get("against_last_price", "")),
        "horizon_picture": horizon_picture(done, folder),
        "examples": examples(done, folder),
        "horizon": str(done.source.checkpoint.description.details["horizon"]),
    }
    return Story(headline, parts)


def baselines(figures: SeriesFigures) -> list[str]:
    return [name for name, value in figures.items() if isinstance(value, Mapping) and name != NETWORK]


def scores(test: Mapping[str, SeriesFigures], metric: str) -> str:
    """One row a series: the main error of network and baselines, the lowest in bold, then the network's other ones."""
    first = next(iter(test.values()))
    others = [name for name in first[NETWORK] if name != metric]
    head = [
        "series",
        "forecasts",
        f"{metric}: {NETWORK}",
        *baselines(first),
        *(f"{NETWORK}'s {name}" for name in others),
    ]
    rows = []
    for name, figures in test.items():
        errors = [figures[forecaster][metric] for forecaster in (NETWORK, *baselines(figures))]
        shown = [bold(digits(error)) if error == min(errors) else digits(error) for error in errors]
        title = name if figures["in_training"] else f"{name} (never trained on)"
        rows.append([title, f"{figures['origins']:,}", *shown, *(digits(figures[NETWORK][other]) for other in others)])
    return table(head, rows)


def standing(test: Mapping[str, SeriesFigures], metric: str, best: Mapping[str, str], folder: Path) -> str:
    """A picture: for each series, the network's error by that of the best baseline, and the interval's coverage."""
    names = list(test)
    colours = [pictures.MODEL if test[name]["in_training"] else pictures.ACCENT for name in names]
    ratios = [test[name][NETWORK][metric] / test[name][best[name]][metric] for name in names]
    figure, axes = pictures.canvas(1, 2, height=0.28 * len(names) + 0.9)
    errors, intervals = axes[0]
    errors.barh(names, ratios, color=colours, height=0.62)
    errors.axvline(1, color="black", linewidth=1)
    errors.set_xlabel(f"{metric.upper()} of the network / of the best baseline")
    intervals.axvspan(*COVERAGE_WANTED, color=pictures.GRID)
    intervals.scatter([test[name][NETWORK]["coverage"] for name in names], names, c=colours, zorder=3)
    intervals.set(xlabel="share of values inside the 80 % interval", xlim=(0.6, 1), yticklabels=[])
    for axis in (errors, intervals):
        axis.invert_yaxis()
        axis.set_ylim(len(names) - 0.5, -0.5)
    pictures.save(figure, folder / "standing.png")
    shown = picture("standing.png", "Error against the best baseline, and coverage of the interval, for each series")
    legend = (
        "Bars that end left of the line are better than the best baseline. Grey: 75 to 85 %. Orange: never trained on."
    )
    return f"{shown}\n\n{legend}"


def horizon_picture(done: Export, folder: Path) -> str:
    """Median error by steps ahead, beside that of repeating the last season, each by the latter's mean."""
    if done.splits["test"].targets is None:
        return ""
    figure, axes = pictures.canvas(height=2.8)
    axis = axes[0, 0]
    network, naive = (np.stack(lines) for lines in zip(*_errors_by_horizon(done), strict=True))
    ahead = np.arange(1, network.shape[1] + 1)
    for line in network:
        axis.plot(ahead, line, color=pictures.MODEL, alpha=0.22, linewidth=0.8)
    axis.plot(
        ahead, network.mean(0), color=pictures.MODEL, linewidth=2, label="network: mean of all series; thin: each"
    )
    season = "value" if _season(done) == 1 else f"{_season(done)} values"
    axis.plot(ahead, naive.mean(0), "--", color=pictures.OTHER, linewidth=2, label=f"repeating the last {season}")
    axis.set(xlabel="steps ahead", ylabel="error (mean of dashes = 1)", ylim=(0, None), xlim=(1, len(ahead)))
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.legend(fontsize=8)
    pictures.save(figure, folder / "horizon.png")
    return picture("horizon.png", "Mean absolute error of the median by steps ahead")


def _errors_by_horizon(done: Export) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each series: mean absolute errors [horizon] of the network's median and of the naive forecast, scaled."""
    test, outputs = done.splits["test"], done.findings[done.preferred[0]].outputs["test"]
    season = _season(done)
    owners = np.array(test.groups or ["all"] * len(test.inputs))
    middle, horizon = outputs.shape[2] // 2, outputs.shape[1]
    for owner in dict.fromkeys(owners):
        chosen = np.flatnonzero(owners == owner)
        last = np.stack([np.resize(test.inputs[row][-season:, 0], horizon) for row in chosen])
        naive = np.abs(last - test.targets[chosen]).mean(0)
        yield np.abs(outputs[chosen, :, middle] - test.targets[chosen]).mean(0) / naive.mean(), naive / naive.mean()


def _season(done: Export) -> int:
    return SEASONS.get(str(done.source.checkpoint.description.details.get("frequency")), 1)


def examples(done: Export, folder: Path) -> str:
    """Some forecasts of test rows, taken blindly: the middle row of every series, or of evenly spaced ones."""
    test, outputs = done.splits["test"], done.findings[done.preferred[0]].outputs["test"]
    if test.targets is None:
        return ""
    figure, axes = pictures.canvas(2, EXAMPLES // 2, height=4.2)
    for axis, (title, row) in zip(axes.flat, _example_rows(test.groups, len(test.inputs)), strict=False):
        _forecast(axis, test.inputs[row][:, 0], test.targets[row], outputs[row])
        axis.set_title(title, fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
    pictures.save(figure, folder / "examples.png")
    shown = picture("examples.png", "Forecasts of test rows, and what came")
    return f"## What it looks like\n\nThe middle forecast of some series' test rows, not chosen by eye:\n\n{shown}"


def _example_rows(groups: list[str] | None, rows: int) -> list[tuple[str, int]]:
    names = list(dict.fromkeys(groups)) if groups else []
    if len(names) < EXAMPLES:
        return [("", int(row)) for row in np.linspace(0, rows - 1, EXAMPLES + 2)[1:-1]]
    chosen = [names[int(place)] for place in np.linspace(0, len(names) - 1, EXAMPLES)]
    owners = np.array(groups)
    return [(name, int(np.flatnonzero(owners == name)[(owners == name).sum() // 2])) for name in chosen]


def _forecast(axis: Axes, past: np.ndarray, actual: np.ndarray, quantiles: np.ndarray) -> None:
    horizon, middle = len(actual), quantiles.shape[1] // 2
    past = past[-PAST_SHOWN * horizon :]
    ahead = np.arange(1, horizon + 1)
    axis.plot(np.arange(1 - len(past), 1), past, color="black", linewidth=0.9, label="given")
    axis.plot(ahead, actual, color=pictures.ACCENT, linewidth=1.1, label="what came")
    axis.plot(ahead, quantiles[:, middle], color=pictures.MODEL, linewidth=1.3, label="median")
    low, high = quantiles[:, 0], quantiles[:, -1]
    axis.fill_between(ahead, low, high, color=pictures.MODEL, alpha=0.2, linewidth=0, label="80 % interval")
    axis.xaxis.get_major_locator().set_params(integer=True)
