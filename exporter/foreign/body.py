"""A plain module with all that is known about it, and what the exporter puts before and behind it."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from exporter.foreign.convention import Convention, call
from exporter.foreign.layers import RecurrentLayer, recurrent_layers
from exporter.foreign.time_axes import Size, same_size


class Body(nn.Module):
    """`before` (scaling), the module in single precision, and `readout` (what its numbers are made into)."""

    def __init__(
        self,
        module: nn.Module,
        convention: Convention,
        shape: Sequence[int],
        grows: bool,
        per_step: bool,
        before: nn.Module,
        readout: nn.Module,
        fixed_steps: int | None,
    ) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).float().eval()
        self.convention = convention.of(torch.float32)
        self.shape, self.grows, self.per_step = tuple(shape), grows, per_step
        self.scaling, self.readout, self.fixed_steps = before, readout, fixed_steps

    @property
    def layers(self) -> list[RecurrentLayer]:
        return recurrent_layers(self.module)

    def before(self, inputs: Tensor) -> Tensor:
        """Raw inputs [B, T] or [B, T, F] -> what the module reads."""
        scaled = self.scaling(inputs)
        return scaled if self.fixed_steps is None else scaled.index_select(1, torch.arange(self.fixed_steps))

    def run(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """What the module answers to `inputs` [B, T, ...], in its own order of axes."""
        return call(self.module, self.convention.arrange(inputs, lengths))

    def rows(self, raw: Tensor, count: Size) -> Tensor:
        """The answer for `count` rows that have no axis of time, or one of a single step: [count, *shape]."""
        return raw.reshape(count, *self.shape)

    def steps(self, raw: Tensor, batch: Size, steps: Size) -> Tensor:
        """An answer for each step -> [B, T, *shape], whichever way the module orders them."""
        sizes = list(raw.shape)
        if any(same_size(size, batch) for size in sizes) and any(same_size(size, steps) for size in sizes):
            rows = next(place for place, size in enumerate(sizes) if same_size(size, batch))
            time = next(place for place, size in enumerate(sizes) if place != rows and same_size(size, steps))
            return raw.movedim((rows, time), (0, 1)).reshape(batch, steps, *self.shape)
        if self.convention.layout == "time-first":
            return raw.reshape(steps, batch, *self.shape).transpose(0, 1)
        return raw.reshape(batch, steps, *self.shape)

    @contextmanager
    def unread(self) -> Iterator[None]:
        """Inside, the module's numbers are handed out as they are."""
        readout, self.readout = self.readout, nn.Identity()
        try:
            yield
        finally:
            self.readout = readout

    def behind(self, outputs: Tensor, lengths: Tensor) -> Tensor:
        """What is served: float32 [B, ...], or per step [B, T, ...] with zeros past the length."""
        answers = self.readout(outputs.float())
        if not self.per_step:
            return answers
        valid = torch.arange(answers.shape[1]) < lengths[:, None]
        return torch.where(valid.reshape(*valid.shape, *[1] * (answers.dim() - 2)), answers, 0.0)
