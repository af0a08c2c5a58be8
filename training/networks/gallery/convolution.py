"""Row 11. A convolution finds local patterns, an LSTM puts them in order."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.gallery.readout import last_valid
from training.networks.recurrent import Recurrent
from training.networks.step import StateSlice, StepNetwork


class CNN_LSTM(StepNetwork):
    """float32 [B, T, features] -> [B, outputs]: a 1-d convolution without padding, ReLU, an LSTM, a linear layer.

    The first `kernel - 1` steps have no window of their own, so a sequence, and its first chunk, need `kernel` steps.
    Later chunks find the last `kernel - 1` inputs in the state. The convolution is written as a linear layer over
    windows of inputs: ONNX Runtime's kernel for it depends, in the last bits, on how long the padded batch is.
    """

    def __init__(
        self,
        features: int,
        channels: int = 64,
        kernel: int = 3,
        hidden_size: int = 64,
        outputs: int = 1,
        input_clip: float = 8.0,
    ) -> None:
        super().__init__()
        self.features, self.kernel = features, kernel
        self.convolution = nn.Linear(kernel * features, channels)
        self.recurrent = Recurrent("lstm", channels, hidden_size, input_clip=input_clip)
        self.head = nn.Linear(hidden_size, outputs)

    def state_slices(self) -> tuple[StateSlice, ...]:
        """`carry` holds the last inputs, oldest first; `begun` is 1 once there are any."""
        carry = StateSlice("carry", (self.kernel - 1) * self.features)
        return self.recurrent.state_slice("recurrent"), carry, StateSlice("begun", 1)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        before = self.split(state)
        begun = before["begun"] > 0
        known = torch.cat([before["carry"].unflatten(1, (self.kernel - 1, self.features)), inputs], 1)
        windows = self.windows(known, begun)
        lengths_of_windows = torch.where(begun[:, 0], lengths, lengths - (self.kernel - 1))
        patterns = functional.relu(self.convolution(windows)).transpose(0, 1)
        hidden, recurrent = self.recurrent(patterns, lengths_of_windows, before["recurrent"])
        outputs = self.head(last_valid(hidden.transpose(0, 1), lengths_of_windows))
        after = {"recurrent": recurrent, "carry": self.carry(known, lengths), "begun": torch.ones_like(before["begun"])}
        return outputs, self.join(after)

    def windows(self, known: Tensor, begun: Tensor) -> Tensor:
        """[B, kernel - 1 + T, F] -> the windows of each row [B, T, kernel * F]. A new row has nothing in its carry."""
        skipped = self.kernel - 1
        first = torch.where(begun, 0, skipped)
        steps = torch.arange(known.shape[1], device=known.device)
        places = (steps + first).clamp_max(known.shape[1] - 1)
        shifted = known.gather(1, places[..., None].expand(-1, -1, self.features))
        count = known.shape[1] - skipped
        return torch.cat([shifted[:, start : start + count] for start in range(self.kernel)], 2)

    def carry(self, known: Tensor, lengths: Tensor) -> Tensor:
        """The last `kernel - 1` valid inputs of each row [B, (kernel - 1) * F]."""
        places = lengths.long()[:, None] + torch.arange(self.kernel - 1, device=known.device)
        return known.gather(1, places[..., None].expand(-1, -1, self.features)).flatten(1)
