"""The recurrent layers that all networks share: LSTM, GRU and plain RNN with lengths and a flat state.

The exporter replaces these modules, and only these, by single ONNX nodes (see `exporter.recurrent`); a network that is
built from them is therefore exportable as it stands.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.networks.cells import CoupledLSTM, PeepholeLSTM, StepwiseLSTM
from training.networks.step import StateSlice

Cell = Literal["lstm", "gru", "rnn", "rnn-relu", "lstm-peephole", "lstm-coupled"]
CELLS: dict[Cell, Callable[..., nn.RNNBase]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "rnn-relu": partial(nn.RNN, nonlinearity="relu"),
    "lstm-peephole": PeepholeLSTM,
    "lstm-coupled": CoupledLSTM,
}
KEEP_GATE: dict[Cell, tuple[int, float]] = {"lstm": (1, 1.0), "lstm-peephole": (1, 1.0), "lstm-coupled": (0, -1.0)}
"""The gate that decides what is kept, and the bias with which it keeps most: f, or where 1 - i is kept, i."""


class Recurrent(nn.Module):
    """`num_layers` stacked layers over time-first inputs, of one direction or, if `bidirectional`, of two.

    `forward(x[T, B, F], lengths[B], state[B, S])` returns y [T, B, H], zero past each length, and the next state. The
    state holds, layer after layer, h [H] and, for an LSTM, c [H]; without one, the layers start from zeros. With
    `input_clip`, inputs are clamped to [-input_clip, input_clip]: what is not bounded by construction must be, for a
    quantized product to have a constant range. Two directions return y [T, B, 2 * H], forward before backward; they
    need whole sequences, and so take no state.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        input_clip: float | None = None,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.cell, self.input_clip = cell, input_clip
        directions = {"bidirectional": True} if bidirectional else {}
        self.rnn = CELLS[cell](input_size, hidden_size, num_layers, dropout=dropout, **directions)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier input weights, orthogonal recurrent weights, forget gate's bias 1 (Jozefowicz et al. 2015)."""
        hidden = self.rnn.hidden_size
        for name, parameter in self.rnn.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_uniform_(parameter)
            elif name.startswith("weight_hh"):
                for gate in parameter.data.split(hidden):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(parameter)
                if self.cell in KEEP_GATE and name.startswith("bias_ih"):
                    gate, bias = KEEP_GATE[self.cell]
                    parameter.data[gate * hidden : (gate + 1) * hidden] = bias

    @property
    def width(self) -> int:
        """Columns of y."""
        return self.rnn.hidden_size * (2 if self.rnn.bidirectional else 1)

    @property
    def states(self) -> int:
        """Arrays that one layer carries: h, and for an LSTM c."""
        return 2 if self.cell.startswith("lstm") else 1

    @property
    def state_size(self) -> int:
        """Columns of the state that these layers need."""
        return self.rnn.num_layers * self.width * self.states

    def state_slice(self, name: str) -> StateSlice:
        """The slice of the network's state that these layers need, with its initial values."""
        return StateSlice(name, self.state_size)

    def features(self, inputs: Tensor) -> Tensor:
        """What the first layer sees: float32 [T, B, F]."""
        return inputs if self.input_clip is None else inputs.clamp(-self.input_clip, self.input_clip)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        batch, features = inputs.shape[1], self.features(inputs)
        state = features.new_zeros(batch, self.state_size) if state is None else state
        per_layer = state.view(batch, -1, self.states * self.rnn.hidden_size).transpose(0, 1)
        before = tuple(part.contiguous() for part in per_layer.chunk(self.states, 2))
        outputs, after = self._run(features, lengths, before)
        return outputs, torch.cat(after, 2).transpose(0, 1).reshape(batch, -1)

    def _run(self, features: Tensor, lengths: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """[T, B, F] and h (and c), each [layers * directions, B, H] -> y and the same after the last valid steps."""
        if isinstance(self.rnn, StepwiseLSTM):
            return self.rnn(features, lengths, state)
        packed = pack_padded_sequence(features, lengths.cpu(), enforce_sorted=False)
        packed, after = self.rnn(packed, state if self.states == 2 else state[0])
        outputs, _ = pad_packed_sequence(packed, total_length=features.shape[0])
        return outputs, after if self.states == 2 else (after,)

    def forward_from_start(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """y [T, B, H] from a zero state, without the final state: the same as `forward`, faster to train with."""
        if isinstance(self.rnn, StepwiseLSTM) or self.rnn.bidirectional:
            return self(inputs, lengths)[0]
        outputs, _ = self.rnn(self.features(inputs))
        valid = torch.arange(inputs.shape[0], device=inputs.device)[:, None] < lengths[None, :]
        return outputs * valid[..., None]


class TokenRecurrent(Recurrent):
    """`Recurrent` behind an embedding: `forward(ids[T, B], lengths, state)`."""

    def __init__(
        self,
        vocabulary_size: int,
        embedding_size: int,
        cell: Cell,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(cell, embedding_size, hidden_size, num_layers, dropout, bidirectional=bidirectional)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)

    def features(self, inputs: Tensor) -> Tensor:
        return self.embedding(inputs)


def top_hidden(state: Tensor, num_layers: int, hidden_size: int) -> Tensor:
    """h [B, H] of the last layer in a state [B, S] of `Recurrent` layers of one direction.

    A layer's part begins with it, with or without an exporter's pinned units behind.
    """
    start = (num_layers - 1) * state.shape[1] // num_layers
    return state[:, start : start + hidden_size]
