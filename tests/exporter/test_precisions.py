"""Every precision of every shape of network: what its contract promises, and what it may not have touched."""

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from exporter.errors import QuantizationError
from exporter.graph import operators, quiet
from exporter.precisions import DEVICES, contract, variants, why_not
from exporter.quantize import quantized, unpinned_int8
from exporter.sessions import alone
from exporter.verify import check_pins, invariance, parity
from models.manifest import Precision
from tests.exporter.networks import prepared
from tests.exporter.precision_cases import NETWORKS, PINNED, case
from training.evaluation import predict


def moved(found: object) -> dict[str, float]:
    return {name: value for name, value in found.model_dump(exclude={"sequences"}).items() if value}


def test_every_precision_has_a_contract_of_one_sentence_and_a_device() -> None:
    for precision in get_args(Precision):
        promised = contract(precision, padding=True, chunkable=True)
        assert promised.endswith(".")
        assert "\n" not in promised
        assert DEVICES[precision]


@pytest.mark.parametrize(
    ("padding", "chunkable", "ways"),
    [
        (True, True, "alone, in company, padded and in chunks;"),
        (True, False, "alone, in company and padded;"),
        (False, False, "alone and in company;"),
    ],
)
def test_no_way_of_running_is_promised_that_there_is_not(padding: bool, chunkable: bool, ways: str) -> None:
    for precision in ("fp32", "int8"):
        assert f"the same to the bit {ways}" in contract(precision, padding=padding, chunkable=chunkable)


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("text", {"fp32", "int8", "int8-weights", "fp16"}),
        ("peepholes", {"fp32", "int8", "int8-weights"}),
        ("coupled gates", {"fp32", "int8", "int8-weights"}),
        ("gru", {"fp32", "int8-weights", "fp16"}),
        ("relu", {"fp32", "int8-weights"}),
    ],
)
def test_each_network_gets_the_precisions_that_can_be_had(name: str, offered: set[Precision]) -> None:
    assert set(case(name).models) == offered


def test_what_is_missing_has_a_reason() -> None:
    assert "cuDNN has no LSTM with peepholes" in why_not(case("peepholes").models["fp32"])["fp16"]
    assert "cuDNN has no LSTM with coupled gates" in why_not(case("coupled gates").models["fp32"])["fp16"]
    assert "other activations" in why_not(case("relu").models["fp32"])["fp16"]
    assert why_not(case("text").models["fp32"]) == {}


def test_the_fp32_graph_is_left_alone() -> None:
    model = case("text").models["fp32"]
    before = model.SerializeToString()
    variants(model, True)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("name", PINNED)
def test_every_lstm_is_quantized_and_nothing_else_is(name: str) -> None:
    before, after = (operators(case(name).models[precision]) for precision in ("fp32", "int8"))
    assert after.pop("DynamicQuantizeLSTM") == before.pop("LSTM")
    assert after.pop("DequantizeLinear", 0) == ("text" in name)
    assert after == before


@pytest.mark.parametrize("name", PINNED)
def test_int8_is_exact_and_close(name: str) -> None:
    one = case(name)
    subject = one.subject("int8")
    check_pins(subject, one.rows)
    assert moved(invariance(subject, one.rows)) == {}
    assert 0 < parity(predict(one.network, one.rows), alone(subject.session(), one.rows).outputs) < 0.3


@pytest.mark.parametrize("name", ["peepholes", "coupled gates", "both ways"])
def test_what_makes_an_lstm_special_survives(name: str) -> None:
    before, after = (
        [node for node in case(name).models[precision].graph.node if node.op_type.endswith("LSTM")]
        for precision in ("fp32", "int8")
    )
    for float_node, int8_node in zip(before, after, strict=True):
        assert list(int8_node.input[7:8]) == (list(float_node.input[7:8]) or [""])
        attributes = [
            {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            for node in (float_node, int8_node)
        ]
        assert attributes[0] == attributes[1]


@pytest.mark.parametrize("name", ["text", "stacked"])
def test_the_library_quantizes_an_lstm_to_the_same_bits(name: str, tmp_path: Path) -> None:
    one, target = case(name), tmp_path / "int8.onnx"
    model = one.models["fp32"]
    chosen = [node.name for node in [*model.graph.node] if node.op_type == "LSTM" or node.output[0] == "embedding"]
    with quiet(""):
        quantize_dynamic(
            model, target, op_types_to_quantize=["LSTM", "Gather"], nodes_to_quantize=chosen, per_channel=True
        )
    theirs = alone(one.of(onnx.load(target)).session(), one.rows)
    assert theirs.deviation(alone(one.subject("int8").session(), one.rows)) == 0


def test_copies_of_an_unrolled_node_share_one_quantized_weight() -> None:
    model = case("two modules").models["int8"]
    nodes = [node for node in model.graph.node if node.op_type == "DynamicQuantizeLSTM"]
    assert len(nodes) == 1 + 2
    assert len({tuple(node.input[1:3]) for node in nodes}) == 1 + 1
    names = [tensor.name for tensor in model.graph.initializer]
    assert len(names) == len(set(names))
    assert {name for node in model.graph.node for name in node.input} >= set(names)


def test_nodes_that_share_only_one_of_their_weights_are_quantized_too() -> None:
    model = onnx.ModelProto.FromString(case("stacked").models["fp32"].SerializeToString())
    first, second = (node for node in model.graph.node if node.op_type == "LSTM")
    second.input[2] = first.input[2]
    found = quantized(model)
    assert operators(found)["DynamicQuantizeLSTM"] == 2
    one = case("stacked")
    float_rows, int8_rows = (alone(one.of(graph).session(), one.rows) for graph in (model, found))
    assert float_rows.deviation(int8_rows) < 0.3


def test_computed_weights_cannot_be_quantized() -> None:
    model = onnx.ModelProto.FromString(case("stacked").models["fp32"].SerializeToString())
    node = next(node for node in model.graph.node if node.op_type == "LSTM")
    model.graph.node.insert(0, helper.make_node("Identity", [node.input[1]], ["computed"]))
    node.input[1] = "computed"
    with pytest.raises(QuantizationError, match=r"W of the LSTM '.+' is computed in the graph; only constants"):
        quantized(model)


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "text"])
def test_weights_in_8_bits_are_as_exact_as_fp32(name: str) -> None:
    one = case(name)
    subject = one.subject("int8-weights")
    check_pins(subject, one.rows)
    assert moved(invariance(subject, one.rows)) == {}
    if name != "relu":  # whose values grow without limit, and their error with them
        assert 0 < parity(predict(one.network, one.rows), alone(subject.session(), one.rows).outputs) < 0.15


@pytest.mark.parametrize("name", ["text", "both ways", "two modules", "gru, text"])
def test_weights_in_8_bits_are_the_fp32_graph_with_rounded_weights(name: str) -> None:
    """To the bit: nothing but the constants may have changed."""
    one = case(name)
    other = onnx.ModelProto.FromString(one.models["fp32"].SerializeToString())
    dequantized = constants_of(one.models["int8-weights"])
    replaced = [tensor for tensor in other.graph.initializer if f"{tensor.name}.int8" in dequantized]
    for tensor in replaced:
        integers, scales = (dequantized[f"{tensor.name}.{part}"] for part in ("int8", "scale"))
        along = scales[:, None] if len(scales) == len(integers) else scales
        values = (integers.astype(np.float32) * along).reshape(tuple(tensor.dims))
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    assert {node.op_type for node in other.graph.node} & {"LSTM", "GRU"}
    assert len(replaced) >= 2
    found = alone(one.subject("int8-weights").session(), one.rows)
    assert alone(one.of(other).session(), one.rows).deviation(found) == 0


@pytest.mark.parametrize("name", ["stacked", "both ways", "gru, text"])
def test_no_weight_moves_by_more_than_half_a_step(name: str) -> None:
    one = case(name)
    before, after = constants_of(one.models["fp32"]), constants_of(one.models["int8-weights"])
    stored = [key.removesuffix(".int8") for key in after if key.endswith(".int8")]
    for key in stored:
        integers, scales = after[f"{key}.int8"], after[f"{key}.scale"]
        assert np.abs(integers.astype(int)).max() == 127
        errors = np.abs(integers * scales[:, None] - before[key].reshape(integers.shape))
        assert (errors <= 0.5001 * scales[:, None]).all()
    assert not [key for key in stored if key.endswith(("B0", "B1", "bias"))]


def test_the_pinned_columns_of_a_table_have_no_say_in_its_scales() -> None:
    """They hold its largest entry in every row, and would make the steps of all rows as large as that one's."""
    table = constants_of(case("text").models["fp32"])["lstm.table"]
    scales = constants_of(case("text").models["int8-weights"])["lstm.table.scale"]
    np.testing.assert_allclose(scales, np.abs(table[:, :-2]).max(1) / 127, rtol=1e-6)
    assert scales.min() < 0.7 * scales.max()


def test_a_large_model_becomes_nearly_four_times_smaller() -> None:
    sizes = {name: len(model.SerializeToString()) for name, model in case("gru, text").models.items()}
    assert sizes["int8-weights"] < 0.45 * sizes["fp32"]
    assert sizes["fp16"] < 0.65 * sizes["fp32"]


def test_what_a_tutorial_does_depends_on_the_neighbours() -> None:
    one = prepared("text", False)
    plain = unpinned_int8(one.model)
    assert "LSTM" not in operators(plain)
    found = invariance(
        type(one.subject)(plain.SerializeToString(), one.subject.initial_state, (), one.subject.vocabulary, 1), one.rows
    )
    assert min(found.batch, found.padding) > 1e-4


def constants_of(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
