"""Load shapes: which share of the users is active after which share of the run.

Plain functions from [0, 1] to [0, 1], so that they can be tested without Locust; `locustfile.py` makes users of them.
"""

from collections.abc import Callable

STEPS = 4
SPIKE_BASE = 0.2
SPIKE = (0.4, 0.6)


def steady(progress: float) -> float:
    """All users, all the time."""
    return 1.0


def step(progress: float) -> float:
    """A quarter of the users for a quarter of the time, then half, three quarters, all: where does it bend?"""
    return min(int(progress * STEPS) + 1, STEPS) / STEPS


def spike(progress: float) -> float:
    """A fifth of the users, suddenly all of them, then a fifth again: does it recover?"""
    start, stop = SPIKE
    return 1.0 if start <= progress < stop else SPIKE_BASE


SHAPES: dict[str, Callable[[float], float]] = {"steady": steady, "step": step, "spike": spike}
