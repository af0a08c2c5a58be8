"""How long a run takes on each device: a shipped network by batch and chunk, and plain LSTMs by size."""

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx

from loadtests.gpu import graphs
from loadtests.gpu.exactness import Network
from models.bundle import Bundle
from models.manifest import Device
from server.backend import OnnxBackend

Place = tuple[str, Device]
"""A precision, and where it runs."""
TIME_STEPS = 64
SECONDS = 0.3
"""For each cell."""


def by_batch(
    bundle: Bundle, places: Sequence[Place], batches: Sequence[int], chunks: Sequence[int], seconds: float = SECONDS
) -> list[dict[str, object]]:
    """Milliseconds of a run, and sequences/s if all of a sequence of `TIME_STEPS` steps ran in such chunks."""
    found: list[dict[str, object]] = []
    for precision, device in places:
        network = Network.load(bundle, precision, device)  # type: ignore[arg-type]
        for batch in batches:
            for steps in chunks:
                median = _median(network.backend, _probe(bundle, batch, steps), network.initial_state, seconds)
                rate = batch / (median * TIME_STEPS / steps)
                cell = {"precision": precision, "device": device, "batch": batch, "steps": steps}
                found.append(cell | {"milliseconds": 1000 * median, "sequences_per_second": rate})
    return found


def by_hidden_size(
    places: Sequence[Place], hidden_sizes: Sequence[int], batches: Sequence[int], seconds: float = SECONDS
) -> list[dict[str, object]]:
    """Milliseconds of a run of `TIME_STEPS` steps through one LSTM; inputs are as wide as its hidden state."""
    found: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for hidden in hidden_sizes:
            for precision, device in places:
                path = Path(folder) / f"{hidden}.{precision}.onnx"
                onnx.save(graphs.lstm(hidden, precision), path)
                backend = OnnxBackend(path, device)
                for batch in batches:
                    inputs = np.random.default_rng(0).normal(size=(batch, TIME_STEPS, hidden)).astype(np.float32)
                    median = _median(backend, inputs, np.zeros(2 * hidden, np.float32), seconds)
                    cell = {"hidden": hidden, "precision": precision, "device": device, "batch": batch}
                    found.append(cell | {"milliseconds": 1000 * median})
    return found


def crossover(cells: Sequence[Mapping], batches: Sequence[int]) -> dict[int, int | None]:
    """For each batch, the smallest hidden size at which CUDA, in its best precision, is faster than the CPU."""
    found: dict[int, int | None] = {}
    for batch in batches:
        sizes = sorted({cell["hidden"] for cell in cells})
        found[batch] = next((size for size in sizes if _cuda_wins(cells, size, batch)), None)
    return found


def _cuda_wins(cells: Sequence[Mapping], hidden: int, batch: int) -> bool:
    def best(device: str) -> float:
        times = [cell["milliseconds"] for cell in cells if (cell["hidden"], cell["batch"]) == (hidden, batch)
                 and cell["device"] == device]  # fmt: skip
        return min(times, default=float("inf"))

    return best("cuda") < best("cpu")


def _probe(bundle: Bundle, batch: int, steps: int) -> np.ndarray:
    random, inputs = np.random.default_rng(0), bundle.manifest.inputs
    if inputs.vocabulary is not None:
        return random.integers(0, inputs.vocabulary, (batch, steps))
    walk = 100 + random.normal(size=(batch, steps, inputs.features or 1)).cumsum(1)
    return walk.astype(np.float32)


def _median(backend: OnnxBackend, inputs: np.ndarray, initial_state: np.ndarray, seconds: float) -> float:
    """Seconds of a run, over runs of that many seconds together."""
    lengths = np.full(len(inputs), inputs.shape[1], np.int32)
    state = np.tile(initial_state, (len(inputs), 1))
    for _ in range(3):
        backend.run(inputs, lengths, state)
    times: list[float] = []
    while sum(times) < seconds or len(times) < 5:
        started = time.perf_counter()
        backend.run(inputs, lengths, state)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
