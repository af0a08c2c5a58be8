"""A graph in ONNX Runtime, and the ways to run sequences through it: alone, together, in chunks."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedInOrt

from exporter.kernels import EXACT_SUMS, saturates

REFUSALS = (Fail, InvalidArgument, InvalidGraph, NotImplementedInOrt, RuntimeException)
"""What ONNX Runtime raises for a graph that it does not run."""
Rows = Sequence[np.ndarray]
"""Encoded sequences: each int64 [T] or float32 [T, F]."""


class StepSession:
    """`run(inputs, lengths, state) -> (outputs, next_state)` on the CPU, in the given number of threads.

    A whole network has no state: it takes and returns one of no columns. `padding=False` is for a network whose batches
    must hold rows of one length only. `exact_sums` decides on the int8 kernels; None takes the fastest that are exact.
    """

    def __init__(
        self,
        model: bytes,
        initial_state: np.ndarray,
        threads: int = 1,
        per_step: bool = False,
        padding: bool = True,
        exact_sums: bool | None = None,
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry(EXACT_SUMS, str(int(saturates() if exact_sums is None else exact_sums)))
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._names = [value.name for value in self._session.get_inputs()]
        self._initial_state = initial_state
        self.per_step, self.padding = per_step, padding

    def initial_state(self, batch: int) -> np.ndarray:
        return np.tile(self._initial_state, (batch, 1))

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        outputs, *after = self._session.run(None, self._feed(inputs, lengths, state))
        return outputs, after[0] if after else state

    def everything(self, inputs: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
        """All outputs of the graph by name, from the initial state."""
        feed = self._feed(inputs, lengths, self.initial_state(len(lengths)))
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, feed), strict=True))

    def _feed(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> dict[str, np.ndarray]:
        everything = {"inputs": inputs, "lengths": lengths, "state": state}
        return {name: everything[name] for name in self._names}


@dataclass(frozen=True)
class Results:
    """What sequences ended with: float32 outputs [N, ...] and states [N, S].

    Outputs per step are [N, longest, ...], and zero past each row's length, or the network has made a mistake.
    """

    outputs: np.ndarray
    states: np.ndarray
    per_step: bool = False

    def deviation(self, other: "Results") -> float:
        """0.0 only if all bits are equal; else the largest absolute difference (infinity where one is not a number)."""
        mine, others = self.outputs, other.outputs
        if self.per_step:
            longest = max(mine.shape[1], others.shape[1])
            mine, others = (_lengthened(outputs, longest) for outputs in (mine, others))
        return max(_deviation(mine, others), _deviation(self.states, other.states))

    def first(self, count: int | None) -> "Results":
        """Those of the first rows."""
        return Results(self.outputs[:count], self.states[:count], self.per_step)


def _lengthened(outputs: np.ndarray, steps: int) -> np.ndarray:
    return np.pad(outputs, [(0, 0), (0, steps - outputs.shape[1]), *[(0, 0)] * (outputs.ndim - 2)])


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
    """The rows in padded batches (numbers of rows), results in the order of `rows`.

    Where a session allows no padding, a batch runs in parts of equal length.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for batch in batches:
        for part in [batch] if session.padding else of_equal_length(batch, rows):
            padded, lengths = pad([rows[place] for place in part], fill, extra)
            outputs, states = session.run(padded, lengths, session.initial_state(len(part)))
            pairs = zip(_valid(session, outputs, lengths), states, strict=True)
            found.update(zip(part, pairs, strict=True))
    return _in_order(session, found)


def in_chunks(session: StepSession, rows: Rows, chunk: int, first_chunk: int, slots: int) -> Results:
    """Continuous batching: each slot advances by up to `chunk` steps a call; who is done leaves, who waits joins.

    A row's first chunk has at least `first_chunk` steps. Fresh and running rows share their batches.
    """
    found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    waiting = list(range(len(rows)))[::-1]
    running: dict[int, tuple[int, np.ndarray, list[np.ndarray]]] = {}
    while waiting or running:
        if waiting and len(running) < slots:
            running[waiting.pop()] = (0, session.initial_state(1)[0], [])
        places = list(running)
        starts = [running[place][0] for place in places]
        ends = [max(start + chunk, first_chunk) for start in starts]
        padded, lengths = pad([rows[place][start:end] for place, start, end in zip(places, starts, ends, strict=True)])
        outputs, states = session.run(padded, lengths, np.stack([running[place][1] for place in places]))
        for slot, (place, part) in enumerate(zip(places, _valid(session, outputs, lengths), strict=True)):
            pieces = [*running[place][2], part] if session.per_step else [part]
            running[place] = (starts[slot] + int(lengths[slot]), states[slot], pieces)
            if running[place][0] == len(rows[place]):
                found[place] = (np.concatenate(pieces) if session.per_step else part, states[slot])
                del running[place]
    return _in_order(session, found)


def some_of(rows: Rows, count: int) -> list[np.ndarray]:
    """At most `count` of the rows, evenly over their order."""
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def by_length(rows: Rows, batch_size: int) -> list[list[int]]:
    """The numbers of the rows in batches of similar length, so that little is padded."""
    order = np.argsort([len(row) for row in rows], kind="stable").tolist()
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def of_equal_length(batch: Sequence[int], rows: Rows) -> list[list[int]]:
    """A batch in parts whose rows have one length each."""
    parts: dict[int, list[int]] = {}
    for place in batch:
        parts.setdefault(len(rows[place]), []).append(place)
    return list(parts.values())


def _valid(session: StepSession, outputs: np.ndarray, lengths: np.ndarray) -> Iterator[np.ndarray]:
    """Each row's outputs, those per step without what is zero past its length. What is not zero there stays, so that a
    comparison finds it."""
    for row, length in zip(outputs, lengths, strict=True):
        yield row[:length] if session.per_step and not row[length:].any() else row


def _in_order(session: StepSession, found: dict[int, tuple[np.ndarray, np.ndarray]]) -> Results:
    outputs, states = zip(*(found[place] for place in sorted(found)), strict=True)
    return Results(pad(outputs)[0] if session.per_step else np.stack(outputs), np.stack(states), session.per_step)
