"""`python -m loadtests.simulation`: the server's scheduler on a clock of its own, so that no machine disturbs it.

The queue, the slots and the choice of chunks are the server's; only time is simulated. A run takes what a cost model
predicts and `CHUNK_SECONDS` for planning and delivery, a request `REQUEST_SECONDS` of the same thread for HTTP and
tokenizing, and nothing else takes any. What comes out is the limit of what continuous batching can do with such texts:
how far a p99 is the scheduler's own.
"""

import argparse
import asyncio
import heapq
from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np

from loadtests.rounds import table
from loadtests.workload import LONG_TOKENS, MEDIAN_TOKENS, MOST_TOKENS, SHORT_TOKENS, SPREAD
from server.engine.cost import CostModel
from server.engine.lane import ChunkedLane, Shape
from server.engine.scheduler import Policy
from server.engine.sequence import Call
from server.engine.sequence import Sequence as Waiting

REQUEST_SECONDS = 80e-6
CHUNK_SECONDS = 200e-6
"""What a chunk takes beside its predicted time."""
THINK_SECONDS = 30e-6
"""From an answer to the next request of a connection."""
SECONDS, QUICK_SECONDS = 20.0, 1.0
WARM_UP = 0.1
"""Of the answers, which are not counted."""
LOAD, LONG_SHARE = 0.7, 0.05
SLOTS, CONNECTIONS = (4, 8, 16, 32), (16, 32)


def straight(overhead: float, a_row: float, step: float, step_of_row: float, slots: int = 64) -> CostModel:
    """Costs that grow in a straight line with the rows of a batch, in seconds."""
    sizes = range(slots + 1)
    return CostModel([overhead + a_row * b for b in sizes], [step + step_of_row * b for b in sizes])


COSTS = {
    "company is cheap (AMD EPYC)": straight(40e-6, 1e-6, 1.6e-6, 0.62e-6),
    "company is dear (Intel Xeon, virtual)": straight(95e-6, 1e-6, 1.2e-6, 1.6e-6),
}
"""What start-up measured for `sentiment` in int8 on two machines, rounded to straight lines."""


class Arrivals:
    """When the next request is due. Connections ask again after an answer; without any, `rate` requests/s come."""

    def __init__(self, steps: Iterator[int], connections: int = 0, rate: float = 0.0, seed: int = 0) -> None:
        self._steps, self._rate, self._random = steps, rate, np.random.default_rng(seed)
        self._due = self._random.uniform(0, 1e-3, connections).tolist() if connections else [0.0]
        heapq.heapify(self._due)

    def next(self) -> float:
        return self._due[0] if self._due else float("inf")

    def take(self) -> tuple[float, int]:
        due = heapq.heappop(self._due)
        if self._rate:
            heapq.heappush(self._due, due + self._random.exponential(1 / self._rate))
        return due, next(self._steps)

    def answered(self, now: float) -> None:
        if not self._rate:
            heapq.heappush(self._due, now + THINK_SECONDS)


def simulate(cost: CostModel, policy: Policy, arrivals: Arrivals, seconds: float) -> np.ndarray:
    """[answers, 2]: the time steps of each text, and its latency in seconds from when it was due."""
    loop = asyncio.new_event_loop()
    lane = ChunkedLane("simulated", None, Shape(np.zeros(1, np.float32)), cost, policy)  # type: ignore[arg-type]
    under_way: list[tuple[Call, int]] = []
    found: list[tuple[int, float]] = []
    now = 0.0
    while now < seconds:
        while arrivals.next() <= now:
            due, steps = arrivals.take()
            call = Call(loop, 1, due)
            lane.admit([Waiting(call, 0, lane.shape.empty(steps))])
            under_way.append((call, steps))
            now += REQUEST_SECONDS
        batch = lane.next_batch(now)
        if batch is None:
            now = arrivals.next()
            continue
        now += cost.seconds(batch.rows, batch.steps) + CHUNK_SECONDS
        lane.deliver(batch, batch.state, batch.state, now)
        lane.take_tally()
        for call, steps in under_way:
            if call.done:
                found.append((steps, now - call.arrived))
                arrivals.answered(now)
        under_way = [pair for pair in under_way if not pair[0].done]
    loop.close()
    return np.array(found[int(WARM_UP * len(found)) :])


def mixed_lengths(count: int = 50_000, seed: int = 0) -> Iterator[int]:
    """Those of the benchmark's texts."""
    lengths = np.exp(np.log(MEDIAN_TOKENS) + SPREAD * np.random.default_rng(seed).standard_normal(count))
    return cycle(np.clip(lengths, 2, MOST_TOKENS).astype(int).tolist())


def short_lengths(long_share: float, count: int = 50_000, seed: int = 0) -> Iterator[int]:
    random = np.random.default_rng(seed)
    short = random.integers(SHORT_TOKENS[0], SHORT_TOKENS[1] + 1, count)
    return cycle(np.where(random.random(count) < long_share, LONG_TOKENS, short).tolist())


def saturated(costs: dict[str, CostModel], seconds: float) -> list[list[object]]:
    rows: list[list[object]] = []
    for name, cost in costs.items():
        for connections in CONNECTIONS:
            for slots in SLOTS:
                found = simulate(cost, Policy(slots, 1e-3), Arrivals(mixed_lengths(), connections), seconds)
                p50, p99 = np.quantile(found[:, 1], (0.5, 0.99)) * 1000
                rate = len(found) / seconds / (1 - WARM_UP)
                rows.append([name, connections, slots, rate, float(p50), float(p99)])
    return rows


def beside_long(costs: dict[str, CostModel], seconds: float, slots: int = 32) -> list[list[object]]:
    """Short texts beside 5 % long ones at 70 % load; the same short ones alone; a long one alone."""
    rows: list[list[object]] = []
    policy = Policy(slots, 1e-3)
    for name, cost in costs.items():
        most = len(simulate(cost, policy, Arrivals(short_lengths(LONG_SHARE), 32), seconds)) / seconds / (1 - WARM_UP)
        both = simulate(cost, policy, Arrivals(short_lengths(LONG_SHARE), rate=LOAD * most), seconds)
        rate = LOAD * most * (1 - LONG_SHARE)
        only = simulate(cost, policy, Arrivals(short_lengths(0.0), rate=rate), seconds)
        alone = simulate(cost, policy, Arrivals(short_lengths(1.0), connections=1), seconds)
        long = both[:, 0] == LONG_TOKENS
        short_p99, long_p99 = (float(np.quantile(both[some, 1], 0.99)) for some in (~long, long))
        without, single = float(np.quantile(only[:, 1], 0.99)), float(np.median(alone[:, 1]))
        rows.append([name, short_p99 * 1000, short_p99 / without, long_p99 * 1000, long_p99 / single])
    return rows


SATURATED = ["cost model", "connections", "slots", "requests/s", "p50, ms", "p99, ms"]
BESIDE = ["cost model", "short p99, ms", "of without long ones", "long p99, ms", "of a long one alone"]


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m loadtests.simulation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one simulated second instead of twenty")
    seconds = QUICK_SECONDS if parser.parse_args(given).quick else SECONDS
    print("One worker, saturated:", table(SATURATED, saturated(COSTS, seconds)), sep="\n\n", end="\n\n")
    print("One worker, open loop at 70 % load:", table(BESIDE, beside_long(COSTS, seconds)), sep="\n\n")


if __name__ == "__main__":
    main()
