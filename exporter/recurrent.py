"""The recurrent layers as single ONNX nodes with `sequence_lens`, an initial state and, for int8, pinned units.

Dynamic quantization takes one activation scale per product: over all rows of the batch, padding included. A row's
result would depend on its neighbours. Two pinned hidden units, always at the ends of what a hidden unit can be, and two
pinned input columns, always +a and -a, make every range, and so every scale, a constant. Their weights are zero, so no
other unit ever sees them.
"""

import copy
from typing import TypeVar

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from exporter.errors import QuantizationError
from exporter.layers import OnnxLayers as OnnxLayers
from exporter.weights import PINS, family
from exporter.weights import LayerWeights as LayerWeights
from exporter.weights import layer_weights as layer_weights
from training.networks.recurrent import Recurrent, TokenRecurrent
from training.networks.step import StateSlice, StepNetwork, WholeNetwork

Network = TypeVar("Network", StepNetwork, WholeNetwork)


class OnnxRecurrent(nn.Module):
    """The stand-in of a `Recurrent` or `TokenRecurrent`, with the same inputs and outputs, for `torch.onnx.export`."""

    def __init__(self, module: Recurrent, pins: int) -> None:
        super().__init__()
        self.cell, self.input_clip = module.cell, module.input_clip
        layers = [layer_weights(module.rnn, module.cell, layer) for layer in range(module.rnn.num_layers)]
        self.layers = OnnxLayers(module.cell, layers, pins, bound=module.input_clip)
        table = _pinned_table(module.embedding.weight.detach(), pins) if isinstance(module, TokenRecurrent) else None
        self.table = None if table is None else nn.Parameter(table, requires_grad=False)

    @property
    def width(self) -> int:
        """Columns of what `forward` returns."""
        return self.layers.hidden_size * self.layers.directions

    @property
    def state_size(self) -> int:
        return self.layers.state_size

    def state_slice(self, name: str) -> StateSlice:
        return self.layers.state_slice(name)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        features = inputs if self.table is None else nn.functional.embedding(inputs, self.table)
        outputs, after = self.layers(features, lengths, state)
        return outputs[-1], after


def pinnable(module: Recurrent) -> str | None:
    """None if the layers can be pinned, and so quantized; else the reason why not, for people."""
    if family(module.cell) != "lstm":
        return f"ONNX Runtime has no int8 kernel for {family(module.cell).upper()}"
    if not isinstance(module, TokenRecurrent) and module.input_clip is None:
        return "the inputs of the LSTM are not bounded, so no int8 scale fits all of them; give Recurrent an input_clip"
    return None


def why_not_pinnable(network: StepNetwork | WholeNetwork) -> str | None:
    """The reason why a network gets no int8 file; None if it does."""
    reasons = [pinnable(module) for module in network.modules() if isinstance(module, Recurrent)]
    return next((reason for reason in reasons if reason), None if reasons else "it has no recurrent layers")


def exportable(network: Network, pinned: bool) -> Network:
    """A copy whose recurrent layers export as ONNX nodes. The copy's state has the pins in it; it runs in ONNX only."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Recurrent):
                setattr(parent, name, OnnxRecurrent(child, PINS if pinned else 0))
    return network


def pinned_columns(network: StepNetwork) -> tuple[int, ...]:
    """The columns of the state that every step must leave as they are in the initial state."""
    columns: list[int] = []
    start = 0
    for part in network.state_slices():
        columns += [start + place for place in getattr(part, "pinned", ())]
        start += part.size
    return tuple(columns)


def bounds_of_int8(network: nn.Module, fp32: onnx.ModelProto) -> dict[str, float]:
    """Where an int8 graph has to clamp inputs itself, by the name of the weights that they are multiplied with.

    Layers are found by the values of these weights: equal ones of two layers may have become one, under one name, and
    a layer whose results nobody uses is not in the graph. Raises QuantizationError.
    """
    bounds: dict[bytes, float] = {}
    clamped = (one for one in network.modules() if isinstance(one, OnnxLayers) and not one.clamps)
    for one in clamped:
        if one.bound is not None and bounds.setdefault(one.W0.numpy().tobytes(), one.bound) != one.bound:
            raise QuantizationError(
                "two LSTMs with the same weights have inputs of different bounds, and int8 can clamp both at one only; "
                "let the module call one layer for both"
            )
    used = {node.input[1] for node in fp32.graph.node if node.op_type == "LSTM"}
    values = {one.name: numpy_helper.to_array(one).tobytes() for one in fp32.graph.initializer if one.name in used}
    return {name: bounds[found] for name, found in values.items() if found in bounds}


def _pinned_table(table: Tensor, pins: int) -> Tensor:
    """[V, E] -> [V, E + pins], where every row ends in +a and -a, a being the largest magnitude in the table."""
    largest = table.abs().max()
    return torch.cat([table, torch.stack([largest, -largest]).expand(len(table), 2)], 1) if pins else table
