"""How long a step of a network takes: measured once at warm-up, asked at every scheduling decision."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CostModel:
    """`overhead` seconds a run, plus `step_seconds[batch]` for each time step; linear between measured batch sizes."""

    overhead: float
    step_seconds: np.ndarray
    """float64 [largest batch + 1]; entry 0 is unused."""

    def seconds(self, batch: int, steps: int) -> float:
        return self.overhead + steps * float(self.step_seconds[batch])

    def steps_within(self, batch: int, budget: float) -> int:
        """The largest number of time steps of `batch` rows that fit into `budget` seconds, at least 1."""
        return max(1, int((budget - self.overhead) / float(self.step_seconds[batch])))

    def seconds_alone(self, steps: int) -> float:
        """What one sequence costs with all slots in use: its share of the batch's time."""
        largest = len(self.step_seconds) - 1
        return steps * float(self.step_seconds[largest]) / largest


def measure(run: Callable[[int, int], float], largest_batch: int, short: int, long: int, repeats: int = 5) -> CostModel:
    """Fits the model to `run(batch, steps) -> seconds`, called for runs of `short` and of `long` time steps.

    The smallest of `repeats` is taken: what disturbs a measurement only ever makes it longer.
    """
    batches = sorted({1, largest_batch} | {batch for batch in (4, 16) if batch < largest_batch})
    fastest = {
        (batch, steps): min(run(batch, steps) for _ in range(repeats)) for batch in batches for steps in (short, long)
    }
    slopes = [max((fastest[b, long] - fastest[b, short]) / (long - short), 1e-8) for b in batches]
    overhead = max(fastest[1, short] - short * slopes[0], 0.0)
    return CostModel(overhead, np.interp(np.arange(largest_batch + 1), batches, np.maximum.accumulate(slopes)))
