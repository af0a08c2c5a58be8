"""The server's engine, called without HTTP: callers who wait for their answers, and what planning costs."""

import asyncio
import time
from collections.abc import Sequence

import numpy as np
import uvloop

from loadtests.floor import Network, Outcome, timed
from server.engine.cost import CostModel
from server.engine.engine import Engine
from server.engine.lane import ChunkedLane, Lane
from server.engine.scheduler import Policy
from server.engine.sequence import Call
from server.engine.sequence import Sequence as Waiting

CALLERS = 128
UNBOUNDED = 1e3


def lane_of(network: Network, policy: Policy) -> Lane:
    """A lane of its own, with another policy than the settings' one."""
    lane = network.model.lane
    return type(lane)(lane.name, lane.backend, lane.shape, lane.cost, policy)


def own_lane(network: Network) -> Lane:
    """A fresh lane with the policy of the settings' defaults."""
    return lane_of(network, network.model.lane.policy)


class FixedChunks(ChunkedLane):
    """A lane whose chunks are of all rows and have `steps` steps, whatever the cost model says."""

    steps = 1

    def _plan(self, now: float) -> tuple[int, int]:
        return len(self.rows), min(self.steps, max(sequence.remaining for sequence in self.rows))


def fixed_chunks(network: Network, slots: int, steps: int) -> Lane:
    lane, sizes = network.model.lane, np.arange(slots + 1)
    cost = CostModel(*(_extended(np.array(each), sizes) for each in (lane.cost.overhead, lane.cost.step_seconds)))
    found = FixedChunks(lane.name, lane.backend, lane.shape, cost, Policy(slots, UNBOUNDED))
    found.steps = steps
    return found


def _extended(measured: np.ndarray, sizes: np.ndarray) -> list[float]:
    """Beyond the measured batch sizes, in proportion."""
    largest = len(measured) - 1
    within = measured[np.minimum(sizes, largest)]
    return np.where(sizes <= largest, within, measured[-1] * sizes / largest).tolist()


def answer_all(network: Network, lane: Lane, calls: Sequence[Sequence], callers: int = CALLERS) -> Outcome:
    """Every call is a list of items, encoded just before it is submitted; `callers` of them are under way at a time.

    On the event loop that the server runs on.
    """

    def work() -> tuple[list[bytes], list[float]]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_answer_all(network, lane, calls, callers))

    return timed(work)


async def _answer_all(
    network: Network, lane: Lane, calls: Sequence[Sequence], callers: int
) -> tuple[list[bytes], list[float]]:
    engine = Engine(queue_limit=sum(map(len, calls)))
    engine.add(lane)
    engine.start()
    found: list[list[bytes]] = [[] for _ in calls]
    waits: list[float] = []
    order = iter(range(len(calls)))

    async def caller() -> None:
        for index in order:
            call = engine.submit(lane, [network.encode(item) for item in calls[index]])
            found[index] = [result.outputs.tobytes() for result in await call.future]
            waits.append(call.finished - call.arrived)

    await asyncio.gather(*(caller() for _ in range(callers)))
    await engine.drain()
    return [answer for answers in found for answer in answers], waits


class Instant:
    """A network that takes no time, so that only planning is measured."""

    def __init__(self, output: np.ndarray) -> None:
        self._output = output

    def run(self, inputs: np.ndarray, lengths: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.broadcast_to(self._output, (len(inputs), *self._output.shape)), state


def planning_microseconds(network: Network, lengths: Sequence[int], waiting: int, chunks: int) -> float:
    """CPU time for each chunk of admission, choice and delivery, with `waiting` sequences in the queue all the time."""
    model = network.model
    lane = own_lane(network)
    backend = Instant(np.zeros(model.bundle.manifest.outputs.shape, np.float32))
    loop, arrival = asyncio.new_event_loop(), 0

    def fill() -> None:
        nonlocal arrival
        while len(lane.waiting) < waiting:
            steps = lengths[arrival % len(lengths)]
            lane.admit([Waiting(Call(loop, 1, arrival * 1e-4), 0, lane.shape.empty(steps))])
            arrival += 1

    fill()
    cpu = 0.0
    for _ in range(chunks):
        started = time.thread_time()
        batch = lane.next_batch(arrival * 1e-4)
        assert batch is not None
        lane.deliver(batch, *backend.run(batch.inputs, batch.lengths, batch.state), 0.0)
        fill()
        cpu += time.thread_time() - started
        lane.take_tally()
    loop.close()
    return cpu / chunks * 1e6
