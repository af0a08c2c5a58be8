"""What anybody can have without a server: the same network, tokenizer and runtime, called straight in one thread.

The *floor* pads batches of 32 as they come. Its rate is the unit that every server is measured in.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from loadtests.workload import newest, tokenizer
from models import bundle
from server import registry
from server.registry import Model
from server.settings import Settings

BATCH = 32
WINDOW = 128

Encode = Callable[[Any], np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """One pass over all items."""

    sequences: int
    wall_seconds: float
    cpu_seconds: float
    answers: list[bytes]
    """The bytes of the outputs, in order of the items."""
    waits: list[float] | None = None
    """Seconds from a call's arrival to its answer, where calls compete."""

    @property
    def per_second(self) -> float:
        """Sequences per second of the process's CPU time: what a busy neighbour on the machine does not change."""
        return self.sequences / self.cpu_seconds

    @property
    def wall_per_second(self) -> float:
        return self.sequences / self.wall_seconds


@dataclass(frozen=True)
class Network:
    """A shipped network as the server loads it, and its way from an item to an array."""

    model: Model
    encode: Encode

    @classmethod
    def load(cls, name: str) -> "Network":
        model = registry.load(bundle.read(newest(name)), Settings(), "cpu")
        reads_text = model.bundle.manifest.tokenizer is not None
        return cls(model, tokenizer().encode if reads_text else _column)

    def run(self, sequences: Sequence[np.ndarray]) -> list[bytes]:
        """One padded batch."""
        shape = self.model.lane.shape
        lengths = np.array([len(sequence) for sequence in sequences], np.int32)
        inputs = shape.empty(len(sequences), int(lengths.max()))
        for row, sequence in enumerate(sequences):
            inputs[row, : len(sequence)] = sequence
        outputs, _ = self.model.backend.run(inputs, lengths, np.tile(shape.initial_state, (len(sequences), 1)))
        return [row.tobytes() for row in outputs]


def _column(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def timed(work: Callable[[], tuple[list[bytes], list[float] | None]]) -> Outcome:
    wall, cpu = time.perf_counter(), time.process_time()
    answers, waits = work()
    return Outcome(len(answers), time.perf_counter() - wall, time.process_time() - cpu, answers, waits)


def padded(network: Network, items: Sequence, batch: int = BATCH) -> Outcome:
    """Batches as the items come. Of one, it is the network alone."""
    return timed(lambda: ([answer for some in _batches(network, items, batch) for answer in network.run(some)], None))


def sorted_window(network: Network, items: Sequence, window: int = WINDOW, batch: int = BATCH) -> Outcome:
    """Padded batches out of a window of items that is sorted by length."""

    def work() -> tuple[list[bytes], None]:
        answers: list[bytes] = []
        for some in _batches(network, items, window):
            order = sorted(range(len(some)), key=lambda index: len(some[index]))
            found: dict[int, bytes] = {}
            for start in range(0, len(order), batch):
                chosen = order[start : start + batch]
                found |= dict(zip(chosen, network.run([some[index] for index in chosen]), strict=True))
            answers += [found[index] for index in range(len(some))]
        return answers, None

    return timed(work)


def _batches(network: Network, items: Sequence, size: int) -> Iterator[list[np.ndarray]]:
    encoded = map(network.encode, items)
    while some := list(islice(encoded, size)):
        yield some


def differing(answers: list[bytes], alone: list[bytes]) -> int:
    """How many answers differ from the answer alone by a single bit."""
    return sum(answer != reference for answer, reference in zip(answers, alone, strict=True))
