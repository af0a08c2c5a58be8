"""The two step functions of an encoder-decoder, called one after the other, are the graph with the horizon inside."""

from functools import cache

import numpy as np
import onnx
import pytest

from exporter import graph
from exporter.exhibits import EXHIBITS
from exporter.precisions import variants
from exporter.recurrent import exportable
from exporter.sessions import StepSession
from models.manifest import Precision
from training.networks.step import StepNetwork

EXHIBIT = next(exhibit for exhibit in EXHIBITS if exhibit.name == "encoder-decoder")
NETWORK = EXHIBIT.network()
ROWS = EXHIBIT.rows(4)
PARTS: dict[str, tuple[StepNetwork, np.ndarray]] = {
    "both": (NETWORK, ROWS[0]),
    "encoder": (NETWORK.encoder, ROWS[0]),
    "decoder": (NETWORK.decoder, ROWS[0][:, :1]),
}


@cache
def models(part: str) -> dict[Precision, onnx.ModelProto]:
    network, example = PARTS[part]
    return variants(graph.to_onnx(exportable(network, pinned=True), example), pinned=True)


@cache
def sessions(part: str) -> dict[Precision, StepSession]:
    initial = exportable(PARTS[part][0], pinned=True).initial_state(1)[0].numpy()
    runnable = {precision: model for precision, model in models(part).items() if precision != "fp16"}
    return {precision: StepSession(model.SerializeToString(), initial) for precision, model in runnable.items()}


@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-weights"])
@pytest.mark.parametrize("row", ROWS)
def test_a_decoder_goes_on_where_the_encoder_stopped(precision: Precision, row: np.ndarray) -> None:
    both, encoder, decoder = (sessions(part)[precision] for part in PARTS)
    length, one = np.array([len(row)], np.int32), np.ones(1, np.int32)
    expected, _ = both.run(row[None], length, both.initial_state(1))
    _, state = encoder.run(row[None], length, encoder.initial_state(1))
    value = row[None, -1:, :1]
    for ahead in range(NETWORK.horizon):
        value, state = decoder.run(value, one, state)
        assert value.item() == expected[0, ahead]


def test_the_weights_of_the_decoder_are_stored_once() -> None:
    nodes = [node for node in models("both")["int8"].graph.node if node.op_type == "DynamicQuantizeLSTM"]
    assert len(nodes) == 1 + NETWORK.horizon
    assert len({node.input[1] for node in nodes}) == 2


def test_what_a_decoder_says_is_clamped_before_it_is_read() -> None:
    decoder = sessions("decoder")["int8"]
    one, state = np.ones(1, np.int32), decoder.initial_state(1)
    at_the_clip, beyond = (decoder.run(np.full((1, 1, 1), value, np.float32), one, state) for value in (8.0, 1e9))
    assert all(np.array_equal(found, expected) for found, expected in zip(beyond, at_the_clip, strict=True))
