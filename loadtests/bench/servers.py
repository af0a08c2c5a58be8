"""Servers as processes: how each is started, what its request looks like, and what it costs while it runs."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

from loadtests import workload
from loadtests.bench import processes

ROOT = Path(__file__).parent.parent.parent
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.005
HEADERS = {"Content-Type": "application/json"}


class ServerFailed(Exception):
    """It did not start, or did not stop."""


def our_body(text: str) -> bytes:
    return workload.text_request(text).body


@dataclass(frozen=True)
class Server:
    """`command` has {port} where the port belongs. `one_answer` finds the answer to a text in a JSON document."""

    name: str
    acceptors: int
    """Processes that share the connections."""
    command: tuple[str, ...]
    body: Callable[[str], bytes] = our_body
    path: str = "/predict"
    environment: dict[str, str] = field(default_factory=dict)
    one_answer: Callable[[dict], dict] = lambda document: document["outputs"]
    root: Path = ROOT
    """Where its modules are."""

    def write_bodies(self, texts: list[str], folder: Path) -> Path:
        path = folder / f"{self.name.replace(' ', '-').replace(',', '')}.jsonl"
        path.write_bytes(b"\n".join(map(self.body, texts)) + b"\n")
        return path


def uvicorn(name: str, application: str, workers: int) -> Server:
    command = (sys.executable, "-m", "uvicorn", application, "--port", "{port}", "--workers", str(workers))
    return Server(name, workers, (*command, "--no-access-log", "--log-level", "warning"))


def ours(workers: int, *flags: str) -> Server:
    command = (sys.executable, "-m", "server", "--port", "{port}", "--workers", str(workers), "--drain-seconds", "0")
    return Server(f"ours, {workers} worker{'s' * (workers > 1)}", workers, (*command, *flags))


def threaded(*flags: str) -> Server:
    command = (sys.executable, "-m", "loadtests.bench.threaded_server", "--port", "{port}", "--drain-seconds", "0")
    return Server("ours, 1 worker, steps in a thread", 1, (*command, *flags))


def ceiling(workers: int) -> Server:
    name = f"constant answer, {workers} worker{'s' * (workers > 1)}"
    return uvicorn(name, "loadtests.bench.constant:app", workers)


def tutorial(workers: int = 2) -> Server:
    return uvicorn(f"tutorial FastAPI, {workers} workers", "loadtests.bench.tutorial_server:app", workers)


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    server: Server
    process: subprocess.Popen
    port: int
    ready_seconds: float
    """From the start of the process to its first right answer."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.server.path}"

    def pids(self) -> list[int]:
        return processes.tree(self.process.pid)

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.pids())

    def ask(self, body: bytes) -> dict:
        """The JSON document that a request is answered with. Raises OSError, HTTPException or ValueError."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("POST", self.server.path, body, HEADERS)
            response = connection.getresponse()
            content = response.read()
            if response.status != http.client.OK:
                raise ValueError(f"status {response.status}: {content[:300].decode(errors='replace')}")
            return json.loads(content)
        finally:
            connection.close()


@contextmanager
def running(server: Server, folder: Path) -> Iterator[Running]:
    """Starts it on a free port, waits for its first answer, and ends it and its children. Raises ServerFailed."""
    port, log = free_port(), folder / "server.log"
    command = [part.format(port=port) for part in server.command]
    variables = {**os.environ, "PYTHONPATH": str(server.root), **server.environment}
    started = time.perf_counter()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=server.root, env=variables, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            start_new_session=True,
        )  # fmt: skip
    try:
        found = Running(server, process, port, 0.0)
        _wait_for_answer(found, log)
        yield Running(server, process, port, time.perf_counter() - started)
    finally:
        _stop(process)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _wait_for_answer(found: Running, log: Path) -> None:
    body = found.server.body("good")
    stop_at = time.monotonic() + READY_SECONDS
    last: Exception | None = None
    while time.monotonic() < stop_at and found.process.poll() is None:
        try:
            found.server.one_answer(found.ask(body))
            return
        except (OSError, HTTPException, ValueError, KeyError, TypeError) as problem:
            last = problem
            time.sleep(POLL_SECONDS)
    said = log.read_text(errors="replace")[-2000:]
    raise ServerFailed(f"{found.server.name} gives no right answer ({last}); its log is {log}:\n{said}")


def _stop(process: subprocess.Popen) -> None:
    """SIGTERM to the program, then SIGKILL to whatever is left of its session."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
