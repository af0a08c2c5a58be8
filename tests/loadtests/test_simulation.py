from itertools import repeat

import numpy as np
import pytest

from loadtests import simulation
from loadtests.simulation import CHUNK_SECONDS, COSTS, REQUEST_SECONDS, Arrivals, mixed_lengths, simulate, straight
from server.engine.scheduler import ChunkPlanner, Policy

COST = straight(1e-4, 0.0, 1e-5, 0.0)


def test_one_connection_waits_for_nobody():
    found = simulate(COST, Policy(8, 1.0), Arrivals(repeat(40), 1), 1.0)
    alone = REQUEST_SECONDS + COST.seconds(1, 40) + CHUNK_SECONDS
    assert found[:, 1] == pytest.approx(alone)
    assert len(found) == pytest.approx(0.9 / (alone + simulation.THINK_SECONDS), rel=0.01)


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_nobody_is_answered_sooner_than_alone(cost):
    found = simulate(cost, Policy(16, 1e-3), Arrivals(mixed_lengths(), 16), 0.5)
    assert len(found) > 500
    alone = np.array([cost.seconds(1, int(steps)) for steps in found[:, 0]])
    assert (found[:, 1] > alone).all()


def test_what_is_offered_is_answered():
    found = simulate(COST, Policy(8, 1e-3), Arrivals(repeat(10), rate=1000.0), 2.0)
    assert len(found) == pytest.approx(0.9 * 2000, rel=0.1)


@pytest.mark.parametrize("connections", [16, 32])
@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
def test_old_rows_that_run_apart_shorten_the_tail_and_cost_no_throughput(cost, connections, monkeypatch):
    def measured() -> tuple[int, float]:
        found = simulate(cost, Policy(32, 1e-3), Arrivals(mixed_lengths(), connections), 3.0)
        return len(found), float(np.quantile(found[:, 1], 0.99))

    count, p99 = measured()
    plan = ChunkPlanner.plan
    monkeypatch.setattr(
        ChunkPlanner, "plan", lambda self, left, waited, crowded, smallest: plan(self, left, waited, True, smallest)
    )
    together, p99_together = measured()
    assert p99 < p99_together
    assert count > 0.98 * together


def test_the_command_prints_both_tables(capsys):
    simulation.main(["--quick"])
    printed = capsys.readouterr().out
    assert all(printed.count(name) == len(simulation.CONNECTIONS) * len(simulation.SLOTS) + 1 for name in COSTS)
