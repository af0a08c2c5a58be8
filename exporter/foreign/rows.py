"""Raw inputs to try a module with, when its own data are not at hand."""

import numpy as np

from exporter.foreign.scaling import Affine, MinMax, ScalerFile
from exporter.sessions import Rows
from models.manifest import Inputs

LENGTHS = 8
"""Different lengths, so that some rows share one."""
STRETCHES = (10.0, -10.0, 100.0, -100.0)
LONGER = 40
"""The longest row has that many steps more than the smallest."""


def generated(
    inputs: Inputs, smallest: int, largest: int, scaler: ScalerFile | None, clip: float | None, count: int
) -> list[np.ndarray]:
    """Random token ids, or features that are standard normal (or uniform in a min-max range) once they are scaled."""
    random = np.random.default_rng(0)
    lengths = np.unique(np.linspace(smallest, min(largest, smallest + LONGER), LENGTHS).astype(int))
    chosen = lengths[random.permutation(np.arange(count) % len(lengths))]
    if inputs.vocabulary is not None:
        return [random.integers(0, inputs.vocabulary, steps) for steps in chosen]
    return [_raw(random, int(steps), inputs.features or 1, scaler, clip) for steps in chosen]


def stretched(rows: Rows, before: Affine) -> list[np.ndarray]:
    """The same features many times as large once they are scaled, in both directions."""
    middle = before.shift.numpy()
    factors = (STRETCHES[place % len(STRETCHES)] for place in range(len(rows)))
    return [((row - middle) * factor + middle).astype(np.float32) for row, factor in zip(rows, factors, strict=True)]


def _raw(
    random: np.random.Generator, steps: int, features: int, scaler: ScalerFile | None, clip: float | None
) -> np.ndarray:
    """float32 [T, F]."""
    fitted = None if scaler is None else scaler.inputs
    if isinstance(fitted, MinMax):
        values = random.uniform(*fitted.range, size=(steps, features))
    else:
        values = random.normal(size=(steps, features))
    if clip is not None:
        values = values.clip(-clip, clip)
    if fitted is not None:
        shift, unit = fitted.shift_and_unit()
        values = values * unit + shift
    return values.astype(np.float32)
