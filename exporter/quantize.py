"""Dynamic int8 quantization of a pinned graph: the LSTM and the big embedding tables; everything else stays float."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import quantize_dynamic

from exporter.errors import QuantizationError
from exporter.graph import operators, quiet

SMALLEST_TABLE = 1 << 14
"""Elements. A smaller table saves too little to lose a digit."""


def quantized(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every LSTM is a DynamicQuantizeLSTM (weights int8 per channel) and big tables are uint8."""
    nodes = [node.name for node in model.graph.node if node.op_type == "LSTM"] + _big_tables(model)
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


def _big_tables(model: onnx.ModelProto) -> list[str]:
    """Names of the Gather nodes that read rows of a big float table."""
    sizes = {
        tensor.name: int(np.prod(tensor.dims))
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
    }
    gathers = [node for node in model.graph.node if node.op_type == "Gather"]
    return [node.name for node in gathers if sizes.get(node.input[0], 0) >= SMALLEST_TABLE]
