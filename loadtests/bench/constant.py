"""The ceiling of the HTTP stack: a bare ASGI callable that reads the request and always answers the same."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

ANSWER = b'{"model":"constant","version":1,"outputs":{"label":"positive","score":0.75}}'
HEAD = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]

Message = MutableMapping[str, Any]


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": HEAD})
    await send({"type": "http.response.body", "body": ANSWER})
