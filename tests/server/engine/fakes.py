"""A network whose answers can be worked out by hand, and calls that need no server."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import numpy as np

from server.engine.cost import CostModel
from server.engine.lane import Shape
from server.engine.scheduler import Policy

SHAPE = Shape(np.array([7.0, 0.0], np.float32))
"""State: a running sum that starts at 7, and the number of steps seen."""


def answer(ids: np.ndarray, start: tuple[float, float] = (7.0, 0.0)) -> list[float]:
    """What SummingBackend must answer for the whole sequence: [sum, steps], exact in float32 for small integers."""
    return [start[0] + float(np.sum(ids)), start[1] + len(ids)]


class Clock:
    """Stands in for the module `time` where a test says what time it is."""

    now = 1.0

    def monotonic(self) -> float:
        return self.now

    perf_counter = monotonic


class SummingBackend:
    """Adds up each row's valid inputs; remembers the shapes it was called with; fails when it meets id 666."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    @property
    def steps(self) -> int:
        """Time steps run so far, one after another."""
        return sum(steps for _, steps in self.calls)

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls.append((inputs.shape[0], inputs.shape[1]))
        valid = np.arange(inputs.shape[1]) < lengths[:, None]
        if (inputs[valid] == 666).any():
            raise RuntimeError("id 666")
        assert (lengths >= 1).all(), "a row without a step"
        sums = np.where(valid, inputs, 0).sum(1)
        next_state = np.stack([state[:, 0] + sums, state[:, 1] + lengths], 1).astype(np.float32)
        return next_state.copy(), next_state


class TickingBackend(SummingBackend):
    """Takes exactly the time that `costs` predict, on a clock that nothing else moves."""

    def __init__(self, clock: Clock, costs: CostModel) -> None:
        super().__init__()
        self._clock, self._costs = clock, costs

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._clock.now += self._costs.seconds(*inputs.shape[:2])
        return super().run(inputs, lengths, state)


def cost(slots: int, overhead: float = 1e-4, step: float = 1e-5) -> CostModel:
    """A run costs `overhead`, and `step` for each time step, however many rows there are."""
    return CostModel([overhead] * (slots + 1), [step] * (slots + 1))


def policy(slots: int = 4, chunk_steps: int = 8) -> Policy:
    """With the costs above, chunks have at most `chunk_steps` steps."""
    return Policy(slots, (chunk_steps + 0.5) * 1e-5)


SECONDS = 20
"""More than any test here needs: a lost wake-up is to fail it, and not to hang it."""

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    return asyncio.run(asyncio.wait_for(main, SECONDS))


async def settle(turns: int = 20) -> None:
    """Lets the engine's task and everything that it woke have their turns."""
    for _ in range(turns):
        await asyncio.sleep(0)
