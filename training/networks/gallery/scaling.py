"""A scaler that is part of the network, so that callers send raw values and get raw values."""

import torch
from torch import Tensor, nn


class MinMax(nn.Module):
    """Maps [lowest, highest] to [0, 1] and back. Without `fit` it changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("lowest", torch.tensor(0.0))
        self.register_buffer("span", torch.tensor(1.0))

    def fit(self, values: Tensor) -> None:
        """Take the range from training rows, and from them only: later ones would tell the future."""
        self.lowest.copy_(values.min())
        self.span.copy_(values.max() - values.min())

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.lowest) / self.span

    def inverse(self, scaled: Tensor) -> Tensor:
        return scaled * self.span + self.lowest
