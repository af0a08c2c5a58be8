import json

import numpy as np
import pytest

from loadtests import engine
from loadtests.continuous import answer_all, fixed_chunks, planning_microseconds
from loadtests.floor import Network, padded, sorted_window
from loadtests.workload import Texts


@pytest.fixture(scope="module")
def network() -> Network:
    return Network.load("sentiment")


def test_the_quick_form_compares_all_ways_and_writes_json(tmp_path, capsys):
    assert engine.main(["--quick", "--json", str(tmp_path / "engine.json")]) == 0
    result = json.loads((tmp_path / "engine.json").read_text())
    printed = capsys.readouterr().out
    assert "0 answers differ from the answer alone" in printed
    assert set(result["planning"]["hourly"]) == {"1", "10", "100", "1000", "10000"}
    for kind in ("text", "hourly"):
        rows = result["kinds"][kind]
        assert {engine.FLOOR, engine.ALONE, engine.DEFAULT} <= rows.keys()
        assert all(row["differing"] == 0 and row["per_second"] > 0 for row in rows.values())
        assert all(name in printed for name in rows)


def test_every_way_answers_in_the_order_of_the_items(network):
    texts = Texts.read().mixed(70)
    alone = padded(network, texts, 1).answers
    assert len(set(alone)) > 60
    assert padded(network, texts).answers == alone
    assert sorted_window(network, texts, window=40, batch=7).answers == alone
    lists = [texts[:30], texts[30:31], texts[31:]]
    assert answer_all(network, fixed_chunks(network, 40, 5), lists, callers=2).answers == alone


def test_chunks_are_fixed(network):
    lane = fixed_chunks(network, 64, 8)
    seen = []
    run = lane.backend.run
    texts = Texts.read().long(2)

    class Watching:
        def run(self, inputs, lengths, state):
            seen.append(inputs.shape[1])
            return run(inputs, lengths, state)

    lane.backend = Watching()
    outcome = answer_all(network, lane, [texts])
    assert max(seen) == 8
    assert len(outcome.waits) == 1


def test_planning_is_timed_with_a_full_queue(network):
    assert 0 < planning_microseconds(network, [5, 50, 7], waiting=100, chunks=20) < np.inf
