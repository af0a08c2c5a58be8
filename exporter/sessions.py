"""A step function in ONNX Runtime, and the ways to run sequences through it: alone, together, in chunks."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

Rows = Sequence[np.ndarray]
"""Encoded sequences: each int64 [T] or float32 [T, F]."""


class StepSession:
    """`run(inputs, lengths, state) -> (outputs, next_state)` on the CPU, in the given number of threads."""

    def __init__(self, model: bytes, initial_state: np.ndarray, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._initial_state = initial_state

    def initial_state(self, batch: int) -> np.ndarray:
        return np.tile(self._initial_state, (batch, 1))

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return tuple(self._session.run(None, {"inputs": inputs, "lengths": lengths, "state": state}))

    def everything(self, inputs: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the graph by name, from the initial state."""
        feed = {"inputs": inputs, "lengths": lengths, "state": self.initial_state(len(lengths))}
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feed), strict=True))


@dataclass(frozen=True)
class Results:
    """What sequences ended with: float32 outputs [N, ...] and states [N, S]."""

    outputs: np.ndarray
    states: np.ndarray

    def deviation(self, other: "Results") -> float:
        """0.0 only if all bits are equal; else the largest absolute difference (infinity where one is not a number)."""
        return max(_deviation(self.outputs, other.outputs), _deviation(self.states, other.states))


def _deviation(one: np.ndarray, other: np.ndarray) -> float:
    if one.tobytes() == other.tobytes():
        return 0.0
    with np.errstate(invalid="ignore"):
        largest = np.abs(one.astype(np.float64) - other).max()
    return float("inf") if np.isnan(largest) else float(max(largest, np.finfo(np.float32).smallest_subnormal))


Fill = Callable[[np.ndarray], None]
"""Writes into the part of a padded array that nobody should see."""


def pad(rows: Rows, fill: Fill | None = None, extra: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """[B, longest + extra, ...] and the lengths, int32 [B]. The padding is zeros, or what `fill` makes of them."""
    lengths = np.array([len(row) for row in rows], np.int32)
    padded = np.zeros((len(rows), lengths.max() + extra, *rows[0].shape[1:]), rows[0].dtype)
    for target, row in zip(padded, rows, strict=True):
        target[: len(row)] = row
        if fill is not None:
            fill(target[len(row) :])
    return padded, lengths


def alone(session: StepSession, rows: Rows) -> Results:
    """Each row in a batch of its own, unpadded, in one piece: what every other way must reproduce."""
    return together(session, [[place] for place in range(len(rows))], rows)


def together(
    session: StepSession, batches: Iterable[Sequence[int]], rows: Rows, fill: Fill | None = None, extra: int = 0
) -> Results:
    """The rows in padded batches (numbers of rows), results in the order of `rows`."""
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for batch in batches:
        padded, lengths = pad([rows[place] for place in batch], fill, extra)
        outputs, states = session.run(padded, lengths, session.initial_state(len(batch)))
        found.update(zip(batch, zip(outputs, states, strict=True), strict=True))
    return _in_order(found)


def in_chunks(session: StepSession, rows: Rows, chunk: int, first_chunk: int, slots: int) -> Results:
    """Continuous batching: each slot advances by up to `chunk` steps a call; who is done leaves, who waits joins.

    A row's first chunk has at least `first_chunk` steps. Fresh and running rows share their batches.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    waiting = list(range(len(rows)))[::-1]
    running: dict[int, tuple[int, np.ndarray]] = {}
    while waiting or running:
        if waiting and len(running) < slots:
            running[waiting.pop()] = (0, session.initial_state(1)[0])
        places = list(running)
        starts = [running[place][0] for place in places]
        ends = [max(start + chunk, first_chunk) for start in starts]
        padded, lengths = pad([rows[place][start:end] for place, start, end in zip(places, starts, ends, strict=True)])
        outputs, states = session.run(padded, lengths, np.stack([running[place][1] for place in places]))
        for slot, place in enumerate(places):
            running[place] = (starts[slot] + int(lengths[slot]), states[slot])
            if running[place][0] == len(rows[place]):
                found[place] = (outputs[slot], states[slot])
                del running[place]
    return _in_order(found)


def by_length(rows: Rows, batch_size: int) -> list[list[int]]:
    """The numbers of the rows in batches of similar length, so that little is padded."""
    order = np.argsort([len(row) for row in rows], kind="stable").tolist()
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _in_order(found: dict[int, tuple[np.ndarray, np.ndarray]]) -> Results:
    outputs, states = zip(*(found[place] for place in sorted(found)), strict=True)
    return Results(np.stack(outputs), np.stack(states))
