"""A container of the image under test, run as a careful operator would, and HTTP to it.

Needs podman with the store that `containers.sh` sets up.
"""

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = "512m"
ONLY_TMP = ["--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp"]
NO_PRIVILEGES = ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
LIMITS = ["--memory", MEMORY, "--pids-limit", "256", "--network", "host"]
READY_SECONDS = 60


def podman(*arguments: str) -> str:
    done = subprocess.run(
        ["podman", "--log-level", "fatal", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"podman {arguments[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.strip()


class Container:
    """A running container of the image, and HTTP to it."""

    def __init__(self, image: str, *flags: str, options: tuple[str, ...] = ()) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        port = ["--env", f"LSTM_PORT={self.port}"]
        self.id = podman("run", "--detach", *ONLY_TMP, *NO_PRIVILEGES, *LIMITS, *port, *options, image, *flags)

    def wait_until_healthy(self) -> float:
        """Seconds until the image's own health check says so."""
        started = time.monotonic()
        while time.monotonic() - started < READY_SECONDS:
            try:
                podman("healthcheck", "run", self.id)
            except RuntimeError:
                time.sleep(0.2)
            else:
                return time.monotonic() - started
        raise AssertionError(f"not healthy after {READY_SECONDS} s: {self.logs()}")

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, JSON of the answer)."""
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body).encode())
        connection = self.connection()
        try:
            connection.request(method, path, data, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def predict(self, inputs: Any, model: str) -> Any:
        status, answer = self.call("/predict", {"model": model, "inputs": inputs})
        assert status == 200, f"status {status}: {answer}"
        return answer["outputs"]

    def python(self, code: str) -> str:
        """What a program prints that runs inside."""
        return podman("exec", self.id, "python", "-c", code)

    def terminate(self) -> None:
        podman("kill", "--signal", "TERM", self.id)

    def exit_code(self, seconds: float) -> int:
        """Of a container that has been told to stop. AssertionError if it takes longer."""
        stop_at = time.monotonic() + seconds
        while podman("inspect", "--format", "{{.State.Running}}", self.id) == "true":
            assert time.monotonic() < stop_at, f"still running {seconds} s after SIGTERM: {self.logs()}"
            time.sleep(0.1)
        return int(podman("inspect", "--format", "{{.State.ExitCode}}", self.id))

    def logs(self) -> str:
        command = ["podman", "--log-level", "fatal", "logs", "--tail", "20", self.id]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@contextmanager
def running(image: str, *flags: str, options: tuple[str, ...] = ()) -> Iterator[Container]:
    container = Container(image, *flags, options=options)
    try:
        yield container
    finally:
        podman("rm", "--force", "--time", "0", container.id)
