"""A real server process on a real port."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent


class ServerProcess:
    """`python -m server`, its log lines as they come, and its address."""

    def __init__(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "server", "--port", "0", *flags]
        variables = {**os.environ, **(environment or {})}
        self.process = subprocess.Popen(command, cwd=ROOT, env=variables, stderr=subprocess.PIPE, text=True)
        self.log: list[dict] = []
        self.raw: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.raw.append(line)
            if line.startswith("{"):
                self.log.append(json.loads(line))

    def logged(self, message: str) -> list[dict]:
        return [line for line in self.log if line["message"] == message]

    @property
    def url(self) -> str:
        return self.logged("listening")[0]["url"]

    def wait_until_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended with {self.process.returncode}: {''.join(self.raw)}")
            if self.logged("listening") and self._ready():
                return
            time.sleep(0.05)
        raise AssertionError(f"not ready after {seconds} s: {''.join(self.raw)}")

    def _ready(self) -> bool:
        place = urlsplit(self.url)
        connection = HTTPConnection(place.hostname or "", place.port, timeout=30)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def workers(self) -> list[int]:
        """Process ids of the workers that live."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 30) -> int:
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def close(self) -> None:
        """Ends it, if it still runs, and frees what the parent holds of it."""
        if self.process.poll() is None:
            self.terminate()
        try:
            self.wait()
        finally:
            self.process.kill()
            self.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()


def until(holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits for something to hold."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def serving(*flags: str, environment: dict[str, str] | None = None) -> Iterator[ServerProcess]:
    """A server that is ready, and stopped afterwards."""
    server = ServerProcess(*flags, environment=environment)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.close()
