"""The recurrent layers as single ONNX nodes with `sequence_lens`, an initial state and, for int8, pinned units.

Dynamic quantization takes one activation scale per product: over all rows of the batch, padding included. A row's
result would depend on its neighbours. Two pinned hidden units, always +1 and -1, and two pinned input columns, always
+a and -a, make every range, and so every scale, a constant. Their weights are zero, so no other unit ever sees them.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.recurrent import Cell, Recurrent, TokenRecurrent
from training.networks.step import StateSlice, StepNetwork

OPERATORS: dict[Cell, str] = {"lstm": "LSTM", "gru": "GRU", "rnn": "GRU"}
"""A plain RNN is exported as a GRU whose gates are constant: ONNX Runtime's RNN kernel takes another product for a
batch of one, and so depends on the batch in the last bits; its GRU and LSTM kernels do not."""
GATES: dict[Cell, tuple[int, ...]] = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}
"""Where ONNX's gates stand in PyTorch's order: i, o, f, c of i, f, g, o; z, r, h of r, z, n."""
RNN_GATES = (-50.0, 50.0, 0.0)
"""Biases of z, r, h that make a GRU a plain RNN: in float32 the sigmoids are 0 (2e-22) and exactly 1."""
PINS = 2
PINNED_HIDDEN = (1.0, -1.0)
PINNED_CELL = (20.0, -20.0)
PINNED_GATES = (-50.0, 50.0, 50.0, 0.0)
"""Biases of i, o, f, c: in float32 the sigmoids are exactly 0, 1 and 1, so c stays, and h = tanh(±20) = ±1."""


@dataclass(frozen=True)
class PinnedSlice(StateSlice):
    """A slice some of whose columns never change; `pinned` are their places within the slice."""

    pinned: tuple[int, ...] = ()


def pinnable(module: Recurrent) -> str | None:
    """None if the layers can be pinned, and so quantized; else the reason why not, for people."""
    if module.cell != "lstm":
        return f"ONNX Runtime has no int8 kernel for {module.cell.upper()}"
    if not isinstance(module, TokenRecurrent) and module.input_clip is None:
        return "the inputs of the LSTM are not bounded, so no int8 scale fits all of them; give Recurrent an input_clip"
    return None


def why_not_pinnable(network: StepNetwork) -> str | None:
    """The reason why a network gets no int8 file; None if it does."""
    reasons = [pinnable(module) for module in network.modules() if isinstance(module, Recurrent)]
    return next((reason for reason in reasons if reason), None if reasons else "it has no recurrent layers")


def exportable(network: StepNetwork, pinned: bool) -> StepNetwork:
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


class OnnxRecurrent(nn.Module):
    """The stand-in of a `Recurrent` or `TokenRecurrent`, with the same inputs and outputs, for `torch.onnx.export`."""

    def __init__(self, module: Recurrent, pins: int) -> None:
        super().__init__()
        self.cell, self.pins, self.input_clip = module.cell, pins, module.input_clip
        self.hidden_size, self.num_layers = module.rnn.hidden_size, module.rnn.num_layers
        self.width = self.hidden_size + pins
        for layer in range(self.num_layers):
            for name, tensor in zip("WRB", onnx_weights(module.rnn, module.cell, layer, pins), strict=True):
                self.register_parameter(f"{name}{layer}", nn.Parameter(tensor, requires_grad=False))
        table = _pinned_table(module.embedding.weight.detach(), pins) if isinstance(module, TokenRecurrent) else None
        self.table = None if table is None else nn.Parameter(table, requires_grad=False)

    @property
    def states_per_layer(self) -> int:
        return 2 if self.cell == "lstm" else 1

    @property
    def state_size(self) -> int:
        return self.num_layers * self.states_per_layer * self.width

    def state_slice(self, name: str) -> StateSlice:
        if not self.pins:
            return StateSlice(name, self.state_size)
        zeros = (0.0,) * self.hidden_size
        initial = self.num_layers * (*zeros, *PINNED_HIDDEN, *zeros, *PINNED_CELL)
        pinned = tuple(place for place in range(self.state_size) if place % self.width >= self.hidden_size)
        return PinnedSlice(name, self.state_size, initial, pinned)

    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """What the first layer sees: float32 [T, B, F + pins]. What stands past a length must not spoil the range."""
        if self.table is not None:
            return nn.functional.embedding(inputs, self.table)
        if self.input_clip is not None:
            inputs = inputs.clamp(-self.input_clip, self.input_clip)
        if not self.pins:
            return inputs
        valid = torch.arange(inputs.shape[0])[:, None] < lengths[None, :]
        inputs = torch.where(valid[..., None], inputs, 0.0)
        for value in (self.input_clip, -self.input_clip):
            inputs = nn.functional.pad(inputs, (0, 1), value=value)
        return inputs

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.features(inputs, lengths)
        steps, batch = outputs.shape[:2]
        before = state[None].split(self.width, 2)
        after: list[Tensor] = []
        for layer in range(self.num_layers):
            first = layer * self.states_per_layer
            weights = [getattr(self, f"{name}{layer}") for name in "WRB"]
            outputs, *final = torch.onnx.ops.symbolic_multi_out(
                OPERATORS[self.cell],
                [outputs, *weights, lengths, *before[first : first + self.states_per_layer]],
                {"hidden_size": self.width} | ({} if self.cell == "lstm" else {"linear_before_reset": 1}),
                dtypes=[torch.float32] * (1 + self.states_per_layer),
                shapes=[(steps, 1, batch, self.width), *[(1, batch, self.width)] * self.states_per_layer],
            )
            outputs = outputs.squeeze(1)
            after += final
        return outputs[..., : self.hidden_size], torch.cat(after, 2).squeeze(0)


def onnx_weights(rnn: nn.RNNBase, cell: Cell, layer: int, pins: int) -> tuple[Tensor, Tensor, Tensor]:
    """One layer as ONNX orders it: W [1, G * H, I], R [1, G * H, H], B [1, 2 * G * H]; H and I include the pins."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parts = [_gates(getattr(rnn, f"{name}_l{layer}").detach(), cell) for name in names]
    if cell == "rnn":
        parts = [torch.cat([torch.zeros_like(gates).expand(2, *gates.shape[1:]), gates]) for gates in parts]
        parts[2] += torch.tensor(RNN_GATES)[:, None]
    weights, recurrent = (nn.functional.pad(gates, (0, pins, 0, pins)) for gates in parts[:2])
    biases = [nn.functional.pad(gates, (0, pins)) for gates in parts[2:]]
    if pins:
        biases[0][:, -pins:] = torch.tensor(PINNED_GATES)[:, None]
    bias = torch.cat([gates.flatten() for gates in biases])
    return weights.flatten(0, 1)[None], recurrent.flatten(0, 1)[None], bias[None]


def _gates(stacked: Tensor, cell: Cell) -> Tensor:
    """[G * H, ...] in PyTorch's order -> [G, H, ...] in ONNX's."""
    order = GATES[cell]
    return stacked.unflatten(0, (len(order), -1))[list(order)]


def _pinned_table(table: Tensor, pins: int) -> Tensor:
    """[V, E] -> [V, E + pins], where every row ends in +a and -a, a being the largest magnitude in the table."""
    largest = table.abs().max()
    return torch.cat([table, torch.stack([largest, -largest]).expand(len(table), 2)], 1) if pins else table
