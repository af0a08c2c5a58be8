"""Confidence intervals of a mean over rows: Wilson's for a share of them, the bootstrap's for anything else."""

from collections.abc import Iterator, Sequence
from math import sqrt
from statistics import NormalDist

import numpy as np

from exporter.page.findings import Interval

RESAMPLES = 2000
SEED = 0
TAILS = (0.025, 0.975)
NORMAL = NormalDist().inv_cdf(TAILS[1])
DRAWS_AT_ONCE = 2_000_000


def wilson(successes: int, rows: int) -> Interval:
    """A share and the ends of its 95 % score interval, which has a width even where the share is 0 or 1.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927), pages 209 to 212.
    """
    share, weight = successes / rows, NORMAL**2 / rows
    middle = (share + weight / 2) / (1 + weight)
    half = NORMAL / (1 + weight) * sqrt(share * (1 - share) / rows + weight / (4 * rows))
    return Interval(value=share, low=min(share, middle - half), high=max(share, middle + half))


def bootstrap(scores: np.ndarray, groups: Sequence[str] | None = None, seed: int = SEED) -> Interval:
    """The mean of `scores` [N] and the ends of its 95 % percentile interval (Efron 1979).

    Rows are drawn again, with replacement, within each group. Draws depend on the seed, N and the groups alone, so
    figures of the same rows are comparable.
    """
    scores = np.asarray(scores, np.float64)
    if not np.isfinite(scores).all():
        return Interval(value=float(scores.mean()))
    means = np.concatenate([scores[rows].mean(1) for rows in _draws(len(scores), groups, seed)])
    low, high = np.quantile(means, TAILS)
    return Interval(value=float(scores.mean()), low=float(low), high=float(high))


def _draws(rows: int, groups: Sequence[str] | None, seed: int) -> Iterator[np.ndarray]:
    """Row numbers int64 [n, rows], RESAMPLES of them in all, few enough at a time for the memory."""
    random = np.random.default_rng(seed)
    names = np.zeros(rows) if groups is None else np.asarray(groups)
    members = [np.flatnonzero(names == name) for name in np.unique(names)]
    step = max(1, DRAWS_AT_ONCE // rows)
    for start in range(0, RESAMPLES, step):
        count = min(step, RESAMPLES - start)
        yield np.concatenate([some[random.integers(0, len(some), (count, len(some)))] for some in members], 1)
