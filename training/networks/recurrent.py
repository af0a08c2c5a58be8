"""The recurrent layers that all networks share: LSTM, GRU and plain RNN with lengths and a flat state.

The exporter replaces these modules, and only these, by single ONNX nodes (see `exporter.recurrent`); a network that is
built from them is therefore exportable as it stands.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from training.networks.step import StateSlice

Cell = Literal["lstm", "gru", "rnn"]
CELLS: dict[Cell, type[nn.RNNBase]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """`num_layers` stacked layers of one direction over time-first inputs.

    `forward(x[T, B, F], lengths[B], state[B, S])` returns y [T, B, H], zero past each length, and the next state. The
    state holds, layer after layer, h [H] and, for an LSTM, c [H]. With `input_clip`, inputs are clamped to
    [-input_clip, input_clip]: what is not bounded by construction must be, for a quantized product to have a constant
    range.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        input_clip: float | None = None,
    ) -> None:
        super().__init__()
        self.cell, self.input_clip = cell, input_clip
        self.rnn = CELLS[cell](input_size, hidden_size, num_layers, dropout=dropout)
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
                if self.cell == "lstm" and name.startswith("bias_ih"):
                    parameter.data[hidden : 2 * hidden] = 1.0

    @property
    def state_size(self) -> int:
        """Columns of the state that these layers need."""
        return self.rnn.num_layers * self.rnn.hidden_size * (2 if self.cell == "lstm" else 1)

    def state_slice(self, name: str) -> StateSlice:
        """The slice of the network's state that these layers need, with its initial values."""
        return StateSlice(name, self.state_size)

    def features(self, inputs: Tensor) -> Tensor:
        """What the first layer sees: float32 [T, B, F]."""
        return inputs if self.input_clip is None else inputs.clamp(-self.input_clip, self.input_clip)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        steps, batch = inputs.shape[:2]
        packed = pack_padded_sequence(self.features(inputs), lengths.cpu(), enforce_sorted=False)
        per_layer = state.view(batch, self.rnn.num_layers, -1).transpose(0, 1)
        if self.cell == "lstm":
            h, c = (part.contiguous() for part in per_layer.chunk(2, 2))
            packed, (h, c) = self.rnn(packed, (h, c))
            final = torch.cat([h, c], 2)
        else:
            packed, final = self.rnn(packed, per_layer.contiguous())
        outputs, _ = pad_packed_sequence(packed, total_length=steps)
        return outputs, final.transpose(0, 1).reshape(batch, -1)

    def forward_from_start(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """y [T, B, H] from a zero state, without the final state: the same as `forward`, faster to train with."""
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
    ) -> None:
        super().__init__(cell, embedding_size, hidden_size, num_layers, dropout)
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)

    def features(self, inputs: Tensor) -> Tensor:
        return self.embedding(inputs)
