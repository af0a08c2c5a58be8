"""LSTM cells that PyTorch does not have, written out step by step: peepholes, and coupled gates.

Weights have the names, the shapes and the gate order (i, f, g, o) of `torch.nn.LSTM`. sigma is the logistic function.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional


class StepwiseLSTM(nn.LSTM, ABC):
    """Stacked layers as a loop over time: `forward(x[T, B, F], lengths[B], (h, c))`, h and c [layers, B, H].

    Returns y [T, B, H], zero past each length, and the (h, c) of each row's last valid step.
    """

    @abstractmethod
    def cell(self, layer: int, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """One step: the four weighted sums [B, 4 * H] in the order i, f, g, o, and c [B, H] -> the next h and c."""

    def forward(
        self, inputs: Tensor, lengths: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        outputs, finals = inputs, []
        for layer, (h, c) in enumerate(zip(*state, strict=True)):
            if layer:
                outputs = functional.dropout(outputs, self.dropout, self.training)
            outputs, final = self._layer(layer, outputs, lengths, h, c)
            finals.append(final)
        h, c = (torch.stack(parts) for parts in zip(*finals, strict=True))
        return outputs, (h, c)

    def _layer(
        self, layer: int, inputs: Tensor, lengths: Tensor, h: Tensor, c: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_x, w_h, b_x, b_h = (getattr(self, f"{name}_l{layer}") for name in names)
        outputs = []
        for time, from_inputs in enumerate(functional.linear(inputs, w_x, b_x + b_h)):
            valid = (time < lengths)[:, None]
            new_h, new_c = self.cell(layer, from_inputs + functional.linear(h, w_h), c)
            h, c = torch.where(valid, new_h, h), torch.where(valid, new_c, c)
            outputs.append(torch.where(valid, new_h, 0.0))
        return torch.stack(outputs), (h, c)


class PeepholeLSTM(StepwiseLSTM):
    """The gates also see the cell state (Gers and Schmidhuber 2000): i and f the old one, o the new one.

    i = sigma(... + p_i * c)    f = sigma(... + p_f * c)    o = sigma(... + p_o * c')

    `peepholes_l0`, `peepholes_l1`, ... [3 * H] hold p_i, p_f and p_o of each layer.
    """

    def __init__(self, *arguments: int, dropout: float = 0.0) -> None:
        super().__init__(*arguments, dropout=dropout)
        for layer in range(self.num_layers):
            self.register_parameter(f"peepholes_l{layer}", nn.Parameter(torch.zeros(3 * self.hidden_size)))

    def cell(self, layer: int, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, g, o = gates.chunk(4, 1)
        p_i, p_f, p_o = getattr(self, f"peepholes_l{layer}").chunk(3)
        c_next = torch.sigmoid(f + p_f * c) * c + torch.sigmoid(i + p_i * c) * torch.tanh(g)
        return torch.sigmoid(o + p_o * c_next) * torch.tanh(c_next), c_next


class CoupledLSTM(StepwiseLSTM):
    """What is written is what is forgotten (Greff et al. 2017, CIFG): c' = (1 - i) * c + i * g.

    The input gate is the one that is computed, as in ONNX Runtime's `input_forget=1`. The rows of the forget gate are
    there, so that the layout is that of an LSTM, but nothing reads them.
    """

    def cell(self, layer: int, gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, _, g, o = gates.chunk(4, 1)
        i = torch.sigmoid(i)
        c_next = (1 - i) * c + i * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c_next), c_next
