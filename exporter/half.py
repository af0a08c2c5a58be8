"""float16 for CUDA: the recurrent nodes and their embeddings; everything else stays float32.

Sums and counts over time are part of the state, and float16 cannot count beyond 2048; so inputs, outputs, the state,
pooling and the head stay float32, and only what costs time and space is halved. The pins of the int8 graph are rounded
like everything else, which harms nobody: no float unit sees them. (`onnxruntime.transformers.float16` sends every input
through float16, the state included.)
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from exporter.embeddings import gathers
from exporter.rewrite import copied, replace

RECURRENT = ("LSTM", "GRU")
LENGTHS = 4
"""Which input of a recurrent node stays int32."""
LARGEST = float(np.finfo(np.float16).max)


def why_not_half(model: onnx.ModelProto) -> str | None:
    """Why there is no CUDA kernel for a recurrent node of the graph, and so none in float16; None if there is one.

    Source of the conditions: what ONNX Runtime's CUDA provider leaves to the CPU, because cuDNN has no such cell.
    """
    nodes = [node for node in model.graph.node if node.op_type in (*RECURRENT, "RNN")]
    reasons = (_not_in_cudnn(node) for node in nodes)
    return next((reason for reason in reasons if reason), None if nodes else "it has no recurrent layers")


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose recurrent nodes and embeddings are float16; its inputs, outputs and state are as before."""
    model = copied(model)
    graph = model.graph
    embeddings = {node.output[0] for node in gathers(graph, RECURRENT)}
    to = _Rewriter({tensor.name: tensor for tensor in graph.initializer})
    for node in graph.node:
        if node.op_type in RECURRENT:
            to.halve(node, [place for place in range(len(node.input)) if place != LENGTHS])
        elif node.output[0] in embeddings:
            to.halve(node, [0])
        else:
            to.nodes.append(node)
    replace(graph, to.nodes, to.constants.values())
    onnx.checker.check_model(model, full_check=True)
    return model


def _not_in_cudnn(node: onnx.NodeProto) -> str | None:
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    activations = [name.decode().lower() for name in given.get("activations", [])]
    usual = ["sigmoid", "tanh", "tanh"] if node.op_type == "LSTM" else ["sigmoid", "tanh"]
    problems = {
        "a plain RNN operator": node.op_type == "RNN",
        "peepholes": len(node.input) > 7 and bool(node.input[7]),
        "coupled gates": bool(given.get("input_forget")),
        "other activations than sigmoid and tanh": bool(activations)
        and activations != usual * (len(activations) // len(usual)),
        "a clipped cell": "clip" in given,
        "a reset gate before the product": node.op_type == "GRU" and not given.get("linear_before_reset"),
    }
    problem = next((name for name, found in problems.items() if found), None)
    return problem and f"cuDNN has no {node.op_type} with {problem}, so on a GPU that layer runs on the CPU, in float32"


@dataclass
class _Rewriter:
    """Collects the nodes and constants of the new graph."""

    constants: dict[str, onnx.TensorProto]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    halves: dict[str, str] = field(default_factory=dict)
    """float32 values that are known in float16 too, and under which name."""

    def halve(self, node: onnx.NodeProto, places: list[int]) -> None:
        """The node in float16: its inputs at `places`, and all of its outputs, which are then cast back."""
        for place in places:
            if node.input[place]:
                node.input[place] = self.halves.get(node.input[place]) or self._halved(node.input[place])
        self.nodes.append(node)
        for place, name in enumerate(node.output):
            if name:
                node.output[place] = self.halves[name] = f"{name}.half"
                self._cast(f"{name}.half", name, TensorProto.FLOAT)

    def _halved(self, name: str) -> str:
        """A float32 value in float16; what is too large for float16 becomes the largest number, not infinity."""
        self.halves[name] = target = f"{name}.half"
        if name in self.constants:
            values = numpy_helper.to_array(self.constants[name]).clip(-LARGEST, LARGEST).astype(np.float16)
            self.constants[target] = numpy_helper.from_array(values, target)
            return target
        limits = {
            f"half.{side}": np.array(value, np.float32) for side, value in (("lowest", -LARGEST), ("largest", LARGEST))
        }
        self.constants |= {limit: numpy_helper.from_array(value, limit) for limit, value in limits.items()}
        self.nodes.append(helper.make_node("Clip", [name, *limits], [f"{name}.clipped"], name=f"{name}.clip"))
        self._cast(f"{name}.clipped", target, TensorProto.FLOAT16)
        return target

    def _cast(self, source: str, target: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [target], name=f"{target}.cast", to=to))
