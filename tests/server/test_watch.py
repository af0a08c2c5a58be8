"""Deadlines end calls in time, and callers who leave are noticed."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from server.engine.sequence import Call
from server.errors import DeadlineExceeded
from server.watch import LOOK_AT_MOST_EVERY, LOOK_FOR_LEAVERS_AFTER, Watch, Watches

LONG_MS = 10_000


async def stays() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def watched(watches: Watches, timeout_ms: float, receive: Callable[[], Coroutine]) -> tuple[Call, Watch]:
    call = Call(asyncio.get_running_loop(), 1, time.monotonic())
    return call, watches.start(Watch(call, timeout_ms, receive))


async def reached(call: Call, seconds: float) -> bool:
    """Whether the call is done before a timer that is set now; timers run in their order, even if all are late."""
    timer = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, lambda: timer.set_result(call.done))
    return await timer


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("timeout_ms", [1, 24, 26, 30, 40, 49, 51, 55])
def test_a_short_deadline_is_kept_whoever_else_is_waiting(timeout_ms: float, others: int) -> None:
    async def main() -> None:
        watches = Watches()
        earlier = [watched(watches, LONG_MS, stays) for _ in range(others)]
        call, watch = watched(watches, timeout_ms, stays)
        assert await reached(call, timeout_ms / 1000 + 0.001)
        with pytest.raises(DeadlineExceeded, match=f"within {timeout_ms} ms"):
            await call.future
        assert not any(other.done for other, _ in earlier)
        for each in (watch, *(other for _, other in earlier)):
            watches.stop(each)

    asyncio.run(main())


def test_a_caller_who_leaves_is_noticed_once_the_answer_is_late() -> None:
    async def main() -> None:
        watches = Watches()
        (gone, first), (here, second) = watched(watches, LONG_MS, leaves), watched(watches, LONG_MS, stays)
        await asyncio.sleep(0.001)
        assert not gone.done
        await asyncio.sleep(LOOK_FOR_LEAVERS_AFTER + LOOK_AT_MOST_EVERY)
        assert gone.future.cancelled()
        assert not here.done
        for each in (first, second):
            watches.stop(each)

    asyncio.run(main())


def test_a_call_that_was_answered_is_watched_no_more() -> None:
    async def main() -> None:
        watches = Watches()
        call, watch = watched(watches, LONG_MS, leaves)
        watches.stop(watch)
        await asyncio.sleep(LOOK_FOR_LEAVERS_AFTER + LOOK_AT_MOST_EVERY)
        assert not call.done

    asyncio.run(main())
