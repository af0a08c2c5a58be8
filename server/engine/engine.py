"""The loop that keeps the networks busy."""

import asyncio
import logging
import time
from collections.abc import Callable
from collections.abc import Sequence as Items
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from server.engine.lane import Batch, Lane
from server.engine.sequence import Call, Sequence
from server.errors import Draining, InferenceFailed, Overloaded

logger = logging.getLogger("server.engine")

TURNS_BETWEEN_STEPS = 3
"""Of the event loop: answers are written in the first, requests read in the second and queued in the third. With fewer
of them an answer waits for the next step, and a request that arrived during a step misses the next one."""

Observer = Callable[[Lane], None]
"""Told of each call and of each batch; what happened is in the lane's tally."""


def queue_is_full(lane: str, given: int, limit: int) -> Overloaded:
    accepted = f"at most {limit} waiting sequences"
    return Overloaded(f"the queue of {lane} is full; send the request again a little later", None, given, accepted)


def stopping() -> Draining:
    return Draining("the server is stopping; send the request again, to another instance or a little later")


def ignore(lane: Lane) -> None:
    """An observer that looks away."""


class Engine:
    """Runs the lanes' batches one after another, the lane with the least predicted time used so far first.

    `inline` runs a step on the event loop itself: the cheapest way, as long as the cost model keeps a step near a
    millisecond. Otherwise steps run in one worker thread, and the event loop only plans and delivers.
    """

    def __init__(self, queue_limit: int, inline: bool = True, observe: Observer = ignore) -> None:
        self.queue_limit, self.inline = queue_limit, inline
        self._observe = observe
        self._lanes: list[Lane] = []
        self._work = asyncio.Event()
        self._task: asyncio.Task | None = None
        self._executor = None if inline else ThreadPoolExecutor(1, "inference")
        self._virtual_time = 0.0
        self._draining = False

    def add(self, lane: Lane) -> None:
        self._lanes.append(lane)

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="engine")

    async def drain(self) -> None:
        """Refuses new calls, finishes the accepted ones and stops."""
        self._draining = True
        while self.alive and not all(lane.idle for lane in self._lanes):
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._executor is not None:
            self._executor.shutdown()

    def check_room(self, lane: Lane, sequences: int) -> None:
        """Raises what `submit` would: for callers who would do work for nothing before they submit."""
        if self._draining:
            raise stopping()
        if len(lane.waiting) + sequences > self.queue_limit:
            lane.forget_waiting()
            if len(lane.waiting) + sequences > self.queue_limit:
                raise queue_is_full(lane.name, sequences, self.queue_limit)

    def submit(
        self,
        lane: Lane,
        inputs: Items[np.ndarray],
        states: Items[np.ndarray | None] | None = None,
        return_state: bool = False,
        priority: float = 0.0,
        arrived: float | None = None,
    ) -> Call:
        """Queues encoded sequences (int64 [T] or float32 [T, F], T >= 1) that are answered together.

        Await `call.future` for their results, in order. They are as old as `arrived` says, by `time.monotonic`; by
        default they came now. Raises Overloaded when the lane's queue has no room for all of them, Draining when the
        server is about to stop.
        """
        self.check_room(lane, len(inputs))
        if lane.idle:
            lane.virtual_time = max(lane.virtual_time, self._virtual_time)
        call = Call(asyncio.get_running_loop(), len(inputs), time.monotonic() if arrived is None else arrived)
        sequences = (
            Sequence(call, index, encoded, states[index] if states is not None else None, return_state)
            for index, encoded in enumerate(inputs)
        )
        lane.admit(sequences, priority)
        self._work.set()
        self._tell(lane)
        return call

    @property
    def alive(self) -> bool:
        return self._task is not None and not self._task.done()

    @property
    def broken(self) -> bool:
        """Its loop ended although nobody stopped it: a defect that only a new process cures."""
        return self._task is not None and self._task.done() and not self._draining

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            while (lane := self._choose()) is not None:
                await self._step(lane)
                for _ in range(TURNS_BETWEEN_STEPS):
                    await asyncio.sleep(0)
            self._work.clear()

    def _choose(self) -> Lane | None:
        """The busy lane that has used the least predicted time (start-time fair queueing, Goyal et al. 1996)."""
        busy = [lane for lane in self._lanes if not lane.idle]
        return min(busy, key=lambda lane: lane.virtual_time) if busy else None

    async def _step(self, lane: Lane) -> None:
        try:
            batch = lane.next_batch(time.monotonic())
            if batch is None:
                return
            self._charge(lane, batch)
            started = time.monotonic()
            outputs, next_state = await self._execute(lane, batch)
            now = time.monotonic()
            lane.deliver(batch, outputs, next_state, now)
        except Exception:
            logger.exception("a batch failed", extra={"model": lane.name, "rows": lane.running})
            lane.fail(InferenceFailed("the network could not be run on this batch; the server's log says why"))
        else:
            lane.tally.add_batch(batch.rows, now - started)
            self._tell(lane)

    def _tell(self, lane: Lane) -> None:
        """Whoever looks on must not stop the work."""
        try:
            self._observe(lane)
        except Exception:
            logger.exception("what happened could not be observed", extra={"model": lane.name})

    def _charge(self, lane: Lane, batch: Batch) -> None:
        self._virtual_time = lane.virtual_time
        lane.virtual_time += lane.cost.seconds(batch.rows, batch.steps)

    async def _execute(self, lane: Lane, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        if self._executor is None:
            return lane.backend.run(batch.inputs, batch.lengths, batch.state)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lane.backend.run, batch.inputs, batch.lengths, batch.state)

    def __repr__(self) -> str:
        return f"<Engine {'inline' if self.inline else 'thread'}: {self._lanes}>"
