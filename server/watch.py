"""Calls that take long: their deadlines, and callers who leave before the answer."""

import asyncio
import itertools
import time

from server.engine.sequence import Call
from server.errors import DeadlineExceeded
from server.request import Receive

LOOK_FOR_LEAVERS_AFTER = 0.05
LOOK_AT_MOST_EVERY = 0.01
"""Seconds; a deadline that comes before anybody is sure to have looked gets a timer of its own at once."""


class Watch:
    """Ends a call at its deadline, and cancels it when the caller leaves.

    To look for a caller who left takes a task, so it begins only once an answer is late.
    """

    __slots__ = ("_call", "_listener", "_receive", "_timeout_ms", "_timer", "expires_at", "late_at")

    def __init__(self, call: Call, timeout_ms: float, receive: Receive) -> None:
        self._call, self._timeout_ms, self._receive = call, timeout_ms, receive
        self._listener: asyncio.Task | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.late_at = time.monotonic() + LOOK_FOR_LEAVERS_AFTER
        self.expires_at = call.arrived + timeout_ms / 1000

    def late(self) -> None:
        """Begins to look for the deadline and for the caller's leave."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, self.expires_at - time.monotonic()), self._expire)
        self._listener = loop.create_task(self._listen())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

    def _expire(self) -> None:
        self._call.fail(too_late(self._timeout_ms))

    async def _listen(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._call.future.cancel()


def too_late(timeout_ms: float) -> DeadlineExceeded:
    message = f"no answer within {timeout_ms:g} ms; allow more time with parameters.timeout_ms, or send less"
    return DeadlineExceeded(message, "parameters.timeout_ms", timeout_ms)


class Watches:
    """All calls that are under way, the earliest first. One timer serves them all: hardly a call is ever late."""

    def __init__(self) -> None:
        self._early: dict[int, Watch] = {}
        self._looking = False

    def start(self, watch: Watch) -> Watch:
        if watch.expires_at < watch.late_at + LOOK_AT_MOST_EVERY:
            watch.late()
            return watch
        self._early[id(watch)] = watch
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK_FOR_LEAVERS_AFTER, self._look)
        return watch

    def stop(self, watch: Watch) -> None:
        self._early.pop(id(watch), None)
        watch.stop()

    def _look(self) -> None:
        now = time.monotonic()
        late = list(itertools.takewhile(lambda watch: watch.late_at <= now, self._early.values()))
        for watch in late:
            del self._early[id(watch)]
            watch.late()
        self._looking = bool(self._early)
        if self._looking:
            soonest = next(iter(self._early.values())).late_at - now
            asyncio.get_running_loop().call_later(max(soonest, LOOK_AT_MOST_EVERY), self._look)
