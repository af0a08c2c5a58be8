"""The graph is what a server expects: names, open axes, no traces of the machine it was made on."""

import dataclasses

import pytest
import torch

from exporter import graph
from exporter.errors import GraphError
from exporter.quantize import quantized
from exporter.recurrent import exportable
from exporter.sessions import alone
from tests.exporter.networks import SeriesNetwork, prepared, rows_for, strong


def dims(value: object) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_inputs_and_outputs_have_their_names_and_open_axes() -> None:
    one = prepared("text", True)
    size = len(one.subject.initial_state)
    assert {value.name: dims(value) for value in one.model.graph.input} == {
        "inputs": ["batch", "time"],
        "lengths": ["batch"],
        "state": ["batch", size],
    }
    assert {value.name: dims(value) for value in one.model.graph.output} == {
        "outputs": ["batch", 2],
        "next_state": ["batch", size],
    }


def test_the_graph_is_small_and_clean() -> None:
    model = prepared("text", True).model
    found = graph.operators(model)
    assert found["LSTM"] == 1
    assert sum(found.values()) < 45
    text = str(model)
    assert "metadata_props" not in text
    assert ".py" not in text


def test_the_same_network_gives_the_same_bytes() -> None:
    one = prepared("series", True)
    again = graph.to_onnx(exportable(one.network, pinned=True), one.rows[0])
    assert again.SerializeToString() == one.model.SerializeToString()


class FixedBatch(SeriesNetwork):
    """A mistake that is easily made: the length of a tensor as a Python number."""

    def forward(self, inputs: torch.Tensor, lengths: torch.Tensor, state: torch.Tensor) -> tuple:
        outputs, after = super().forward(inputs, lengths, state)
        return outputs + torch.arange(len(lengths))[:, None], after


def test_a_fixed_batch_is_refused() -> None:
    network = exportable(strong(FixedBatch()), pinned=True)
    with pytest.raises(GraphError, match=r"axis 0 of '\w+' was fixed to 2 on export.*x\.shape"):
        graph.to_onnx(network, rows_for(network)[0])


@pytest.mark.parametrize("name", ["text", "series"])
def test_every_lstm_is_quantized_and_the_head_is_not(name: str) -> None:
    found = graph.operators(prepared(name, True, True).model)
    assert found["DynamicQuantizeLSTM"] == graph.operators(prepared(name, True).model)["LSTM"]
    assert not {"LSTM", "MatMulInteger", "DynamicQuantizeMatMul"} & set(found)


def test_the_embedding_is_quantized_too() -> None:
    before, after = (prepared("text", True, int8).subject.model for int8 in (False, True))
    assert len(after) < 0.4 * len(before)


def test_a_quantized_embedding_costs_nothing_but_last_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepared("text", True, True)
    monkeypatch.setattr("exporter.quantize.gathers", lambda graph, readers: [])
    with_floats = quantized(prepared("text", True).model).SerializeToString()
    other = dataclasses.replace(one.subject, model=with_floats)
    assert alone(one.subject.session(), one.rows).deviation(alone(other.session(), one.rows)) < 1e-5


def test_two_layers_that_share_weights_are_both_quantized() -> None:
    network = strong(SeriesNetwork(hidden=2))  # with two features, so that both layers have weights of one shape
    rnn = network.lstm.rnn
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        setattr(rnn, f"{name}_l1", getattr(rnn, f"{name}_l0"))
    model = graph.to_onnx(exportable(network, pinned=True), rows_for(network)[0])
    assert graph.operators(quantized(model))["DynamicQuantizeLSTM"] == 2
