"""The first way: a module is run as if every sequence had one step, and only the recurrent layers know of time.

Time is folded into the batch: [B, T, F] goes in as T * B sequences of one step. What stands before the recurrent
layers then works step by step, a Python loop over time runs its body once, and "the last step", "the final state" and
"the only step" are one and the same. A stand-in unfolds, runs the layer over time from the carried state, and hands
out every step again (folded), or, for the last recurrent layer, just each row's last valid step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from exporter.foreign.axes import answered
from exporter.foreign.body import Body
from exporter.foreign.calls import CLIPPED, Planned
from exporter.foreign.layers import Layers, RecurrentLayer, with_values
from exporter.foreign.packing import Packed, answering, unchanged
from exporter.foreign.time_axes import Size, same_size
from exporter.foreign.tracing import Function, Tracing
from exporter.layers import OnnxLayers
from training.networks.step import StateSlice, StepNetwork


class Unfoldable(Exception):
    """Why a module cannot be run step by step, in a sentence."""


class LastOfMany(Tracing):
    """For a module that takes one row: `x[-1]` of all its steps leaves every one, since each may be the last."""

    def __init__(self, count: Size) -> None:
        super().__init__()
        self.count = count

    def called(self, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        whole = name == "__getitem__" and isinstance(args[1], int) and args[1] == -1
        return args[0] if whole and same_size(args[0].shape[0], self.count) else function(*args, **kwargs)


@dataclass
class Fold:
    """One run of T steps of B rows; answers for the recurrent layers, and collects their next states."""

    steps: int
    batch: int
    lengths: Tensor
    before: Mapping[str, Tensor]
    layers: Sequence[Layers]
    planned: Sequence[Planned]
    only_last: bool
    """The last recurrent call hands out just the last valid step of each row."""
    after: dict[str, Tensor] = field(default_factory=dict)
    beyond: list[Tensor] = field(default_factory=list)
    """How many inputs of each row were beyond a bound, [B, 1], for each layer that counts them."""

    def answer(self, layer: RecurrentLayer, inputs: Tensor | Packed, state: Any, itself: Callable[[], Any]) -> Any:
        number = len(self.after)
        if number >= len(self.planned) or self.planned[number].layer.module is not layer.module:
            raise Unfoldable(f"{layer.name} is called more often than once for each step")
        return answered(layer, inputs, lambda time_first, _: self._compute(number, time_first))

    def _compute(self, number: int, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        name, layers = self.planned[number].name, self.layers[number]
        rows = inputs.shape[:2]
        if isinstance(self.steps * self.batch, int) and rows[0] * rows[1] != self.steps * self.batch:
            raise Unfoldable(f"{self.planned[number].layer.name} gets {rows[0]} steps where one was given")
        unfolded = inputs.reshape(self.steps, self.batch, inputs.shape[2])
        if isinstance(layers, OnnxLayers) and layers.counts:
            self.beyond.append(layers.beyond(unfolded, self.lengths))
        outputs, self.after[name] = layers(unfolded, self.lengths, self.before[name])
        hidden, cell = layers.final(self.after[name])
        if self.only_last and number == len(self.planned) - 1:
            return hidden[-1:], hidden, cell
        every = torch.stack([part.reshape(rows[0] * rows[1], -1) for part in outputs])
        unknown = None if cell is None else torch.full_like(every, float("nan"))
        return outputs[-1].reshape(*rows, -1), every, unknown


class StepModule(StepNetwork):
    """A foreign module as a step function. `only_last`: see `Fold`."""

    def __init__(self, body: Body, planned: Sequence[Planned], layers: Sequence[Layers], only_last: bool) -> None:
        super().__init__()
        self.body, self.planned, self.only_last = body, planned, only_last
        self.per_step = body.per_step
        self.layers = nn.ModuleList(layers)

    def state_slices(self) -> tuple[StateSlice, ...]:
        pairs = zip(self.planned, self.layers, strict=True)
        carried = tuple(_with_initial(layers.state_slice(each.name), each, layers) for each, layers in pairs)
        return (*carried, StateSlice(CLIPPED, 1)) if any(layers.counts for layers in self.layers) else carried

    def forward(self, inputs: Tensor, lengths: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        batch, steps = inputs.shape[:2]
        before = self.split(state)
        fold = Fold(steps, batch, lengths, before, self.layers, self.planned, self.only_last)
        scaled = self.body.before(inputs)
        module, count = self.body.module, steps * batch
        single = self.body.convention.single_row
        folded = scaled.transpose(0, 1).reshape(*(1, count) if single else (count, 1), *scaled.shape[2:])
        tracing = LastOfMany(count) if single else Tracing()
        with unchanged(module), answering(module, self.body.layers, fold.answer), tracing:
            raw = self.body.run(folded, torch.ones(folded.shape[0], dtype=torch.int64))
        outputs = self._chosen(raw, steps, batch, lengths)
        counted = {CLIPPED: sum(fold.beyond, start=before[CLIPPED])} if CLIPPED in before else {}
        return self.body.behind(outputs, lengths), self.join(fold.after | counted)

    def _chosen(self, raw: Tensor, steps: int, batch: int, lengths: Tensor) -> Tensor:
        """[B, ...], or per step [B, T, ...]."""
        if self.only_last:
            return self.body.rows(raw, batch)
        every = self.body.rows(raw, steps * batch).unflatten(0, (steps, batch)).transpose(0, 1)
        return every if self.per_step else every[torch.arange(batch), lengths.long() - 1]


def _with_initial(part: StateSlice, planned: Planned, layers: Layers) -> StateSlice:
    """With the values that a module has learned to start from."""
    if planned.initial is None:
        return part
    values = tuple(None if value is None else value[:, :1] for value in planned.initial)
    row = with_values(layers, part.values()[None], values)
    return replace(part, initial=tuple(row[0].tolist()))
