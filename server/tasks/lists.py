"""Long lists, worked off a millisecond at a time."""

import asyncio
import time
from collections.abc import Iterable
from typing import TypeVar

SECONDS_AT_A_TIME = 0.001

Result = TypeVar("Result")


async def in_turns(work: Iterable[Result], until: float = float("inf")) -> list[Result]:
    """Everything that `work` yields; in between, everybody else on the event loop gets a turn.

    Raises TimeoutError if it is not done by `until`, a time of `time.monotonic`.
    """
    done, since = [], time.monotonic()
    for result in work:
        done.append(result)
        if time.monotonic() - since > SECONDS_AT_A_TIME:
            await asyncio.sleep(0)
            since = time.monotonic()
            if since > until:
                raise TimeoutError
    return done
