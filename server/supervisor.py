"""Several worker processes behind one address: connections are dealt out to the worker that has the fewest.

Workers that accept from a shared socket get connections by chance, and keep-alive makes chance last: of 32 connections
one of two workers may hold 28. So the parent accepts, and hands each connection to a worker over a Unix socket.
"""

import multiprocessing
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
RESTART_PAUSE_SECONDS, LONGEST_RESTART_PAUSE_SECONDS = 1.0, 60.0
ACCEPT_PAUSE_SECONDS = 1.0
TICK_SECONDS = 0.2
LAST_SECONDS = 3.0
"""What a worker may take to end once its requests have."""


class Notes:
    """What a worker and its parent tell each other, in shared memory.

    The worker: how many models it serves, and how many connections it has closed. The parent: that the worker is to
    answer as unready. A signal would not do for that: a terminal and systemd send theirs to parent and workers alike.
    """

    def __init__(self) -> None:
        self._values = multiprocessing.RawArray("q", 3)

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

    def count_closed(self, connections: int = 1) -> None:
        self._values[1] += connections

    @property
    def draining(self) -> bool:
        return bool(self._values[2])

    def start_draining(self) -> None:
        self._values[2] = 1


@dataclass(frozen=True)
class Inbox:
    """The worker's end: connections arrive on `channel`, whose end of file says that no more will come."""

    channel: socket.socket
    notes: Notes

    def take(self) -> list[socket.socket] | None:
        """The connections that have arrived; None once there will be no more. Never blocks."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self.channel, 64, 64)
        except BlockingIOError:
            return []
        if lost := len(data) - len(descriptors):
            self.notes.count_closed(lost)
            logger.error(
                "connections are lost: too many files are open; raise the limit (ulimit -n)",
                extra={"connections": lost},
            )
        return [socket.socket(fileno=descriptor) for descriptor in descriptors] if data else None


@dataclass
class Worker:
    """The parent's end."""

    process: BaseProcess
    channel: socket.socket
    notes: Notes
    handed: int = field(default=0)

    @property
    def connections(self) -> int:
        return self.handed - self.notes.closed

    def hand(self, connection: socket.socket) -> bool:
        """False if the worker cannot take it."""
        try:
            socket.send_fds(self.channel, [b"c"], [connection.fileno()])
        except OSError:
            return False
        self.handed += 1
        return True


class Supervisor:
    """Keeps `count` workers alive, deals out connections, and tells the workers to stop. Signals are for it alone.

    `announce` is called once, with the number of models, when the first worker serves.
    """

    def __init__(
        self,
        work: Callable[[Inbox], int],
        listener: socket.socket,
        count: int,
        drain_seconds: float,
        shutdown_seconds: float,
        announce: Callable[[int], None],
    ) -> None:
        self._announce: Callable[[int], None] | None = announce
        self._work, self._listener, self._count = work, listener, count
        self._drain_seconds, self._shutdown_seconds = drain_seconds, shutdown_seconds
        self._context = multiprocessing.get_context("fork")
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        self._restart_at: list[float] = []
        self._restart_pause = RESTART_PAUSE_SECONDS
        self._accept_at = 0.0
        self._stop_at = float("inf")
        self._exit_code = 0

    def run(self) -> int:
        """Until all workers have ended; the program's exit code."""
        for number in SIGNALS:
            signal.signal(number, self._begin_to_stop)
        for _ in range(self._count):
            self._start()
        while self._workers or (self._restart_at and not self._stopping):
            if self._listener.fileno() >= 0:
                self._serve_if(max((worker.notes.models for worker in self._workers), default=0))
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
            if time.monotonic() >= self._stop_at + self._shutdown_seconds + LAST_SECONDS:
                self._kill()
        return self._exit_code

    def _start(self) -> None:
        """One more worker. Signals wait: here until it is in the list, in the worker until it ignores them."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            if not self._stopping:
                self._fork()
        except OSError as error:
            self._start_later(f"a worker cannot be started ({error.strerror}), it is tried again")
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        inbox = Inbox(theirs, Notes())
        process = self._context.Process(target=self._run_worker, args=(inbox, ours), name="worker")
        process.start()
        theirs.close()
        self._selector.register(process.sentinel, selectors.EVENT_READ)
        self._workers.append(Worker(process, ours, inbox.notes))

    def _run_worker(self, inbox: Inbox, parents_end: socket.socket) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for end in (self._listener, parents_end, *(worker.channel for worker in self._workers)):
            end.close()
        raise SystemExit(self._work(inbox))

    def _start_later(self, why: str, **details: object) -> None:
        logger.error(why, extra=details)
        self._restart_at.append(time.monotonic() + self._restart_pause)

    def _serve_if(self, models: int) -> None:
        """Connections wait in the backlog while no worker serves a model."""
        wanted = models > 0 and time.monotonic() >= self._accept_at
        if wanted and not self._listens:
            self._selector.register(self._listener, selectors.EVENT_READ)
        elif self._listens and not wanted:
            self._selector.unregister(self._listener)
        if models and self._announce is not None:
            self._announce(models)
            self._announce = None

    @property
    def _listens(self) -> bool:
        return self._listener in {key.fileobj for key in self._selector.get_map().values()}

    def _deal(self) -> None:
        """Hands out all waiting connections, each to the worker with the fewest."""
        while True:
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                logger.error(
                    f"no connection can be accepted for a moment: {error.strerror}; raise the limit (ulimit -n)"
                )
                self._accept_at = time.monotonic() + ACCEPT_PAUSE_SECONDS
                return
            with connection:
                serving = [worker for worker in self._workers if worker.notes.serving]
                serving.sort(key=lambda worker: worker.connections)
                if not any(worker.hand(connection) for worker in serving):
                    logger.error("a connection is closed: no worker could take it", extra={"workers": len(serving)})

    def _replace(self, worker: Worker) -> None:
        """A worker that died gets a successor; where none can start and no other serves, the program ends."""
        self._workers.remove(worker)
        self._selector.unregister(worker.process.sentinel)
        worker.channel.close()
        pid, code = worker.process.pid, worker.process.exitcode
        mark_process_dead(pid)
        if self._stopping:
            self._exit_code = self._exit_code or (1 if code else 0)
        elif code != STARTUP_FAILED:
            self._restart_pause = RESTART_PAUSE_SECONDS
            self._start_later("a worker died, another takes its place", pid=pid, exit=code)
        elif any(other.notes.serving for other in self._workers):
            self._restart_pause = min(2 * self._restart_pause, LONGEST_RESTART_PAUSE_SECONDS)
            self._start_later("a worker could not start, the others serve on, and it is tried again", pid=pid)
        else:
            self._exit_code = STARTUP_FAILED
            self._begin_to_stop(signal.SIGTERM, None)

    @property
    def _stopping(self) -> bool:
        return self._stop_at != float("inf")

    def _begin_to_stop(self, number: int, frame: FrameType | None) -> None:
        """Workers turn unready now; they stop when their channels close, after the drain delay or a second signal."""
        now = time.monotonic()
        self._stop_at = now if self._stopping else now + self._drain_seconds
        for worker in self._workers:
            worker.notes.start_draining()

    def _kill(self) -> None:
        """Ends workers that hang: the program would never end."""
        for worker in self._workers:
            logger.error("a worker did not stop in time, and is killed", extra={"pid": worker.process.pid})
            worker.process.kill()
            worker.process.join()

    def _close(self) -> None:
        """No connection is accepted any more; those that wait already are handed out before the channels close."""
        if self._listener.fileno() >= 0:
            if self._listens:
                self._deal()
                self._selector.unregister(self._listener)
            self._listener.close()
        for worker in self._workers:
            worker.channel.close()
