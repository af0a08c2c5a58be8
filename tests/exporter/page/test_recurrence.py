"""The values of every step, taken one by one, are those of the node that ran all steps at once."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from exporter.page.recurrence import Recurrence, trajectory

STEPS, BATCH, FEATURES, HIDDEN = 9, 5, 3, 4
LENGTHS = np.array([9, 1, 4, 7, 9], np.int32)
WEIGHTS = {"LSTM": 4, "GRU": 3, "RNN": 1}
OPERATORS = [
    ("LSTM", {}),
    ("LSTM", {"direction": "reverse"}),
    ("LSTM", {"direction": "bidirectional"}),
    ("LSTM", {"direction": "bidirectional", "activations": ["Sigmoid", "Tanh", "Tanh", "Sigmoid", "Relu", "Tanh"]}),
    ("LSTM", {"input_forget": 1}),
    ("GRU", {"linear_before_reset": 1}),
    ("GRU", {"direction": "bidirectional"}),
    ("RNN", {"activations": ["Relu"]}),
]
CASES = [(*case, peepholes) for case in OPERATORS for peepholes in (False, True) if case[0] == "LSTM" or not peepholes]


def read(operator: str, directions: int, peepholes: bool) -> dict[str, np.ndarray]:
    """What a node reads, by the names of ONNX."""
    random, gates = np.random.default_rng(0), WEIGHTS[operator]

    def some(*shape: int) -> np.ndarray:
        return random.normal(scale=0.7, size=shape).astype(np.float32)

    found = {
        "X": some(STEPS, BATCH, FEATURES),
        "W": some(directions, gates * HIDDEN, FEATURES),
        "R": some(directions, gates * HIDDEN, HIDDEN),
        "B": some(directions, 2 * gates * HIDDEN),
        "sequence_lens": LENGTHS,
        "initial_h": some(directions, BATCH, HIDDEN),
    }
    if operator == "LSTM":
        found["initial_c"] = some(directions, BATCH, HIDDEN)
        if peepholes:
            found["P"] = some(directions, 3 * HIDDEN)
    return found


def at_once(node: onnx.NodeProto, given: dict[str, np.ndarray]) -> list[np.ndarray]:
    """The node's own outputs."""
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "whole",
        [],
        [helper.make_tensor_value_info(name, tensor, None) for name in node.output],
        [numpy_helper.from_array(value, name) for name, value in given.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {})


@pytest.mark.parametrize(("operator", "attributes", "peepholes"), CASES)
def test_hidden_and_cell_values(operator: str, attributes: dict, peepholes: bool) -> None:
    directions = 2 if attributes.get("direction") == "bidirectional" else 1
    given = read(operator, directions, peepholes)
    outputs = ["Y", "Y_h", "Y_c"] if operator == "LSTM" else ["Y", "Y_h"]
    node = helper.make_node(operator, list(given), outputs, hidden_size=HIDDEN, **attributes)
    hidden, cells = trajectory(Recurrence(node, 20, given))
    sequence, _, *last_cells = at_once(node, given)
    valid = np.arange(STEPS)[:, None] < LENGTHS
    in_order_of_reading = sequence.copy()
    for direction in range(directions):
        if direction == 1 or attributes.get("direction") == "reverse":
            for row, length in enumerate(LENGTHS):
                in_order_of_reading[:length, direction, row] = sequence[:length, direction, row][::-1]
    expected = in_order_of_reading.transpose(0, 2, 1, 3).reshape(STEPS, BATCH, -1)[valid]
    np.testing.assert_allclose(hidden, expected, atol=1e-6)
    assert (cells is None) == (operator != "LSTM")
    if cells is not None:
        unrolled = np.zeros((STEPS, BATCH, directions * HIDDEN), np.float32)
        unrolled[valid] = cells
        final = unrolled[LENGTHS - 1, np.arange(BATCH)].reshape(BATCH, directions, HIDDEN)
        np.testing.assert_allclose(final, last_cells[0].transpose(1, 0, 2), atol=1e-6)
