"""Watching a module run: which recurrent layers it calls, with how many steps, and from which states."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from exporter.foreign.bounded import is_marked, mark
from exporter.foreign.layers import Pair, RecurrentLayer
from exporter.foreign.packing import answering

CLIPPED = "clipped"
"""The part of the state that counts inputs beyond a bound, which no layer may be called."""


@dataclass(frozen=True)
class Call:
    """One call of a recurrent layer, as it was seen."""

    layer: RecurrentLayer
    steps: int
    batch: int
    inputs: Tensor
    """What it read, without padding: [..., I]."""
    initial: Pair | None
    """h and c that it was given; None if it was given none."""
    within_one: bool
    """Whether its inputs lie in [-1, 1] by construction."""

    @property
    def starts_from_zero(self) -> bool:
        return self.initial is None or not any(part.any() for part in self.initial if part is not None)


@contextmanager
def watching(module: nn.Module, layers: Sequence[RecurrentLayer]) -> Iterator[list[Call]]:
    """The calls that are made inside, as a list that grows."""
    seen: list[Call] = []

    def answer(layer: RecurrentLayer, inputs: Any, state: Any, itself: Callable[[], Any]) -> Any:
        seen.append(_call(layer, inputs, state))
        return _marked(layer, itself())

    with answering(module, layers, answer, packing_too=False):
        yield seen


def _call(layer: RecurrentLayer, inputs: Tensor | PackedSequence, state: Any) -> Call:
    pair = (state, None) if isinstance(state, Tensor) else state
    initial = None if pair is None else tuple(None if part is None else part.detach().clone() for part in pair)
    data = inputs.data if isinstance(inputs, PackedSequence) else inputs
    return Call(layer, *_steps_and_batch(layer, inputs), data.detach().clone(), initial, is_marked(data))


def _marked(layer: RecurrentLayer, returned: Any) -> Any:
    """A hidden state lies in [-1, 1], but for that of a relu; a cell state need not."""
    if layer.cell == "rnn-relu" or layer.is_custom:
        return returned
    if layer.cell != "lstm":
        return mark(returned)
    hidden, rest = returned
    mark(hidden)
    if not layer.is_cell:
        mark(rest[0])
    return returned


def _steps_and_batch(layer: RecurrentLayer, inputs: Tensor | PackedSequence) -> tuple[int, int]:
    if isinstance(inputs, PackedSequence):
        return len(inputs.batch_sizes), int(inputs.batch_sizes[0])
    if layer.is_cell:
        return 1, inputs.shape[0] if inputs.dim() == 2 else 1
    if inputs.dim() == 2:
        return inputs.shape[0], 1
    steps, batch = inputs.shape[:2]
    return (batch, steps) if layer.module.batch_first else (steps, batch)


@dataclass(frozen=True)
class Planned:
    """A call that is made once for a whole sequence, and its name in the state."""

    layer: RecurrentLayer
    name: str
    initial: Pair | None = None
    """Learned values of h and c [layers * D, 1, H]; None for zeros."""


def plan(runs: Sequence[Sequence[Call]]) -> list[Planned] | str:
    """The calls of a run of one step, from several such runs; or the reason why the steps cannot be carried on."""
    first = runs[0]
    if len({tuple(call.layer.name for call in run) for run in runs}) > 1:
        return "which of its recurrent layers it calls depends on the values"
    planned: list[Planned] = []
    for number, call in enumerate(first):
        if call.layer.directions == 2:
            return f"{call.layer.name} reads backwards, too (bidirectional=True)"
        others = [run[number] for run in runs]
        if not all(_same(call.initial, other.initial) for other in others):
            return f"{call.layer.name} starts from a state that the module computes from its input"
        repeated = sum(before.layer is call.layer for before in planned)
        own = call.layer.name if call.layer.name != CLIPPED else f"layer {CLIPPED}"
        name = own if not repeated else f"{own}, call {repeated + 1}"
        learned = None if call.starts_from_zero else call.initial
        planned.append(Planned(call.layer, name, learned))
    return planned


def _same(one: Pair | None, other: Pair | None) -> bool:
    if one is None or other is None:
        return one is other
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None)


def on(planned: Sequence[Planned], layers: Sequence[RecurrentLayer]) -> list[Planned]:
    """The same plan for a copy of the module, whose layers have the same names."""
    named = {layer.name: layer for layer in layers}
    return [replace(each, layer=named[each.layer.name]) for each in planned]
