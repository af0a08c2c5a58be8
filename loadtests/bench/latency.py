"""Latency in the open loop, where requests come when they come: by offered load, and short texts beside long ones."""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TypeVar

from loadtests.bench import tails, wrk
from loadtests.bench.servers import ROOT, Running, Server, ServerFailed, running
from loadtests.workload import Texts

K = TypeVar("K")

MIX_LOAD = 0.7
LONG_SHARE = 0.05
CONNECTIONS = 32


def offer(found: Running, streams: Mapping[str, tuple[float, Path]], seconds: float, seed: int = 0) -> dict:
    """What the open-loop client found, in a process of its own. `streams`: kind -> (requests a second, file of bodies).

    Raises ServerFailed.
    """
    command = [sys.executable, "-m", "loadtests.bench.openloop", "--url", found.url]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    for kind, (rate, bodies) in streams.items():
        command += ["--stream", f"{kind}={rate}:{bodies}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ServerFailed(
            f"{found.server.name}: the open-loop client ended with {done.returncode}:\n{done.stderr[-2000:]}"
        )
    return json.loads(done.stdout)


def curve(
    server: Server, texts: list[str], shares: Sequence[float], seconds: float, rounds: int, folder: Path
) -> list[dict]:
    """Latency at several shares of what the server takes in the closed loop."""
    bodies = server.write_bodies(texts, folder)
    with running(server, folder) as found:
        wrk.run(found.url, bodies, CONNECTIONS, 1)
        most = _capacity(found, bodies, rounds)
        offers = {share: partial(offer, found, {"text": (share * most, bodies)}, seconds) for share in shares}
        runs = _in_rounds(offers, rounds)
    return [_point(share, some) for share, some in runs.items()]


def same_load(
    servers: Sequence[Server], texts: list[str], most: float, shares: Sequence[float], seconds: float, rounds: int,
    folder: Path,
) -> dict[str, list[dict]]:  # fmt: skip
    """Latency of several servers, in turns, that are all offered the same: shares of `most` requests/s."""
    with ExitStack() as stack:
        found = {server.name: stack.enter_context(running(server, folder)) for server in servers}
        files = {server.name: server.write_bodies(texts, folder) for server in servers}
        for name, each in found.items():
            wrk.run(each.url, files[name], CONNECTIONS, 1)
        offers = {
            (name, share): partial(offer, each, {"text": (share * most, files[name])}, seconds)
            for share in shares
            for name, each in found.items()
        }
        runs = _in_rounds(offers, rounds)
    return {name: [_point(share, runs[name, share]) for share in shares] for name in found}


def _in_rounds(cases: Mapping[K, Callable[[int], dict]], rounds: int) -> dict[K, list[dict]]:
    """The results of every `case(seed)`: each round runs all of them, one after the other, with a seed of its own."""
    found = [{name: case(seed) for name, case in cases.items()} for seed in range(rounds)]
    return {name: [each[name] for each in found] for name in cases}


def _point(share: float, runs: list[dict]) -> dict:
    """The rounds of one share as a point of the curve."""
    return {
        "share": share,
        "offered": statistics.mean(run["offered"] for run in runs),
        **_lost(runs),
        "late_p99_ms": _late(runs),
        **_pooled(runs, "text"),
    }


def _pooled(runs: list[dict], kind: str) -> dict:
    return tails.pooled([run["latencies_ms"][kind] for run in runs])


def _late(runs: list[dict]) -> float | None:
    return tails.p99([late for run in runs for late in run["late_ms"]])


def _lost(runs: Iterable[dict]) -> dict[str, int]:
    """How many requests failed, and how many had no answer when the client gave up."""
    some = list(runs)
    return {name: sum(run[name] for run in some) for name in ("failed", "unanswered")}


def mixture(server: Server, texts: Texts, seconds: float, rounds: int, folder: Path) -> dict:
    """Short texts at 70 % load, 5 % of them replaced by texts of 400 tokens, against the same without the long ones.

    `without`: the same arrivals of short texts, the long ones left out. `equal_load`: short texts only, and as many as
    fill 70 % again. `alone`: one long text at a time on an idle server. The short texts' ratios are medians of the
    rounds' own, since the machine's speed drifts; where there are too few answers for a p99 there is none, nor a ratio.
    """
    short, long = texts.short(512), texts.long(64)
    mixed = [long[index % len(long)] if index % 20 == 0 else short[index % len(short)] for index in range(1280)]
    files = {
        kind: _write(server, some, folder / f"{kind}.jsonl")
        for kind, some in (("short", short), ("long", long), ("mixed", mixed))
    }
    with running(server, folder) as found:
        wrk.run(found.url, files["mixed"], CONNECTIONS, 1)
        both, only = (_capacity(found, files[kind], rounds) for kind in ("mixed", "short"))
        alone = wrk.run(found.url, files["long"], 1, 1)
        rate = MIX_LOAD * both
        streams = {"short": ((1 - LONG_SHARE) * rate, files["short"]), "long": (LONG_SHARE * rate, files["long"])}
        cases: dict[str, Callable[[int], dict]] = {
            "with_long": lambda seed: offer(found, streams, seconds, seed),
            "without": lambda seed: offer(found, {"short": streams["short"]}, seconds, seed),
            "equal_load": lambda seed: offer(found, {"short": (MIX_LOAD * only, files["short"])}, seconds, seed),
        }
        runs = _in_rounds(cases, rounds)
    shorts = {name: _pooled(some, "short") for name, some in runs.items()}
    longs = _pooled(runs["with_long"], "long")
    return {
        "capacity": both,
        "capacity_short": only,
        "offered": rate,
        "short_p99_ms": {name: found["p99_ms"] for name, found in shorts.items()},
        "short_p99_rounds_ms": {name: found["p99_rounds_ms"] for name, found in shorts.items()},
        "short_p50_ms": shorts["with_long"]["p50_ms"],
        "short_ratio": tails.ratio(shorts["with_long"], shorts["without"]),
        "short_ratio_equal_load": tails.ratio(shorts["with_long"], shorts["equal_load"]),
        "long_p99_ms": longs["p99_ms"],
        "long_p99_rounds_ms": longs["p99_rounds_ms"],
        "long_alone_ms": alone.p50_ms,
        "long_ratio": None if longs["p99_ms"] is None else longs["p99_ms"] / alone.p50_ms,
        **_lost(run for some in runs.values() for run in some),
        "late_p99_ms": max(filter(None, map(_late, runs.values())), default=None),
    }


def _capacity(found: Running, bodies: Path, rounds: int) -> float:
    """Requests/s in the closed loop; each time the connections are dealt anew."""
    return statistics.median(wrk.run(found.url, bodies, CONNECTIONS, 1).per_second for _ in range(rounds))


def _write(server: Server, texts: list[str], path: Path) -> Path:
    path.write_bytes(b"\n".join(map(server.body, texts)) + b"\n")
    return path
