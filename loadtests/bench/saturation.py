"""How much a server takes: wrk at several numbers of connections, with what it costs and how right it stays."""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from loadtests.bench import processes, wrk
from loadtests.bench.servers import Running, Server, running
from loadtests.rounds import median_ratio

WARM_UP_CONNECTIONS = 32
COMPARED = 64


@dataclass(frozen=True)
class Cell:
    """One run of wrk, beside what the server's processes used meanwhile."""

    load: wrk.Load
    cpu_seconds: float
    pss_bytes: int
    split: list[int]
    """Connections of each worker, most first."""

    @property
    def cpu_microseconds(self) -> float:
        """The server's CPU time for one request."""
        return self.cpu_seconds / max(1, self.load.requests) * 1e6


def cell(found: Running, bodies: Path, connections: int, seconds: float) -> Cell:
    seen: dict = {}

    def look() -> None:
        pids = found.pids()
        seen["pss"] = processes.pss_bytes(pids)
        seen["split"] = processes.split(processes.connections(pids, found.port), found.server.acceptors)

    before = found.cpu_seconds()
    load = wrk.run(found.url, bodies, connections, seconds, look)
    return Cell(load, found.cpu_seconds() - before, seen["pss"], seen["split"])


@dataclass(frozen=True)
class Round:
    """One start of a server, with a cell for each number of connections."""

    ready_seconds: float
    cells: dict[int, Cell]
    compared: int
    differing: int


def saturate(server: Server, texts: list[str], connections: Iterable[int], seconds: float, folder: Path) -> Round:
    bodies = server.write_bodies(texts, folder)
    with running(server, folder) as found:
        wrk.run(found.url, bodies, WARM_UP_CONNECTIONS, 1)
        cells = {count: cell(found, bodies, count, seconds) for count in connections}
        compared, differing = company(found, bodies, texts[:COMPARED])
        return Round(found.ready_seconds, cells, compared, differing)


def company(found: Running, bodies: Path, texts: list[str], connections: int = 32) -> tuple[int, int]:
    """(compared, differing): answers beside wrk's full load against the answers alone, for one pass of wrk of 1 s."""
    questions = [found.server.body(text) for text in texts]
    alone = [_answer(found, found.ask(question)) for question in questions]
    counts = [0, 0]
    load = threading.Thread(target=wrk.run, args=(found.url, bodies, connections, 1))
    load.start()
    time.sleep(0.2)
    channel = http.client.HTTPConnection("127.0.0.1", found.port, timeout=10)
    while load.is_alive():
        index = counts[0] % len(questions)
        channel.request("POST", found.server.path, questions[index], {"Content-Type": "application/json"})
        answer = _answer(found, json.loads(channel.getresponse().read()))
        counts[0] += 1
        counts[1] += answer != alone[index]
    channel.close()
    load.join()
    return counts[0], counts[1]


def _answer(found: Running, document: dict) -> object:
    return found.server.one_answer(document)


def summary(server: Server, rounds: list[Round], floors: list[float]) -> dict:
    """The medians over the rounds. `floors`: sequences/s of the floor in the same rounds.

    The best number of connections is the one with the highest median, for all rounds: the best cell of every round by
    itself would be a maximum of several noisy runs, held against a single one of the floor.
    """
    counts = list(rounds[0].cells)
    rates = {count: [each.cells[count].load.per_second for each in rounds] for count in counts}
    best = max(counts, key=lambda count: statistics.median(rates[count]))
    return {
        "acceptors": server.acceptors,
        "best_connections": best,
        "best_per_second": statistics.median(rates[best]),
        "of_floor": median_ratio(rates[best], floors),
        "cpu_microseconds": statistics.median(each.cells[best].cpu_microseconds for each in rounds),
        "pss_bytes": statistics.median(max(cell.pss_bytes for cell in each.cells.values()) for each in rounds),
        "ready_seconds": statistics.median(each.ready_seconds for each in rounds),
        "failures": sum(found.load.failures for each in rounds for found in each.cells.values()),
        "compared": sum(each.compared for each in rounds),
        "differing": sum(each.differing for each in rounds),
        "connections": {count: _at([each.cells[count] for each in rounds]) for count in counts},
    }


def _at(cells: list[Cell]) -> dict:
    return {
        "per_second": statistics.median(found.load.per_second for found in cells),
        "p50_ms": statistics.median(found.load.p50_ms for found in cells),
        "p99_ms": statistics.median(found.load.p99_ms for found in cells),
        "cpu_microseconds": statistics.median(found.cpu_microseconds for found in cells),
        "splits": [found.split for found in cells],
        "rounds": [asdict(found.load) | {"per_second": found.load.per_second} for found in cells],
    }
