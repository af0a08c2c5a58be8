"""LSTM and GRU as Keras has them and PyTorch has not: other activations, and a reset before the recurrent product.

Both are drop-in replacements of `nn.LSTM` and `nn.GRU`, of one layer and in batches: the same parameters, inputs,
packed ones too, states and outputs. They run step by step in Python. An exporter copies their weights as it does there,
and gives the ONNX node their `onnx_activations` and, where `reset_before` is true, `linear_before_reset=0`.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

Function = Callable[[Tensor], Tensor]
FUNCTIONS: dict[str, tuple[Function, str]] = {
    "tanh": (torch.tanh, "Tanh"),
    "sigmoid": (torch.sigmoid, "Sigmoid"),
    "relu": (torch.relu, "Relu"),
    "elu": (functional.elu, "Elu"),
    "softsign": (functional.softsign, "Softsign"),
}
"""An activation of Keras, and its name in ONNX's recurrent operators."""
States = tuple[Tensor, ...]
"""h and, for an LSTM, c."""


class Stepwise(nn.RNNBase, ABC):
    """What both cells share: axes, packing, directions and the loop over time. Subclasses say what one step does."""

    kinds: int
    """How many states there are: h and, for an LSTM, c."""
    reset_before = False

    def __init__(
        self, *sizes: int, activation: str = "tanh", recurrent_activation: str = "sigmoid", **options: Any
    ) -> None:
        super().__init__(*sizes, **options)
        self.activation, self.recurrent_activation = activation, recurrent_activation

    @property
    def onnx_activations(self) -> list[str]:
        """Of one direction, as ONNX orders them: gates, candidate and, for an LSTM, output."""
        names = [self.recurrent_activation] + [self.activation] * self.kinds
        return [FUNCTIONS[name][1] for name in names]

    def time_first(self) -> "Stepwise":
        """A float32 copy for inputs [T, B, F]."""
        copied = copy.deepcopy(self).float()
        copied.batch_first = False
        return copied

    @abstractmethod
    def step(self, product: Tensor, states: States, recurrent: Tensor, bias: Tensor) -> States:
        """The inputs' product [B, G * H], states [B, H], recurrent weights [G * H, H], bias [G * H] -> next states."""

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> tuple[Any, Any]:
        given = hx if hx is None or isinstance(hx, tuple) else (hx,)
        if isinstance(input, PackedSequence):
            inputs, lengths = pad_packed_sequence(input)
            outputs, final = self._run(inputs, lengths, given)
            return pack_padded_sequence(outputs, lengths, enforce_sorted=False), final
        inputs = input.transpose(0, 1) if self.batch_first else input
        outputs, final = self._run(inputs, torch.full(inputs.shape[1:2], len(inputs)), given)
        return outputs.transpose(0, 1) if self.batch_first else outputs, final

    def _run(self, inputs: Tensor, lengths: Tensor, given: States | None) -> tuple[Tensor, Any]:
        """[T, B, F], lengths [B], states [D, B, H] -> outputs [T, B, D * H], zero past each length, and states."""
        directions = 2 if self.bidirectional else 1
        states = given or (inputs.new_zeros(directions, inputs.shape[1], self.hidden_size),) * self.kinds
        valid = (torch.arange(len(inputs))[:, None] < lengths).to(inputs.device)[..., None]
        each = range(directions)
        read = [self._direction(inputs, valid, tuple(kind[d] for kind in states), d == 1) for d in each]
        final = tuple(torch.stack(kind) for kind in zip(*(last for _, last in read), strict=True))
        return torch.cat([outputs for outputs, _ in read], 2), final if self.kinds > 1 else final[0]

    def _direction(self, inputs: Tensor, valid: Tensor, states: States, backwards: bool) -> tuple[Tensor, States]:
        suffix = "_l0_reverse" if backwards else "_l0"
        weights, recurrent = getattr(self, "weight_ih" + suffix), getattr(self, "weight_hh" + suffix)
        none = recurrent.new_zeros(len(recurrent))
        of_input, of_hidden = (getattr(self, name + suffix, none) for name in ("bias_ih", "bias_hh"))
        products = functional.linear(inputs, weights, of_input)
        hiddens: list[Tensor] = []
        for now in range(len(inputs))[:: -1 if backwards else 1]:
            after = self.step(products[now], states, recurrent, of_hidden)
            states = tuple(torch.where(valid[now], new, old) for new, old in zip(after, states, strict=True))
            hiddens.append(torch.where(valid[now], states[0], 0.0))
        return torch.stack(hiddens[:: -1 if backwards else 1]), states


class CustomLSTM(Stepwise, nn.LSTM):
    """c' = s(f) * c + s(i) * a(g) and h' = s(o) * a(c'), s being the recurrent activation and a the other one."""

    kinds = 2

    def step(self, product: Tensor, states: States, recurrent: Tensor, bias: Tensor) -> States:
        gate, activation = FUNCTIONS[self.recurrent_activation][0], FUNCTIONS[self.activation][0]
        hidden, cell = states
        i, f, g, o = (product + functional.linear(hidden, recurrent, bias)).chunk(4, 1)
        cell = gate(f) * cell + gate(i) * activation(g)
        return gate(o) * activation(cell), cell


class CustomGRU(Stepwise, nn.GRU):
    """h' = (1 - s(z)) * n + s(z) * h, where n = a(W x + b + s(r) * (R h + b')) as in PyTorch.

    With `reset_before`, n = a(W x + b + R (s(r) * h) + b'), which is the GRU of Cho et al. (2014).
    """

    kinds = 1

    def __init__(self, *sizes: int, reset_before: bool, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.reset_before = reset_before

    def step(self, product: Tensor, states: States, recurrent: Tensor, bias: Tensor) -> States:
        gate, activation = FUNCTIONS[self.recurrent_activation][0], FUNCTIONS[self.activation][0]
        (hidden,), sizes = states, (2 * self.hidden_size, self.hidden_size)
        (R_gates, R_new), (b_gates, b_new) = recurrent.split(sizes), bias.split(sizes)
        x_gates, x_new = product.split(sizes, 1)
        reset, update = gate(x_gates + functional.linear(hidden, R_gates, b_gates)).chunk(2, 1)
        if self.reset_before:
            of_hidden = functional.linear(reset * hidden, R_new, b_new)
        else:
            of_hidden = reset * functional.linear(hidden, R_new, b_new)
        return ((1 - update) * activation(x_new + of_hidden) + update * hidden,)
