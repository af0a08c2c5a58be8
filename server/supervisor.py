"""Several worker processes behind one address: connections are dealt out to the worker that has the fewest.

Workers that accept from a shared socket get connections by chance, and keep-alive makes chance last: of 32 connections
one of two workers may hold 28. So the parent accepts, and hands each connection to a worker over a Unix socket.
"""

import multiprocessing
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from types import FrameType

from prometheus_client.multiprocess import mark_process_dead

from server.service import logger

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STARTUP_FAILED = 3
RESTART_PAUSE_SECONDS = 1.0
TICK_SECONDS = 0.2


class Counters:
    """What a worker tells its parent, in shared memory: how many models it serves, and connections it has closed."""

    def __init__(self) -> None:
        self._values = multiprocessing.RawArray("q", 2)

    @property
    def serving(self) -> bool:
        return bool(self.models)

    @property
    def models(self) -> int:
        return self._values[0]

    @property
    def closed(self) -> int:
        return self._values[1]

    def start_serving(self, models: int) -> None:
        self._values[0] = models

    def count_closed(self) -> None:
        self._values[1] += 1


@dataclass(frozen=True)
class Inbox:
    """The worker's end: connections arrive on `channel`, whose end of file says that no more will come."""

    channel: socket.socket
    counters: Counters

    def take(self) -> list[socket.socket] | None:
        """The connections that have arrived; None once there will be no more. Never blocks."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.channel, 64, 64)
        except BlockingIOError:
            return []
        return [socket.socket(fileno=descriptor) for descriptor in descriptors] if data else None


@dataclass
class Worker:
    """The parent's end."""

    process: BaseProcess
    channel: socket.socket
    counters: Counters
    handed: int = field(default=0)

    @property
    def connections(self) -> int:
        return self.handed - self.counters.closed

    def hand(self, connection: socket.socket) -> bool:
        """False if the worker cannot take it."""
        try:
            socket.send_fds(self.channel, [b"c"], [connection.fileno()])
        except OSError:
            return False
        self.handed += 1
        return True


class Supervisor:
    """Keeps `count` workers alive, deals out connections, and passes signals on.

    `announce` is called once, with the number of models, when the first worker serves.
    """

    def __init__(
        self,
        work: Callable[[Inbox], int],
        listener: socket.socket,
        count: int,
        drain_seconds: float,
        announce: Callable[[int], None],
    ) -> None:
        self._announce: Callable[[int], None] | None = announce
        self._work, self._listener, self._count, self._drain_seconds = work, listener, count, drain_seconds
        self._context = multiprocessing.get_context("fork")
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._restart_at: list[float] = []
        self._stop_at = float("inf")
        self._exit_code = 0

    def run(self) -> int:
        """Until all workers have ended; the program's exit code."""
        for number in SIGNALS:
            signal.signal(number, self._begin_to_stop)
        for _ in range(self._count):
            self._start()
        while self._workers or (self._restart_at and not self._stopping):
            models = max((worker.counters.models for worker in self._workers), default=0)
            serving = models > 0 and self._listener.fileno() >= 0
            self._listen_if(serving)
            if serving and self._announce is not None:
                self._announce(models)
                self._announce = None
            for key, _ in self._selector.select(TICK_SECONDS):
                if key.fileobj is self._listener:
                    self._deal()
            for worker in [worker for worker in self._workers if not worker.process.is_alive()]:
                self._replace(worker)
            while self._restart_at and time.monotonic() >= self._restart_at[0]:
                self._restart_at.pop(0)
                self._start()
            if time.monotonic() >= self._stop_at:
                self._close()
        return self._exit_code

    def _start(self) -> None:
        """One more worker. Signals wait: here until it is in the list, in the worker until it has its own handlers."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        if not self._stopping:
            self._fork()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        inbox = Inbox(theirs, Counters())
        process = self._context.Process(target=self._run_worker, args=(inbox, ours), name="worker")
        process.start()
        theirs.close()
        self._selector.register(process.sentinel, selectors.EVENT_READ)
        self._workers.append(Worker(process, ours, inbox.counters))

    def _run_worker(self, inbox: Inbox, parents_end: socket.socket) -> None:
        for end in (self._listener, parents_end, *(worker.channel for worker in self._workers)):
            end.close()
        raise SystemExit(self._work(inbox))

    def _listen_if(self, serving: bool) -> None:
        """Connections wait in the backlog until a worker serves."""
        registered = self._listener in {key.fileobj for key in self._selector.get_map().values()}
        if serving and not registered:
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _deal(self) -> None:
        """Hands out all waiting connections, each to the worker with the fewest."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                logger.error(f"a connection could not be accepted: {error.strerror}")
                return
            with connection:
                serving = [worker for worker in self._workers if worker.counters.serving]
                for worker in sorted(serving, key=lambda worker: worker.connections):
                    if worker.hand(connection):
                        break

    def _replace(self, worker: Worker) -> None:
        """A worker that could not start would fail again and ends the program; one that died gets a successor."""
        self._workers.remove(worker)
        self._selector.unregister(worker.process.sentinel)
        worker.channel.close()
        pid, code = worker.process.pid, worker.process.exitcode
        mark_process_dead(pid)
        if self._stopping:
            self._exit_code = self._exit_code or (1 if code else 0)
        elif code == STARTUP_FAILED:
            self._exit_code = STARTUP_FAILED
            self._begin_to_stop(signal.SIGTERM, None)
        else:
            logger.error("a worker died, another takes its place", extra={"pid": pid, "exit": code})
            self._restart_at.append(time.monotonic() + RESTART_PAUSE_SECONDS)

    @property
    def _stopping(self) -> bool:
        return self._stop_at != float("inf")

    def _begin_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Workers turn unready now; they stop when their channels close, after the drain delay or a second signal."""
        now = time.monotonic()
        self._stop_at = now if self._stopping else now + self._drain_seconds
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid is not None:
                os.kill(worker.process.pid, number)

    def _close(self) -> None:
        """No connection is accepted any more; those that wait already are handed out before the channels close."""
        if self._listener.fileno() >= 0:
            if any(key.fileobj is self._listener for key in self._selector.get_map().values()):
                self._deal()
                self._selector.unregister(self._listener)
            self._listener.close()
        for worker in self._workers:
            worker.channel.close()
