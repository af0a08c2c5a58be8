"""How far the implementations of one network lie apart: the network itself, a float64 reference, every ONNX file."""

import itertools
from collections.abc import Mapping

import numpy as np

from exporter.page.findings import Difference, Parity
from exporter.page.values import histogram

LOWEST, HIGHEST = -9.0, 1.0
"""Ends of the histogram: log10 of the difference."""
BINS = 60


def parity(outputs: Mapping[str, np.ndarray], tolerance: float, far_rows: int = 0) -> Parity:
    """`outputs` [N, ...] of the same rows by implementation; the first is the reference that differences scale with."""
    reference = next(iter(outputs.values()))
    scale = scales(reference)
    pairs = itertools.combinations(outputs, 2)
    first = next(iter(outputs))
    differences = [_difference(one, other, outputs, scale, detailed=one == first) for one, other in pairs]
    return Parity(
        rows=len(reference),
        implementations=tuple(outputs),
        differences=tuple(differences),
        tolerance=tolerance,
        far_rows=far_rows,
    )


def scales(reference: np.ndarray) -> np.ndarray:
    """What each row's differences are divided by: its largest output, at least 1. [N, ...] -> float64 [N]."""
    return np.maximum(1.0, np.abs(flat(reference)).max(1, initial=0))


def row_differences(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The largest difference of each row [N]; infinity where only one of the two is a number."""
    one, other = flat(one), flat(other)
    with np.errstate(invalid="ignore"):
        differences = np.abs(one - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    differences = np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))
    return differences.max(1, initial=0) / np.where(np.isfinite(scale), scale, 1.0)


def flat(outputs: np.ndarray) -> np.ndarray:
    """[N, ...] -> float64 [N, values]."""
    return np.asarray(outputs, np.float64).reshape(len(outputs), -1)


def _difference(
    one: str, other: str, outputs: Mapping[str, np.ndarray], scale: np.ndarray, detailed: bool
) -> Difference:
    found = row_differences(outputs[one], outputs[other], scale)
    apart = found[np.isfinite(found) & (found > 0)]
    return Difference(
        one=one,
        other=other,
        largest=float(found.max()),
        median=float(np.median(found)),
        equal_rows=int((found == 0).sum()),
        log10_histogram=histogram(np.log10(apart), LOWEST, HIGHEST, BINS) if detailed and len(apart) else None,
    )
