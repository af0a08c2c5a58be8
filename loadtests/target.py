"""The server under test: a real process on a free port, stopped as an operator would stop it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

from loadtests.answers import connect

READY_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.05


class TargetFailed(Exception):
    """The server did not start, or did not end with exit code 0."""


@contextmanager
def running_server(log: Path, workers: int = 1) -> Iterator[str]:
    """The URL of a ready server, which is told to stop afterwards. Raises TargetFailed, naming its log."""
    command = [sys.executable, "-m", "server", "--port", "0", "--workers", str(workers)]
    with log.open("wb") as stream, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stream) as process:
        try:
            host = wait_until_ready(process, log)
            yield host
            stop(process, log)
        finally:
            if process.poll() is None:
                process.kill()


def wait_until_ready(process: subprocess.Popen, log: Path) -> str:
    """The URL that the server logs, once it answers there that it is ready."""
    stop_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < stop_at and process.poll() is None:
        if (host := logged_url(log)) and is_ready(host):
            return host
        time.sleep(POLL_SECONDS)
    state = "is not ready" if process.poll() is None else f"ended with {process.returncode}"
    raise TargetFailed(f"the server {state}; its log is {log}:\n{log.read_text()[-2000:]}")


def stop(process: subprocess.Popen, log: Path) -> None:
    """SIGTERM, which has to end in exit code 0."""
    process.send_signal(signal.SIGTERM)
    try:
        code = process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        raise TargetFailed(f"the server still runs {STOP_SECONDS:g} s after SIGTERM; its log is {log}") from None
    if code != 0:
        raise TargetFailed(f"the server ended with {code} after SIGTERM; its log is {log}")


def logged_url(log: Path) -> str | None:
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if entry.get("message") == "listening":
            return entry["url"]
    return None


def is_ready(host: str) -> bool:
    connection = connect(host, timeout=5)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
