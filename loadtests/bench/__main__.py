"""`python -m loadtests.bench`: floor, ceiling, a tutorial's server and ours, in one run; tables, JSON and a page."""

import argparse
import json
import signal
import statistics
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from loadtests import machine
from loadtests.bench import against_network, failures, latency, phases, report, wrk
from loadtests.bench.saturation import cell, saturate, summary
from loadtests.bench.servers import Server, ServerFailed, ceiling, ours, running, threaded, tutorial
from loadtests.continuous import answer_all, own_lane
from loadtests.floor import Network, Outcome, padded
from loadtests.rounds import alternate, median_ratio
from loadtests.sample import MODELS
from loadtests.workload import Texts
from models.files import write_whole

T = TypeVar("T")
RESULTS = Path(__file__).parent.parent / "results"
CONNECTIONS, FEW_CONNECTIONS = (1, 8, 32, 128), (1, 32)
SHARES, FEW_SHARES = (0.1, 0.25, 0.5, 0.7, 0.85), (0.5,)


def compare(servers: Sequence[Server], options: argparse.Namespace, texts: list[str]) -> dict:
    """Floor, engine and every server, in alternating rounds: {"floor": ..., "engine": ..., "servers": {name: ...}}."""
    network = Network.load(MODELS["text"])
    items = texts * options.passes
    padded(network, texts)
    cells: dict[str, Callable[[], object]] = {
        "floor": lambda: padded(network, items),
        "engine": lambda: answer_all(network, own_lane(network), [[item] for item in items]),
    }
    for server in servers:
        cells[server.name] = partial(saturate, server, texts, options.connections, options.seconds, options.folder)
    found: dict[str, list] = alternate({name: _told(name, work) for name, work in cells.items()}, options.rounds)
    floors = [outcome.wall_per_second for outcome in found["floor"]]
    summaries = {server.name: summary(server, found[server.name], floors) for server in servers}
    in_process = {name: _rates(found[name], floors) for name in ("floor", "engine")}
    return {"rounds": options.rounds, **in_process, "servers": summaries}


def _rates(outcomes: list[Outcome], floors: list[float]) -> dict:
    walls = [outcome.wall_per_second for outcome in outcomes]
    cpu = statistics.median(1e6 / outcome.per_second for outcome in outcomes)
    return {"per_second": statistics.median(walls), "of_floor": median_ratio(walls, floors), "cpu_microseconds": cpu}


def _told(name: str, work: Callable[[], T]) -> Callable[[], T]:
    def told() -> T:
        print(f"· {name}", file=sys.stderr, flush=True)
        return work()

    return told


def profile(server: Server, texts: list[str], seconds: float, folder: Path) -> dict:
    """Time by phase of a saturated worker; its samples stay in the folder for other tools."""
    bodies, samples = server.write_bodies(texts, folder), folder / "profile.txt"
    with running(server, folder) as found:
        wrk.run(found.url, bodies, 32, 1)
        cost = cell(found, bodies, 32, seconds).cpu_microseconds
        load = threading.Thread(target=wrk.run, args=(found.url, bodies, 32, seconds + 2))
        load.start()
        problem = phases.record(found.process.pid, seconds, samples)
        load.join()
    if problem:
        return {"problem": problem}
    return {"cpu_microseconds": cost, "shares": phases.shares(samples.read_text())}


def run(options: argparse.Namespace) -> dict:
    """The whole benchmark. Raises WrkMissing, WrkFailed or ServerFailed."""
    wrk.require()
    neighbours = machine.Neighbours()
    sample = Texts.read()
    texts = sample.mixed(512)
    flags = ("--device", options.device)
    one, two = ours(1, *flags), ours(2, *flags)
    servers = (
        [ceiling(1), tutorial(), two]
        if options.quick
        else [ceiling(1), ceiling(2), tutorial(), threaded(*flags), one, two]
    )
    measured = [two] if options.quick else [tutorial(), one, two]
    result = {"machine": machine.describe(), **compare(servers, options, texts)}
    curve = partial(latency.curve, texts=texts, shares=options.shares, seconds=options.seconds, folder=options.folder)
    steps = {
        "curves": lambda: {each.name: curve(each, rounds=options.rounds) for each in measured},
        "mixture": lambda: latency.mixture(one, sample, options.mixture_seconds, options.rounds, options.folder),
        "lists": lambda: against_network.lists(one, texts, options.seconds, options.rounds, options.folder),
        "hourly": lambda: against_network.hourly(one, 256, options.seconds, options.rounds, options.folder),
        "phases": lambda: profile(one, texts, 2 * options.seconds, options.folder),
    }
    for name, step in steps.items():
        result[name] = _told(name, step)()
    result["machine"] |= neighbours.shares()
    return result


def save(result: dict, folder: Path) -> None:
    from loadtests.bench.page import page

    write_whole(folder / "bench.json", json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / "bench.html", page(result))
    print(report.text(result), f"\n{folder / 'bench.html'}")


def exit_code(result: dict) -> int:
    """1 if something failed on our side, which is said."""
    found = list(failures.of(result))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


def stop_on_signals() -> None:
    """SIGTERM ends the program as Ctrl-C does: the servers, which are sessions of their own, are stopped first."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))


def arguments(given: list[str], what: str | None = __doc__) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--quick", action="store_true", help="about half a minute: one short round")
    parser.add_argument("--rounds", type=int, default=3, help="alternating rounds (default: 3)")
    parser.add_argument("--seconds", type=float, default=3, help="how long wrk runs for one figure (default: 3)")
    parser.add_argument("--device", default="cpu", help="device of our server: cpu, cuda or auto (default: cpu)")
    parser.add_argument("--out", type=Path, default=RESULTS, dest="folder", help="folder for the results")
    options = parser.parse_args(given)
    options.connections, options.shares, options.passes = CONNECTIONS, SHARES, 8
    options.mixture_seconds = 2 * options.seconds
    if options.quick:
        options.connections, options.shares, options.passes = FEW_CONNECTIONS, FEW_SHARES, 1
        options.rounds, options.seconds, options.mixture_seconds = 1, 1, 1
    options.folder.mkdir(parents=True, exist_ok=True)
    return options


def main(given: list[str]) -> int:
    options = arguments(given)
    try:
        result = run(options)
    except (wrk.WrkMissing, wrk.WrkFailed, ServerFailed) as problem:
        print(problem, file=sys.stderr)
        return 1
    save(result, options.folder)
    return exit_code(result)


if __name__ == "__main__":
    stop_on_signals()
    sys.exit(main(sys.argv[1:]))
