"""How long a step of a network takes: measured once at warm-up, asked at every scheduling decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CostModel:
    """A run takes `overhead[batch]` seconds, and `step_seconds[batch]` for each time step.

    Lists rather than arrays: a single element is what every decision asks for, and an array takes far longer for it.
    """

    overhead: Sequence[float]
    """[largest batch + 1]; entry 0 is unused."""
    step_seconds: Sequence[float]
    """Of the same length."""

    def seconds(self, batch: int, steps: int) -> float:
        return self.overhead[batch] + steps * self.step_seconds[batch]

    @property
    def seconds_a_step(self) -> float:
        """What a time step of one sequence costs with all slots in use: its share of the batch's time."""
        return self.step_seconds[-1] / (len(self.step_seconds) - 1)


def measure(run: Callable[[int, int], float], largest_batch: int, short: int, long: int, repeats: int = 5) -> CostModel:
    """Fits the model to `run(batch, steps) -> seconds`, called for runs of `short` and of `long` time steps.

    The smallest of `repeats` is taken: what disturbs a measurement only ever makes it longer. Between the measured
    batch sizes the model is linear.
    """
    batches = sorted({1, largest_batch} | {batch for batch in (4, 16) if batch < largest_batch})
    fastest = np.array(
        [[min(run(batch, steps) for _ in range(repeats)) for steps in (short, long)] for batch in batches]
    )
    slopes = np.maximum.accumulate(np.maximum((fastest[:, 1] - fastest[:, 0]) / (long - short), 1e-8))
    overheads = np.maximum.accumulate(np.maximum(fastest[:, 0] - short * slopes, 0.0))
    sizes = np.arange(largest_batch + 1)
    return CostModel(np.interp(sizes, batches, overheads).tolist(), np.interp(sizes, batches, slopes).tolist())
