"""The pictures of a search's report."""

from collections.abc import Mapping, Sequence

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from optuna.trial import FrozenTrial

from training.hyperparameters import Real, Space
from training.search.study import SHIPPED, complete, finished

TRIAL, BEST, SHIPPED_COLOUR, PRUNED, GRID = "#2563eb", "#111827", "#ea580c", "#9ca3af", "#e5e7eb"
DOTS_PER_INCH = 110
COLUMNS = 4


def canvas(rows: int, columns: int, width: float, height: float) -> tuple[Figure, np.ndarray]:
    """A figure in inches, and its axes [rows, columns]."""
    figure = Figure((width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
        one.grid(color=GRID, linewidth=0.8)
        one.set_axisbelow(True)
        one.tick_params(labelsize=8)
    return figure, axes


def history(study: optuna.Study) -> Figure:
    """Trials in the order in which they ran, the best until then, and the shipped hyperparameters."""
    figure, [[axes]] = canvas(1, 1, 7.2, 3.2)
    trials = sorted(complete(study), key=lambda trial: trial.number)
    numbers, losses = [trial.number for trial in trials], [trial.value for trial in trials]
    axes.step(numbers, np.minimum.accumulate(losses), where="post", color=BEST, linewidth=1, label="best so far")
    axes.scatter(numbers, losses, s=18, color=TRIAL, label="trial that ran to its end")
    early = {trial.number: trial.intermediate_values for trial in finished(study) if trial not in trials}
    reached = {number: min(values.values()) for number, values in early.items() if values}
    axes.scatter(reached.keys(), reached.values(), s=18, color=PRUNED, marker="x", label="pruned, as far as it came")
    for trial in trials:
        if SHIPPED in trial.user_attrs:
            axes.axhline(trial.value, color=SHIPPED_COLOUR, linewidth=1, linestyle="--", label="shipped")
    axes.set_xlabel("trial", size=9)
    axes.set_ylabel("validation loss", size=9)
    axes.legend(fontsize=8, frameon=False)
    _without_outliers(axes, trials)
    return figure


def importances(shares: Mapping[str, float]) -> Figure:
    figure, [[axes]] = canvas(1, 1, 7.2, 0.8 + 0.25 * len(shares))
    names = sorted(shares, key=lambda name: shares[name])
    axes.barh(names, [shares[name] for name in names], color=TRIAL)
    axes.set_xlabel("importance", size=9)
    return figure


def slices(trials: Sequence[FrozenTrial], space: Space) -> Figure:
    """The loss against each hyperparameter on its own."""
    rows = -(-len(space) // COLUMNS)
    figure, grid = canvas(rows, COLUMNS, 7.2 * 1.4, 2.3 * rows)
    for name, axes in zip(space, grid.flat, strict=False):
        for colour, shipped in ((TRIAL, False), (SHIPPED_COLOUR, True)):
            chosen = [trial for trial in trials if (SHIPPED in trial.user_attrs) == shipped]
            axes.scatter([t.params[name] for t in chosen], [t.value for t in chosen], s=14, color=colour)
        span = space[name]
        if isinstance(span, Real) and span.log:
            axes.set_xscale("log")
            axes.set_xlim(span.low, span.high)
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_title(name, size=9)
        _without_outliers(axes, trials)
    for axes in grid.flat[len(space) :]:
        axes.set_visible(False)
    return figure


def _without_outliers(axes: Axes, trials: Sequence[FrozenTrial]) -> None:
    """A few hopeless trials must not squeeze the others into a line; the shipped one is always in sight."""
    losses = [trial.value for trial in trials]
    low, middle = np.quantile(losses, [0, 0.5])
    wanted = max([middle + 2 * (middle - low), *(trial.value for trial in trials if SHIPPED in trial.user_attrs)])
    highest = min(max(losses), wanted)
    if highest > low:
        margin = 0.05 * (highest - low)
        axes.set_ylim(low - margin, highest + margin)
