"""The recurrent nodes of an ONNX graph, and the hidden and cell values of every time step.

An LSTM node gives away its hidden values, but of its cells only the last ones. Each node is therefore run once more on
the inputs that it had, one time step a call, by itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

GATES = {"LSTM": ("input", "output", "forget", "cell"), "GRU": ("update", "reset", "hidden"), "RNN": ("hidden",)}
"""In ONNX's order."""
SLOTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
"""The inputs of the operators; GRU and RNN end after initial_h."""


@dataclass(frozen=True)
class Recurrence:
    """One recurrent node, with all that it read: time-first `X` [T, B, I], weights by direction, lengths int [B]."""

    node: onnx.NodeProto
    opset: int
    read: Mapping[str, np.ndarray]

    @property
    def hidden_size(self) -> int:
        return self.read["R"].shape[2]

    @property
    def directions(self) -> int:
        return self.read["W"].shape[0]

    @property
    def lengths(self) -> np.ndarray:
        steps, batch = self.read["X"].shape[:2]
        return self.read.get("sequence_lens", np.full(batch, steps))

    @property
    def valid(self) -> np.ndarray:
        """Which steps of which rows count: bool [T, B]."""
        return np.arange(len(self.read["X"]))[:, None] < self.lengths


def sources(model: onnx.ModelProto) -> tuple[dict[str, np.ndarray], list[str]]:
    """What the recurrent nodes of a graph read: the constants, and the names of what has to be computed."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    names = {name for node in nodes(model) for name in node.input if name}
    given = {value.name for value in model.graph.input}
    return constants, sorted(names - constants.keys() - given)


def nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type in GATES]


def exposing(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """A copy that also gives away the named values."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {output.name for output in copy.graph.output}
    copy.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in names if name not in known)
    return copy


def recurrences(model: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> Iterator[Recurrence]:
    """The graph's recurrent nodes in order, given the values of everything that they read."""
    opset = next(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
    for node in nodes(model):
        read = {slot: values[name] for slot, name in zip(SLOTS, node.input, strict=False) if name}
        yield Recurrence(node, opset, read)


def trajectory(one: Recurrence) -> tuple[np.ndarray, np.ndarray | None]:
    """Hidden and cell values of every step that counts: float32 [steps, D * H] each; no cells but an LSTM's."""
    parts = [_direction(one, direction) for direction in range(one.directions)]
    hidden = np.concatenate([hidden for hidden, _ in parts], 1)
    cells = [cell for _, cell in parts if cell is not None]
    return hidden, np.concatenate(cells, 1) if cells else None


def _direction(one: Recurrence, direction: int) -> tuple[np.ndarray, np.ndarray | None]:
    inputs, valid = one.read["X"], one.valid
    if _attributes(one.node).get("direction") == "reverse" or direction == 1:
        inputs = _backwards(inputs, one.lengths)
    session = ort.InferenceSession(_single(one, direction).SerializeToString(), providers=["CPUExecutionProvider"])
    names = ["initial_h", "initial_c"][: 2 if one.node.op_type == "LSTM" else 1]
    zeros = np.zeros((one.directions, inputs.shape[1], one.hidden_size), np.float32)
    state = {name: one.read.get(name, zeros)[direction : direction + 1] for name in names}
    steps: list[list[np.ndarray]] = []
    for step in inputs[:, None]:
        state = dict(zip(names, session.run(None, {"X": step} | state), strict=True))
        steps.append([value[0] for value in state.values()])
    found = [np.stack(column)[valid] for column in zip(*steps, strict=True)]
    return found[0], found[1] if len(found) == 2 else None


def _single(one: Recurrence, direction: int) -> onnx.ModelProto:
    """A graph of this node alone, in one direction and without lengths: X and the state -> the next state."""
    operator = one.node.op_type
    kept = {slot: one.read[slot][direction : direction + 1] for slot in ("W", "R", "B", "P") if slot in one.read}
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    given = {"X", *(f"initial_{name}" for name in states)}
    inputs = [slot if slot in kept or slot in given else "" for slot in SLOTS]
    while not inputs[-1]:
        inputs.pop()
    outputs = ["", *(f"Y_{name}" for name in states)]
    node = helper.make_node(operator, inputs, outputs, **_of_direction(one, direction))
    float32 = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node],
        "step",
        [helper.make_tensor_value_info(name, float32, [None] * 3) for name in sorted(given)],
        [helper.make_tensor_value_info(name, float32, [None] * 3) for name in outputs[1:]],
        [numpy_helper.from_array(value, name) for name, value in kept.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", one.opset)], ir_version=10)


def _of_direction(one: Recurrence, direction: int) -> dict:
    attributes = {name: value for name, value in _attributes(one.node).items() if name != "direction"}
    for name in ("activations", "activation_alpha", "activation_beta"):
        if name in attributes and one.directions == 2:
            half = len(attributes[name]) // 2
            attributes[name] = attributes[name][direction * half : (direction + 1) * half]
    return attributes


def _attributes(node: onnx.NodeProto) -> dict:
    found = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _backwards(inputs: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Every row [T, B, I] read from its last step that counts to its first."""
    places = np.maximum(lengths[None, :] - 1 - np.arange(len(inputs))[:, None], 0)
    return np.take_along_axis(inputs, places[..., None], 0)
