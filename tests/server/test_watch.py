"""Deadlines end calls in time, and callers who leave are noticed."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from server import watch as module
from server.engine.sequence import Call
from server.errors import DeadlineExceeded
from server.watch import LOOK_AT_MOST_EVERY, LOOK_FOR_LEAVERS_AFTER, Watch, Watches
from tests.server.engine.fakes import Clock

LONG_MS = 10_000


class Hasty(selectors.DefaultSelector):
    """Does not wait: it puts the clock forward instead, so that an hour is over at once, and everything is exact."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list:
        assert timeout is not None, "everybody waits, and nobody will ever wake them up"
        self._clock.now += timeout
        return super().select(0)


def in_no_time(main: Coroutine[Any, Any, None]) -> None:
    clock = Clock()
    loop = asyncio.SelectorEventLoop(Hasty(clock))
    loop.time = clock.monotonic  # type: ignore[method-assign]
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=lambda: loop) as runner:
        patch.setattr(module, "time", clock)
        runner.run(main)


def now() -> float:
    return asyncio.get_running_loop().time()


async def stays() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def leaves() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def watched(watches: Watches, timeout_ms: float, receive: Callable[[], Coroutine]) -> tuple[Call, Watch]:
    call = Call(asyncio.get_running_loop(), 1, now())
    return call, watches.start(Watch(call, timeout_ms, receive))


pauses = some.floats(0, 100) | some.floats(0, 1000 * LOOK_AT_MOST_EVERY)
timeouts = some.floats(0.01, 300) | some.floats(
    1000 * LOOK_FOR_LEAVERS_AFTER, 1000 * (LOOK_FOR_LEAVERS_AFTER + LOOK_AT_MOST_EVERY)
)


@given(some.lists(some.tuples(pauses, timeouts), min_size=1, max_size=8))
@example([(0, LONG_MS), (1, 1000 * LOOK_FOR_LEAVERS_AFTER + 1)])
def test_every_deadline_is_kept_whoever_else_is_waiting(arrivals):
    """Each is a pause before it, and the time that it has; both in milliseconds."""

    async def main() -> None:
        watches = Watches()

        async def ask(timeout_ms: float) -> None:
            call, watch = watched(watches, timeout_ms, stays)
            with pytest.raises(DeadlineExceeded, match=f"within {timeout_ms:g} ms"):
                await call.future
            assert now() == pytest.approx(call.arrived + timeout_ms / 1000, abs=1e-6)
            watches.stop(watch)

        async with asyncio.TaskGroup() as tasks:
            for pause, timeout_ms in arrivals:
                await asyncio.sleep(pause / 1000)
                tasks.create_task(ask(timeout_ms))

    in_no_time(main())


def test_a_caller_who_leaves_is_noticed_once_the_answer_is_late():
    async def main() -> None:
        watches = Watches()
        (gone, first), (here, second) = watched(watches, LONG_MS, leaves), watched(watches, LONG_MS, stays)
        await asyncio.sleep(0.9 * LOOK_FOR_LEAVERS_AFTER)
        assert not gone.done
        await asyncio.sleep(0.1 * LOOK_FOR_LEAVERS_AFTER + LOOK_AT_MOST_EVERY)
        assert gone.future.cancelled()
        assert not here.done
        for each in (first, second):
            watches.stop(each)

    in_no_time(main())


@pytest.mark.parametrize(
    ("timeout_ms", "seconds"),
    [(LONG_MS, 0.0), (LONG_MS, 2 * LOOK_FOR_LEAVERS_AFTER), (1000 * LOOK_FOR_LEAVERS_AFTER, 0.0)],
)
def test_a_call_that_was_answered_is_watched_no_more(timeout_ms, seconds):
    """Be it before anybody looked for its caller, or while somebody waits for its deadline and for the caller."""

    async def main() -> None:
        watches, left = Watches(), asyncio.Event()

        async def leaves_later() -> dict[str, Any]:
            await left.wait()
            return await leaves()

        call, watch = watched(watches, timeout_ms, leaves_later)
        await asyncio.sleep(seconds)
        watches.stop(watch)
        left.set()
        await asyncio.sleep(2 * LONG_MS / 1000)
        assert not call.done
        assert asyncio.all_tasks() == {asyncio.current_task()}

    in_no_time(main())
