"""How far the implementations of one network lie apart: the network itself, a float64 reference, every ONNX file."""

import itertools
from collections.abc import Mapping

import numpy as np

from exporter.differences import row_differences, scales
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
