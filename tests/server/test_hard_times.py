"""What befalls processes in production: signals from all sides, deaths, no descriptors, no disk, a hanging worker."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from server.supervisor import Inbox, Notes, Worker
from tests.processes import ROOT, ServerProcess, serving, until

BODY = {"model": "sentiment", "inputs": "good"}


@contextmanager
def pair(*flags: str) -> Iterator[ServerProcess]:
    """A server whose two workers both serve."""
    with serving("--workers", "2", *flags) as server:
        until(lambda: len(server.logged("Application startup complete.")) == 2)
        yield server


def readiness(server: ServerProcess) -> int:
    return httpx.get(f"{server.url}/health/ready", timeout=30).status_code


def answers(server: ServerProcess, count: int = 8) -> set[int]:
    """Status codes, each over a connection of its own."""
    return {httpx.post(f"{server.url}/predict", json=BODY, timeout=30).status_code for _ in range(count)}


def test_a_signal_to_the_workers_alone_changes_nothing():
    with pair() as server:
        for pid in server.workers():
            os.kill(pid, signal.SIGTERM)
        assert answers(server) == {200}
        assert {readiness(server) for _ in range(8)} == {200}


def test_a_signal_to_parent_and_workers_alike_drains_as_one_to_the_parent_does():
    """As systemd sends it, and a terminal."""
    with pair("--drain-seconds", "250") as server:
        everybody = [*server.workers(), server.process.pid]
        for pid in everybody:
            os.kill(pid, signal.SIGTERM)
        until(lambda: {readiness(server) for _ in range(4)} == {503})
        assert answers(server) == {200}
        for pid in everybody:
            os.kill(pid, signal.SIGTERM)
        assert server.wait() == 0


def test_where_all_workers_died_connections_wait_for_their_successors():
    with pair() as server:
        for pid in server.workers():
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(server.logged("a worker died, another takes its place")) == 2)
        assert answers(server, 1) == {200}


def test_a_successor_that_cannot_start_leaves_the_others_alone_and_is_tried_again(tmp_path):
    shutil.copytree(ROOT / "models" / "sentiment" / "1", tmp_path / "sentiment" / "1")
    with pair("--models", str(tmp_path)) as server:
        manifest = tmp_path / "sentiment" / "1" / "manifest.json"
        whole = manifest.read_bytes()
        manifest.write_bytes(whole[:1000])
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: server.logged("a worker could not start, the others serve on, and it is tried again"))
        assert answers(server) == {200}
        manifest.write_bytes(whole)
        until(lambda: len(server.logged("Application startup complete.")) == 3)
        assert answers(server) == {200}


def test_without_descriptors_for_another_worker_it_is_tried_again():
    with pair() as server:
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used - 2, limits[1]))
        os.kill(server.workers()[0], signal.SIGKILL)
        until(lambda: any("a worker cannot be started" in line["message"] for line in server.log))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        until(lambda: len(server.logged("Application startup complete.")) == 3)
        assert answers(server) == {200}


def test_a_worker_that_hangs_does_not_keep_the_program_from_ending():
    with pair("--drain-seconds", "0", "--shutdown-seconds", "1") as server:
        (victim, _) = server.workers()
        os.kill(victim, signal.SIGSTOP)
        server.terminate()
        assert server.wait() == 1
        assert server.logged("a worker did not stop in time, and is killed")[0]["pid"] == victim


def test_connections_for_which_a_worker_has_no_descriptors_count_as_closed():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    notes = Notes()
    worker = Worker(None, ours, notes)  # type: ignore[arg-type]
    inbox = Inbox(theirs, notes)
    with ours, theirs, socket.socket() as connection:
        assert worker.hand(connection)
        assert worker.hand(connection)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (connection.fileno(), limits[1]))
        try:
            assert inbox.take() == []
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert worker.connections == 1
        (taken,) = inbox.take() or []
        taken.close()
        assert worker.connections == 1


def test_one_without_descriptors_answers_again_once_it_has_some():
    """The engine used to die of the metrics' files, which were opened with the first batch."""
    with serving() as server:
        limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        used = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used + 1, limits[1]))
        assert answers(server, 1) == {200}
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
        assert answers(server) == {200}
        assert readiness(server) == 200


def test_metrics_whose_folder_was_removed_stop_neither_answers_nor_the_program(tmp_path):
    with serving(environment={"TMPDIR": str(tmp_path)}) as server:
        (folder,) = tmp_path.glob("lstm-metrics-*")
        shutil.rmtree(folder)
        assert answers(server) == {200}
        assert readiness(server) == 200
        gone = httpx.get(f"{server.url}/metrics")
        assert gone.status_code == 500
        assert "restart the server" in gone.json()["error"]["message"]
        server.terminate()
        assert server.wait() == 0


def test_the_metrics_take_their_disk_space_at_the_start(tmp_path):
    """They are mapped into memory, and a full disk would end the process at the first write."""
    with serving(environment={"TMPDIR": str(tmp_path)}) as server:
        files = list(tmp_path.glob(f"lstm-metrics-*/*_{server.process.pid}.db"))
        assert len(files) >= 3
        for file in files:
            assert file.stat().st_blocks * 512 >= file.stat().st_size


def test_it_starts_and_stops_without_standard_streams():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = f"exec {sys.executable} -m server --port {port} <&- >&- 2>&-"
    with subprocess.Popen(["sh", "-c", command], cwd=ROOT) as process:

        def ready() -> bool:
            try:
                return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(ready)
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_offers_another_protocol_gets_its_answer_in_this_one(server, chunked, pieces):
    """Java's client offers HTTP/2 in its first request."""
    body = b'{"inputs": "good"}'
    length = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    head = (
        b"POST /predict HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n" + length + b"\r\nHost: x\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\n"
        b"Content-Type: application/json\r\n\r\n"
    )
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        for _ in range(2):
            for piece in [head + sent] if pieces == 1 else [head, sent]:
                connection.sendall(piece)
                time.sleep(0.01)
            answer = b""
            while not answer.endswith(b"}}}"):
                piece = connection.recv(65536)
                assert piece, answer
                answer += piece
            assert answer.startswith(b"HTTP/1.1 200")
