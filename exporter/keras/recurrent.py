"""Recurrent layers of Keras as PyTorch's: the same equations, but for the order of the gates and the number of biases.

Keras stacks the gates of an LSTM as i, f, c, o (PyTorch: i, f, g, o, the same) and of a GRU as z, r, h (PyTorch:
r, z, n), in the columns of `kernel` [I, G * H] and `recurrent_kernel` [H, G * H]. An LSTM and a SimpleRNN have one
bias where PyTorch has two, so the second is zero; a GRU with `reset_after` has both. What PyTorch's layers cannot
express, the ones in `cells` can.
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor, nn

from exporter.keras.cells import FUNCTIONS, CustomGRU, CustomLSTM
from exporter.keras.chain import Layer

GATES: dict[str, tuple[int, ...]] = {"LSTM": (0, 1, 2, 3), "GRU": (1, 0, 2), "SimpleRNN": (0,)}
"""The recurrent layers, and where PyTorch's gates stand in the order of Keras."""
MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda forward, backward: torch.cat([forward, backward], -1),
    "sum": lambda forward, backward: forward + backward,
    "mul": lambda forward, backward: forward * backward,
    "ave": lambda forward, backward: (forward + backward) / 2,
}
MATTERS = ("units", "activation", "recurrent_activation", "use_bias", "reset_after", "return_sequences")
"""What the two directions of a Bidirectional must have in common."""


class KerasRecurrent(nn.Module):
    """float32 [B, T, F] -> the hidden values of every step [B, T, H] (`per_step`), or of the last one [B, H].

    With `merge`, the layer reads both ways, and the directions are joined as Keras does; `concat` makes it 2 * H.
    """

    def __init__(self, rnn: nn.RNNBase, per_step: bool, merge: str | None) -> None:
        super().__init__()
        self.rnn, self.per_step, self.merge = rnn, per_step, merge
        self.has_cell = isinstance(rnn, nn.LSTM)

    @property
    def width(self) -> int:
        return self.rnn.hidden_size * (2 if self.merge == "concat" else 1)

    def forward(self, inputs: Tensor) -> Tensor:
        outputs, final = self.rnn(inputs)
        if self.per_step:
            return outputs if self.merge in (None, "concat") else MERGES[self.merge](*outputs.chunk(2, -1))
        hidden = final[0] if self.has_cell else final
        return hidden[-1] if self.merge is None else MERGES[self.merge](hidden[-2], hidden[-1])


def recurrent(layer: Layer, width: int) -> KerasRecurrent:
    """An LSTM, GRU or SimpleRNN layer over `width` features."""
    if layer.config.get("go_backwards"):
        raise layer.refuse("it reads backwards (go_backwards)", "only Bidirectional layers may")
    return KerasRecurrent(_filled(width, layer), layer.config["return_sequences"], None)


def bidirectional(layer: Layer, forward: Layer, backward: Layer, width: int) -> KerasRecurrent:
    """A Bidirectional layer whose two directions are alike but for their weights."""
    if (merge := layer.config.get("merge_mode")) not in MERGES:
        raise layer.refuse(f"merge_mode is {merge!r}", f"{', '.join(MERGES)} are supported")
    if forward.kind != backward.kind or any(forward.config.get(key) != backward.config.get(key) for key in MATTERS):
        raise layer.refuse("its two directions differ in more than their weights", f"they must agree in {MATTERS}")
    if forward.config.get("go_backwards") or not backward.config.get("go_backwards"):
        raise layer.refuse("its forward layer reads backwards", "swap the two layers")
    return KerasRecurrent(_filled(width, forward, backward), forward.config["return_sequences"], merge)


def _filled(width: int, *directions: Layer) -> nn.RNNBase:
    """PyTorch's layer. The weights are read first: a file's claims are believed when they are as large as it says."""
    read = [_parameters(direction, width) for direction in directions]
    rnn = _empty(directions[0], width, bidirectional=len(directions) == 2)
    for suffix, parameters in zip(("_l0", "_l0_reverse"), read, strict=False):
        for name, values in parameters.items():
            getattr(rnn, name + suffix).data.copy_(values)
    return rnn


def _empty(layer: Layer, width: int, bidirectional: bool) -> nn.RNNBase:
    """PyTorch's layer, or one of ours where it has none, without the weights."""
    config = layer.config
    if config.get("return_state"):
        raise layer.refuse("it also returns its state (return_state)", "the server keeps the state between requests")
    options: dict[str, Any] = {"batch_first": True, "bias": config["use_bias"], "bidirectional": bidirectional}
    sizes = (width, config["units"])
    if layer.kind == "SimpleRNN":
        return nn.RNN(*sizes, nonlinearity=_supported(layer, "activation", ("tanh", "relu")), **options)
    names = {field: _supported(layer, field, FUNCTIONS) for field in ("activation", "recurrent_activation")}
    usual = tuple(names.values()) == ("tanh", "sigmoid")
    if layer.kind == "LSTM":
        return nn.LSTM(*sizes, **options) if usual else CustomLSTM(*sizes, **names, **options)
    if usual and not _resets_before(layer):
        return nn.GRU(*sizes, **options)
    return CustomGRU(*sizes, reset_before=_resets_before(layer), **names, **options)


def _resets_before(layer: Layer) -> bool:
    return layer.kind == "GRU" and not layer.config.get("reset_after", True)


def _supported(layer: Layer, field: str, names: Collection[str]) -> str:
    """The name of an activation. Raises KerasFileError if there is no such function here."""
    if (given := layer.config[field]) not in names:
        raise layer.refuse(f"{field} is {given!r}", f"{', '.join(names)} are supported there")
    return given


def _parameters(layer: Layer, width: int) -> dict[str, Tensor]:
    """By PyTorch's names, from kernel [I, G * H], recurrent kernel [H, G * H] and bias [G * H] or [2, G * H]."""
    stored, order, units = layer.weights.inside("cell"), GATES[layer.kind], layer.config["units"]
    stacked = len(order) * units
    parts = {"weight_ih": stored.tensor(0, (width, stacked)).T, "weight_hh": stored.tensor(1, (units, stacked)).T}
    if layer.config["use_bias"]:
        both = layer.kind == "GRU" and not _resets_before(layer)
        bias = stored.tensor(2, (2, stacked) if both else (stacked,))
        parts["bias_ih"], parts["bias_hh"] = bias if both else (bias, torch.zeros(stacked))
    return {name: tensor.unflatten(0, (len(order), units))[list(order)].flatten(0, 1) for name, tensor in parts.items()}
