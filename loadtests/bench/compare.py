"""`python -m loadtests.bench.compare REVISION`: our server as it stands beside that of a commit, over HTTP, saturated.

Both run at the same time, and wrk visits them in turn for a second, round after round. On a machine whose speed changes
from minute to minute, this is the comparison that repeats.
"""

import argparse
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

from loadtests import machine
from loadtests.bench import wrk
from loadtests.bench.__main__ import stop_on_signals
from loadtests.bench.saturation import Cell, cell
from loadtests.bench.servers import ROOT, ServerFailed, ours, running
from loadtests.rounds import alternate, median_ratio, table
from loadtests.workload import Texts

CONNECTIONS = (8, 16, 32, 64, 128)
SLICE_SECONDS = 1.0
HERE = "here"
HEADER = ["connections", "server", "requests/s", "ratio", "p50, ms", "p99, ms", "ratio of p99", "CPU µs/req", "failed"]


class NoSuchRevision(Exception):
    """What was asked for is no commit of this repository, said in one sentence."""


def check_out(revision: str, folder: Path) -> Path:
    """The files of a commit, apart from the working tree. Raises NoSuchRevision."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", revision]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()
        raise NoSuchRevision(f"git knows no commit {revision!r} ({reason}); `git log --oneline` lists those there are")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder / "revision", filter="data")
    return folder / "revision"


def compare(revision: str, connections: Sequence[int], workers: int, rounds: int, folder: Path) -> list[list[object]]:
    """Rows under HEADER: medians, and the medians of the rounds' own ratios to the revision.

    Raises NoSuchRevision, wrk.WrkFailed or ServerFailed.
    """
    there = check_out(revision, folder)
    variants = {revision: replace(ours(workers), root=there), HERE: ours(workers)}
    bodies = ours(workers).write_bodies(Texts.read().mixed(512), folder)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(running(server, folder)) for name, server in variants.items()}
        for found in servers.values():
            wrk.run(found.url, bodies, max(connections), SLICE_SECONDS)
        rows: list[list[object]] = []
        for count in connections:
            visits = {name: partial(cell, found, bodies, count, SLICE_SECONDS) for name, found in servers.items()}
            rows += _rows(count, revision, alternate(visits, rounds))
    return rows


def _rows(connections: int, revision: str, found: dict[str, list[Cell]]) -> Iterator[list[object]]:
    before = found[revision]
    for name, cells in found.items():
        loads = [each.load for each in cells]
        yield [
            connections,
            name,
            statistics.median(load.per_second for load in loads),
            median_ratio((load.per_second for load in loads), (each.load.per_second for each in before)),
            statistics.median(load.p50_ms for load in loads),
            statistics.median(load.p99_ms for load in loads),
            median_ratio((load.p99_ms for load in loads), (each.load.p99_ms for each in before)),
            statistics.median(each.cpu_microseconds for each in cells),
            sum(load.failures for load in loads),
        ]


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m loadtests.bench.compare", description=__doc__)
    parser.add_argument("revision", help="a commit, a tag or a branch; its server must run in this environment")
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS, help="of wrk (default: 8 to 128)")
    parser.add_argument("--rounds", type=int, default=9, help="of one second a server (default: 9)")
    parser.add_argument("--workers", type=int, default=2, help="of each server (default: 2)")
    options = parser.parse_args(given)
    neighbours = machine.Neighbours()
    try:
        wrk.require()
        with tempfile.TemporaryDirectory() as folder:
            rows = compare(options.revision, options.connections, options.workers, options.rounds, Path(folder))
    except (NoSuchRevision, wrk.WrkMissing, wrk.WrkFailed, ServerFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    here = machine.describe() | neighbours.shares()
    print(
        f"{machine.sentence(here)}; {options.workers} workers, {options.rounds} rounds.",
        table(HEADER, rows),
        sep="\n\n",
    )
    return 1 if any(row[-1] for row in rows) else 0


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main(sys.argv[1:]))
