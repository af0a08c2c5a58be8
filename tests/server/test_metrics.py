"""What the metrics count, to the last digit."""

import asyncio
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from server import metrics
from server.engine.engine import Engine
from server.engine.lane import ChunkedLane, Lane, PaddedLane, Shape
from server.engine.scheduler import Policy
from tests.processes import ROOT
from tests.server.engine.fakes import SHAPE, Clock, TickingBackend, cost, run


def figures(lane: str) -> dict[str, float]:
    """Every sample that is not 0, but for buckets, without what all names have in common."""
    lines = [line for line in metrics.scrape().decode().splitlines() if f'model="{lane}"' in line]
    samples = [line.rsplit(" ", 1) for line in lines if "_bucket{" not in line]
    return {name.split("{")[0].removeprefix("lstm_"): float(text) for name, text in samples if float(text)}


async def two_calls_and_one_more(kind: type[Lane]) -> tuple[dict[str, float], dict[str, float]]:
    """The figures after the first batch, and in the end.

    A second is what a step takes, whoever runs, and 10 are what a run takes besides. A call with sequences of 10 and of
    3 steps arrives at 1 s and one of 12 steps at 7 s; at 9 s the engine starts, which has two slots, and chunks of at
    most 8 steps.
    """
    clock, costs, observer = Clock(), cost(2, overhead=10.0, step=1.0), metrics.Observer()
    backend = TickingBackend(clock, costs)
    shape = Shape(SHAPE.initial_state, clipped=slice(1, 2))  # the steps seen, as if each clipped a value
    lane = kind(kind.__name__, backend, shape, costs, Policy(2, 8.5))
    engine = Engine(1000, observe=observer)
    engine.add(lane)
    observer.add(lane)
    with patch("server.engine.engine.time", clock):
        calls = [engine.submit(lane, [np.ones(10, np.int64), np.ones(3, np.int64)])]
        clock.now = 7.0
        calls.append(engine.submit(lane, [np.ones(12, np.int64)]))
        clock.now = 9.0
        engine.start()
        while not backend.calls:
            await asyncio.sleep(0)
        observer.write()
        halfway = figures(lane.name)
        await asyncio.gather(*(call.future for call in calls))
        await engine.drain()
        observer.write()
    return halfway, figures(lane.name)


def check_figures_of_a_chunked_lane() -> None:
    """8 steps of 10 and of 3 until 27 s, the other 2 and 2 of 12 until 39 s, 8 until 57 s, then 2 until 69 s."""
    halfway, end = run(two_calls_and_one_more(ChunkedLane))
    assert halfway == {
        "batch_rows_count": 1,
        "batch_rows_sum": 2,
        "batch_seconds_count": 1,
        "batch_seconds_sum": 18,
        "time_steps_total": 3,
        "padded_time_steps_total": 2 * 8,
        "clipped_values_total": 3,
        "waiting_sequences": 1,
        "running_sequences": 1,
    }, halfway
    assert end == {
        "queue_seconds_count": 2,
        "queue_seconds_sum": (9 - 1) + (27 - 7),
        "compute_seconds_count": 2,
        "compute_seconds_sum": (39 - 9) + (69 - 27),
        "batch_rows_count": 4,
        "batch_rows_sum": 2 + 2 + 1 + 1,
        "batch_seconds_count": 4,
        "batch_seconds_sum": 18 + 12 + 18 + 12,
        "time_steps_total": 10 + 3 + 12,
        "padded_time_steps_total": 2 * 8 + 2 * 2 + 8 + 2,
        "clipped_values_total": 10 + 3 + 12,
    }, end


def check_figures_of_a_padded_lane() -> None:
    """10 and 12 steps together until 31 s, then 3 until 44 s, which the first call has waited for."""
    halfway, end = run(two_calls_and_one_more(PaddedLane))
    assert halfway == {
        "queue_seconds_count": 1,
        "queue_seconds_sum": 9 - 7,
        "compute_seconds_count": 1,
        "compute_seconds_sum": 31 - 9,
        "batch_rows_count": 1,
        "batch_rows_sum": 2,
        "batch_seconds_count": 1,
        "batch_seconds_sum": 22,
        "time_steps_total": 10 + 12,
        "padded_time_steps_total": 2 * 12,
        "clipped_values_total": 10 + 12,
        "waiting_sequences": 1,
    }, halfway
    assert end == {
        "queue_seconds_count": 2,
        "queue_seconds_sum": (9 - 1) + (9 - 7),
        "compute_seconds_count": 2,
        "compute_seconds_sum": (44 - 9) + (31 - 9),
        "batch_rows_count": 2,
        "batch_rows_sum": 2 + 1,
        "batch_seconds_count": 2,
        "batch_seconds_sum": 22 + 13,
        "time_steps_total": 10 + 3 + 12,
        "padded_time_steps_total": 2 * 12 + 3,
        "clipped_values_total": 10 + 3 + 12,
    }, end


def check_values_observed_together() -> None:
    rng = random.Random(0)
    values = [rng.lognormvariate(-5, 2) for _ in range(1000)] + list(metrics.SECONDS)
    single, many = metrics.QUEUE.labels("single"), metrics.QUEUE.labels("many")
    for value in values:
        single.observe(value)
    for start in range(0, len(values), 7):
        many.observe_all(values[start : start + 7])
    lines = [line for line in metrics.scrape().decode().splitlines() if line.startswith("lstm_queue_seconds_")]
    names = ("single", "many")
    parts = [{line.replace(name, "x") for line in lines if name in line and "_sum" not in line} for name in names]
    assert len(parts[0]) > len(metrics.SECONDS), parts
    assert parts[0] == parts[1], parts[0] ^ parts[1]


def alone(check: Callable[[], None], folder: Path) -> None:
    """Runs it in a process that has metrics of its own."""
    program = f"from {__name__} import {check.__name__} as check; check()"
    variables = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=variables, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_values_observed_together_count_as_they_do_one_by_one(tmp_path):
    alone(check_values_observed_together, tmp_path)


@pytest.mark.parametrize("check", [check_figures_of_a_chunked_lane, check_figures_of_a_padded_lane])
def test_every_figure_is_what_it_says(tmp_path, check):
    alone(check, tmp_path)
