"""A network that is not what its manifest says answers nobody."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.bundle import BundleError, read
from server.engine.lane import ChunkedLane, PaddedLane
from server.registry import load
from server.settings import Settings
from tests.server.bundles import LONGEST, publish
from tests.server.engine.fakes import cost
from tests.server.graphs import Network

LABELS = {"task": "classification", "outputs": {"shape": [3], "labels": ["a", "b", "c"]}}
FORWARD = Network(3, vocabulary=20)
BOTH_WAYS = Network(3, features=2, bidirectional=True, chunkable=False)
THREE_STEPS = Network(3, window=3, chunkable=False)
NO_PADDING = Network(3, features=2, blind=True, chunkable=False)


def loaded(folder: Path, network: Network, **fields: Any):
    return load(read(publish(folder / "some" / "1", network, **LABELS | fields)), Settings(), "cpu")


@pytest.mark.parametrize(
    ("network", "lane"),
    [(FORWARD, ChunkedLane), (BOTH_WAYS, PaddedLane), (THREE_STEPS, PaddedLane), (NO_PADDING, PaddedLane)],
)
def test_each_kind_of_network_is_measured_and_gets_its_lane(tmp_path, network, lane):
    model = loaded(tmp_path, network)
    assert type(model.lane) is lane
    assert 0 < model.lane.cost.seconds(1, 10) < model.lane.cost.seconds(32, 100)
    model.lane.cost = cost(32)
    assert model.inline == (lane is ChunkedLane)


@pytest.mark.parametrize("network", [FORWARD, BOTH_WAYS])
@pytest.mark.parametrize("steps", [1, 5])
def test_a_network_of_one_length_is_measured_at_that(tmp_path, network, steps):
    model = loaded(tmp_path, network, steps={"smallest": steps, "largest": steps, "first_chunk": steps})
    assert model.lane.cost.seconds(1, steps) > 0


REFUSED = {
    "outputs of another shape": (
        Network(4, vocabulary=20),
        {},
        r"answers float32 \[1, 4\], its manifest says float32 \[1, 3\]",
    ),
    "outputs per step": (Network(3, vocabulary=20, per_step=True), {}, r"its manifest says float32 \[1, 3\]"),
    "outputs not per step": (
        FORWARD,
        {"task": "tagging", "outputs": LABELS["outputs"] | {"when": "per_step"}},
        r"its manifest says float32 \[1, 65, 3\]",
    ),
    "padding that is seen": (NO_PADDING, {"padding": True}, "depends on its batch"),
    "too few steps": (THREE_STEPS, {"steps": {"smallest": 1, "largest": LONGEST}}, "does not run on 1 to 65 made-up"),
    "another state": (
        FORWARD,
        {"state": [{"name": "lstm", "size": 4, "initial": [[4, 0.0]]}]},
        "does not run on 65 to 65 made-up steps",
    ),
    "a smaller vocabulary": (FORWARD, {"inputs": {"kind": "tokens", "vocabulary": 200}}, "does not run"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_network_that_is_not_as_its_manifest_says_is_refused(tmp_path, case):
    network, fields, message = REFUSED[case]
    with pytest.raises(BundleError, match=message) as refused:
        loaded(tmp_path, network, **fields)
    assert "\n" not in str(refused.value)


def test_a_file_that_the_runtime_cannot_load_is_one_sentence(tmp_path):
    network = FORWARD.model()
    network.graph.node[0].op_type = "Unheard"

    class Strange(Network):
        def model(self, seed=0):
            return network

    with pytest.raises(BundleError, match="the runtime cannot load it") as refused:
        loaded(tmp_path, Strange(3, vocabulary=20))
    assert "\n" not in str(refused.value)


def test_a_network_whose_single_step_is_long_leaves_the_event_loop(tmp_path):
    model = loaded(tmp_path, FORWARD)
    model.lane.cost = cost(32)
    assert model.inline
    model.lane.cost = cost(32, step=0.01)
    assert not replace(model).inline
