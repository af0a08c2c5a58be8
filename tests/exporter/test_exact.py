"""Operators that depend on a value's neighbours are replaced by equal ones that do not."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from exporter.exact import make_exact
from exporter.graph import operators

FLOAT, INT = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64


def one_node(operator: str, second: np.ndarray | None, kind: int = FLOAT, **attributes: float) -> onnx.ModelProto:
    """A graph x [batch, 7, 24] -> y of one node with an optional constant second input."""
    constants = [] if second is None else [numpy_helper.from_array(second, "second")]
    node = helper.make_node(operator, ["x", "second"][: 1 + len(constants)], ["y"], name="node", **attributes)
    inputs = [helper.make_tensor_value_info("x", kind, ["batch", 7, 24])]
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph([node], "graph", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def deviation_alone(model: onnx.ModelProto, x: np.ndarray) -> float:
    """The largest difference between a row's values in a batch and alone."""
    batch = run(model, x)
    return float(max(np.abs(run(model, x[row : row + 1]) - batch[row]).max() for row in range(len(x))))


def positive(seed: int = 0) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(scale=4, size=(5, 7, 24))).astype(np.float32)


def signed(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=5, size=(5, 7, 24)).astype(np.float32)


AXIS_1, BOTH = np.array([1]), np.array([1, 2])
CASES = [
    pytest.param("Log", None, {}, positive(), id="log"),
    pytest.param("Softplus", None, {}, signed(), id="softplus"),
    pytest.param("Elu", None, {}, signed(), id="elu"),
    pytest.param("Elu", None, {"alpha": 0.3}, signed(), id="elu, alpha"),
    pytest.param("Celu", None, {"alpha": 0.3}, signed(), id="celu"),
    pytest.param("Selu", None, {}, signed(), id="selu"),
    pytest.param("Pow", np.float32(2), {}, signed(), id="square"),
    pytest.param("Pow", np.float32(3), {}, signed(), id="cube"),
    pytest.param("ReduceMean", AXIS_1, {"keepdims": 0}, signed(), id="mean"),
    pytest.param("ReduceMean", BOTH, {"keepdims": 1}, signed(), id="mean of two axes"),
    pytest.param("ReduceSum", np.array([-1]), {"keepdims": 1}, signed(), id="sum"),
]


@pytest.mark.parametrize(("operator", "second", "attributes", "x"), CASES)
def test_the_replacement_computes_the_same_and_is_exact(
    operator: str, second: np.ndarray | None, attributes: dict[str, float], x: np.ndarray
) -> None:
    model = one_node(operator, None if second is None else np.asarray(second), **attributes)
    expected = run(model, x)
    make_exact(model)
    assert operator not in operators(model)
    np.testing.assert_allclose(run(model, x), expected, rtol=3e-6, atol=3e-6)
    assert deviation_alone(model, x) == 0.0


def test_the_mean_of_a_middle_axis_is_not_exact_before() -> None:
    assert deviation_alone(one_node("ReduceMean", AXIS_1, keepdims=0), signed()) > 0


@pytest.mark.parametrize(
    ("operator", "second", "kind"),
    [("ReduceSum", AXIS_1, INT), ("Pow", np.float32(2.5), FLOAT), ("Exp", None, FLOAT)],
)
def test_what_is_exact_or_unknown_is_left_alone(operator: str, second: np.ndarray | None, kind: int) -> None:
    model = one_node(operator, None if second is None else np.asarray(second), kind)
    make_exact(model)
    assert operators(model) == {operator: 1}


def test_the_logarithm_of_what_is_below_0_is_no_number() -> None:
    model = one_node("Log", None)
    make_exact(model)
    x = np.resize(np.array([-30, -1e-30, -np.inf, np.nan, 0.0, -0.0, 2, np.inf], np.float32), (2, 7, 24))
    with np.errstate(all="ignore"):
        expected = np.log(x)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-6)


@pytest.mark.parametrize(("nodes", "checked"), [("c = Clip(x, low)", 0), ("c = Clip(x, high)", 1), ("c = Neg(x)", 1)])
def test_what_is_clamped_above_0_needs_no_look_at_the_sign(nodes: str, checked: int) -> None:
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 20]> agraph (float[n, 4] x) => (float[n, 2] y)
        <float low = {{1e-6}}, float high = {{-1.0}}, int64[1] from = {{0}}, int64[1] to = {{2}}, int64[1] axis = {{1}}>
        {{ {nodes} s = Slice(c, from, to, axis) d = Div(s, s) y = Log(d) }}"""
    )
    make_exact(model)
    assert operators(model).get("Where", 0) == checked


@pytest.mark.parametrize("value", [1e-30, 1e-3, 0.9999, 1.0, 1.0001, 7.0, 1e30])
def test_the_logarithm_is_right_at_every_magnitude(value: float) -> None:
    model = one_node("Log", None)
    make_exact(model)
    found = run(model, np.full((1, 7, 24), value, np.float32))
    np.testing.assert_allclose(found, np.log(np.float64(np.float32(value))), rtol=1e-6, atol=2e-7)
