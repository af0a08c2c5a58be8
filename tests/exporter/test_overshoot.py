"""Hidden units may leave [-1, 1] by some units in the last place: pins lie where they can go furthest."""

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from exporter import graph
from exporter.overshoot import largest_hidden, peak
from exporter.quantize import quantized
from exporter.recurrent import exportable, pinned_columns
from exporter.sessions import Rows, alone
from exporter.verify import Subject, check_pins, invariance
from exporter.weights import PINNED_HIDDEN
from tests.exporter.networks import SeriesNetwork

FEATURES = 2


def values(operator: str, arguments: np.ndarray) -> np.ndarray:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy")
    parts = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "graph", [x], [y])
    model = helper.make_model(parts, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": arguments.astype(np.float32)})[0]


@pytest.mark.parametrize("operator", ["Tanh", "Sigmoid"])
def test_nothing_is_above_the_peak(operator: str) -> None:
    argument, largest = peak(operator)
    everywhere = np.concatenate([np.linspace(-30, 30, 1_000_003), np.geomspace(1e-3, 1e30, 100_003)])
    assert values(operator, everywhere).max() <= largest
    assert values(operator, np.array([argument])).item() == largest
    assert 1 <= largest < 1 + 1e-5


@pytest.fixture(scope="module")
def network() -> SeriesNetwork:
    """Its cells add up what comes in, and its gates are wide open: the answer is tanh of a sum."""
    torch.manual_seed(0)
    network = SeriesNetwork(hidden=30, layers=1, features=FEATURES).eval()
    network.head = nn.Identity()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    bias = network.lstm.rnn.bias_ih_l0.data.view(4, -1)
    bias[1], bias[3] = 8.0, 17.0
    return network


@pytest.fixture(scope="module")
def rows() -> Rows:
    random = np.random.default_rng(0)
    return [random.normal(size=(length, FEATURES)).astype(np.float32) for length in random.integers(5, 90, 64)]


@pytest.fixture(scope="module")
def subject(network: SeriesNetwork, rows: Rows) -> Subject:
    stand_in = exportable(network, pinned=True)
    model = quantized(graph.to_onnx(stand_in, max(rows, key=len))).SerializeToString()
    return Subject(model, stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in), None, 1)


def test_the_case_is_real(subject: Subject, rows: Rows) -> None:
    largest = np.abs(alone(subject.session(), rows).outputs).max()
    assert 1 < largest <= largest_hidden()


def test_the_pins_are_as_far_out_as_a_hidden_unit_can_be(subject: Subject, rows: Rows) -> None:
    assert (largest_hidden(), -largest_hidden()) == PINNED_HIDDEN
    check_pins(subject, rows)


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_beyond_1_change_nothing(subject: Subject, rows: Rows, seed: int) -> None:
    found = invariance(subject, rows, seed)
    assert (found.batch, found.padding, found.chunks, found.threads) == (0.0, 0.0, 0.0, 0.0)


def test_pins_of_exactly_1_would_not_do(network: SeriesNetwork, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.weights.PINNED_GATES", (-50.0, 50.0, 50.0, 0.0))
    monkeypatch.setattr("exporter.layers.PINNED_CELL", (20.0, -20.0))
    monkeypatch.setattr("exporter.layers.PINNED_HIDDEN", (1.0, -1.0))
    stand_in = exportable(network, pinned=True)
    model = quantized(graph.to_onnx(stand_in, max(rows, key=len))).SerializeToString()
    plain = Subject(model, stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in), None, 1)
    assert invariance(plain, rows).batch > 0
