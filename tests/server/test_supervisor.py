"""Connections are dealt out evenly, by how many each worker still has."""

import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.processes import ServerProcess, serving

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


def workers_of(server: ServerProcess) -> list[int]:
    children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in children.stdout.split()]


@pytest.fixture(scope="module")
def pair():
    """(server with two workers, a function that tells how many connections each has)."""
    with serving("--workers", "2") as server:
        while len(server.logged("Application startup complete.")) < 2:
            time.sleep(0.05)
        port = urlsplit(server.url).port
        pids = workers_of(server)

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
        entries = [Path(f"/proc/{pid}") for pid in workers_of(server)]
        server.process.kill()
        while any(entry.exists() for entry in entries):
            time.sleep(0.1)
