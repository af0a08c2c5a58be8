"""Prometheus metrics, summed over all workers; updated once a batch, never once a request.

`prometheus_client` reads PROMETHEUS_MULTIPROC_DIR when it is imported: `server.__main__` sets it before.
"""

from bisect import bisect_left
from collections import Counter as Counts

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from server.engine.lane import Batch, Lane


class BatchHistogram(Histogram):
    """A histogram that takes many values for little more than the price of one."""

    def observe_all(self, values: list[float]) -> None:
        for bucket, count in Counts(bisect_left(self._upper_bounds, value) for value in values).items():
            self._buckets[bucket].inc(count)
        self._sum.inc(sum(values))


SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

REQUESTS = Counter("lstm_requests", "Requests by outcome: ok or an error's code.", ["model", "outcome"])
QUEUE = BatchHistogram("lstm_queue_seconds", "From arrival to the first step.", ["model"], buckets=SECONDS)
COMPUTE = BatchHistogram("lstm_compute_seconds", "From the first step to the answer.", ["model"], buckets=SECONDS)
BATCH_ROWS = Histogram("lstm_batch_rows", "Sequences that shared one run of the network.", ["model"], buckets=ROWS)
BATCH_SECONDS = Histogram("lstm_batch_seconds", "Time of one run of the network.", ["model"], buckets=SECONDS)
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
        self.ok = REQUESTS.labels(name, "ok")
        self.queue, self.compute = QUEUE.labels(name), COMPUTE.labels(name)
        self.rows, self.seconds = BATCH_ROWS.labels(name), BATCH_SECONDS.labels(name)
        self.steps, self.padded = STEPS.labels(name), PADDED_STEPS.labels(name)
        self.clipped = CLIPPED.labels(name)
        self.waiting, self.running = WAITING.labels(name), RUNNING.labels(name)

    def observe(self, lane: Lane, batch: Batch, seconds: float) -> None:
        tally = lane.take_tally()
        self.rows.observe(batch.rows)
        self.seconds.observe(seconds)
        self.steps.inc(tally.steps)
        self.padded.inc(tally.padded_steps)
        self.clipped.inc(tally.clipped)
        self.waiting.set(len(lane.waiting))
        self.running.set(lane.running)
        if tally.finished:
            self.ok.inc(len(tally.finished))
            self.queue.observe_all([call.started - call.arrived for call in tally.finished])
            self.compute.observe_all([call.finished - call.started for call in tally.finished])


class Observers:
    """Finds the lane's metrics: the engine's observer."""

    def __init__(self) -> None:
        self._lanes: dict[str, LaneMetrics] = {}

    def __call__(self, lane: Lane, batch: Batch, seconds: float) -> None:
        if lane.name not in self._lanes:
            self._lanes[lane.name] = LaneMetrics(lane)
        self._lanes[lane.name].observe(lane, batch, seconds)


def scrape() -> bytes:
    """The text exposition of all workers' metrics."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)
