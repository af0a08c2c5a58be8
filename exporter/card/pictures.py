"""Drawing for cards: one look, small files."""

import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

MODEL, OTHER, ACCENT, GRID = "#2563eb", "#9ca3af", "#ea580c", "#e5e7eb"
DOTS_PER_INCH = 110
COLOURS = 64


def canvas(rows: int = 1, columns: int = 1, width: float = 7.2, height: float = 3.2) -> tuple[Figure, np.ndarray]:
    """A figure in inches, and its axes [rows, columns]."""
    figure = Figure((width, height), dpi=DOTS_PER_INCH, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        _plain(one)
    return figure, axes


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(9)
    axes.yaxis.label.set_size(9)


def save(figure: Figure, path: Path) -> None:
    """A PNG of few colours, so that it stays small."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", facecolor="white")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(path, optimize=True)
