"""One lane for each model, version and precision: its queue, its slots, and the arrays that a step runs on."""

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Protocol

import numpy as np

from server.engine.cost import CostModel
from server.engine.scheduler import ChunkPlanner, Policy, WaitingQueue, padded_batch
from server.engine.sequence import Call, Result, Sequence
from server.errors import ServiceError


class Backend(Protocol):
    """Runs the step function: inputs [B, T, ...], lengths int32 [B], state [B, S] -> (outputs, next state)."""

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """One run of the step function."""

    inputs: np.ndarray
    lengths: np.ndarray
    state: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.lengths)

    @property
    def steps(self) -> int:
        return self.inputs.shape[1]


@dataclass(frozen=True)
class Shape:
    """What a lane must know of its network."""

    initial_state: np.ndarray
    features: int | None = None
    """None for token ids."""
    first_chunk: int = 1
    per_step: bool = False
    clipped: slice | None = None
    """Columns of the state that count clipped input values."""
    equal_lengths: bool = False
    """Only sequences of the same length may share a batch: the network sees what stands past a length."""

    def empty(self, *leading: int) -> np.ndarray:
        """Zeroed inputs of shape [*leading] (ids) or [*leading, features]."""
        if self.features is None:
            return np.zeros(leading, np.int64)
        return np.zeros((*leading, self.features), np.float32)


@dataclass
class Tally:
    """What happened since somebody last looked, which the metrics do some times a second."""

    steps: int = 0
    padded_steps: int = 0
    clipped: float = 0.0
    answered: int = 0
    """Requests whose answer was written."""
    batch_rows: list[int] = field(default_factory=list)
    batch_seconds: list[float] = field(default_factory=list)
    queue_seconds: list[float] = field(default_factory=list)
    """Of the finished calls, from arrival to the first step."""
    compute_seconds: list[float] = field(default_factory=list)
    """From there to the answer."""

    def add_batch(self, rows: int, seconds: float) -> None:
        self.batch_rows.append(rows)
        self.batch_seconds.append(seconds)


class Lane(ABC):
    """Admission, choice and delivery of one model's sequences. `Engine` calls next_batch, then deliver or fail."""

    def __init__(self, name: str, backend: Backend, shape: Shape, cost: CostModel, policy: Policy) -> None:
        self.name, self.backend, self.shape, self.cost, self.policy = name, backend, shape, cost, policy
        self.waiting = WaitingQueue()
        self.virtual_time = 0.0
        self.tally = Tally()
        self._abandoned = self._abandoned_waiting = False

    def admit(self, sequences: Iterable[Sequence], priority: float = 0.0) -> None:
        """Queues the sequences of one call, as if it had come `priority` seconds earlier.

        Each is due when those before it would be done, so that a long list does not stand before everybody who comes a
        moment later.
        """
        seconds_a_step, before = self.cost.seconds_a_step, -priority
        for sequence in sequences:
            sequence.due = sequence.call.arrived + before
            before += sequence.steps * seconds_a_step
            self.waiting.push(sequence)

    @property
    @abstractmethod
    def running(self) -> int:
        """Sequences that hold a slot."""

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.running

    @abstractmethod
    def next_batch(self, now: float) -> Batch | None:
        """Fills the free slots from the queue and says what to run; None if nobody is left who waits for an answer."""

    @abstractmethod
    def deliver(self, batch: Batch, outputs: np.ndarray, next_state: np.ndarray, now: float) -> None:
        """Takes the results of `batch`, and answers the calls that are complete."""

    @abstractmethod
    def fail(self, error: ServiceError) -> None:
        """Answers every call in the running batch with `error`; nobody else is touched."""

    def abandon(self, call: Call) -> None:
        """The caller has left. Nothing moves before the next batch is put together: a step may be running."""
        call.future.cancel()
        self._abandoned = self._abandoned_waiting = True

    def forget_waiting(self) -> None:
        """Takes those whose caller has left out of the queue. Nothing else moves: a step may be running."""
        if self._abandoned_waiting:
            self.waiting.drop_done()
        self._abandoned_waiting = False

    def _forget_abandoned(self) -> None:
        self.forget_waiting()
        self._abandoned = False

    def _finish(self, sequence: Sequence, outputs: np.ndarray, state: np.ndarray, now: float) -> None:
        if self.shape.clipped is not None:
            self.tally.clipped += float(state[self.shape.clipped].sum())
        result = Result(outputs, state.copy() if sequence.return_state else None)
        call = sequence.call
        if call.deliver(sequence.index, result, now):
            self.tally.queue_seconds.append(call.started - call.arrived)
            self.tally.compute_seconds.append(now - call.started)

    def _fail(self, sequences: list[Sequence], error: ServiceError) -> None:
        for sequence in sequences:
            sequence.call.fail(error)

    def take_tally(self) -> Tally:
        """What happened since the last call of this."""
        tally, self.tally = self.tally, Tally()
        return tally

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.running} running, {len(self.waiting)} waiting>"


class ChunkedLane(Lane):
    """Continuous batching: rows advance in chunks, and leave and join at every chunk boundary.

    `rows` are the sequences that have slots, those that have been due the longest first. The arrays are by slot.
    """

    def __init__(self, name: str, backend: Backend, shape: Shape, cost: CostModel, policy: Policy) -> None:
        super().__init__(name, backend, shape, cost, policy)
        self.rows: list[Sequence] = []
        self._planner = ChunkPlanner(cost, policy)
        self._chosen: list[Sequence] = []
        self._slots = np.zeros(0, np.int64)
        """Those of `_chosen`."""
        self._free = list(range(policy.slots))
        self._state = np.tile(shape.initial_state, (policy.slots, 1))
        self._inputs = shape.empty(policy.slots, 0)
        self._next = np.zeros((policy.slots, 1), np.int64)
        self._widen(max(256, shape.first_chunk))

    @property
    def running(self) -> int:
        return len(self.rows)

    def next_batch(self, now: float) -> Batch | None:
        if self._abandoned:
            self._forget_abandoned()
        self._chosen = self.rows  # should planning fail, all of them do
        if self.waiting and self._free:
            for sequence in self.waiting.take(len(self._free)):
                self._seat(sequence, now)
        if not self.rows:
            return None
        rows, steps = self._plan(now)
        self._chosen = self.rows[:rows]
        self._slots = np.array([sequence.slot for sequence in self._chosen])
        self.tally.padded_steps += rows * steps
        lengths = np.array([min(sequence.remaining, steps) for sequence in self._chosen], np.int32)
        return Batch(self._chunk(steps), lengths, self._state[self._slots])

    def deliver(self, batch: Batch, outputs: np.ndarray, next_state: np.ndarray, now: float) -> None:
        steps, over = batch.steps, []
        self._state[self._slots] = next_state
        self._next[self._slots] += steps
        for row, sequence in enumerate(self._chosen):
            if self.shape.per_step:
                sequence.pieces.append(outputs[row, : batch.lengths[row]])
            sequence.remaining -= steps
            if sequence.remaining <= 0:
                answer = np.concatenate(sequence.pieces) if self.shape.per_step else outputs[row]
                self.tally.steps += sequence.steps
                self._finish(sequence, answer, next_state[row], now)
                over.append(sequence)
        if over:
            self._leave(over)

    def fail(self, error: ServiceError) -> None:
        self._fail(self._chosen, error)
        self._leave(self._chosen)
        self._abandoned = self._abandoned_waiting = True  # what else belongs to those calls

    def _forget_abandoned(self) -> None:
        super()._forget_abandoned()
        self._leave(sequence for sequence in self.rows if sequence.call.done)

    def _leave(self, sequences: Iterable[Sequence]) -> None:
        gone = {sequence.slot for sequence in sequences}
        self.rows = [sequence for sequence in self.rows if sequence.slot not in gone]
        self._free += gone

    def _seat(self, sequence: Sequence, now: float) -> None:
        sequence.slot = slot = self._free.pop()
        insort(self.rows, sequence, key=_DUE)
        if sequence.steps > self._inputs.shape[1]:
            self._widen(max(sequence.steps, 2 * self._inputs.shape[1]))
        self._inputs[slot, : sequence.steps] = sequence.inputs
        self._next[slot] = slot * self._inputs.shape[1]
        self._state[slot] = self.shape.initial_state if sequence.state is None else sequence.state
        if not sequence.call.started:
            sequence.call.started = now

    def _widen(self, steps: int) -> None:
        """Makes room for sequences of `steps` steps."""
        wider, width = self.shape.empty(self.policy.slots, steps), self._inputs.shape[1]
        wider[:, :width] = self._inputs
        self._next += np.arange(self.policy.slots)[:, None] * (steps - width)
        self._inputs, self._flat, self._ahead = wider, wider.reshape(-1, *wider.shape[2:]), np.arange(steps)

    def _plan(self, now: float) -> tuple[int, int]:
        """Rows, and steps, of the next chunk."""
        remaining = [sequence.remaining for sequence in self.rows]
        waited = (now - sequence.due for sequence in self.rows)
        return self._planner.plan(remaining, waited, bool(self.waiting), self._smallest())

    def _smallest(self) -> int:
        """A network may need more steps in a sequence's first chunk."""
        if self.shape.first_chunk > 1 and any(sequence.fresh for sequence in self.rows):
            return self.shape.first_chunk
        return 1

    def _chunk(self, steps: int) -> np.ndarray:
        """The next `steps` inputs of the chosen rows. Past a row's end stands what happens to stand there."""
        return self._flat.take(self._next[self._slots] + self._ahead[:steps], 0, mode="clip")


_DUE = attrgetter("due")


class PaddedLane(Lane):
    """Whole sequences in batches of similar lengths, for networks that cannot be run piece by piece."""

    WINDOW = 4
    """Batches full of waiting sequences that company is chosen from."""

    def __init__(self, name: str, backend: Backend, shape: Shape, cost: CostModel, policy: Policy) -> None:
        super().__init__(name, backend, shape, cost, policy)
        self.batch: list[Sequence] = []

    @property
    def running(self) -> int:
        return len(self.batch)

    def next_batch(self, now: float) -> Batch | None:
        if self._abandoned:
            self._forget_abandoned()
        self.batch = self.waiting.pick(self.WINDOW * self.policy.slots, self._choose)
        if not self.batch:
            return None
        lengths = np.array([sequence.steps for sequence in self.batch], np.int32)
        inputs = self.shape.empty(len(self.batch), int(lengths.max()))
        for row, sequence in enumerate(self.batch):
            inputs[row, : sequence.steps] = sequence.inputs
            sequence.call.started = sequence.call.started or now
        self.tally.steps += int(lengths.sum())
        self.tally.padded_steps += inputs.shape[0] * inputs.shape[1]
        return Batch(inputs, lengths, np.tile(self.shape.initial_state, (len(self.batch), 1)))

    def _choose(self, window: list[Sequence]) -> list[Sequence]:
        return padded_batch(window, self.policy.slots, self.cost, self.shape.equal_lengths)

    def deliver(self, batch: Batch, outputs: np.ndarray, next_state: np.ndarray, now: float) -> None:
        for row, sequence in enumerate(self.batch):
            answer = outputs[row, : sequence.steps] if self.shape.per_step else outputs[row]
            self._finish(sequence, answer, next_state[row], now)
        self.batch = []

    def fail(self, error: ServiceError) -> None:
        self._fail(self.batch, error)
        self.batch = []
