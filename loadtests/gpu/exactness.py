"""How far answers move on a device: against the CPU, and with batch-mates, padding and chunks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.bundle import Bundle
from models.manifest import Device, Precision
from server.backend import OnnxBackend

ROWS, CHUNK = 32, 16


@dataclass(frozen=True)
class Network:
    """One file of a bundle on one device."""

    backend: OnnxBackend
    initial_state: np.ndarray

    @classmethod
    def load(cls, bundle: Bundle, precision: Precision, device: Device) -> "Network":
        path = bundle.path(bundle.manifest.precisions[precision].file)
        return cls(OnnxBackend(path, device), bundle.manifest.initial_state())

    def run(self, rows: Sequence[np.ndarray], longest: int | None = None) -> np.ndarray:
        """Outputs [N, ...] of one padded batch, from the initial state."""
        return self.backend.run(*self._padded(rows, longest), self._states(len(rows)))[0]

    def run_in_chunks(self, row: np.ndarray, first: int) -> np.ndarray:
        """Output of one row that is run piece by piece; the first piece has at least `first` steps."""
        state, start, outputs = self._states(1), 0, np.empty(0)
        while start < len(row):
            piece = row[start : start + max(CHUNK, first if start == 0 else 1)]
            outputs, state = self.backend.run(*self._padded([piece], None), state)
            start += len(piece)
        return outputs[0]

    def _states(self, rows: int) -> np.ndarray:
        return np.tile(self.initial_state, (rows, 1))

    @staticmethod
    def _padded(rows: Sequence[np.ndarray], longest: int | None) -> tuple[np.ndarray, np.ndarray]:
        lengths = np.array([len(row) for row in rows], np.int32)
        padded = np.zeros((len(rows), longest or int(lengths.max()), *rows[0].shape[1:]), rows[0].dtype)
        for target, row in zip(padded, rows, strict=True):
            target[: len(row)] = row
        return padded, lengths


def movements(network: Network, rows: Sequence[np.ndarray], first_chunk: int) -> dict[str, float]:
    """Largest difference of any output to the same sequence alone, unpadded and in one piece; 0.0 means equal bits.

    `mates of full batches`: both times in a batch of 32 rows, padded to one length, with other company; what a server
    would do that always runs full batches.
    """
    alone = np.stack([network.run([row])[0] for row in rows])
    longest = max(map(len, rows))
    ways: dict[str, Callable[[], np.ndarray]] = {
        "batch": lambda: network.run(rows),
        "padding": lambda: np.stack([network.run([row], longest + 7)[0] for row in rows]),
        "chunks": lambda: np.stack([network.run_in_chunks(row, first_chunk) for row in rows]),
    }
    found = {name: _largest(way(), alone) for name, way in ways.items()}
    full = [network.run([row, *others], longest)[0] for row in rows[:8] for others in _companies(rows)]
    pairs = zip(full[::2], full[1::2], strict=True)
    return found | {"mates of full batches": max(_largest(one, other) for one, other in pairs)}


def _companies(rows: Sequence[np.ndarray]) -> tuple[Sequence[np.ndarray], Sequence[np.ndarray]]:
    """Two different sets of 31 batch-mates."""
    return rows[1:ROWS], rows[ROWS - 2 :: -1]


def differences(network: Network, reference: Network, rows: Sequence[np.ndarray]) -> dict[str, float]:
    """Of the outputs to those of another network on the same rows."""
    distance = np.abs(np.stack([network.run([row])[0] - reference.run([row])[0] for row in rows]))
    return {"largest": float(distance.max()), "median": float(np.median(distance))}


def _largest(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float64) - other).max())
