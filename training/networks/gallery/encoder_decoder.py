"""Row 12. One LSTM reads the past into a state; another goes on from there, fed with its own forecasts."""

import torch
from torch import Tensor, nn

from training.networks.gallery.readout import last_valid
from training.networks.recurrent import Recurrent
from training.networks.step import StateSlice, StepNetwork


class Encoder(StepNetwork):
    """float32 [B, T, features] -> the last hidden state [B, H]. A decoder starts from the next state: (h, c)."""

    def __init__(self, features: int, hidden_size: int, num_layers: int = 1, input_clip: float = 8.0) -> None:
        super().__init__()
        self.recurrent = Recurrent("lstm", features, hidden_size, num_layers, input_clip=input_clip)

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.recurrent.state_slice("recurrent"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.recurrent(inputs.transpose(0, 1), lengths, state)
        return last_valid(hidden.transpose(0, 1), lengths), state


class Decoder(StepNetwork):
    """Known values float32 [B, T, 1] -> a forecast of the value after each [B, T, 1], zero past the length."""

    per_step = True

    def __init__(self, hidden_size: int, num_layers: int = 1, input_clip: float = 8.0) -> None:
        super().__init__()
        self.recurrent = Recurrent("lstm", 1, hidden_size, num_layers, input_clip=input_clip)
        self.head = nn.Linear(hidden_size, 1)

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.recurrent.state_slice("recurrent"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.recurrent(inputs.transpose(0, 1), lengths, state)
        valid = torch.arange(inputs.shape[1], device=inputs.device) < lengths[:, None]
        return torch.where(valid[..., None], self.head(hidden.transpose(0, 1)), 0.0), state


class EncoderDecoder(StepNetwork):
    """float32 [B, T, features] -> forecasts of the first feature [B, horizon].

    The decoder is unrolled over the horizon: it starts from the encoder's state and the last known value, and then
    reads its own output, clamped to `input_clip` like every other input. Only the encoder's state is kept: a forecast
    is thrown away as soon as the next point is known.
    """

    def __init__(
        self, features: int, hidden_size: int, horizon: int, num_layers: int = 1, input_clip: float = 8.0
    ) -> None:
        super().__init__()
        self.horizon = horizon
        self.encoder = Encoder(features, hidden_size, num_layers, input_clip)
        self.decoder = Decoder(hidden_size, num_layers, input_clip)

    def state_slices(self) -> tuple[StateSlice, ...]:
        return self.encoder.state_slices()

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        _, state = self.encoder(inputs, lengths, state)
        value, one, decoding = last_valid(inputs, lengths)[:, None, :1], torch.ones_like(lengths), state
        forecasts = []
        for _ in range(self.horizon):
            value, decoding = self.decoder(value, one, decoding)
            forecasts.append(value[:, 0])
        return torch.cat(forecasts, 1), state
