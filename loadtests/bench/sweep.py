"""`python -m loadtests.bench.sweep`: throughput against p99 for the scheduler's settings, over HTTP, saturated.

Servers with all the settings run at the same time, and wrk visits one after the other for a second, round after round:
what disturbs the machine for a while is unkind to all of them alike.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from loadtests import machine
from loadtests.bench import wrk
from loadtests.bench.__main__ import RESULTS, stop_on_signals
from loadtests.bench.page import document
from loadtests.bench.saturation import Cell, cell
from loadtests.bench.servers import Running, ServerFailed, ours, running
from loadtests.rounds import alternate, median_ratio, table
from loadtests.workload import Texts
from models.files import write_whole

SLICE_SECONDS = 1.0
CONNECTIONS = 32
HEADER = ["slots", "chunk_ms", "requests/s", "of the defaults'", "p50, ms", "p99, ms", "CPU µs/req"]


@dataclass(frozen=True)
class Setting:
    """The defaults are the server's own."""

    slots: int = 32
    chunk_ms: float = 1.0

    def flags(self) -> list[str]:
        return [part for name, value in asdict(self).items() for part in (f"--{name.replace('_', '-')}", str(value))]


GRID = tuple(Setting(slots, chunk) for chunk in (0.5, 1.0, 2.0) for slots in (4, 8, 16, 32))
FEW = (Setting(), Setting(slots=4))


@dataclass(frozen=True)
class Point:
    """Medians over the rounds."""

    setting: Setting
    per_second: float
    of_defaults: float
    p50_ms: float
    p99_ms: float
    cpu_microseconds: float
    failures: int


def sweep(grid: Sequence[Setting], workers: int, connections: int, rounds: int, folder: Path) -> list[Point]:
    """One point for each setting, `Setting()` being one of them. Raises WrkFailed or ServerFailed."""
    texts = Texts.read().mixed(512)
    bodies = ours(workers).write_bodies(texts, folder)
    with ExitStack() as stack:
        servers: dict[Setting, Running] = {}
        for setting in grid:
            servers[setting] = stack.enter_context(running(ours(workers, *setting.flags()), folder))
            wrk.run(servers[setting].url, bodies, connections, SLICE_SECONDS)
        visits = {
            str(each): partial(cell, found, bodies, connections, SLICE_SECONDS) for each, found in servers.items()
        }
        found = alternate(visits, rounds)
    return [_point(setting, found[str(setting)], found[str(Setting())]) for setting in grid]


def _point(setting: Setting, cells: list[Cell], defaults: list[Cell]) -> Point:
    rates = [each.load.per_second for each in cells]
    return Point(
        setting,
        statistics.median(rates),
        median_ratio(rates, [each.load.per_second for each in defaults]),
        statistics.median(each.load.p50_ms for each in cells),
        statistics.median(each.load.p99_ms for each in cells),
        statistics.median(each.cpu_microseconds for each in cells),
        sum(each.load.failures for each in cells),
    )


def text(points: list[Point]) -> str:
    figures = ("per_second", "of_defaults", "p50_ms", "p99_ms", "cpu_microseconds")
    rows = [[*asdict(each.setting).values(), *(getattr(each, name) for name in figures)] for each in points]
    return table(HEADER, rows)


def draw(axes: Axes, points: list[Point]) -> None:
    """One line for each length of chunks, along the numbers of slots."""
    for chunk in dict.fromkeys(each.setting.chunk_ms for each in points):
        line = [each for each in points if each.setting.chunk_ms == chunk]
        rates, tails = [each.per_second for each in line], [each.p99_ms for each in line]
        axes.plot(rates, tails, marker="o", label=f"chunks of {chunk:g} ms")
        for each in line:
            axes.annotate(str(each.setting.slots), (each.per_second, each.p99_ms), (4, 4), textcoords="offset points")
    axes.set(xlabel="requests/s", ylabel="p99, ms", yscale="log")
    axes.legend(fontsize="small", title="numbers: slots")


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two settings, one round")
    parser.add_argument("--rounds", type=int, default=9, help="of one second a setting (default: 9)")
    parser.add_argument("--workers", type=int, default=2, help="of each server (default: 2)")
    parser.add_argument("--connections", type=int, default=CONNECTIONS, help=f"of wrk (default: {CONNECTIONS})")
    parser.add_argument("--out", type=Path, default=RESULTS, dest="folder", help="folder for the results")
    options = parser.parse_args(given)
    options.folder.mkdir(parents=True, exist_ok=True)
    grid, rounds = (FEW, 1) if options.quick else (GRID, options.rounds)
    neighbours = machine.Neighbours()
    try:
        wrk.require()
        points = sweep(grid, options.workers, options.connections, rounds, options.folder)
    except (wrk.WrkMissing, wrk.WrkFailed, ServerFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    described = machine.describe() | neighbours.shares()
    heading = f"{machine.sentence(described)}; {options.workers} workers, {options.connections} connections."
    result = {"machine": described, "workers": options.workers, "connections": options.connections}
    result["points"] = [asdict(each) for each in points]
    write_whole(options.folder / "sweep.json", json.dumps(result, indent=1) + "\n")
    pictures = [("Throughput against p99, saturated, for each setting.", partial(draw, points=points))]
    page = document("Settings of the scheduler", pictures, f"{heading}\n\n{text(points)}")
    write_whole(options.folder / "sweep.html", page)
    print(heading, text(points), options.folder / "sweep.html", sep="\n\n")
    return 1 if any(each.failures for each in points) else 0


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main(sys.argv[1:]))
