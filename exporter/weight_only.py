"""Weights as int8, computation in float32: the file is smaller, and nothing can depend on anything new.

Each weight w of a row (of a gate, an output, a token) is stored as the integer nearest to w / s, where s is the row's
largest magnitude / 127; a DequantizeLinear in front of the consumer multiplies by s again. ONNX Runtime does that once,
when it loads the file, if the session has `session.disable_quant_qdq`; without it, on every run.
"""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from exporter.rewrite import copied, replace

LEVELS = 127
SMALLEST = 1024
"""Numbers of a weight that is worth it."""
SHORTEST = 8
"""Numbers of a row: each needs a scale, four bytes long. (Tables of single numbers are there to be added up, too.)"""
RECURRENT = ("LSTM", "GRU", "RNN")


def weight_only(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large weights are int8 with a scale for each row; biases and small weights stay float32."""
    model = copied(model)
    graph = model.graph
    axes = large_weights(graph)
    constants, nodes = [], []
    for tensor in graph.initializer:
        if tensor.name in axes:
            stored, dequantize = _stored(tensor, axes[tensor.name], _unseen(graph, tensor))
            constants += stored
            nodes += dequantize
        else:
            constants.append(tensor)
    replace(graph, [*nodes, *graph.node], constants)
    onnx.checker.check_model(model, full_check=True)
    return model


def large_weights(graph: onnx.GraphProto) -> dict[str, int]:
    """The constants that are worth storing as int8, and the axis of the matrix along which every place has a scale."""
    axes = {name: axis for node in graph.node for name, axis in _weights(node)}
    tensors = (tensor for tensor in graph.initializer if tensor.name in axes)
    return {tensor.name: axes[tensor.name] for tensor in tensors if _worthwhile(tensor, axes[tensor.name])}


def rounded(
    weights: np.ndarray, axis: int, unseen: np.ndarray | None = None, levels: int = LEVELS
) -> tuple[np.ndarray, np.ndarray]:
    """float32 [rows, columns] -> int8 of that shape and a scale for each place on `axis`, both symmetric about 0.

    Columns that are `unseen` (bool [columns]) have no say in the scales, and are clipped.
    """
    seen = weights if unseen is None else np.where(unseen, 0, weights)
    largest = np.abs(seen).max(1 - axis, keepdims=True)
    scales = np.where(largest > 0, largest / np.float32(levels), np.float32(1))
    return np.rint(weights / scales).clip(-levels, levels).astype(np.int8), scales.squeeze(1 - axis)


def _weights(node: onnx.NodeProto) -> Iterator[tuple[str, int]]:
    """The inputs of a node that may be weights, each with the axis of its scales."""
    if node.op_type in RECURRENT:
        yield from ((name, 0) for name in node.input[1:3])
    elif node.op_type == "Gather":
        yield node.input[0], 0
    elif node.op_type == "MatMul":
        yield node.input[1], 1
    elif node.op_type == "Gemm":
        transposed = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        yield node.input[1], 0 if transposed else 1


def _worthwhile(tensor: onnx.TensorProto, axis: int) -> bool:
    shape = _matrix(tensor)
    return (
        tensor.data_type == onnx.TensorProto.FLOAT
        and len(tensor.dims) >= 2
        and np.prod(shape) >= SMALLEST
        and shape[1 - axis] >= SHORTEST
    )


def _matrix(tensor: onnx.TensorProto) -> tuple[int, int]:
    """The shape with all axes but the last in one: [directions, gates * H, I] -> (directions * gates * H, I)."""
    return int(np.prod(tensor.dims[:-1])), tensor.dims[-1]


def _unseen(graph: onnx.GraphProto, table: onnx.TensorProto) -> np.ndarray | None:
    """The columns of an embedding that every reader multiplies by zero, bool [columns]: an int8 graph's pinned columns,
    whose large values would spoil the scale of every row. None if something else reads the table."""
    gathered = {node.output[0] for node in graph.node if node.op_type == "Gather" and node.input[0] == table.name}
    readers = [node for node in graph.node if table.name in node.input and node.output[0] not in gathered]
    readers += [node for node in graph.node if gathered & set(node.input)]
    if not gathered or any(node.op_type not in RECURRENT or node.input[0] not in gathered for node in readers):
        return None
    constants = {tensor.name: tensor for tensor in graph.initializer}
    weights = [numpy_helper.to_array(constants[node.input[1]]) for node in readers if node.input[1] in constants]
    return np.all([~matrix.any((0, 1)) for matrix in weights], 0) if len(weights) == len(readers) else None


def _stored(
    tensor: onnx.TensorProto, axis: int, unseen: np.ndarray | None
) -> tuple[list[onnx.TensorProto], list[onnx.NodeProto]]:
    """The constants and the nodes that give `tensor` under its old name."""
    name = tensor.name
    integers, scales = rounded(numpy_helper.to_array(tensor).reshape(_matrix(tensor)), axis, unseen)
    constants = [numpy_helper.from_array(integers, f"{name}.int8"), numpy_helper.from_array(scales, f"{name}.scale")]
    matrix = name if len(tensor.dims) == 2 else f"{name}.matrix"
    stored = [constant.name for constant in constants]
    nodes = [helper.make_node("DequantizeLinear", stored, [matrix], name=f"{name}.dequantize", axis=axis)]
    if matrix != name:
        constants.append(numpy_helper.from_array(np.array(tensor.dims, np.int64), f"{name}.shape"))
        nodes.append(helper.make_node("Reshape", [matrix, f"{name}.shape"], [name], name=f"{name}.reshape"))
    return constants, nodes
