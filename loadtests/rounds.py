"""Repeated measurements that alternate, so that a machine whose speed drifts is unkind to all of them alike."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


def alternate(cells: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """The results of every cell, in order of rounds: each round calls every cell once."""
    results: dict[str, list[T]] = {name: [] for name in cells}
    for _ in range(rounds):
        for name, cell in cells.items():
            results[name].append(cell())
    return results


def median_ratio(values: Iterable[float], others: Iterable[float]) -> float:
    """The median over the rounds of value / other in the same round."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


def table(header: list[str], rows: Iterable[list[object]]) -> str:
    """A Markdown table with aligned columns; floats get four significant digits."""
    cells = [header, *([figure(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def figure(value: object) -> str:
    """As it stands in a table."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
