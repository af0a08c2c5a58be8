"""float16 runs on CUDA only: what can be shown without it, the types of every value and the size of the error."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from exporter.half import LENGTHS, half, why_not_half
from exporter.half_simulation import HalfSession
from exporter.half_simulation import main as simulate
from exporter.sessions import Results, Rows, alone
from exporter.verify import parity
from tests.exporter.precision_cases import NETWORKS, Case, case

OFFERED = [name for name in NETWORKS if name not in ("peepholes", "coupled gates", "relu")]
HALF = TensorProto.FLOAT16


def types(model: onnx.ModelProto) -> dict[str, int]:
    """The element type of every value of a graph; inference is strict, so it fails on a node that mixes types."""
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True).graph
    known = {value.name: value.type.tensor_type.elem_type for value in [*graph.value_info, *graph.input, *graph.output]}
    return known | {tensor.name: tensor.data_type for tensor in graph.initializer}


def simulated(one: Case, rows: Rows) -> Results:
    """All values of the recurrent layers rounded to float16, step by step."""
    return alone(HalfSession(one.models["fp16"], one.initial_state), rows)


@pytest.mark.parametrize("name", OFFERED)
def test_recurrent_layers_are_float16_and_all_else_is_as_before(name: str) -> None:
    model = case(name).models["fp16"]
    found, before = types(model), types(case(name).models["fp32"])
    recurrent = [node for node in model.graph.node if node.op_type in ("LSTM", "GRU")]
    assert recurrent
    for node in recurrent:
        assert {found[value] for place, value in enumerate(node.input) if value and place != LENGTHS} == {HALF}
        assert {found[value] for value in node.output if value} == {HALF}
    assert {value: kind for value, kind in found.items() if value in before} == {
        value: before[value] for value in found if value in before
    }
    read = {value for node in recurrent for value in [*node.input, *node.output]}
    others = [value for value, kind in found.items() if kind == HALF and value not in read]
    assert all("table" in value or "embedding" in value for value in others)


@pytest.mark.parametrize("name", OFFERED)
def test_answers_stay_close_and_pins_settle(name: str) -> None:
    one = case(name)
    rows = one.rows[:6]
    expected, found = alone(one.subject("fp32").session(), rows), simulated(one, rows)
    assert 0 < parity(expected.outputs, found.outputs) < 0.03
    pins = found.states[:, list(one.pinned)]
    assert (pins == pins[:1]).all()
    np.testing.assert_allclose(pins, np.tile(one.initial_state[list(one.pinned)], (len(rows), 1)), rtol=2**-11)


def test_the_evaluator_rounds_every_value_but_adds_products_in_float32() -> None:
    """Float16 sums of ones would end at 2048; and float16 values are what float16 can hold."""
    ones = np.ones((1, 8192), np.float16)
    assert np.dot(ones, ones.T).item() == 8192
    found = simulated(case("stacked"), case("stacked").rows[:2]).states
    np.testing.assert_array_equal(found, found.astype(np.float16))


def test_a_sum_over_time_is_not_kept_in_float16() -> None:
    """Nine thousand steps: float16 cannot count them."""
    one = case("text")
    row = np.resize(one.rows[0], 9000)
    assert alone(one.subject("fp16").session(), [row]).states[0, -1] == 9000


def test_inputs_beyond_float16_become_its_largest_number() -> None:
    graph = onnx.parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 20]>
        agraph (float[T, 1, 1] inputs, int32[1] lengths) => (float[T, 1, 1, 1] outputs)
        <float[1, 4, 1] W = {0, 0, 0, 0}, float[1, 4, 1] R = {0, 0, 0, 0}>
        { outputs = LSTM <hidden_size = 1> (inputs, W, R, , lengths) }"""
    )
    model = half(graph)
    session = onnx.reference.ReferenceEvaluator(model)
    (outputs,) = session.run(None, {"inputs": np.full((1, 1, 1), 1e9, np.float32), "lengths": np.ones(1, np.int32)})
    assert np.isfinite(outputs).all()


def test_constants_are_rounded_to_the_nearest() -> None:
    one = case("stacked")
    before, after = (
        {tensor.name: numpy_helper.to_array(tensor) for tensor in one.models[precision].graph.initializer}
        for precision in ("fp32", "fp16")
    )
    halves = [name for name in after if name.endswith("R0.half")]
    assert halves
    for name in halves:
        np.testing.assert_allclose(after[name], before[name.removesuffix(".half")], rtol=2**-11, atol=1e-7)


def test_a_graph_without_recurrent_layers_has_no_use_for_it() -> None:
    assert why_not_half(onnx.ModelProto()) == "it has no recurrent layers"


def test_a_gru_that_resets_before_the_product_stays_float32() -> None:
    model = onnx.ModelProto.FromString(case("gru").models["fp32"].SerializeToString())
    node = next(node for node in model.graph.node if node.op_type == "GRU")
    attribute = next(attribute for attribute in node.attribute if attribute.name == "linear_before_reset")
    attribute.i = 0
    assert "GRU with a reset gate before the product" in why_not_half(model)


def test_the_command_tells_both_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    simulate(["models/forecast-stock/1", "--rows", "2"])
    lines = capsys.readouterr().out.splitlines()
    least, most = (float(line.rsplit(" ", 1)[1]) for line in lines[1:])
    assert 0 < least < most < 1e-3
