"""What HTTP costs where it should cost little: lists against the engine, and series against the bare network."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loadtests import workload
from loadtests.bench import wrk
from loadtests.bench.saturation import cell
from loadtests.bench.servers import Server, running
from loadtests.continuous import answer_all, own_lane
from loadtests.floor import Network, padded
from loadtests.rounds import median_ratio
from loadtests.sample import MODELS, Request
from loadtests.workload import LIST_SIZE

LIST_CALLERS = 4
SERIES_CONNECTIONS = 32
InProcess = Callable[[], tuple[float, float]]
"""Sequences a second, and CPU microseconds for each."""

BESIDE = 2
"""Passes over the items in process for one round."""


@dataclass(frozen=True)
class Rates:
    """Sequences a second over HTTP and in process, one for each round."""

    over_http: list[float]
    in_process: list[float]
    cpu_microseconds: list[float]
    """The server's CPU time for one sequence."""
    network_microseconds: list[float]
    """The same in process."""
    failures: int

    def summary(self) -> dict:
        return {
            "per_second": statistics.median(self.over_http),
            "in_process_per_second": statistics.median(self.in_process),
            "ratio": median_ratio(self.over_http, self.in_process),
            "cpu_microseconds": statistics.median(self.cpu_microseconds),
            "in_process_microseconds": statistics.median(self.network_microseconds),
            "failures": self.failures,
        }


def lists(server: Server, texts: list[str], seconds: float, rounds: int, folder: Path) -> dict:
    """Lists of 64 texts over HTTP against the same lists straight to the engine."""
    requests = workload.list_requests(texts)
    network = Network.load(MODELS["text"])
    calls = [request.inputs for request in requests] * BESIDE

    def engine() -> tuple[float, float]:
        outcome = answer_all(network, own_lane(network), calls, LIST_CALLERS)
        return outcome.wall_per_second, 1e6 / outcome.per_second

    return _compare(server, requests, LIST_CALLERS, LIST_SIZE, engine, seconds, rounds, folder)


def hourly(server: Server, count: int, seconds: float, rounds: int, folder: Path) -> dict:
    """One series a request against the bare network in batches of 1."""
    series = workload.hourly(count)
    network = Network.load(MODELS["hourly"])

    def bare() -> tuple[float, float]:
        outcome = padded(network, series * BESIDE, 1)
        return outcome.wall_per_second, 1e6 / outcome.per_second

    requests = [workload.hourly_request(values) for values in series]
    return _compare(server, requests, SERIES_CONNECTIONS, 1, bare, seconds, rounds, folder)


def _compare(
    server: Server, requests: Sequence[Request], connections: int, items: int, in_process: InProcess,
    seconds: float, rounds: int, folder: Path,
) -> dict:  # fmt: skip
    """`items` sequences in each request, over HTTP and in process in turn."""
    bodies = folder / "bodies.jsonl"
    bodies.write_bytes(b"\n".join(request.body for request in requests) + b"\n")
    with running(server, folder) as found:
        wrk.run(found.url, bodies, connections, 1)
        in_process()
        pairs = [(cell(found, bodies, connections, seconds), in_process()) for _ in range(rounds)]
    cells, bare = [each for each, _ in pairs], [rates for _, rates in pairs]
    return Rates(
        [each.load.per_second * items for each in cells],
        [rate for rate, _ in bare],
        [each.cpu_microseconds / items for each in cells],
        [microseconds for _, microseconds in bare],
        sum(each.load.failures for each in cells),
    ).summary()
