"""How far two implementations of one network lie apart, and how far they may."""

from collections.abc import Sequence

import numpy as np

SMALLEST = float(np.finfo(np.float32).eps)
"""Of a number: what float32 may round anyway."""


def scales(reference: np.ndarray) -> np.ndarray:
    """What each row's differences are divided by: its largest output, at least 1. [N, ...] -> float64 [N]."""
    return np.maximum(1.0, np.abs(flat(reference)).max(1, initial=0))


def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[N, ...] -> float64 [N, values]: 0 where both are the same or no number, infinity where only one is a number."""
    one, other = flat(one), flat(other)
    with np.errstate(invalid="ignore"):
        found = np.abs(one - other)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return np.where(same, 0.0, np.where(np.isnan(found), np.inf, found))


def scaled(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The same, each row's by its scale: [N, values]."""
    return differences(one, other) / np.where(np.isfinite(scale), scale, 1.0)[:, None]


def row_differences(one: np.ndarray, other: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The largest difference of each row, by its scale: [N]."""
    return scaled(one, other, scale).max(1, initial=0)


def accepted(
    truth: Sequence[np.ndarray],
    exact: Sequence[np.ndarray] | None,
    per_step: bool,
    tolerance: float,
    roundings: float,
) -> np.ndarray:
    """How far each output of each row may be from the truth: float64 [N, outputs].

    That is the share `tolerance` of the row's largest output (at least of 1), or of what the output's values of all
    rows span, if that is less: where answers are small, or near one level, small differences are all that they say.
    What rounding does to the network itself is accepted, `roundings` times over. `exact`: the same in float64, if it
    can be had. `truth` are rows [...], or per step [T, ...].
    """
    rows = [_outputs(row, per_step) for row in truth]
    every = np.concatenate(rows)
    rounded = np.abs(np.where(np.isfinite(every), every, 0.0)).max(0, initial=0) * SMALLEST
    if exact is not None:
        own = differences(every, np.concatenate([_outputs(row, per_step) for row in exact]))
        rounded = np.maximum(rounded, np.where(np.isfinite(own), own, 0.0).max(0, initial=0))
    scale = np.array([scales(row[None])[0] for row in truth])
    return np.maximum(tolerance * np.minimum(scale[:, None], spans(every)), roundings * rounded)


def spans(every: np.ndarray) -> np.ndarray:
    """Between the smallest and the largest value of each column, of those that are numbers: [N, V] -> [V]."""
    finite = np.isfinite(every)
    low, high = np.where(finite, every, np.inf).min(0), np.where(finite, every, -np.inf).max(0)
    return np.where(finite.any(0), high - low, 0.0)


def flat(outputs: np.ndarray) -> np.ndarray:
    """[N, ...] -> float64 [N, values]."""
    return np.asarray(outputs, np.float64).reshape(len(outputs), -1)


def _outputs(row: np.ndarray, per_step: bool) -> np.ndarray:
    """[steps, outputs]; a row that is answered once is one step."""
    return flat(row if per_step else row[None])
