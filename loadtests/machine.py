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
_STAT = Path("/proc/stat")


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
    """Who else used the cores, since it was made. Above a few per cent, figures say more of them than of the server."""

    def __init__(self) -> None:
        self._started, self._own = time.monotonic(), _own_seconds()
        self._busy, self._stolen = _busy_and_stolen_seconds()

    def shares(self) -> dict[str, float]:
        """Of all cores. `neighbours`: programs other than this one and its children; `stolen`: what the host kept back,
        for other guests, while something here wanted to run.
        """
        busy, stolen = _busy_and_stolen_seconds()
        cores = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        others = busy - self._busy - (_own_seconds() - self._own)
        return {"neighbours": max(0.0, others / cores), "stolen": (stolen - self._stolen) / cores}


def used_by_others(machine: dict) -> str:
    """What `Neighbours` found, in words."""
    programs, host = machine.get("neighbours", 0), machine.get("stolen", 0)
    return f"other programs used {programs:.0%} of the cores, and the host kept {host:.0%} back"


def _busy_and_stolen_seconds() -> tuple[float, float]:
    """User, nice and system time of all programs since the machine started, and the time that its host stole."""
    fields = [int(ticks) / os.sysconf("SC_CLK_TCK") for ticks in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[:3]), fields[7]


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
        f"{machine['python']}, onnxruntime {runtime}, {when} UTC; "
        f"{used_by_others(machine)}"
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
