"""`python -m loadtests.engine`: the engine without HTTP, in one thread, beside the ways that others batch.

All ways answer the same items, each round once, in turn; every answer is compared with the answer alone.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from loadtests import machine, workload
from loadtests.continuous import answer_all, fixed_chunks, own_lane, planning_microseconds
from loadtests.floor import BATCH, WINDOW, Network, Outcome, differing, padded, sorted_window
from loadtests.rounds import alternate, median_ratio, table
from loadtests.sample import MODELS
from loadtests.workload import LIST_SIZE
from models.files import write_whole

FLOOR = f"floor: padded batches of {BATCH}, as they come"
ALONE = "one by one"
DEFAULT = "continuous, default policy"
LISTS = f"continuous, lists of {LIST_SIZE}"
LIST_CALLERS = 4
SLOTS = {"text": (8, 16, 32, 64), "hourly": (8, 16, 32)}
CHUNKS = {"text": (4, 8, 16, 32, 64), "hourly": (16, 32, 64, 168)}
WAITING = (1, 10, 100, 1_000, 10_000)
HEADER = ["way", "sequences/s (CPU)", "of the floor", "sequences/s (wall)", "p99 of a call, ms", "differ"]

Cells = dict[str, Callable[[], Outcome]]


def ways(network: Network, items: Sequence, sweep: Sequence[tuple[int, int]], lists: bool) -> Cells:
    """Everything that is compared, by name. `sweep`: pairs of slots and time steps of a chunk."""
    single = [[item] for item in items]
    cells: Cells = {
        FLOOR: partial(padded, network, items),
        ALONE: partial(padded, network, items, 1),
        f"sorted within {WINDOW}, batches of {BATCH}": partial(sorted_window, network, items),
        DEFAULT: lambda: answer_all(network, own_lane(network), single),
    }
    if lists:
        several = [items[start : start + LIST_SIZE] for start in range(0, len(items), LIST_SIZE)]
        cells[LISTS] = lambda: answer_all(network, own_lane(network), several, LIST_CALLERS)
    for slots, steps in sweep:
        cells[f"continuous, {slots} slots, chunks of {steps}"] = partial(_fixed, network, slots, steps, single)
    return cells


def _fixed(network: Network, slots: int, steps: int, calls: Sequence[Sequence]) -> Outcome:
    return answer_all(network, fixed_chunks(network, slots, steps), calls)


def measure(network: Network, items: Sequence, rounds: int, sweep: Sequence[tuple[int, int]], lists: bool) -> dict:
    """The medians of all ways, by name."""
    cells = ways(network, items, sweep, lists)
    padded(network, items[: 2 * BATCH])
    outcomes = alternate(cells, rounds)
    alone, floor = outcomes[ALONE][0].answers, [outcome.per_second for outcome in outcomes[FLOOR]]
    return {name: summary(found, floor, alone) for name, found in outcomes.items()}


def summary(outcomes: list[Outcome], floor: list[float], alone: list[bytes]) -> dict:
    waits = [float(np.quantile(found.waits, 0.99)) * 1000 for found in outcomes if found.waits]
    return {
        "per_second": statistics.median(outcome.per_second for outcome in outcomes),
        "of_floor": median_ratio((outcome.per_second for outcome in outcomes), floor),
        "wall_per_second": statistics.median(outcome.wall_per_second for outcome in outcomes),
        "p99_ms": statistics.median(waits) if waits else None,
        "differing": sum(differing(outcome.answers, alone) for outcome in outcomes),
        "answers": sum(outcome.sequences for outcome in outcomes),
    }


def planning(network: Network, lengths: Sequence[int], chunks: int, rounds: int) -> dict[int, float]:
    """Microseconds of planning for each chunk, by how many sequences wait; medians of alternating rounds."""
    cells = {str(waiting): partial(planning_microseconds, network, lengths, waiting, chunks) for waiting in WAITING}
    return {int(name): statistics.median(found) for name, found in alternate(cells, rounds).items()}


def run(options: argparse.Namespace) -> dict:
    neighbours = machine.Neighbours()
    result: dict = {"machine": machine.describe(), "rounds": options.rounds, "kinds": {}, "planning": {}}
    items: dict[str, list] = {
        "text": workload.Texts.read().mixed(options.texts),
        "hourly": workload.hourly(options.series),
    }
    for kind, some in items.items():
        network = Network.load(MODELS[kind])
        sweep = [] if options.quick else [(slots, steps) for slots in SLOTS[kind] for steps in CHUNKS[kind]]
        result["kinds"][kind] = measure(network, some, options.rounds, sweep, lists=kind == "text")
        lengths = [len(network.encode(item)) for item in some[:500]]
        result["planning"][kind] = planning(network, lengths, options.chunks, options.rounds)
    result["machine"] |= neighbours.shares()
    return result


def report(result: dict) -> str:
    parts = [machine.sentence(result["machine"]) + f"; medians of {result['rounds']} rounds"]
    for kind, rows in result["kinds"].items():
        keys = ("per_second", "of_floor", "wall_per_second", "p99_ms", "differing")
        parts.append(
            f"{MODELS[kind]}\n\n" + table(HEADER, [[name, *(row[key] for key in keys)] for name, row in rows.items()])
        )
    waiting = ["planning of a chunk, µs, by waiting sequences", *(f"{count:,}" for count in WAITING)]
    parts.append(table(waiting, [[MODELS[kind], *found.values()] for kind, found in result["planning"].items()]))
    return "\n\n".join(parts)


def arguments(given: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m loadtests.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few seconds: one round, few items, no sweep")
    parser.add_argument("--rounds", type=int, default=5, help="alternating rounds (default: 5)")
    parser.add_argument("--texts", type=int, default=1500, help="texts in a round (default: 1500)")
    parser.add_argument("--series", type=int, default=300, help="series in a round (default: 300)")
    parser.add_argument("--chunks", type=int, default=500, help="chunks that planning is timed over (default: 500)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args(given)
    if options.quick:
        options.rounds, options.texts, options.series, options.chunks = 1, 128, 48, 50
    return options


def main(given: list[str]) -> int:
    options = arguments(given)
    result = run(options)
    print(report(result))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.json, json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    differ = sum(row["differing"] for rows in result["kinds"].values() for row in rows.values())
    print(f"\n{differ} answers differ from the answer alone")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
