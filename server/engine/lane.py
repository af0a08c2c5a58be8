"""One lane for each model, version and precision: its queue, its slots, and the arrays that a step runs on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from server.engine.cost import CostModel
from server.engine.scheduler import Policy, WaitingQueue, chunk_length, padded_batch, virtual_deadline
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
        self._seconds_a_step = cost.seconds_alone(1)

    def admit(self, sequence: Sequence, priority: float = 0.0) -> None:
        seconds = sequence.steps * self._seconds_a_step
        deadline = virtual_deadline(sequence.call.arrived, seconds, self.policy.stretch, priority)
        self.waiting.push(sequence, deadline)

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

    Row i of the arrays belongs to `rows[i]`; the rows in use are the first ones. Who joins takes the place of somebody
    who left, which is in `_free`; only where nobody does, the last row moves there.
    """

    def __init__(self, name: str, backend: Backend, shape: Shape, cost: CostModel, policy: Policy) -> None:
        super().__init__(name, backend, shape, cost, policy)
        self.rows: list[Sequence] = []
        self._free: list[int] = []
        self._state = np.tile(shape.initial_state, (policy.slots, 1))
        self._fresh = False
        self._inputs = shape.empty(policy.slots, 0)
        self._next = np.zeros((policy.slots, 1), np.int64)
        self._widen(max(256, shape.first_chunk))

    @property
    def running(self) -> int:
        return len(self.rows) - len(self._free)

    def next_batch(self, now: float) -> Batch | None:
        if self._abandoned:
            self._forget_abandoned()
        if self.waiting:
            for sequence in self.waiting.take(self.policy.slots - self.running):
                self._seat(sequence, now)
        if self._free:
            self._close_gaps()
        if not self.rows:
            return None
        size = len(self.rows)
        remaining = [sequence.remaining for sequence in self.rows]
        steps = self._chunk_length(remaining)
        self.tally.padded_steps += size * steps
        lengths = np.array([min(left, steps) for left in remaining], np.int32)
        return Batch(self._chunk(size, steps), lengths, self._state[:size])

    def deliver(self, batch: Batch, outputs: np.ndarray, next_state: np.ndarray, now: float) -> None:
        size, steps = batch.rows, batch.steps
        self._state[:size] = next_state
        self._next[:size] += steps
        if self.shape.per_step:
            for sequence, piece, length in zip(self.rows, outputs, batch.lengths, strict=True):
                sequence.pieces.append(piece[:length])
        for row, sequence in enumerate(self.rows):
            sequence.remaining -= steps
            if sequence.remaining <= 0:
                answer = np.concatenate(sequence.pieces) if self.shape.per_step else outputs[row]
                self.tally.steps += sequence.steps
                self._finish(sequence, answer, next_state[row], now)
                self._free.append(row)

    def fail(self, error: ServiceError) -> None:
        self._fail(self.rows, error)
        self.rows.clear()
        self._free.clear()

    def _forget_abandoned(self) -> None:
        super()._forget_abandoned()
        self._free += [row for row, sequence in enumerate(self.rows) if sequence.call.done and row not in self._free]

    def _seat(self, sequence: Sequence, now: float) -> None:
        if self._free:
            row = self._free.pop()
            self.rows[row] = sequence
        else:
            row = len(self.rows)
            self.rows.append(sequence)
        if sequence.steps > self._inputs.shape[1]:
            self._widen(max(sequence.steps, 2 * self._inputs.shape[1]))
        self._inputs[row, : sequence.steps] = sequence.inputs
        self._next[row] = row * self._inputs.shape[1]
        self._state[row] = self.shape.initial_state if sequence.state is None else sequence.state
        self._fresh |= sequence.state is None
        if not sequence.call.started:
            sequence.call.started = now

    def _close_gaps(self) -> None:
        """Moves the last rows into the places that nobody took."""
        width = self._inputs.shape[1]
        for row in sorted(self._free, reverse=True):
            last = len(self.rows) - 1
            if row != last:
                self.rows[row] = self.rows[last]
                self._state[row] = self._state[last]
                position, remaining = int(self._next[last, 0]) - last * width, self.rows[last].remaining
                self._next[row] = row * width + position
                self._inputs[row, position : position + remaining] = self._inputs[last, position : position + remaining]
            self.rows.pop()
        self._free.clear()

    def _widen(self, steps: int) -> None:
        """Makes room for sequences of `steps` steps."""
        wider, width = self.shape.empty(self.policy.slots, steps), self._inputs.shape[1]
        wider[:, :width] = self._inputs
        self._next += np.arange(self.policy.slots)[:, None] * (steps - width)
        self._inputs, self._flat, self._ahead = wider, wider.reshape(-1, *wider.shape[2:]), np.arange(steps)

    def _chunk_length(self, remaining: list[int]) -> int:
        smallest = self.shape.first_chunk if self._fresh else 1
        self._fresh = False
        return chunk_length(remaining, smallest, self.cost, self.policy)

    def _chunk(self, size: int, steps: int) -> np.ndarray:
        """The next `steps` inputs of the first `size` rows. Past a row's end stands what happens to stand there."""
        return self._flat.take(self._next[:size] + self._ahead[:steps], 0, mode="clip")


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
