"""Row 16. The linear layer on every step: tagging, or the next value after each one."""

import torch
from torch import Tensor, nn

from training.networks.recurrent import Recurrent
from training.networks.step import StateSlice, StepNetwork


class SequenceLSTMNet(StepNetwork):
    """float32 [B, T, features] -> [B, T, outputs]; steps past a row's length are zero."""

    per_step = True

    def __init__(
        self,
        features: int = 10,
        hidden_size: int = 50,
        num_layers: int = 2,
        outputs: int = 1,
        dropout: float = 0.2,
        input_clip: float = 8.0,
    ) -> None:
        super().__init__()
        between = dropout if num_layers > 1 else 0.0
        self.recurrent = Recurrent("lstm", features, hidden_size, num_layers, between, input_clip)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden_size, outputs))

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.recurrent.state_slice("recurrent"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.recurrent(inputs.transpose(0, 1), lengths, state)
        valid = torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]
        return torch.where(valid[..., None], self.head(hidden.transpose(0, 1)), 0.0), state
