"""wrk, the compiled load generator: closed loop, as many requests as the server can take."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent / "requests.lua"
PATIENCE_SECONDS = 30


class WrkMissing(Exception):
    def __init__(self) -> None:
        super().__init__("wrk is not installed, and the load comes from it: apt-get install wrk, then run this again")


class WrkFailed(Exception):
    """It ended without figures."""


@dataclass(frozen=True)
class Load:
    """What one run of wrk saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    """Answers that are not 2xx or 3xx."""
    broken: int
    """Connections refused, reset or without an answer for too long."""

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds

    @property
    def failures(self) -> int:
        return self.bad_status + self.broken


def require() -> None:
    """Raises WrkMissing."""
    if shutil.which("wrk") is None:
        raise WrkMissing


def run(url: str, bodies: Path, connections: int, seconds: float, halfway: Callable[[], None] | None = None) -> Load:
    """`bodies` has one JSON document on each line; `halfway` is called in the middle of the run."""
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "10s"]
    command += ["-s", str(SCRIPT), url, "--", str(bodies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            if halfway is not None:
                time.sleep(seconds / 2)
                halfway()
            output, _ = process.communicate(timeout=seconds + PATIENCE_SECONDS)
        finally:
            process.kill()
    return read(output)


def read(output: str) -> Load:
    """The figures that the script printed last. Raises WrkFailed."""
    lines = output.strip().splitlines()
    try:
        return Load(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        raise WrkFailed(f"wrk ended without figures; it said:\n{output.strip()[-1000:]}") from None
