"""Where the time of a request goes: py-spy's samples of the saturated server, sorted into phases."""

import shutil
import subprocess
import sysconfig
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

RATE = 500
IDLE = "concurrent/futures/thread.py"
"""Where a pool's thread waits for work: py-spy cannot tell that from being busy."""
REST = "event loop: polling, reading, callbacks"


@dataclass(frozen=True)
class Phase:
    """Frames of a file or folder, all of them or those of the named functions."""

    name: str
    place: str
    functions: tuple[str, ...] = ()

    def has(self, frame: str) -> bool:
        """`frame` is `Class.function (path:line)`."""
        function, _, place = frame.partition(" (")
        return self.place in place and (not self.functions or function.split(".")[-1] in self.functions)


PHASES = (
    Phase("network", "server/backend.py"),
    Phase("tokenizing", "models/text.py"),
    Phase("tokenizing", "server/tasks/readers.py"),
    Phase("parsing", "server/request.py"),
    Phase("answer", "server/tasks/"),
    Phase("metrics", "server/metrics.py"),
    Phase("planning and delivery", "server/engine/"),
    Phase("endpoint", "server/predict.py"),
    Phase("endpoint", "server/watch.py"),
    Phase("endpoint", "server/registry.py"),
    Phase("endpoint", "server/app.py"),
    Phase("HTTP: uvicorn, httptools, sending", "uvicorn/protocols/"),
    Phase("HTTP: uvicorn, httptools, sending", "server/protocol.py"),
)


def py_spy() -> str | None:
    """The program; None if it is not installed."""
    beside = Path(sysconfig.get_path("scripts")) / "py-spy"
    return str(beside) if beside.exists() else shutil.which("py-spy")


def record(pid: int, seconds: float, path: Path) -> str | None:
    """Samples a process into `path`, as lines of `frame;frame;frame count`. What kept it from doing so, or None."""
    if (program := py_spy()) is None:
        return "py-spy is not installed; pip install py-spy"
    command = [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds))), "--rate", str(RATE)]
    command += ["--format", "raw", "--output", str(path), "--full-filenames"]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode or not path.exists():
        return f"py-spy could not look into the server: {(done.stderr or done.stdout).strip()[-300:]}"
    return None


def phase_of(stack: list[str]) -> str:
    """The phase of a stack, outermost frame first: that of the innermost frame that has one."""
    for frame in reversed(stack):
        for phase in PHASES:
            if phase.has(frame):
                return phase.name
    return REST


def shares(samples: str) -> dict[str, float]:
    """Phase -> its share of all samples of busy threads, largest first."""
    counts: Counter[str] = Counter()
    for line in samples.splitlines():
        text, _, count = line.rpartition(" ")
        stack = text.split(";")
        if IDLE not in stack[-1]:
            counts[phase_of(stack)] += int(count)
    return {phase: count / counts.total() for phase, count in counts.most_common()}
