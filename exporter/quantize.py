"""Dynamic int8 of a pinned graph: the LSTM and its embedding; every other node stays as it is.

The embedding's entries are rounded to the grid that the LSTM would round its inputs to anyway (the pinned columns are
the ends of both), so an embedding of 8 bits costs nothing but the last bits. A table that is added up would cost
accuracy. `quantize_dynamic`, ONNX Runtime's own tool, gives an LSTM the same weights; but it leaves a second node that
reads them (an unrolled decoder) in float32, and takes other nodes apart.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from exporter.embeddings import gathers
from exporter.errors import QuantizationError
from exporter.rewrite import copied, replace
from exporter.weight_only import LEVELS, rounded

DOMAIN = "com.microsoft"
INPUTS = 8
"""Of an LSTM, with all optional ones; in the quantized form the scales and zero points of W and R follow."""
ENDS = ("lowest", "largest")
REDUCED_LEVELS = 64
"""In 7 bits: two products of 255 x 64 fit into 16 bits."""


def quantized(
    model: onnx.ModelProto, reduce_range: bool = False, bounds: Mapping[str, float] = MappingProxyType({})
) -> onnx.ModelProto:
    """A copy in which every LSTM is a DynamicQuantizeLSTM (weights int8 per channel) and its embedding uint8.

    `bounds` are where the inputs of an LSTM are clamped, by the name of the weights that they are multiplied with: its
    range must be a constant, which a float graph does not need. With `reduce_range`, weights have 7 bits; that is there
    to be measured (see `exporter.saturation`), not served. Raises QuantizationError if the weights of an LSTM are not
    constants, or if there is a bound for weights that no LSTM has.
    """
    if unknown := bounds.keys() - {node.input[1] for node in model.graph.node if node.op_type == "LSTM"}:
        raise QuantizationError(f"no LSTM multiplies its inputs by {min(unknown)}, so their bound cannot be kept")
    model = copied(model)
    graph = model.graph
    embeddings = {node.output[0] for node in gathers(graph, ["LSTM"])}
    levels = REDUCED_LEVELS if reduce_range else LEVELS
    to = _Quantizer({tensor.name: tensor for tensor in graph.initializer}, levels, bounds)
    for node in graph.node:
        if node.op_type == "LSTM":
            to.lstm(node)
        elif node.output[0] in embeddings:
            to.embedding(node)
        else:
            to.nodes.append(node)
    replace(graph, to.nodes, to.constants.values())
    model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    return model


def clamped_at(int8: onnx.ModelProto) -> dict[str, float]:
    """The `bounds` that a graph was quantized with."""
    constants = {tensor.name: tensor for tensor in int8.graph.initializer}
    nodes = [node for node in int8.graph.node if node.op_type == "DynamicQuantizeLSTM"]
    largest = {node.input[1].removesuffix("_quantized"): f"{node.output[0]}.{ENDS[1]}" for node in nodes}
    return {name: float(numpy_helper.to_array(constants[end])) for name, end in largest.items() if end in constants}


def unpinned_int8(model: onnx.ModelProto) -> onnx.ModelProto:
    """What a tutorial does: `quantize_dynamic` of every operator that it knows. For comparison only, never served.

    `model` should be the unpinned fp32 graph: its answers then depend on who shares the batch.
    """
    from exporter.graph import quiet  # not at the top: it needs torch, and nothing else here does

    with tempfile.TemporaryDirectory() as folder, quiet(""):
        target = Path(folder) / "int8.onnx"
        quantize_dynamic(copied(model), target, per_channel=True)
        return onnx.load(target)


@dataclass
class _Quantizer:
    """Collects the nodes and constants of the new graph. What several nodes share is quantized once."""

    constants: dict[str, onnx.TensorProto]
    levels: int
    bounds: Mapping[str, float]
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def lstm(self, node: onnx.NodeProto) -> None:
        weights = [self._weights(node, place) for place in (1, 2)]
        inputs = [*node.input, *[""] * (INPUTS - len(node.input))]
        if (bound := self.bounds.get(node.input[1])) is not None:
            inputs[0] = self._clamped(node, bound)
        inputs[1:3] = [matrix for matrix, _, _ in weights]
        for _, scale, zero_point in weights:
            inputs += [scale, zero_point]
        quantized = helper.make_node(
            "DynamicQuantizeLSTM", inputs, node.output, name=f"{node.name}_quant", domain=DOMAIN
        )
        quantized.attribute.extend(node.attribute)
        self.nodes.append(quantized)

    def embedding(self, node: onnx.NodeProto) -> None:
        """A Gather from the table in uint8, and what makes its rows float32 again."""
        names = self._table(node.input[0])
        integers, output = f"{node.output[0]}.uint8", node.output[0]
        node.input[0], node.output[0] = names[0], integers
        self.nodes.append(node)
        dequantize = helper.make_node("DequantizeLinear", [integers, *names[1:]], [output], name=f"{output}.dequantize")
        self.nodes.append(dequantize)

    def _clamped(self, node: onnx.NodeProto, bound: float) -> str:
        """The inputs of an LSTM within ±bound, where their pinned columns are: their name."""
        limits = [f"{node.output[0]}.{end}" for end in ENDS]
        for name, value in zip(limits, (-bound, bound), strict=True):
            self.constants[name] = numpy_helper.from_array(np.array(value, np.float32), name)
        target = f"{node.output[0]}.clamped"
        self.nodes.append(helper.make_node("Clip", [node.input[0], *limits], [target], name=f"{target}.clip"))
        return target

    def _weights(self, node: onnx.NodeProto, place: int) -> tuple[str, str, str]:
        """W or R [D, 4 * H, I] as int8 [D, I, 4 * H], its scales and its zero points [D, 4 * H]: their names."""
        name = node.input[place]
        if name not in self.constants:
            raise QuantizationError(
                f"{'XWR'[place]} of the LSTM {node.name!r} is computed in the graph; only constants can be quantized"
            )
        weights = numpy_helper.to_array(self.constants[name])
        integers, scales = rounded(weights.reshape(-1, weights.shape[2]), 0, levels=self.levels)
        shape = weights.shape[:2]
        return self._stored(
            name,
            integers.reshape(weights.shape).transpose(0, 2, 1),
            scales.reshape(shape),
            np.zeros(shape, np.int8),
        )

    def _table(self, name: str) -> tuple[str, str, str]:
        """A table as uint8 with one scale and zero point, between its smallest and its largest entry: their names."""
        table = numpy_helper.to_array(self.constants[name])
        lowest, largest = min(table.min(), 0), max(table.max(), 0)
        scale = np.float32(largest - lowest) / np.float32(255) or np.float32(1)
        zero_point = np.rint(-lowest / scale).astype(np.uint8)
        integers = (np.rint(table / scale) + zero_point).clip(0, 255).astype(np.uint8)
        return self._stored(name, integers, np.array(scale), np.array(zero_point))

    def _stored(self, name: str, *values: np.ndarray) -> tuple[str, str, str]:
        names = (f"{name}_quantized", f"{name}_scale", f"{name}_zero_point")
        for part, value in zip(names, values, strict=True):
            self.constants[part] = numpy_helper.from_array(np.ascontiguousarray(value), part)
        return names
