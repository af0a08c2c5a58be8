"""A graph's nodes and constants replaced by others, without harm to the ones that are kept."""

from collections.abc import Iterable

import onnx


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    """A model that shares nothing with the given one."""
    return onnx.ModelProto.FromString(model.SerializeToString())


def replace(graph: onnx.GraphProto, nodes: Iterable[onnx.NodeProto], constants: Iterable[onnx.TensorProto]) -> None:
    """The graph's nodes and constants become these, in this order, without those that nobody reads."""
    nodes, constants = list(nodes), list(constants)
    read = {name for node in nodes for name in node.input} | {output.name for output in graph.output}
    nodes = [node for node in nodes if read & set(node.output)]
    constants = [tensor for tensor in constants if tensor.name in read]
    for field, values in (("node", nodes), ("initializer", constants)):
        copies = [type(value).FromString(value.SerializeToString()) for value in values]
        graph.ClearField(field)
        getattr(graph, field).extend(copies)
