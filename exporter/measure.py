"""How fast each precision is, and which one a CPU should therefore load."""

import statistics
import time
from collections.abc import Mapping, Sequence

import numpy as np

from exporter.sessions import Rows, StepSession, pad
from models.manifest import Precision

BATCH_SIZES = (1, 8, 32)
CHUNK = 16
WARM_UP_RUNS = 5
SECONDS = 0.7
"""For each batch size and precision."""
WORTHWHILE = 0.95
"""A smaller file is preferred only if it takes at most this share of fp32's time: a tie goes to the exact one."""


def milliseconds(
    sessions: Mapping[Precision, StepSession],
    rows: Rows,
    steps: int,
    sizes: Sequence[int] = BATCH_SIZES,
    limit: float | None = None,
) -> dict[Precision, dict[int, float]]:
    """Median time of a run of `steps` steps by batch size; the precisions take turns, so that noise hits all alike.

    `limit` is in seconds, for each batch size and precision; None: SECONDS.
    """
    limit = SECONDS if limit is None else limit
    found: dict[Precision, dict[int, float]] = {precision: {} for precision in sessions}
    for size in sizes:
        inputs, lengths = pad([_resized(rows[place % len(rows)], steps) for place in range(size)])
        seconds: dict[Precision, list[float]] = {precision: [] for precision in sessions}
        for run in range(WARM_UP_RUNS + 1000):
            for precision, session in sessions.items():
                state = session.initial_state(size)
                begun = time.perf_counter()
                session.run(inputs, lengths, state)
                seconds[precision].append(time.perf_counter() - begun)
            if run > 2 * WARM_UP_RUNS and sum(map(sum, seconds.values())) > limit * len(sessions):
                break
        for precision, times in seconds.items():
            found[precision][size] = round(1000 * statistics.median(times[WARM_UP_RUNS:]), 4)
    return found


def throughput(milliseconds: Mapping[int, float]) -> dict[int, float]:
    """Sequences per second by batch size."""
    return {size: round(1000 * size / time, 1) for size, time in milliseconds.items()}


def preference(milliseconds: Mapping[Precision, Mapping[int, float]]) -> tuple[Precision, ...]:
    """Precisions for the CPU, best first: by time (geometric mean over batch sizes), where it is clearly shorter."""

    def relative(precision: Precision) -> float:
        if precision == "fp32":
            return WORTHWHILE
        ratios = [time / milliseconds["fp32"][size] for size, time in milliseconds[precision].items()]
        return statistics.geometric_mean(ratios)

    return tuple(sorted(milliseconds, key=relative))


def _resized(row: np.ndarray, steps: int) -> np.ndarray:
    """The row's last `steps` steps; a shorter row is repeated."""
    return np.concatenate([row] * -(-steps // len(row)))[-steps:]
