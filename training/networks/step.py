"""A recurrent network as a step function, `(inputs, lengths, state) -> (outputs, next_state)`, or as a whole.

Everything that carries over from one chunk of a sequence to the next lives in one float32 array of named slices, so
that whoever runs the network may stop after any time step and go on later, elsewhere and in other company.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StateSlice:
    """Some columns of the state. `initial` is one value for all of them, or one for each."""

    name: str
    size: int
    initial: float | tuple[float, ...] = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.initial, tuple) and len(self.initial) != self.size:
            raise ValueError(f"state slice {self.name!r}: {len(self.initial)} initial values for {self.size} columns")

    def values(self) -> Tensor:
        """float32 [size]."""
        initial = self.initial if isinstance(self.initial, tuple) else (self.initial,) * self.size
        return torch.tensor(initial, dtype=torch.float32)


class StepNetwork(nn.Module, ABC):
    """Base of every network that can be run piece by piece.

    `forward(inputs, lengths, state)` takes int64 token ids [B, T] or float32 features [B, T, F], the int32 number of
    valid steps of each row [B] (at least 1) and the float32 state [B, S]; it returns float32 outputs [B, ...] at each
    row's last valid step, and the next state [B, S]. A network whose `per_step` is True returns outputs [B, T, ...] at
    every step, which are exactly zero past the length. A row's results depend neither on the other rows, nor on what
    stands past its length, nor on where the sequence was cut.
    """

    per_step: bool = False

    @abstractmethod
    def state_slices(self) -> tuple[StateSlice, ...]:
        """The layout of the state, in order."""

    @property
    def state_size(self) -> int:
        return sum(part.size for part in self.state_slices())

    def initial_state(self, batch: int) -> Tensor:
        """The state before the first time step: float32 [batch, S]."""
        row = torch.cat([part.values() for part in self.state_slices()])
        return row.expand(batch, -1).to(next(self.parameters()).device).clone()

    def split(self, state: Tensor) -> dict[str, Tensor]:
        """[B, S] -> the named slices, each [B, size]."""
        parts = self.state_slices()
        return dict(zip((part.name for part in parts), state.split([part.size for part in parts], 1), strict=True))

    def join(self, parts: Mapping[str, Tensor]) -> Tensor:
        """The inverse of `split`: the named slices, each [B, size] -> [B, S]."""
        return torch.cat([parts[part.name] for part in self.state_slices()], 1)


class WholeNetwork(nn.Module, ABC):
    """Base of every network that needs the whole sequence at once: it reads both ways, or attends over time.

    `forward(inputs, lengths)` takes and returns what a `StepNetwork` does, but no state: outputs [B, ...] for each row,
    or, where `per_step` is True, [B, T, ...] with exact zeros past the length. A row's results depend neither on the
    other rows nor on what stands past its length.
    """

    per_step: bool = False

    @abstractmethod
    def forward(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Outputs of whole sequences."""
