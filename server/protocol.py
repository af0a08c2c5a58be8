"""Uvicorn's HTTP protocol, with a short way for `POST /predict`.

The ASGI messages of an answer cost uvicorn two system calls, each of which wakes the client up, and a check of every
header. `POST /predict` needs neither: its answer is written at once, as the endpoint made it. All else, the parsing of
requests, pipelining, keep-alive and shutdown included, stays uvicorn's.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from server.app import Application
from server.errors import NotHttp, body_of
from server.service import logger

UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)
"""The header that offers to speak another protocol, as Java's client does in every first request. It is hidden from the
parser, which would take the body for that protocol's first bytes. Nothing that is JSON has such a line."""


class ShortWayProtocol(HttpToolsProtocol):
    """For `uvicorn.Config(http=...)`. `on_closed` is called once the connection is."""

    def __init__(self, *arguments: Any, on_closed: Callable[[], None] | None = None, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._on_closed = on_closed
        self._application: Application = self.config.app  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._on_closed is not None:
            self._on_closed()

    @property
    def waits_for_its_client(self) -> bool:
        """Whether the client is to send the head of a request, or to read, and no timer of uvicorn's ends that."""
        idle = self.cycle is None or self.cycle.response_complete
        is_to_read = self.transport.is_closing() or self.flow.write_paused
        return is_to_read or (idle and self.timeout_keep_alive_task is None)

    @property
    def unread(self) -> int:
        """Bytes of an answer that the network has not taken yet: fewer and fewer, as long as the client reads."""
        to_come = 0 if self.cycle is None else self.cycle.expected_content_length
        return self.transport.get_write_buffer_size() + to_come

    def data_received(self, data: bytes) -> None:
        super().data_received(UPGRADE.sub(b"x-offer", data) if b"pgrade:" in data else data)

    def send_400_response(self, msg: str) -> None:
        """To bytes that are no HTTP; uvicorn's own answer is a plain text."""
        message = (
            "what came is not an HTTP request, or one whose length is not as it says; send plain HTTP, without TLS"
        )
        body = orjson.dumps(body_of(NotHttp(message, None, None, "HTTP/1.1")))
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", self._application.service.request_ids.choose({})),
            (b"connection", b"close"),
        ]
        lines = [b"%s: %s\r\n" % header for header in self.server_state.default_headers + headers]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", body]))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not self._application.is_prediction(cycle.scope):  # type: ignore[arg-type]
            super()._start_asgi_task(cycle, app)
            return
        task = self.loop.create_task(self._predict(cycle))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _predict(self, cycle: RequestResponseCycle) -> None:
        partial = cycle.more_body or cycle.waiting_for_100_continue or cycle.disconnected
        body = None if partial else bytes(cycle.body)
        try:
            reply = await self._application.predict.reply(cycle.scope["headers"], cycle.receive, body)  # type: ignore[arg-type]
        except Exception:
            logger.exception("a defect: a request was not answered, and its connection is closed")
            self.transport.close()
            return
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if reply is None or cycle.disconnected or self.transport.is_closing():
            return
        status, headers, body = reply
        gives_up = cycle.more_body and status in (408, 413)
        cycle.keep_alive = cycle.keep_alive and not gives_up and not self._application.service.draining
        lines = [STATUS_LINE[status]]
        for name, value in cycle.default_headers + headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        lines.append(body)
        self.transport.write(b"".join(lines))
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            if cycle.more_body:
                LastWords(self.transport, self)
                return
            self.transport.close()
        cycle.on_response()


class LastWords(asyncio.Protocol):
    """Takes over a connection that ends with an answer to a body that is still coming, and throws the rest of it away.

    To close with bytes unread would reset the connection, and many clients read only once they have sent all: they
    would never see the answer. Ends with the client, or when it has sent too much or for too long.
    """

    MOST_BYTES = 256 * 2**20
    MOST_SECONDS = 5.0

    def __init__(self, transport: asyncio.Transport, before: asyncio.Protocol) -> None:
        self._transport, self._before, self._left = transport, before, self.MOST_BYTES
        self._timer = asyncio.get_running_loop().call_later(self.MOST_SECONDS, transport.close)
        transport.set_protocol(self)
        transport.write_eof()
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._before.connection_lost(exc)
