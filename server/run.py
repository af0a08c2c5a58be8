"""Running the application: in this process, or in several workers."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from server import cpus, logs
from server.app import Application, create_app
from server.protocol import ShortWayProtocol
from server.service import logger
from server.settings import Settings
from server.supervisor import SIGNALS, STARTUP_FAILED, Inbox, Supervisor

CLIENT_SECONDS = 10.0
"""A connection may wait so long, and at most twice as long, for the head of a request that is under way, or for its
client to read more of an answer."""


class DrainingServer(uvicorn.Server):
    """Uvicorn that stops in two steps: readiness turns false at once, connections are refused a little later.

    Unlike uvicorn it does not raise the signal again when it is done, so that a clean stop exits with 0. With an
    inbox, connections come from there, its notes begin the first step and its end the second, and signals are ignored.
    `on_started` gets the number of models.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        application: Application,
        inbox: Inbox | None,
        on_started: Callable[[int], None],
    ) -> None:
        super().__init__(config)
        self._service, self._inbox, self._on_started = application.service, inbox, on_started
        self._stop_at = float("inf")
        self._look_at = 0.0
        self._waiting: dict[ShortWayProtocol, tuple[RequestResponseCycle | None, int]] = {}
        self._arriving: set[asyncio.Task] = set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if self._inbox is not None:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            self.should_exit = True
        self._service.draining = True
        self._stop_at = time.monotonic() + self._service.settings.drain_seconds

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.started:
            return
        if self._inbox is not None:
            asyncio.get_running_loop().add_reader(self._inbox.channel, self._take_connections, self._inbox)
        self._on_started(len(self._service.registry))

    async def on_tick(self, counter: int) -> bool:
        now = time.monotonic()
        if now >= self._stop_at:
            self.should_exit = True
        if self._inbox is not None and self._inbox.notes.draining:
            self._service.draining = True
        if now >= self._look_at:
            self._look_at = now + CLIENT_SECONDS
            self._close_forgotten()
        return await super().on_tick(counter)

    def _close_forgotten(self) -> None:
        """Ends connections whose client has not gone on since this was last called: it did not complete the head of a
        request, or read no more of an answer."""
        waiting = {
            connection: (connection.cycle, connection.unread)
            for connection in self.server_state.connections
            if isinstance(connection, ShortWayProtocol) and connection.waits_for_its_client
        }
        for connection, (cycle, unread) in waiting.items():
            if self._waiting.get(connection) == (cycle, unread):
                if unread:  # `close` would wait until all is read
                    connection.transport.abort()
                else:
                    connection.transport.close()
        self._waiting = waiting

    def _take_connections(self, inbox: Inbox) -> None:
        connections = inbox.take()
        loop = asyncio.get_running_loop()
        if connections is None:
            loop.remove_reader(inbox.channel)
            self.should_exit = True
            return
        for connection in connections:
            connection.setblocking(False)
            task = loop.create_task(self._serve_connection(connection, inbox))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _serve_connection(self, connection: socket.socket, inbox: Inbox) -> None:
        make = partial(
            ShortWayProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            on_closed=inbox.notes.count_closed,
        )
        try:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)
        except OSError:
            connection.close()
            inbox.notes.count_closed()


def serve(settings: Settings, listener: socket.socket | None, inbox: Inbox | None = None) -> int:
    """Serves connections from `listener` or from `inbox` until a signal comes; the process's exit code."""
    return serve_application(create_app(settings), listener, inbox)


def serve_application(application: Application, listener: socket.socket | None, inbox: Inbox | None = None) -> int:
    settings = application.service.settings
    logs.configure(settings.log_level)
    config = uvicorn.Config(
        application,
        http=ShortWayProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        backlog=2048,
    )
    started = announcement(listener) if inbox is None else inbox.notes.start_serving
    server = DrainingServer(config, application, inbox, started)
    server.run([listener] if listener is not None else [])
    return 0 if server.started else STARTUP_FAILED


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def announcement(listener: socket.socket | None) -> Callable[[int], None]:
    """What is logged once requests are answered, given the number of models."""

    def announce(models: int) -> None:
        if listener is not None:
            url = url_of(listener)
            logger.info("listening", extra={"url": url})
            logger.info(f"ready: {models} model{'s' * (models != 1)}, open {url}/docs")

    return announce


def run(settings: Settings) -> int:
    """Serves with as many workers as the settings say; the exit code of the program."""
    logs.configure(settings.log_level)
    try:
        listener = bind(settings)
    except OSError as error:
        place = f"{settings.host}, port {settings.port}"
        logger.error(f"cannot listen on {place}: {error.strerror}; choose another with --host and --port")
        return STARTUP_FAILED
    workers = settings.workers or cpus.available()
    logger.info("starting", extra={"url": url_of(listener), "workers": workers})
    if workers == 1:
        return serve(settings, listener)
    work = partial(serve, settings, None)
    seconds = settings.drain_seconds, settings.shutdown_seconds
    return Supervisor(work, listener, workers, *seconds, announcement(listener)).run()
