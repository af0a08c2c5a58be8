"""Row 10. An LSTM whose last step looks back at all of them: multi-head self-attention (Vaswani et al. 2017)."""

import torch
from torch import Tensor, nn

from training.networks.gallery.readout import last_valid
from training.networks.recurrent import Recurrent
from training.networks.step import WholeNetwork


class LastStepAttention(nn.Module):
    """What self-attention gives at the last valid step, which is the only one that is read: [B, T, H] -> [B, H].

    In each head, softmax(q k / sqrt(size)) v over the valid steps. Sums over time are cumulative ones: those do not
    depend on how much padding follows, to the last bit.
    """

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        if hidden_size % heads:
            raise ValueError(f"hidden_size {hidden_size} is not a multiple of {heads} heads")
        self.heads, self.size = heads, hidden_size // heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden_size, hidden_size) for _ in range(4))

    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        query = self.query(last_valid(steps, lengths)).unflatten(1, (self.heads, self.size))
        key, value = (layer(steps).unflatten(2, (self.heads, self.size)) for layer in (self.key, self.value))
        scores = (query[:, None] * key).cumsum(3)[..., -1:] / self.size**0.5
        valid = torch.arange(steps.shape[1], device=steps.device) < lengths[:, None]
        scores = scores.masked_fill(~valid[:, :, None, None], float("-inf"))
        weights = (scores - scores.amax(1, keepdim=True)).exp()
        mixture = (weights * value).cumsum(1)[:, -1] / weights.cumsum(1)[:, -1]
        return self.output(mixture.flatten(1))


class LSTMWithAttention(WholeNetwork):
    """float32 [B, T, features] -> [B, outputs]: LSTM, self-attention of 8 heads, linear layer on the last valid step.

    Every step would have to be kept to go on later, so there is no state of a fixed size.
    """

    def __init__(
        self, features: int, hidden_size: int = 64, heads: int = 8, outputs: int = 1, input_clip: float = 8.0
    ) -> None:
        super().__init__()
        self.recurrent = Recurrent("lstm", features, hidden_size, input_clip=input_clip)
        self.attention = LastStepAttention(hidden_size, heads)
        self.head = nn.Linear(hidden_size, outputs)

    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        hidden, _ = self.recurrent(inputs.transpose(0, 1), lengths)
        return self.head(self.attention(hidden.transpose(0, 1), lengths))
