"""Where and when figures were measured."""

import os
import platform
import re
import resource
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from models import bundle
from server import cpus

PACKAGES = (
    *("onnxruntime", "sentencepiece", "numpy", "uvicorn", "uvloop", "httptools"),
    *("msgspec", "orjson", "fastapi", "pydantic"),
)
FLAGS = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")
ROOT = Path(__file__).parent.parent


def describe() -> dict:
    """Processor, cores, kernel, date, and the versions of everything that takes part."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"),
        "processor": _cpu("model name"),
        "cores": cpus.available(),
        "flags": [flag for flag in FLAGS if flag in _cpu("flags").split()],
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "wrk": _wrk(),
        "bundles": {f"{m.name}/{m.version}": m.preference["cpu"][0] for m in _manifests()},
    }


class Neighbours:
    """How much of the machine programs other than this one and its children use, from its making on."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.monotonic(), _busy_seconds(), _own_seconds()

    def share(self) -> float:
        """Of all cores; above a few per cent, figures cannot be trusted."""
        others = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(0.0, others / (time.monotonic() - self._started) / (os.cpu_count() or 1))


def _busy_seconds() -> float:
    """User, nice and system time of all programs since the machine started."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, fields[1:4])) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def sentence(machine: dict) -> str:
    """The same for a heading."""
    flags = ", ".join(machine["flags"])
    runtime = machine["packages"].get("onnxruntime")
    when = machine["date"][:16].replace("T", " ")
    return (
        f"{machine['processor']}, {machine['cores']} cores ({flags}), Linux {machine['kernel']}, Python "
        f"{machine['python']}, onnxruntime {runtime}, {when} UTC; other programs used "
        f"{machine.get('neighbours', 0):.0%} of the cores"
    )


def _manifests() -> list:
    return [bundle.read(folder).manifest for folder in bundle.find(Path(bundle.__file__).parent)]


def _cpu(field: str) -> str:
    found = re.search(rf"^{field}\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _wrk() -> str | None:
    try:
        banner = subprocess.run(["wrk", "-v"], capture_output=True, text=True).stdout
    except OSError:
        return None
    return banner.split(" [")[0].removeprefix("wrk ").strip() or None
