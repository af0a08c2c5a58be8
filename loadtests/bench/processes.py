"""What a server's processes cost, from /proc: the program that was started and everything that it started."""

import os
from collections import defaultdict
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
ESTABLISHED = "01"


def tree(root: int) -> list[int]:
    """A process and all its descendants that are alive."""
    children = defaultdict(list)
    for pid in (int(path.name) for path in PROC.iterdir() if path.name.isdecimal()):
        if (fields := _stat(pid)) is not None:
            children[int(fields[1])].append(pid)
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of the processes so far."""
    stats = [fields for pid in pids if (fields := _stat(pid)) is not None]
    return sum(int(fields[11]) + int(fields[12]) for fields in stats) / TICKS


def pss_bytes(pids: list[int]) -> int:
    """Proportional set size: a page that several processes share counts once."""
    return sum(_pss(pid) for pid in pids)


def connections(pids: list[int], port: int) -> dict[int, int]:
    """How many of the connections to a port each process has accepted; those with none are left out."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in _sockets(PROC / "net" / table, port)}
    counts = {pid: sum(inode in inodes for inode in _socket_inodes(pid)) for pid in pids}
    return {pid: count for pid, count in counts.items() if count}


def split(counts: dict[int, int], workers: int) -> list[int]:
    """The connections of each worker, most first; a worker without any counts as 0."""
    found = sorted(counts.values(), reverse=True)
    return found + [0] * (workers - len(found))


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/<pid>/stat from the state on; None if the process has ended."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _pss(pid: int) -> int:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _sockets(table: Path, port: int) -> list[str]:
    rows = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    wanted = f"{port:04X}"
    return [row[9] for row in rows if row[3] == ESTABLISHED and row[1].rpartition(":")[2] == wanted]


def _socket_inodes(pid: int) -> list[str]:
    try:
        entries = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return []
    return [link[8:-1] for link in map(_link, entries) if link.startswith("socket:[")]


def _link(entry: Path) -> str:
    """What a file descriptor stands for; empty if it was closed meanwhile."""
    try:
        return str(entry.readlink())
    except OSError:
        return ""
