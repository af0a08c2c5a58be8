"""How numbers are spread: extremes, quantiles and a histogram."""

import numpy as np

from exporter.page.parts import Histogram, Values

LEVELS = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 60


def spread(numbers: np.ndarray, low: float | None = None, high: float | None = None) -> Values:
    """The spread of any array; the histogram goes from `low` to `high`, or over the finite numbers' own range.

    Numbers that are not finite count for the extremes, and for nothing else.
    """
    flat = np.asarray(numbers, np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    if not len(finite):
        finite = np.zeros(1)
    levels = np.quantile(finite, LEVELS)
    return Values(
        count=len(flat),
        minimum=float(flat.min()) if len(flat) else 0.0,
        maximum=float(flat.max()) if len(flat) else 0.0,
        quantiles={str(level): float(value) for level, value in zip(LEVELS, levels, strict=True)},
        histogram=histogram(finite, low, high),
    )


def histogram(numbers: np.ndarray, low: float | None = None, high: float | None = None, bins: int = BINS) -> Histogram:
    """Of finite numbers; what lies beyond `low` or `high` is counted in the outermost bins."""
    first = float(numbers.min() if low is None else low)
    last = float(numbers.max() if high is None else high)
    if not first < last:
        first, last = first - 0.5, last + 0.5
    counts, _ = np.histogram(np.clip(numbers, first, last), bins, (first, last))
    return Histogram(low=first, high=last, counts=tuple(counts.tolist()))
