"""What nearly every recurrent network ends with: a head that looks at the last valid step."""

import torch
from torch import Tensor, nn

from training.networks.recurrent import Recurrent
from training.networks.step import StateSlice, StepNetwork


def last_valid(steps: Tensor, lengths: Tensor) -> Tensor:
    """steps [B, T, H] -> the step before each row's end [B, H]. Never `steps[:, -1]`, which is padding for most."""
    return steps[torch.arange(steps.shape[0], device=steps.device), lengths.long() - 1]


class LastStepNetwork(StepNetwork):
    """Recurrent layers, and a head on the last layer's hidden state after the last valid step: [B, ...].

    The state is that of the recurrent layers, and zero before the first step.
    """

    def __init__(self, recurrent: Recurrent, head: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.head = recurrent, head

    def state_slices(self) -> tuple[StateSlice, ...]:
        return (self.recurrent.state_slice("recurrent"),)

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        hidden, state = self.recurrent(inputs.transpose(0, 1), lengths, state)
        return self.head(last_valid(hidden.transpose(0, 1), lengths)), state
