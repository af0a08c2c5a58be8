"""What waits in a queue: sequences, and the call that they belong to."""

from asyncio import AbstractEventLoop, Future
from dataclasses import dataclass

import numpy as np

from server.errors import ServiceError


@dataclass(frozen=True, slots=True)
class Result:
    """`outputs` float32 [...] at the last step, or [T, ...] per step; `state` float32 [S] if it was asked for."""

    outputs: np.ndarray
    state: np.ndarray | None = None


class Call:
    """Sequences that are answered together: one future, one deadline, one time of arrival.

    A call that is done, be it answered, failed or abandoned, takes no more results, and its sequences are skipped.
    """

    __slots__ = ("arrived", "finished", "future", "outstanding", "results", "started")

    def __init__(self, loop: AbstractEventLoop, sequences: int, arrived: float) -> None:
        self.future: Future[list[Result]] = loop.create_future()
        self.results: list[Result | None] = [None] * sequences
        self.outstanding = sequences
        self.arrived = arrived
        self.started = self.finished = 0.0

    @property
    def done(self) -> bool:
        return self.future.done()

    def deliver(self, index: int, result: Result, now: float) -> bool:
        """True if this was the last result that the call waited for."""
        self.results[index] = result
        self.outstanding -= 1
        if self.outstanding or self.future.done():
            return False
        self.finished = now
        self.future.set_result(self.results)  # type: ignore[arg-type]
        return True

    def fail(self, error: ServiceError) -> None:
        if not self.future.done():
            self.future.set_exception(error)

    def __repr__(self) -> str:
        return f"<Call {len(self.results) - self.outstanding} of {len(self.results)} done>"


class Sequence:
    """One encoded input: int64 ids [T] or float32 features [T, F], and the state to start from (None: the initial)."""

    __slots__ = ("call", "due", "index", "inputs", "pieces", "remaining", "return_state", "slot", "state", "steps")

    def __init__(
        self, call: Call, index: int, inputs: np.ndarray, state: np.ndarray | None = None, return_state: bool = False
    ) -> None:
        self.call, self.index, self.inputs = call, index, inputs
        self.state, self.return_state = state, return_state
        self.steps = self.remaining = len(inputs)
        self.due = call.arrived
        """By the clock of `call.arrived`: whose turn comes first."""
        self.slot = -1
        self.pieces: list[np.ndarray] = []

    @property
    def fresh(self) -> bool:
        """It has run no step yet, and no earlier part of it did."""
        return self.state is None and self.remaining == self.steps

    def __repr__(self) -> str:
        return f"<Sequence {self.index} of {self.steps} steps>"
