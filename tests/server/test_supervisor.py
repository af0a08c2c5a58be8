"""Connections are dealt out evenly, by how many each worker still has, and none is lost."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.app import create_app
from server.settings import Settings
from server.supervisor import Inbox, Notes, Supervisor, Worker
from tests.processes import ROOT, ServerProcess, serving
from tests.server.engine.fakes import SECONDS
from tests.server.inside import server_of

REQUEST = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"


def connections_of(pid: int, port: int) -> int:
    """Connections to `port` that a process has not closed yet."""
    inodes = {
        line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines() if f":{port:04X} " in line[:20]
    }
    links = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(str(entry.readlink()))
    return sum(f"socket:[{inode}]" in links for inode in inodes)


def connect(server: ServerProcess, count: int) -> list[socket.socket]:
    """Connections that a worker has answered on, and that stay open."""
    place = urlsplit(server.url)
    made = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(count)]
    for connection in made:
        connection.sendall(REQUEST)
    for connection in made:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return made


@pytest.fixture(scope="module")
def pair():
    """(server with two workers, a function that tells how many connections each has)."""
    with serving("--workers", "2") as server:
        while len(server.logged("Application startup complete.")) < 2:
            time.sleep(0.05)
        port = urlsplit(server.url).port
        pids = server.workers()

        def connections() -> list[int]:
            return sorted(connections_of(pid, port) for pid in pids)

        both_serve = False
        while not both_serve:
            probes = connect(server, 2)
            both_serve = connections() == [1, 1]
            for probe in probes:
                probe.close()
            wait_until(connections, [0, 0])
        yield server, connections


def wait_until(connections: Callable[[], list[int]], expected: list[int]) -> None:
    while connections() != expected:
        time.sleep(0.02)


def test_connections_are_dealt_out_evenly(pair):
    server, connections = pair
    wait_until(connections, [0, 0])
    made = connect(server, 20)
    assert connections() == [10, 10]
    made += connect(server, 3)
    assert connections() == [11, 12]
    for connection in made:
        connection.close()


def test_a_worker_whose_connections_closed_gets_the_next_ones(pair):
    server, connections = pair
    wait_until(connections, [0, 0])
    made = connect(server, 12)
    for connection in made[::2]:  # dealt out in turn, so these are all of one worker
        connection.close()
    wait_until(connections, [0, 6])
    made += connect(server, 6)
    assert connections() == [6, 6]
    for connection in made:
        connection.close()


def test_workers_whose_parent_is_killed_end_too():
    with serving("--workers", "2") as server:
        entries = [Path(f"/proc/{pid}") for pid in server.workers()]
        server.process.kill()
        while any(entry.exists() for entry in entries):
            time.sleep(0.1)


@contextmanager
def supervising(count: int) -> Iterator[tuple[Supervisor, list[Worker], list[Inbox], Callable[[], socket.socket]]]:
    """(a supervisor that listens, its workers, what they get, what connects a client); no process is started."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        supervisor = Supervisor(lambda inbox: 0, listener, count, 0.0, 0.0, lambda models: None)
        workers, inboxes = [], []
        for _ in range(count):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            notes = Notes()
            notes.start_serving(1)
            workers.append(Worker(None, ours, notes))  # type: ignore[arg-type]
            inboxes.append(Inbox(theirs, notes))
        supervisor._workers = workers
        supervisor._serve_if(1)
        address = listener.getsockname()
        yield supervisor, workers, inboxes, lambda: socket.create_connection(address, timeout=10)
    for end in (*(worker.channel for worker in workers), *(inbox.channel for inbox in inboxes)):
        end.close()


def names_of(connections: list[socket.socket]) -> list[tuple]:
    """Whom they lead to; they are closed."""
    found = []
    for connection in connections:
        with connection:
            found.append(connection.getpeername())
    return found


def test_a_connection_that_a_worker_cannot_take_goes_to_the_next():
    with supervising(2) as (supervisor, (full, free), (_, inbox), connect), connect() as client:
        while full.hand(client):
            pass
        full.notes.count_closed(full.handed)  # it has the fewest, but its channel is full
        free.handed = 1
        supervisor._deal()
        assert names_of(inbox.take() or []) == [client.getsockname()]
        assert (full.connections, free.connections) == (0, 2)


def test_connections_that_wait_when_the_sockets_close_are_handed_out_and_no_others_come():
    with supervising(1) as (supervisor, _, (inbox,), connect), connect() as first, connect() as second:
        supervisor._close()
        found = []
        while (taken := inbox.take()) is not None:
            found += names_of(taken)
        assert found == [first.getsockname(), second.getsockname()]
        with pytest.raises(ConnectionRefusedError):
            connect()


def test_a_connection_that_is_gone_when_a_worker_takes_it_counts_as_closed():
    async def main() -> None:
        async def gone(make: object, connection: socket.socket) -> None:
            connection.close()
            raise ConnectionResetError

        asyncio.get_running_loop().connect_accepted_socket = gone  # type: ignore[method-assign, assignment]
        server = server_of(create_app(Settings()))
        server.lifespan = server.config.lifespan_class(server.config)
        with supervising(1) as (supervisor, (worker,), (inbox,), connect), connect():
            supervisor._deal()
            assert worker.connections == 1
            server._take_connections(inbox)
            while worker.connections:
                await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), SECONDS))


def stop_a_worker_that_ends_with(code: int) -> int:
    """The exit code of a program whose worker is told to stop as soon as it serves."""

    def work(inbox: Inbox) -> int:
        inbox.channel.setblocking(True)
        inbox.notes.start_serving(1)
        return code if inbox.channel.recv(1) == b"" else 99

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    return Supervisor(work, listener, 1, 0.0, 60.0, lambda models: os.kill(os.getpid(), signal.SIGTERM)).run()


@pytest.mark.parametrize("code", [0, 1])
def test_a_worker_that_fails_while_it_stops_is_in_the_exit_code(tmp_path, code):
    program = f"import sys; from {__name__} import stop_a_worker_that_ends_with as stop; sys.exit(stop({code}))"
    variables = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, timeout=60, check=False)
    assert result.returncode == code
