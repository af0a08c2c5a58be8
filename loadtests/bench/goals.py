"""What the figures are held against. Pure: from a result of the benchmark to goals that hold or do not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

OURS_1, OURS_2 = "ours, 1 worker", "ours, 2 workers"
MEGABYTE = 2**20


@dataclass(frozen=True)
class Goal:
    """`at_most` or at least `bound`."""

    what: str
    bound: float
    at_most: bool
    measured: float

    @property
    def holds(self) -> bool:
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound

    def row(self) -> list[object]:
        sign = "≤" if self.at_most else "≥"
        return [self.what, f"{sign} {self.bound:g}", self.measured, "yes" if self.holds else "**no**"]


HEADER = ["goal", "bound", "measured", "holds"]

GOALS: tuple[tuple[str, float, bool, Callable[[dict], float | None]], ...] = (
    ("engine in process, one thread, of the floor", 2.8, False, lambda r: r["engine"]["of_floor"]),
    ("one text a request, 2 workers, of the floor", 3.2, False, lambda r: r["servers"][OURS_2]["of_floor"]),
    ("the same, 1 worker", 2.0, False, lambda r: r["servers"][OURS_1]["of_floor"]),
    ("the same, 2 workers, of the best mosec", 1.8, False, lambda r: of_mosec(r["peers"]["servers"])),
    ("p99 at 32 connections, saturated, 2 workers, ms", 6, True, lambda r: at(r, OURS_2, 32)["p99_ms"]),
    ("p99 at half load, open loop, 2 workers, ms", 2, True, lambda r: half_load(r, OURS_2)),
    ("short texts beside 5 % long ones, p99 of without", 1.3, True, lambda r: r["mixture"]["short_ratio"]),
    ("long texts there, p99 of the time alone", 5, True, lambda r: r["mixture"]["long_ratio"]),
    ("lists of 64, of the engine in process", 0.9, False, lambda r: r["lists"]["ratio"]),
    ("hourly series, of the bare network in batches of 1", 0.9, False, lambda r: r["hourly"]["ratio"]),
    ("from process start to the first answer, s", 1.5, True, lambda r: r["servers"][OURS_1]["ready_seconds"]),
    ("memory of a worker (PSS), MiB", 150, True, lambda r: r["servers"][OURS_1]["pss_bytes"] / MEGABYTE),
    ("CPU time a request, 2 workers of 1", 1.1, True, lambda r: second_worker(r)),
    ("answers under load that differ from alone", 0, True, lambda r: different(r)),
)


def goals(result: dict) -> Iterator[Goal]:
    """Those that the result has figures for."""
    for what, bound, at_most, measure in GOALS:
        try:
            measured = measure(result)
        except KeyError:
            continue
        if measured is not None:
            yield Goal(what, bound, at_most, measured)


def at(result: dict, server: str, connections: int) -> dict:
    """A server's figures at a number of connections, also after these became text in JSON."""
    figures = result["servers"][server]["connections"]
    return figures[connections] if connections in figures else figures[str(connections)]


def of_mosec(servers: dict) -> float:
    best = max(found["best_per_second"] for name, found in servers.items() if name.startswith("mosec"))
    return servers[OURS_2]["best_per_second"] / best


def half_load(result: dict, server: str) -> float | None:
    points = [point for point in result["curves"][server] if point["share"] == 0.5]
    return points[0]["p99_ms"]


def second_worker(result: dict) -> float:
    one, two = (at(result, server, 32)["cpu_microseconds"] for server in (OURS_1, OURS_2))
    return two / one


def different(result: dict) -> float:
    return sum(found["differing"] for name, found in result["servers"].items() if name in (OURS_1, OURS_2))
