"""Operators whose ONNX Runtime kernels let a value depend on its neighbours, replaced by ones that do not.

Seen on the CPU with onnxruntime 1.31: `Log`, `Softplus`, `Elu`, `Selu` and `Celu` take another code path for the last
few elements of an array than for the others, `Pow` squares an array by multiplication but a single value otherwise, and
`ReduceSum` and `ReduceMean` add in an order that depends on the batch. Differences are in the last bits, but they are
differences. `Exp`, `Asinh`, `Atanh`, `Mul` and `CumSum` treat every element alike; so do, on each row of an array,
`Softmax`, `LogSoftmax`, `LayerNormalization`, `Gemm` and `MatMul`. `Conv` does not always.

`Mish`, `Sin`, `Cos` and `Atan` are like `Log`. They are left to the verification, which names the node that it finds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)
KEEP_THE_SIGN = {"Div": 2, "Slice": 1}
"""Operators whose output is not negative if so many of their first inputs are not."""


@dataclass
class Rewriter:
    """Collects the nodes and constants that stand in for one graph's inexact nodes."""

    graph: onnx.GraphProto
    types: dict[str, onnx.TypeProto.Tensor]
    names: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: int) -> str:
        """A node; returns the name of its output."""
        output = output or f"exact_{next(self.names)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=f"exact_{output}", **attributes))
        return output

    def constant(self, value: float | list[int], dtype: type = np.float32) -> str:
        name = f"exact_{next(self.names)}"
        self.graph.initializer.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def initializer(self, name: str) -> np.ndarray | None:
        """The value of a constant; None for what is computed."""
        return next((numpy_helper.to_array(tensor) for tensor in self.graph.initializer if tensor.name == name), None)

    def never_negative(self, name: str) -> bool:
        """Whether the graph shows it: clamped from above 0, and what is cut or divided out of that."""
        node = next((node for node in self.graph.node if name in node.output), None)
        if node is not None and node.op_type == "Clip":
            low = self.initializer(node.input[1]) if len(node.input) > 1 else None
            return low is not None and bool(low > 0)
        count = 0 if node is None else KEEP_THE_SIGN.get(node.op_type, 0)
        return count > 0 and all(map(self.never_negative, node.input[:count]))


def log(node: onnx.NodeProto, to: Rewriter) -> None:
    """log(x) = asinh((x - 1 / x) / 2), for x > 0; of what is below 0 asinh has a value, but the logarithm has none."""
    value, positive = node.input[0], to.never_negative(node.input[0])
    size = value if positive else to.add("Abs", value)  # also since -0.0 is to be -inf
    half = to.add("Mul", to.add("Sub", size, to.add("Reciprocal", size)), to.constant(0.5))
    if positive:
        to.add("Asinh", half, output=node.output[0])
    else:
        below = to.add("Less", value, to.constant(0.0))
        to.add("Where", below, to.constant(float("nan")), to.add("Asinh", half), output=node.output[0])


def softplus(node: onnx.NodeProto, to: Rewriter) -> None:
    """log(1 + exp(x)) = max(x, 0) + 2 atanh(u / (2 + u)), where u = exp(-|x|)."""
    value = node.input[0]
    small = to.add("Exp", to.add("Neg", to.add("Abs", value)))
    ratio = to.add("Div", small, to.add("Add", small, to.constant(2.0)))
    rest = to.add("Mul", to.add("Atanh", ratio), to.constant(2.0))
    to.add("Add", to.add("Relu", value), rest, output=node.output[0])


UNITS = {"Elu": (1.0, 1.0), "Celu": (1.0, 1.0), "Selu": (1.6732632423543772, 1.0507009873554805)}
"""alpha and gamma where the node does not say; source: the operators' definitions."""


def exponential_unit(node: onnx.NodeProto, to: Rewriter) -> None:
    """gamma (max(x, 0) + alpha (exp(min(x, 0)) - 1)); `Celu` divides x by alpha before exp."""
    value, given = node.input[0], {attribute.name: attribute.f for attribute in node.attribute}
    alpha, gamma = (given.get(name, usual) for name, usual in zip(("alpha", "gamma"), UNITS[node.op_type], strict=True))
    negative = to.add("Neg", to.add("Relu", to.add("Neg", value)))
    if node.op_type == "Celu":
        negative = to.add("Div", negative, to.constant(alpha))
    below = to.add("Mul", to.add("Sub", to.add("Exp", negative), to.constant(1.0)), to.constant(alpha))
    to.add("Mul", to.add("Add", to.add("Relu", value), below), to.constant(gamma), output=node.output[0])


def power(node: onnx.NodeProto, to: Rewriter) -> None:
    """x ** 2 and x ** 3 as products."""
    value = node.input[0]
    square = to.add("Mul", value, value, output=node.output[0] if _exponent(node, to) == 2 else None)
    if _exponent(node, to) == 3:
        to.add("Mul", square, value, output=node.output[0])


def reduction(node: onnx.NodeProto, to: Rewriter) -> None:
    """Sums axis by axis with CumSum, whose order is that of the elements; a mean divides by their number."""
    keep = next((attribute.i for attribute in node.attribute if attribute.name == "keepdims"), 1)
    dims = to.types[node.input[0]].shape.dim
    axes = sorted((int(axis) % len(dims) for axis in to.initializer(node.input[1])), reverse=True)
    value = node.input[0]
    for axis in axes:
        sums = to.add("CumSum", value, to.constant(axis, np.int64))
        value = to.add("Gather", sums, to.constant([-1] if keep else -1, np.int64), axis=axis)
    count = np.prod([dims[axis].dim_value for axis in axes]) if node.op_type == "ReduceMean" else 1.0
    to.add("Div", value, to.constant(count), output=node.output[0])


REPLACEMENTS: dict[str, Callable[[onnx.NodeProto, Rewriter], None]] = {
    "Log": log,
    "Softplus": softplus,
    "Elu": exponential_unit,
    "Celu": exponential_unit,
    "Selu": exponential_unit,
    "Pow": power,
    "ReduceSum": reduction,
    "ReduceMean": reduction,
}


def make_exact(model: onnx.ModelProto) -> None:
    """Rewrites, in place, the nodes of the graph that are not exact."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    known = [*graph.value_info, *graph.input, *graph.output]
    to = Rewriter(model.graph, {value.name: value.type.tensor_type for value in known})
    for node in model.graph.node:
        if _inexact(node, to):
            REPLACEMENTS[node.op_type](node, to)
        else:
            to.nodes.append(node)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in to.nodes]
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _inexact(node: onnx.NodeProto, to: Rewriter) -> bool:
    """Whole numbers are exact as they are, and the mean over an axis of unknown size is left to the verification."""
    if node.op_type not in REPLACEMENTS or to.types[node.input[0]].elem_type not in FLOATS:
        return False
    if node.op_type == "Pow":
        return _exponent(node, to) in (2, 3)
    dims = to.types[node.input[0]].shape.dim
    return node.op_type != "ReduceMean" or all(dims[int(axis)].dim_value for axis in to.initializer(node.input[1]))


def _exponent(node: onnx.NodeProto, to: Rewriter) -> float | None:
    """The exponent of a Pow, if it is one constant."""
    value = to.initializer(node.input[1])
    return float(value) if value is not None and value.ndim == 0 else None
