"""Dynamic int8 quantization of a pinned graph: the LSTM and its embedding; everything else stays float.

The embedding's rows are rounded to the grid that the LSTM would round its inputs to anyway (the pinned columns are the
ends of both), so an embedding of 8 bits costs nothing but the last bits. A table that is added up would cost accuracy.
"""

import tempfile
from pathlib import Path

import onnx
from onnxruntime.quantization import quantize_dynamic

from exporter.errors import QuantizationError
from exporter.graph import operators, quiet


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every LSTM is a DynamicQuantizeLSTM (weights int8 per channel) and its embedding uint8."""
    nodes = [node.name for node in model.graph.node if node.op_type == "LSTM"] + _embeddings(model)
    with tempfile.TemporaryDirectory() as folder, quiet(""):
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(
            model, target, op_types_to_quantize=["LSTM", "Gather"], nodes_to_quantize=nodes, per_channel=True
        )
        result = onnx.load(target)
    found = operators(result)
    if "LSTM" in found or found.get("DynamicQuantizeLSTM") != operators(model)["LSTM"]:
        raise QuantizationError(f"some LSTM nodes stayed float (do two of them share their weights?): {found}")
    return result


def _embeddings(model: onnx.ModelProto) -> list[str]:
    """Names of the Gather nodes that read an LSTM's inputs from a constant table."""
    constants = {tensor.name for tensor in model.graph.initializer}
    read = {node.input[0] for node in model.graph.node if node.op_type == "LSTM"}
    gathers = [node for node in model.graph.node if node.op_type == "Gather" and node.output[0] in read]
    return [node.name for node in gathers if node.input[0] in constants]
