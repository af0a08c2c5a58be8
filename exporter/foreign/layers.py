"""The recurrent layers inside a plain module: which there are, and the same layers with lengths and a flat state."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from exporter.keras.cells import Stepwise
from exporter.recurrent import OnnxLayers, layer_weights
from training.networks.recurrent import Cell
from training.networks.step import StateSlice

KINDS: dict[type[nn.Module], Cell] = {
    nn.LSTM: "lstm",
    nn.GRU: "gru",
    nn.RNN: "rnn",
    nn.LSTMCell: "lstm",
    nn.GRUCell: "gru",
    nn.RNNCell: "rnn",
}
SEQUENCES: dict[str, type[nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}
Pair = tuple[Tensor, Tensor | None]
"""h and, for an LSTM, c."""


class Layers(Protocol):
    """`OnnxLayers`, which run in ONNX, or `EagerLayers`, which run in PyTorch."""

    counts: bool
    """Whether inputs beyond a bound are to be counted, which only `OnnxLayers` can."""

    def state_slice(self, name: str) -> StateSlice: ...

    def final(self, state: Tensor) -> Pair: ...

    def __call__(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[list[Tensor], Tensor]: ...


@dataclass(frozen=True)
class RecurrentLayer:
    """An `nn.LSTM`, `nn.GRU`, `nn.RNN` or one of their cells, and its dotted name in the module."""

    name: str
    module: nn.Module
    cell: Cell

    @property
    def is_cell(self) -> bool:
        """Whether it is an `nn.LSTMCell` or the like, which the module calls once for each step."""
        return isinstance(self.module, nn.RNNCellBase)

    @property
    def hidden_size(self) -> int:
        return self.module.hidden_size

    @property
    def num_layers(self) -> int:
        return getattr(self.module, "num_layers", 1)

    @property
    def directions(self) -> int:
        return 2 if getattr(self.module, "bidirectional", False) else 1

    @property
    def is_custom(self) -> bool:
        """Whether it is an LSTM or GRU of Keras that PyTorch has not: its class has a forward of its own."""
        return isinstance(self.module, Stepwise)

    def single_layers(self) -> list[nn.RNNBase]:
        """Float32 copies of one layer each, time-first."""
        suffixes = [""] if self.is_cell else [f"_l{layer}" for layer in range(self.num_layers)]
        return [self._single(suffix) for suffix in suffixes]

    def _single(self, suffix: str) -> nn.RNNBase:
        if isinstance(self.module, Stepwise):
            return self.module.time_first()
        weights = {name: getattr(self.module, name + suffix) for name in ("weight_ih", "weight_hh")}
        options: dict[str, object] = {"bias": self.module.bias, "bidirectional": self.directions == 2}
        if self.cell.startswith("rnn"):
            options["nonlinearity"] = self.module.nonlinearity
        if getattr(self.module, "proj_size", 0):
            options["proj_size"] = self.module.proj_size
        single = SEQUENCES[self.cell.partition("-")[0]](weights["weight_ih"].shape[1], self.hidden_size, **options)
        for name, parameter in single.named_parameters():
            parameter.data.copy_(getattr(self.module, name.replace("_l0", suffix)).detach())
        return single

    def eager(self) -> "EagerLayers":
        return EagerLayers(self)

    def onnx(self, pins: int, bound: float | None = None, counts: bool = False) -> OnnxLayers:
        """Only int8 clamps inputs at the bound: the layer itself has none. Raises GraphError for a layer that ONNX does
        not have."""
        weights = [layer_weights(single, self.cell, 0) for single in self.single_layers()]
        build = partial(OnnxLayers, self.cell, weights, pins, bound=bound, clamps=False, counts=counts)
        if not isinstance(self.module, Stepwise):
            return build()
        names, reset_before = self.module.onnx_activations, self.module.reset_before
        return build(linear_before_reset=not reset_before, activations=names)


class EagerLayers(nn.Module):
    """What `OnnxLayers` are, in PyTorch and without pins: a way of running is tried with them before it is exported."""

    counts = False

    def __init__(self, layer: RecurrentLayer) -> None:
        super().__init__()
        self.has_cell = layer.cell.startswith("lstm")
        self.hidden_size, self.directions = layer.hidden_size, layer.directions
        self.singles = nn.ModuleList(layer.single_layers())

    @property
    def states_per_layer(self) -> int:
        return 2 if self.has_cell else 1

    def state_slice(self, name: str) -> StateSlice:
        return StateSlice(name, len(self.singles) * self.states_per_layer * self.directions * self.hidden_size)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[list[Tensor], Tensor]:
        """inputs [T, B, I], lengths [B], state [B, S] -> outputs of every layer [T, B, D * H], next state [B, S]."""
        hidden, cell = self.final(state)
        outputs = [inputs]
        after: list[Tensor] = []
        for number, single in enumerate(self.singles):
            rows = slice(number * self.directions, (number + 1) * self.directions)
            before = hidden[rows].contiguous() if cell is None else (hidden[rows].contiguous(), cell[rows].contiguous())
            with torch._C.DisableTorchFunction():  # what happens in here is not the module's doing
                packed = pack_padded_sequence(outputs[-1], lengths.cpu(), enforce_sorted=False)
                packed, final = single(packed, before)
                outputs.append(pad_packed_sequence(packed, total_length=inputs.shape[0])[0])
            after += final if self.has_cell else [final]
        return outputs[1:], torch.cat([part.transpose(0, 1).flatten(1) for part in after], 1)

    def final(self, state: Tensor) -> Pair:
        """A state [B, S] as PyTorch hands it out: h and, for an LSTM, c, each [layers * D, B, H]."""
        parts = state.unflatten(1, (len(self.singles), self.states_per_layer, self.directions, self.hidden_size))
        kinds = [part.flatten(1, 2).transpose(0, 1) for part in parts.unbind(2)]
        return kinds[0], kinds[1] if self.has_cell else None


def recurrent_layers(module: nn.Module) -> list[RecurrentLayer]:
    """Every recurrent layer of a module, in the order in which they were defined."""
    return list(_found(module))


def _found(module: nn.Module) -> Iterator[RecurrentLayer]:
    for name, child in module.named_modules():
        kind = next((cell for base, cell in KINDS.items() if isinstance(child, base)), None)
        if kind is not None:
            relu = kind == "rnn" and child.nonlinearity == "relu"
            yield RecurrentLayer(name or "the module itself", child, "rnn-relu" if relu else kind)


def with_values(layers: Layers, state: Tensor, values: Pair) -> Tensor:
    """The state [B, S] with other h and c [layers * D, B, H]; columns that are pinned stay."""
    hidden, cell = values
    width, visible = _width(layers), hidden.shape[2]
    kinds = [hidden] if cell is None else [hidden, cell]
    directions = layers.directions
    parts: list[Tensor] = []
    for number in range(hidden.shape[0] // directions):
        for kind in kinds:
            for value in kind[number * directions : (number + 1) * directions]:
                start = len(parts) // 2 * width
                parts += [value, state[:, start + visible : start + width]]
    return torch.cat(parts, 1)


def _width(layers: Layers) -> int:
    """Columns of one h of one direction, with the pins."""
    return getattr(layers, "width", layers.hidden_size)
