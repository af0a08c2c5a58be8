"""The figures as text: Markdown tables, the same on the screen and in the documents."""

import statistics

from loadtests import machine
from loadtests.bench import goals
from loadtests.rounds import figure, table

SERVERS = [
    "server",
    "best, req/s",
    "of floor",
    "CPU µs/req",
    "p50 / p99 (rounds) at 32, ms",
    "PSS, MiB",
    "ready, s",
    "failed",
    "differ",
]
CURVE = [
    "server",
    "load",
    "offered, req/s",
    "p50, ms",
    "p90, ms",
    "p99, ms",
    "p99 of the rounds, ms",
    "client late p99, ms",
    "failed",
    "unanswered",
]
MIXTURE = ["short texts (≤ 20 tokens) beside 5 % of 400 tokens", "figure", "of the rounds"]
RATES = ["what", "over HTTP /s", "in process /s", "ratio", "CPU µs over HTTP", "CPU µs in process", "failed"]


def text(result: dict) -> str:
    """Everything, section after section; those that were not measured are left out."""
    parts = [machine.sentence(result["machine"]), _servers(result), _connections(result)]
    if "peers" in result:
        parts += [f"Peers, in a run of their own, {_when(result['peers'])}:", _servers(result["peers"])]
        parts += [_curves(result["peers"])] if "curves" in result["peers"] else []
    parts += [part(result) for key, part in SECTIONS.items() if key in result]
    parts.append(table(goals.HEADER, [goal.row() for goal in goals.goals(result)]))
    return "\n\n".join(parts)


def _when(result: dict) -> str:
    found = result["machine"]
    return f"{found['date'][:16].replace('T', ' ')} UTC; {machine.used_by_others(found)}"


def _servers(result: dict) -> str:
    rows: list[list[object]] = []
    for name, key in (("floor (in process, 1 thread)", "floor"), ("engine (in process, 1 thread)", "engine")):
        figures = [result[key][each] for each in ("per_second", "of_floor", "cpu_microseconds")]
        rows.append([name, *figures, *[None] * (len(SERVERS) - 4)])
    for name, found in result["servers"].items():
        at_32 = goals.at(result, name, 32)
        rounds = _extent([each["p99_ms"] for each in at_32["rounds"]])
        latency = f"{figure(at_32['p50_ms'])} / {figure(at_32['p99_ms'])} ({rounds})"
        costs = [found["pss_bytes"] / goals.MEGABYTE, found["ready_seconds"], found["failures"]]
        compared = f"{found['differing']} of {found['compared']:,}"
        rows.append(
            [name, found["best_per_second"], found["of_floor"], found["cpu_microseconds"], latency, *costs, compared]
        )
    return table(SERVERS, rows)


def _connections(result: dict) -> str:
    """Requests/s at each number of connections, and how unevenly connections fell on the workers."""
    counts = list(next(iter(result["servers"].values()))["connections"])
    rows = []
    for name, found in result["servers"].items():
        rates = [found["connections"][count]["per_second"] for count in counts]
        splits = goals.at(result, name, 32)["splits"]
        rows.append([name, *rates, _imbalance(splits) if found["acceptors"] > 1 else None])
    return table(["requests/s by connections", *map(str, counts), "most on one worker, of 32"], rows)


def _imbalance(splits: list[list[int]]) -> str:
    """Median and range over the rounds of the busiest worker's share of the connections."""
    busiest = [split[0] for split in splits if split]
    return f"{statistics.median(busiest):g} ({min(busiest)}–{max(busiest)})" if busiest else "–"


def _curves(result: dict) -> str:
    rows = [
        [name, f"{point['share']:.0%}", *(point[key] for key in ("offered", "p50_ms", "p90_ms")), *_p99(point)]
        + [point[key] for key in ("late_p99_ms", "failed", "unanswered")]
        for name, points in result["curves"].items()
        for point in points
    ]
    return table(CURVE, rows)


def _p99(found: dict) -> list[object]:
    """Of all answers, and the range of the rounds' own; none where they are too few."""
    return [found["p99_ms"], None if found["p99_ms"] is None else _extent(found["p99_rounds_ms"])]


def _extent(values: list[float | None]) -> str:
    found = [value for value in values if value is not None]
    return f"{figure(min(found))}–{figure(max(found))}" if found else "–"


def _mixture(result: dict) -> str:
    mix = result["mixture"]

    def short(name: str) -> list[object]:
        return _p99({key: mix[f"short_{key}"][name] for key in ("p99_ms", "p99_rounds_ms")})

    rows = [
        ["offered, req/s (70 % of what the mixture saturates at)", mix["offered"], None],
        ["short texts, p99 beside long ones, ms", *short("with_long")],
        ["short texts, p99 without them, same arrivals, ms", *short("without")],
        ["short texts, p99 without them, 70 % load again, ms", *short("equal_load")],
        ["long texts, p99, ms", *_p99({key: mix[f"long_{key}"] for key in ("p99_ms", "p99_rounds_ms")})],
        ["long texts, alone on an idle server, ms", mix["long_alone_ms"], None],
        ["client late p99 where it was latest, ms", mix["late_p99_ms"], None],
        ["failed", mix["failed"], None],
        ["unanswered", mix["unanswered"], None],
    ]
    return table(MIXTURE, rows)


def _rates(result: dict) -> str:
    names = {"lists": "lists of 64 texts, of the engine", "hourly": "hourly series, of the bare network"}
    keys = ("per_second", "in_process_per_second", "ratio", "cpu_microseconds", "in_process_microseconds", "failures")
    return table(RATES, [[what, *(result[name][key] for key in keys)] for name, what in names.items()])


def _phases(result: dict) -> str:
    found = result["phases"]
    if "problem" in found:
        return f"Time by phase was not measured: {found['problem']}."
    rows = [[phase, share, share * found["cpu_microseconds"]] for phase, share in found["shares"].items()]
    return table(["phase of one request, 1 worker saturated", "share", "CPU µs"], rows)


SECTIONS = {"curves": _curves, "mixture": _mixture, "hourly": _rates, "phases": _phases}
