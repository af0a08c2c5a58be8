"""Prometheus metrics, summed over all workers. A worker's are written at most `WRITE_AFTER_SECONDS` after the event.

`prometheus_client` reads PROMETHEUS_MULTIPROC_DIR when it is imported: `server.__main__` sets it before.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from server.engine.lane import Lane
from server.errors import InternalError


class BatchHistogram(Histogram):
    """A histogram that takes many values for little more than the price of one."""

    def observe_all(self, values: Sequence[float]) -> None:
        for bucket, count in enumerate(np.bincount(np.searchsorted(self._upper_bounds, values)).tolist()):
            if count:
                self._buckets[bucket].inc(count)
        self._sum.inc(sum(values))


WRITE_AFTER_SECONDS = 0.1

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

REQUESTS = Counter("lstm_requests", "Requests by outcome: ok or an error's code.", ["model", "outcome"])
QUEUE = BatchHistogram("lstm_queue_seconds", "From arrival to the first step.", ["model"], buckets=SECONDS)
COMPUTE = BatchHistogram("lstm_compute_seconds", "From the first step to the answer.", ["model"], buckets=SECONDS)
BATCH_ROWS = BatchHistogram("lstm_batch_rows", "Sequences that shared one run of the network.", ["model"], buckets=ROWS)
BATCH_SECONDS = BatchHistogram("lstm_batch_seconds", "Time of one run of the network.", ["model"], buckets=SECONDS)
STEPS = Counter("lstm_time_steps", "Time steps that belonged to sequences.", ["model"])
PADDED_STEPS = Counter("lstm_padded_time_steps", "Time steps computed, padding included.", ["model"])
CLIPPED = Counter("lstm_clipped_values", "Scaled input values beyond the range of training.", ["model"])
WAITING = Gauge("lstm_waiting_sequences", "Sequences in the queue.", ["model"], multiprocess_mode="livesum")
RUNNING = Gauge("lstm_running_sequences", "Sequences that hold a slot.", ["model"], multiprocess_mode="livesum")
PLACE = ["model", "precision", "device"]
WORKERS = Gauge("lstm_model_workers", "Workers that serve it.", PLACE, multiprocess_mode="livesum")


class LaneMetrics:
    """The metrics of one lane, their labels looked up once."""

    def __init__(self, lane: Lane) -> None:
        name = lane.name
        self._lane = lane
        self.ok = REQUESTS.labels(name, "ok")
        self.queue, self.compute = QUEUE.labels(name), COMPUTE.labels(name)
        self.rows, self.seconds = BATCH_ROWS.labels(name), BATCH_SECONDS.labels(name)
        self.steps, self.padded = STEPS.labels(name), PADDED_STEPS.labels(name)
        self.clipped = CLIPPED.labels(name)
        self.waiting, self.running = WAITING.labels(name), RUNNING.labels(name)

    def write(self) -> None:
        """Adds what happened since the last call of this."""
        tally = self._lane.take_tally()
        self.ok.inc(tally.answered)
        self.queue.observe_all(tally.queue_seconds)
        self.compute.observe_all(tally.compute_seconds)
        self.rows.observe_all(tally.batch_rows)
        self.seconds.observe_all(tally.batch_seconds)
        self.steps.inc(tally.steps)
        self.padded.inc(tally.padded_steps)
        self.clipped.inc(tally.clipped)
        self.waiting.set(len(self._lane.waiting))
        self.running.set(self._lane.running)


class Observer:
    """What the lanes do, written a little later: ten metrics take as long as half a chunk.

    Called with a lane whenever something happens in it; as long as it is busy, it is looked at again and again.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, LaneMetrics] = {}
        self._fresh: set[Lane] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, lane: Lane) -> None:
        """Its metrics exist from now on, and are zero."""
        self._lanes[lane] = LaneMetrics(lane)

    def __call__(self, lane: Lane) -> None:
        if lane in self._fresh:
            return
        self._fresh.add(lane)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_AFTER_SECONDS, self._write_later)

    def _write_later(self) -> None:
        self._timer = None
        self.write()

    def write(self) -> None:
        """Brings the metrics of this worker up to date."""
        fresh, self._fresh = self._fresh, set()
        for lane in fresh:
            self._lanes[lane].write()
            if not lane.idle:
                self(lane)


class NoRoom(Exception):
    """The disk has none for the metrics, said in one sentence."""


def reserve() -> None:
    """Takes the disk space of this process's files. Raises NoRoom.

    They are mapped into memory, where a write for which a full disk has no room would kill the process.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR", os.devnull)
    try:
        for path in Path(folder).glob(f"*_{os.getpid()}.db"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise NoRoom(f"no room for the metrics in {folder}: {error.strerror}; free some, or set TMPDIR") from error


def scrape() -> bytes:
    """The text exposition of all workers' metrics. Raises InternalError if something has removed their files."""
    registry = CollectorRegistry()
    try:
        MultiProcessCollector(registry)
    except ValueError as error:
        message = "the folder of the metrics was removed, perhaps by what cleans the temporary ones; restart the server"
        raise InternalError(message) from error
    return generate_latest(registry)
