"""Three implementations agree: the NumPy reference, eager PyTorch, and the exported ONNX node."""

import dataclasses
from typing import get_args

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from exporter import graph
from exporter.errors import CheckFailed, GraphError, QuantizationError
from exporter.recurrent import (
    OnnxLayers,
    bounds_of_int8,
    exportable,
    layer_weights,
    pinned_columns,
    why_not_pinnable,
)
from exporter.sessions import alone, in_chunks, pad, together
from exporter.verify import Subject, check_pins, of_few_lengths, parity
from exporter.weights import PINNED_CELL, PINNED_HIDDEN, PINS
from tests.exporter.networks import NETWORKS, WITHOUT_PADDING, SeriesNetwork, TextNetwork, prepared, strong
from tests.exporter.reference_layers import outputs
from training.evaluation import predict
from training.networks.recurrent import Cell, Recurrent
from training.networks.step import StepNetwork, WholeNetwork

SENTENCE = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9], [1.0, 1.1, 1.2]], np.float32)
"""Word vectors of "I love deep learning"."""


def last_hidden(network: SeriesNetwork) -> SeriesNetwork:
    """The same network with a head that changes nothing."""
    network.head = nn.Identity()
    return network


def exported(network: StepNetwork, row: np.ndarray) -> Subject:
    stand_in = exportable(network, pinned=why_not_pinnable(network) is None)
    model = graph.to_onnx(stand_in, row).SerializeToString()
    return Subject(model, stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in), None, 1)


@pytest.mark.parametrize(("cell", "layers"), [("lstm", 1), *((cell, 2) for cell in get_args(Cell))])
def test_a_sentence_gives_the_same_numbers_everywhere(cell: Cell, layers: int) -> None:
    network = last_hidden(strong(SeriesNetwork(cell, hidden=4, layers=layers, features=3)))
    expected = outputs(network.lstm.rnn, cell, SENTENCE.astype(np.float64))[-1]
    eager = predict(network, [SENTENCE])[0]
    onnx = alone(exported(network, SENTENCE).session(), [SENTENCE]).outputs[0]
    np.testing.assert_allclose(eager, expected, atol=1e-6)
    np.testing.assert_allclose(onnx, expected, atol=1e-6)


class Layers(WholeNetwork):
    """Nothing but the layers: outputs per step of the last one or, like PyTorch, the final h and c of all."""

    def __init__(self, layers: OnnxLayers, final: bool = False) -> None:
        super().__init__()
        self.layers, self.final = layers, final
        self.per_step = not final

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        steps, after = self.layers(inputs.transpose(0, 1), lengths)
        if not self.final:
            return steps[-1].transpose(0, 1)
        h, c = self.layers.final(after)
        return (h if c is None else torch.stack([h, c], 3)).transpose(0, 1)


def run(network: Layers, rows: list[np.ndarray]) -> np.ndarray:
    """Outputs of a padded batch."""
    subject = Subject(
        graph.to_onnx(network, rows[0]).SerializeToString(),
        np.zeros(0, np.float32),
        (),
        None,
        1,
        False,
        network.per_step,
    )
    return together(subject.session(), [range(len(rows))], rows).outputs


@pytest.mark.parametrize(
    ("cell", "kind", "bias"), [("lstm", nn.LSTM, False), ("gru", nn.GRU, True), ("rnn", nn.RNN, True)]
)
def test_layers_of_pytorch_in_both_directions_give_the_same_numbers(
    cell: Cell, kind: type[nn.RNNBase], bias: bool
) -> None:
    torch.manual_seed(0)
    rnn = kind(3, 5, num_layers=2, bidirectional=True, bias=bias).double()
    rows = [SENTENCE, SENTENCE[:2], np.tile(SENTENCE, (5, 1))]
    layers = OnnxLayers(cell, [layer_weights(rnn, cell, number) for number in range(2)], 0)
    for row, found in zip(rows, run(Layers(layers), rows), strict=True):
        expected = outputs(rnn, cell, row.astype(np.float64))
        eager = rnn(torch.from_numpy(row).double()[:, None])[0][:, 0].detach()
        np.testing.assert_allclose(expected, eager, atol=1e-12)
        np.testing.assert_allclose(found[: len(row)], expected, atol=1e-6)
        assert not found[len(row) :].any()


@pytest.mark.parametrize(("pins", "directions"), [(0, 2), (PINS, 1), (PINS, 2)])
def test_final_states_are_those_of_pytorch(pins: int, directions: int) -> None:
    torch.manual_seed(0)
    rnn = nn.LSTM(3, 5, num_layers=2, bidirectional=directions == 2)
    layers = OnnxLayers("lstm", [layer_weights(rnn, "lstm", number) for number in range(2)], pins, bound=2.0)
    found = run(Layers(layers, final=True), [SENTENCE])[0]
    _, final = rnn(torch.from_numpy(SENTENCE)[:, None])
    np.testing.assert_allclose(found, torch.stack(final, 3)[:, 0].detach(), atol=1e-6)


def test_a_gru_may_reset_the_hidden_state_before_its_product() -> None:
    torch.manual_seed(0)
    rnn = nn.GRU(3, 5)
    layers = OnnxLayers("gru", [layer_weights(rnn, "gru", 0)], 0, linear_before_reset=False)
    found = run(Layers(layers), [SENTENCE])[0]
    W, R, b_x, b_h = (parameter.detach().double().numpy() for parameter in rnn.parameters())
    h = np.zeros(5)
    for x, y in zip(SENTENCE.astype(np.float64), found, strict=True):
        r, z = np.split(1 / (1 + np.exp(-(W[:10] @ x + R[:10] @ h + b_x[:10] + b_h[:10]))), 2)
        h = (1 - z) * np.tanh(W[10:] @ x + R[10:] @ (r * h) + b_x[10:] + b_h[10:]) + z * h
        np.testing.assert_allclose(y, h, atol=1e-6)


def test_other_activations_go_into_the_node_but_not_with_pins() -> None:
    torch.manual_seed(0)
    rnn = nn.GRU(3, 5)
    weights, names = [layer_weights(rnn, "gru", 0)], ["Sigmoid", "Softsign"]
    found = run(Layers(OnnxLayers("gru", weights, 0, activations=names)), [SENTENCE])[0]
    W, _, b_x, b_h = (parameter.detach().double().numpy() for parameter in rnn.parameters())
    x = W @ SENTENCE[0].astype(np.float64) + b_x
    r, z = np.split(1 / (1 + np.exp(-(x + b_h)[:10])), 2)
    n = x[10:] + r * b_h[10:]
    np.testing.assert_allclose(found[0], (1 - z) * n / (1 + np.abs(n)), atol=1e-6)
    with pytest.raises(GraphError, match="pins hold with the activations"):
        OnnxLayers("lstm", [layer_weights(nn.LSTM(3, 5), "lstm", 0)], PINS, activations=["Sigmoid", "Relu", "Relu"])


@pytest.mark.parametrize(
    ("layers", "cell", "pins", "message"),
    [
        ([nn.LSTM(3, 5), nn.LSTM(5, 4)], "lstm", 0, "one hidden size and one number of directions"),
        ([nn.GRU(3, 5)], "gru", PINS, "2 pins for gru"),
        ([nn.LSTM(3, 5, proj_size=2)], "lstm", 0, "proj_size=2"),
    ],
)
def test_layers_that_no_node_can_express_are_refused(
    layers: list[nn.RNNBase], cell: Cell, pins: int, message: str
) -> None:
    with pytest.raises(GraphError, match=message):
        OnnxLayers(cell, [layer_weights(rnn, cell, 0) for rnn in layers], pins)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_agrees_with_pytorch(name: str) -> None:
    one = prepared(name, pinned=why_not_pinnable(NETWORKS[name]()) is None)
    rows = of_few_lengths(one.rows) if name in WITHOUT_PADDING else one.rows
    found = alone(one.subject.session(), rows).outputs
    assert parity(predict_alone(one.network, rows), found) < 2e-5


def predict_alone(network: StepNetwork | WholeNetwork, rows: list[np.ndarray]) -> np.ndarray:
    found = [predict(network, [row])[0] for row in rows]
    return pad(found)[0] if network.per_step else np.stack(found)


@pytest.mark.parametrize("int8", [False, True], ids=["fp32", "int8"])
def test_pins_stay_for_two_thousand_steps(int8: bool) -> None:
    subject = prepared("series", True, int8).subject
    row = np.random.default_rng(0).normal(scale=9, size=(2000, 2)).astype(np.float32)
    check_pins(subject, [row])
    state = in_chunks(subject.session(), [row], 100, 1, 1).states[0]
    assert state[list(subject.pinned)].tolist() == [*PINNED_HIDDEN, *PINNED_CELL] * 2


def test_a_pin_that_moves_is_found() -> None:
    one = prepared("series", True)
    loose = dataclasses.replace(one.subject, pinned=(0, *one.subject.pinned))
    with pytest.raises(CheckFailed, match="pins: a column of the state that must never change moved by 0"):
        check_pins(loose, one.rows)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (TextNetwork("gru"), "no int8 kernel for GRU"),
        (SeriesNetwork(clip=None), "not bounded"),
        (TextNetwork(), None),
    ],
)
def test_what_has_no_int8_says_why(network: StepNetwork, reason: str | None) -> None:
    found = why_not_pinnable(network)
    assert found is None if reason is None else reason in found


def test_the_original_network_is_left_alone() -> None:
    network = SeriesNetwork()
    exportable(network, pinned=True)
    assert isinstance(network.lstm, Recurrent)
    assert pinned_columns(network) == ()


def test_equal_weights_have_one_bound() -> None:
    """Their nodes may share them, and so cannot be told apart."""
    weights = [layer_weights(nn.LSTM(3, 5), "lstm", 0)]
    layers = [OnnxLayers("lstm", weights, PINS, bound=bound, clamps=False) for bound in (1.0, 1.0, 2.0)]
    assert bounds_of_int8(nn.ModuleList(layers[:2]), onnx.ModelProto()) == {}
    with pytest.raises(QuantizationError, match="same weights have inputs of different bounds"):
        bounds_of_int8(nn.ModuleList(layers), onnx.ModelProto())
