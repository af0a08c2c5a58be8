"""Running the application: one process, or several that share a listening socket."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait
from types import FrameType

import uvicorn
from prometheus_client.multiprocess import mark_process_dead

from server import cpus, logs
from server.app import Application, create_app
from server.protocol import CorkedProtocol
from server.service import logger
from server.settings import Settings

STARTUP_FAILED = 3
RESTART_PAUSE_SECONDS = 1.0


class DrainingServer(uvicorn.Server):
    """Uvicorn that stops in two steps: readiness turns false at once, the sockets close a little later.

    Unlike uvicorn it does not raise the signal again when it is done, so that a clean stop exits with 0.
    """

    def __init__(self, config: uvicorn.Config, application: Application) -> None:
        super().__init__(config)
        self._service = application.service
        self._stop_at = float("inf")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        yield
        for number, handler in before.items():
            signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._service.draining:
            self.should_exit = True
        self._service.draining = True
        self._stop_at = time.monotonic() + self._service.settings.drain_seconds

    async def on_tick(self, counter: int) -> bool:
        if time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)


def serve(settings: Settings, listener: socket.socket) -> int:
    """Serves until a signal comes; the process's exit code."""
    logs.configure(settings.log_level)
    application = create_app(settings)
    config = uvicorn.Config(
        application,
        http=CorkedProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
        backlog=2048,
    )
    server = DrainingServer(config, application)
    server.run([listener])
    return 0 if server.started else STARTUP_FAILED


def bind(settings: Settings) -> socket.socket:
    """A listening socket. Raises OSError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    listener.setblocking(False)
    return listener


class Supervisor:
    """Keeps `count` processes alive that accept from one socket, and passes signals on to them."""

    def __init__(self, settings: Settings, listener: socket.socket, count: int) -> None:
        self._settings, self._listener, self._count = settings, listener, count
        self._context = multiprocessing.get_context("fork")
        self._workers: list[multiprocessing.process.BaseProcess] = []
        self._stopping = False

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        self._workers = [self._start() for _ in range(self._count)]
        exit_code = 0
        while self._workers:
            wait([worker.sentinel for worker in self._workers], timeout=0.5)
            for worker in [worker for worker in self._workers if not worker.is_alive()]:
                exit_code = self._replace(worker) or exit_code
        return exit_code

    def _start(self) -> multiprocessing.process.BaseProcess:
        worker = self._context.Process(target=_work, args=(self._settings, self._listener), name="worker")
        worker.start()
        return worker

    def _replace(self, worker: multiprocessing.process.BaseProcess) -> int:
        """Exit code to end with: a worker that could not start would fail again, one that died gets a successor."""
        self._workers.remove(worker)
        mark_process_dead(worker.pid)
        if self._stopping:
            return 0 if worker.exitcode == 0 else 1
        if worker.exitcode == STARTUP_FAILED:
            self._stop(signal.SIGTERM, None)
            return STARTUP_FAILED
        logger.error("a worker died, another takes its place", extra={"pid": worker.pid, "exit": worker.exitcode})
        time.sleep(RESTART_PAUSE_SECONDS)
        self._workers.append(self._start())
        return 0

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
        self._listener.close()  # or connections would go on to queue up that no worker ever accepts
        for worker in self._workers:
            if worker.is_alive() and worker.pid is not None:
                os.kill(worker.pid, number)


def _work(settings: Settings, listener: socket.socket) -> None:
    sys.exit(serve(settings, listener))


def run(settings: Settings) -> int:
    """Serves with as many workers as the settings say; the exit code of the program."""
    logs.configure(settings.log_level)
    try:
        listener = bind(settings)
    except OSError as error:
        place = f"{settings.host}, port {settings.port}"
        logger.error(f"cannot listen on {place}: {error.strerror}; choose another with --host and --port")
        return STARTUP_FAILED
    host, port = listener.getsockname()[:2]
    workers = settings.workers or cpus.available()
    logger.info("listening", extra={"url": f"http://{host}:{port}", "workers": workers})
    return serve(settings, listener) if workers == 1 else Supervisor(settings, listener, workers).run()
