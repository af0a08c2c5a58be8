"""Three implementations agree: the NumPy reference, eager PyTorch, and the exported ONNX node."""

import dataclasses

import numpy as np
import pytest
from torch import nn

from exporter import graph
from exporter.errors import CheckFailed
from exporter.recurrent import PINNED_CELL, PINNED_HIDDEN, exportable, pinned_columns, why_not_pinnable
from exporter.sessions import alone, in_chunks
from exporter.verify import Subject, check_pins
from tests.exporter.networks import NETWORKS, SeriesNetwork, TextNetwork, prepared, strong
from tests.exporter.reference_cell import stacked
from training.evaluation import predict
from training.networks.recurrent import Recurrent
from training.networks.step import StepNetwork

SENTENCE = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6], [0.7, 0.8, 0.9], [1.0, 1.1, 1.2]], np.float32)
"""Word vectors of "I love deep learning"."""


def last_hidden(network: SeriesNetwork) -> SeriesNetwork:
    """The same network with a head that changes nothing."""
    network.head = nn.Identity()
    return network


def exported(network: StepNetwork, row: np.ndarray) -> Subject:
    stand_in = exportable(network, pinned=True)
    model = graph.to_onnx(stand_in, row).SerializeToString()
    return Subject(model, stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in), None, 1)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_sentence_gives_the_same_numbers_everywhere(layers: int) -> None:
    network = last_hidden(strong(SeriesNetwork(hidden=4, layers=layers, features=3)))
    expected, _ = stacked(network.lstm.rnn, SENTENCE.astype(np.float64))
    eager = predict(network, [SENTENCE])[0]
    onnx = alone(exported(network, SENTENCE).session(), [SENTENCE]).outputs[0]
    np.testing.assert_allclose(eager, expected[-1], atol=1e-6)
    np.testing.assert_allclose(onnx, expected[-1], atol=1e-6)


@pytest.mark.parametrize("name", ["text", "text, gru", "series", "series, gru", "series, rnn"])
def test_every_cell_agrees_with_pytorch(name: str) -> None:
    one = prepared(name, pinned=why_not_pinnable(NETWORKS[name]()) is None)
    found = alone(one.subject.session(), one.rows).outputs
    np.testing.assert_allclose(found, predict(one.network, one.rows), atol=2e-5)


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
