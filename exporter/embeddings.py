"""Which tables of a graph are embeddings: read by a Gather whose rows become the inputs of a recurrent node."""

from collections.abc import Collection

import onnx

KEEPING = ("Clip", "Where", "Pad", "Transpose", "Squeeze", "Unsqueeze", "Reshape", "Identity")
"""Operators between an embedding and its reader that hand the values on."""


def gathers(graph: onnx.GraphProto, readers: Collection[str]) -> list[onnx.NodeProto]:
    """The Gather nodes whose float table feeds nodes of the types `readers`, and nothing but such Gathers reads it."""
    producers = {name: node for node in graph.node for name in node.output}
    found: list[onnx.NodeProto] = []
    waiting = [node.input[0] for node in graph.node if node.op_type in readers]
    while waiting:
        node = producers.pop(waiting.pop(), None)
        if node is not None and node.op_type in KEEPING:
            waiting += node.input
        elif node is not None and node.op_type == "Gather":
            found.append(node)
    constants = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    mine = {node.output[0] for node in found}
    elsewhere = {name for node in graph.node if node.output[0] not in mine for name in node.input}
    return [node for node in found if node.input[0] in constants - elsewhere]
