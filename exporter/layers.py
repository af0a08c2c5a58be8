"""Stacked recurrent layers as ONNX nodes, with lengths, a flat state and, for int8, pinned units."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from exporter.errors import GraphError
from exporter.weights import OPERATORS, PINNED_CELL, PINNED_HIDDEN, PINS, LayerWeights, as_gru, family, with_pins
from training.networks.recurrent import Cell
from training.networks.step import StateSlice

USUAL = ["Sigmoid", "Tanh", "Tanh"]
"""Activations of an LSTM's gates, candidate and output."""
LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class PinnedSlice(StateSlice):
    """A slice some of whose columns never change; `pinned` are their places within the slice."""

    pinned: tuple[int, ...] = ()


class OnnxLayers(nn.Module):
    """Stacked layers as ONNX nodes, for `torch.onnx.export`; they do not run in PyTorch.

    `bound` is the largest magnitude that an input may have: inputs are clamped to it and, with pins, they get the
    pinned columns and zeros past each length. With `clamps=False` that is left to the graph that needs it, the int8 one
    (see `exporter.quantize`), and inputs are only kept finite: infinity times a pin's weight of zero is not a number.
    `counts` says that inputs beyond the bound are to be counted. Without a bound, pinned layers expect inputs that end
    in ±a already. The state [B, S] holds, layer after layer and direction after direction, h and, for an LSTM, c: H
    values and the pins. `linear_before_reset=False` is the GRU that resets the hidden state before its product (Keras'
    `reset_after=False`); `activations` are ONNX's names for one direction: gates, candidate and, for an LSTM, output
    (pins need the usual).
    """

    def __init__(
        self,
        cell: Cell,
        layers: Sequence[LayerWeights],
        pins: int,
        input_forget: bool = False,
        bound: float | None = None,
        clamps: bool = True,
        counts: bool = False,
        linear_before_reset: bool = True,
        activations: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        _check(cell, layers, pins, activations)
        self.cell, self.pins, self.bound = cell, pins, bound
        self.clamps, self.counts = clamps, counts
        self.hidden_size, self.num_layers = layers[0].hidden_size, len(layers)
        self.directions, self.width = layers[0].directions, layers[0].hidden_size + pins
        self.attributes = self._attributes(input_forget, linear_before_reset, activations)
        for number, layer in enumerate(layers):
            layer = as_gru(layer) if family(cell) == "rnn" else layer
            layer = with_pins(layer, number == 0) if pins else layer
            for name in "WRBP" if layer.P is not None else "WRB":
                tensor = getattr(layer, name).contiguous()
                self.register_parameter(f"{name}{number}", nn.Parameter(tensor, requires_grad=False))
        self.register_buffer("initial", self.state_slice("").values(), persistent=False)

    def _attributes(
        self, input_forget: bool, linear_before_reset: bool, activations: Sequence[str] | None
    ) -> dict[str, int | str | list[str]]:
        """Of the nodes. ONNX Runtime's `input_forget` keeps the input gate: the forget gate becomes 1 - i."""
        attributes: dict[str, int | str | list[str]] = {"hidden_size": self.width}
        if self.directions == 2:
            attributes["direction"] = "bidirectional"
        if OPERATORS[self.cell] == "GRU":
            attributes["linear_before_reset"] = int(linear_before_reset)
        if self.cell == "lstm-coupled" or input_forget:
            attributes["input_forget"] = 1
        if self.cell == "rnn-relu":
            attributes["activations"] = ["Sigmoid", "Relu"] * self.directions
        if activations is not None:
            attributes["activations"] = list(activations) * self.directions
        return attributes

    @property
    def states_per_layer(self) -> int:
        return 2 if family(self.cell) == "lstm" else 1

    @property
    def state_size(self) -> int:
        return self.num_layers * self.states_per_layer * self.directions * self.width

    def state_slice(self, name: str) -> StateSlice:
        if not self.pins:
            return StateSlice(name, self.state_size)
        zeros = (0.0,) * self.hidden_size
        initial = self.num_layers * self.directions * (*zeros, *PINNED_HIDDEN, *zeros, *PINNED_CELL)
        pinned = tuple(place for place in range(self.state_size) if place % self.width >= self.hidden_size)
        return PinnedSlice(name, self.state_size, initial, pinned)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor | None = None) -> tuple[list[Tensor], Tensor]:
        """inputs [T, B, I], lengths int32 [B], state [B, S] (None: the initial one) -> outputs of every layer
        [T, B, D * H], without pins and zero past each length, and the next state [B, S]."""
        layer_inputs = self.bounded(inputs, lengths)
        before = self._unpacked(self.initial.expand(inputs.shape[1], -1) if state is None else state)
        outputs: list[Tensor] = []
        after: list[Tensor] = []
        for layer in range(self.num_layers):
            first = layer * self.states_per_layer
            whole, final = self._node(layer, layer_inputs, lengths, before[first : first + self.states_per_layer])
            outputs.append(self._visible(whole))
            after += final
            layer_inputs = whole.flatten(2)
        return outputs, self._packed(after)

    def final(self, state: Tensor) -> tuple[Tensor, Tensor | None]:
        """A state [B, S] as PyTorch hands it out: h and, for an LSTM, c, each [layers * D, B, H], without pins."""
        parts = [part[..., : self.hidden_size] for part in self._unpacked(state)]
        kinds = [torch.cat(parts[kind :: self.states_per_layer]) for kind in range(self.states_per_layer)]
        return kinds[0], kinds[1] if len(kinds) > 1 else None

    def bounded(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """What the first layer sees: float32 [T, B, I + pins]. What stands past a length must not spoil the range."""
        if self.bound is None:
            return inputs
        limit = self.bound if self.clamps else LARGEST
        inputs = inputs.clamp(-limit, limit)
        if not self.pins:
            return inputs
        valid = torch.arange(inputs.shape[0])[:, None] < lengths[None, :]
        inputs = torch.where(valid[..., None], inputs, 0.0)
        for value in (self.bound, -self.bound):
            inputs = nn.functional.pad(inputs, (0, 1), value=value)
        return inputs

    def beyond(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """How many of a row's inputs [T, B, I] are beyond the bound, if none is clamped there: float32 [B, 1]."""
        return (self.bounded(inputs, lengths).abs() > self.bound).sum((0, 2), dtype=torch.float32)[:, None]

    def _node(self, layer: int, inputs: Tensor, lengths: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One layer: outputs [T, B, D, width] (a single direction: [T, B, width]) and the next h, c [D, B, width]."""
        steps, batch = inputs.shape[:2]
        weights = [getattr(self, f"{name}{layer}") for name in "WRB"]
        peepholes = [getattr(self, f"P{layer}")] if hasattr(self, f"P{layer}") else []
        outputs, *final = torch.onnx.ops.symbolic_multi_out(
            OPERATORS[self.cell],
            [inputs, *weights, lengths, *state, *peepholes],
            self.attributes,
            dtypes=[torch.float32] * (1 + len(state)),
            shapes=[
                (steps, self.directions, batch, self.width),
                *[(self.directions, batch, self.width)] * len(state),
            ],
        )
        return outputs.squeeze(1) if self.directions == 1 else outputs.permute(0, 2, 1, 3), final

    def _visible(self, outputs: Tensor) -> Tensor:
        cut = outputs[..., : self.hidden_size]
        return cut if self.directions == 1 else cut.flatten(2)

    def _unpacked(self, state: Tensor) -> list[Tensor]:
        """[B, S] -> h and c of each layer, [D, B, width]."""
        if self.directions == 1:
            return list(state[None].split(self.width, 2))
        parts = state.unflatten(1, (self.num_layers, self.directions, self.states_per_layer, self.width))
        return [part.transpose(0, 1) for layer in parts.unbind(1) for part in layer.unbind(2)]

    def _packed(self, parts: list[Tensor]) -> Tensor:
        if self.directions == 1:
            return torch.cat(parts, 2).squeeze(0)
        stacked = torch.stack(parts).unflatten(0, (self.num_layers, self.states_per_layer))
        return stacked.permute(3, 0, 2, 1, 4).flatten(1)


def _check(cell: Cell, layers: Sequence[LayerWeights], pins: int, activations: Sequence[str] | None) -> None:
    if len({(layer.hidden_size, layer.directions) for layer in layers}) != 1:
        sizes = [(layer.hidden_size, layer.directions) for layer in layers]
        raise GraphError(
            f"stacked layers must have one hidden size and one number of directions, these have {sizes}; put layers of "
            "different sizes into an OnnxLayers each"
        )
    if pins not in (0, PINS) or (pins and family(cell) != "lstm"):
        raise GraphError(f"{pins} pins for {cell}: an LSTM has {PINS} or none, every other cell has none")
    if pins and activations is not None and [*activations] != USUAL:
        raise GraphError(f"pins hold with the activations {USUAL} only, not with {[*activations]}; export without pins")
