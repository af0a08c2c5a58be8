"""Every cell's equations in NumPy float64, written from the equations alone: stacked, and in both directions.

LSTM      i = sigma(W_i x + R_i h + b_i)    f, o alike    g = tanh(W_g x + R_g h + b_g)
          c' = f * c + i * g                h' = o * tanh(c')
peephole  i and f get + p * c, o gets + p_o * c' (Gers and Schmidhuber 2000)
coupled   f = 1 - i (Greff et al. 2017)
GRU       r, z = sigma(...)    n = tanh(W_n x + b_n + r * (R_n h + b_n'))    h' = (1 - z) * n + z * h
RNN       h' = tanh(W x + R h + b), or relu
"""

from dataclasses import dataclass

import numpy as np
from torch import nn

from tests.exporter.reference_cell import sigma
from training.networks.recurrent import Cell

GATES = {"lstm": "ifgo", "gru": "rzn", "rnn": "h"}
"""In the order in which PyTorch stacks them."""


@dataclass(frozen=True)
class Layer:
    """One direction of one layer: [gates, H, F], [gates, H, H], twice [gates, H], and p_i, p_f, p_o [3, H]."""

    cell: Cell
    from_inputs: np.ndarray
    from_hidden: np.ndarray
    input_bias: np.ndarray
    hidden_bias: np.ndarray
    peepholes: np.ndarray

    @staticmethod
    def of(rnn: nn.RNNBase, cell: Cell, suffix: str) -> "Layer":
        gates, hidden = len(GATES[cell.partition("-")[0]]), rnn.hidden_size

        def parameter(name: str, shape: tuple[int, ...]) -> np.ndarray:
            given = getattr(rnn, f"{name}_{suffix}", None)
            return np.zeros(shape) if given is None else given.detach().double().numpy().reshape(shape)

        return Layer(
            cell,
            parameter("weight_ih", (gates, hidden, -1)),
            parameter("weight_hh", (gates, hidden, hidden)),
            parameter("bias_ih", (gates, hidden)),
            parameter("bias_hh", (gates, hidden)),
            parameter("peepholes", (3, hidden)),
        )

    def run(self, inputs: np.ndarray) -> np.ndarray:
        """[T, F] from a zero state -> h at each step [T, H]."""
        h = c = np.zeros(self.hidden_bias.shape[1])
        outputs = []
        for x in inputs:
            h, c = self.step(self.from_inputs @ x + self.input_bias, self.from_hidden @ h + self.hidden_bias, h, c)
            outputs.append(h)
        return np.stack(outputs)

    def step(self, x: np.ndarray, r: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The weighted inputs x and hidden values r, each [gates, H], and h, c [H] -> the next h and c."""
        if self.cell in ("rnn", "rnn-relu"):
            return (np.tanh(x[0] + r[0]) if self.cell == "rnn" else np.maximum(x[0] + r[0], 0)), c
        if self.cell == "gru":
            reset, update = sigma(x[:2] + r[:2])
            return (1 - update) * np.tanh(x[2] + reset * r[2]) + update * h, c
        i, f, g, o = x + r
        p_i, p_f, p_o = self.peepholes
        i = sigma(i + p_i * c)
        f = 1 - i if self.cell == "lstm-coupled" else sigma(f + p_f * c)
        c = f * c + i * np.tanh(g)
        return sigma(o + p_o * c) * np.tanh(c), c


def outputs(rnn: nn.RNNBase, cell: Cell, inputs: np.ndarray) -> np.ndarray:
    """All layers from a zero state: inputs [T, F] -> the last layer's h at each step [T, D * H]."""
    for number in range(rnn.num_layers):
        forward = Layer.of(rnn, cell, f"l{number}").run(inputs)
        if not rnn.bidirectional:
            inputs = forward
            continue
        backward = Layer.of(rnn, cell, f"l{number}_reverse").run(inputs[::-1])[::-1]
        inputs = np.concatenate([forward, backward], 1)
    return inputs
