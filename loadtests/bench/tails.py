"""Percentiles of latencies that were found in several rounds: over all of them together, and how the rounds differ."""

import statistics
from collections.abc import Sequence
from itertools import chain

LEAST_ANSWERS = 1000
"""For a p99. It has ten slower answers beside it then, and is, 19 times out of 20, something between the true 98.2 and
99.5 %. Of 100 answers it is the slowest but one: anything between 94.6 and 99.8 %."""


def percentile(latencies: Sequence[float], level: int) -> float | None:
    """The nearest rank: the least latency that `level` percent of them do not exceed. None without any.

    No interpolation: so the percentile of several rounds together lies between the rounds' own.
    """
    return sorted(latencies)[-(-len(latencies) * level // 100) - 1] if latencies else None


def p99(latencies: Sequence[float]) -> float | None:
    """None where they are too few for one."""
    return percentile(latencies, 99) if len(latencies) >= LEAST_ANSWERS else None


def pooled(rounds: Sequence[Sequence[float]]) -> dict:
    """Milliseconds. The rounds' own p99 show how far they differ, if partly by chance: each is of fewer answers."""
    together = list(chain.from_iterable(rounds))
    return {
        "requests": len(together),
        "p50_ms": percentile(together, 50),
        "p90_ms": percentile(together, 90),
        "p99_ms": p99(together),
        "max_ms": max(together, default=None),
        "p99_rounds_ms": [percentile(some, 99) for some in rounds],
    }


def ratio(one: dict, other: dict) -> float | None:
    """Of two `pooled`, measured in the same rounds: the median of the rounds' own, if both have a p99."""
    if one["p99_ms"] is None or other["p99_ms"] is None:
        return None
    pairs = zip(one["p99_rounds_ms"], other["p99_rounds_ms"], strict=True)
    return statistics.median(p99 / of for p99, of in pairs if p99 is not None and of is not None)
