"""Three ways to export a module, tried in order; the first that reproduces its answers is taken.

The truth is the module itself: each row alone, unpadded, in a batch of one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from exporter.differences import accepted, differences
from exporter.errors import ForeignError
from exporter.foreign import calls
from exporter.foreign.body import Body
from exporter.foreign.layers import Layers, RecurrentLayer
from exporter.foreign.stepwise import StepModule, Unfoldable
from exporter.foreign.understand import MODULE_FAILURES, Understood
from exporter.foreign.whole import WholeModule
from exporter.sessions import Rows, pad

Make = Callable[[RecurrentLayer], Layers]
Network = StepModule | WholeModule
BATCH = 5
JUNK = 1e3
ROUNDINGS = 8
"""So many times as much as the module's own: the same sums in another order, by the same library."""
STEPS_WATCHED = 37
"""A number that hardly any axis of a network has."""


@dataclass(frozen=True)
class Way:
    """`build` makes the network with layers that run in PyTorch, or in ONNX."""

    name: Literal["stepwise", "whole", "equal lengths"]
    padding: bool
    build: Callable[[Make], Network]
    problem: str | None = None
    """Why it need not be tried, where that is known."""


def ways(found: Understood, body: Body) -> Iterator[Way]:
    """The three ways, the best first. The first comes in two forms, of which the cheaper one is tried first."""
    planned = planned_steps(found)
    known = planned if isinstance(planned, str) else None
    calls_of_a_step = [] if isinstance(planned, str) else planned
    for only_last in (False,) if body.per_step or found.convention.single_row or known else (True, False):
        yield Way("stepwise", True, _stepwise(body, calls_of_a_step, only_last), known)
    known = "it takes one row at a time" if found.convention.single_row else None
    from_zero = frozenset(call.layer.name for call in all_calls(found)) - _not_from_zero(found)
    for redone in (True, False) if body.fixed_steps else (True,):
        yield Way("whole", True, _whole(body, from_zero, redone), known)
    for redone in (True, False):
        yield Way("equal lengths", False, _whole(body, from_zero, redone), known)


def planned_steps(found: Understood) -> list[calls.Planned] | str:
    """The recurrent calls of a single step; or why the module cannot be run step by step."""
    if found.smallest == found.largest:
        return f"it takes exactly {found.largest} steps"
    if found.smallest > 1:
        return f"it needs {found.smallest} steps at once"
    batch = [found.watched(found.example(1, 1, seed))[0] for seed in range(3)]
    return calls.plan(batch)


def all_calls(found: Understood) -> list[calls.Call]:
    return found.watched(found.example(1, max(found.smallest, min(5, found.largest))))[0]


def _not_from_zero(found: Understood) -> set[str]:
    return {call.layer.name for call in all_calls(found) if not call.starts_from_zero}


def _stepwise(body: Body, planned: Sequence[calls.Planned], only_last: bool) -> Callable[[Make], Network]:
    def build(make: Make) -> Network:
        own = calls.on(planned, body.layers)
        return StepModule(body, own, [make(each.layer) for each in own], only_last).eval()

    return build


def _whole(body: Body, from_zero: frozenset[str], redone: bool) -> Callable[[Make], Network]:
    def build(make: Make) -> Network:
        layers = {layer.name: make(layer) for layer in body.layers}
        return WholeModule(body, layers, from_zero, redone).eval()

    return build


@dataclass(frozen=True)
class Numbers:
    """The module's own numbers for some rows, before anything is made of them: a scaler may lift them to a level at
    which float32 cannot tell them apart. Each is float64 [*shape], or per step [T, *shape]."""

    truth: Sequence[np.ndarray]
    single: Sequence[np.ndarray] | None
    """In single precision, where that is another one than the module's own."""
    double: Sequence[np.ndarray] | None
    """In double precision, if the module can be run in it."""

    def accepted(self, per_step: bool, tolerance: float) -> np.ndarray:
        """How far a way may be from them: [N, outputs]."""
        single = self.truth if self.single is None else self.single
        return accepted(single, self.double, per_step, tolerance, ROUNDINGS)


def problem_in_pytorch(way: Way, rows: Rows, numbers: Numbers, accepted: np.ndarray) -> str | None:
    """Why a way does not give the module's own numbers; None if it does: in batches, padded, and in two pieces."""
    network = way.build(lambda layer: layer.eager())
    try:
        with torch.no_grad(), network.body.unread():
            deviation, excess = max(_deviation(network, way, rows, numbers.truth, accepted), key=lambda each: each[1])
    except Unfoldable as reason:
        return str(reason)
    except (*MODULE_FAILURES, ForeignError) as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
    if excess <= 0:
        return None
    return f"its answers change by {deviation:.2g}"


def over_time(found: Understood, body: Body) -> list[str]:
    """The operations over time in the module, and where they stand: why its answer uses more than the last step."""
    network = _whole(body, frozenset(), True)(lambda layer: layer.eager())
    inputs = found.example(2, max(found.smallest, min(STEPS_WATCHED, found.largest)))
    try:
        with torch.no_grad():
            network(inputs, torch.full((2,), inputs.shape[1], dtype=torch.int32))
    except MODULE_FAILURES:
        return []
    return list(dict.fromkeys(network.used))


def _deviation(
    network: Network, way: Way, rows: Rows, truth: Sequence[np.ndarray], accepted: np.ndarray
) -> Iterator[tuple[float, float]]:
    """For each row, by how much it deviates, and by how much that is more than what is accepted."""
    for places in _batches(rows, way.padding):
        some, wanted = [rows[place] for place in places], [truth[place] for place in places]
        cut = max(1, min(map(len, some)) // 2)
        for pieces in (None, cut) if isinstance(network, StepModule) else (None,):
            for place, one, other in zip(places, _run(network, some, pieces), wanted, strict=True):
                found = differences(one[None], other[None]).reshape(-1, accepted.shape[1])
                yield float(found.max()), float((found - accepted[place]).max())


def _batches(rows: Rows, padding: bool) -> list[list[int]]:
    """Rows of many lengths, or of one, in each batch; batch sizes that no axis of a network is likely to have."""
    order = list(range(len(rows)))
    if padding:
        return [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    return [[place for place in order if len(rows[place]) == length] for length in {len(row) for row in rows}]


def _run(network: Network, rows: Rows, cut: int | None) -> list[np.ndarray]:
    """The answers to a padded batch, with junk in the padding; cut in two pieces after `cut` steps."""
    if isinstance(network, WholeModule):
        outputs = network(*_padded(rows))
        return _trimmed(outputs, rows, network.per_step)
    if cut is None or cut >= min(map(len, rows)):
        outputs, _ = network(*_padded(rows), network.initial_state(len(rows)))
        return _trimmed(outputs, rows, network.per_step)
    first, state = network(*_padded([row[:cut] for row in rows]), network.initial_state(len(rows)))
    second, _ = network(*_padded([row[cut:] for row in rows]), state)
    if not network.per_step:
        return list(second.numpy())
    return [
        np.concatenate([before.numpy()[:cut], after.numpy()[: len(row) - cut]])
        for before, after, row in zip(first, second, rows, strict=True)
    ]


def _padded(rows: Rows) -> tuple[Tensor, Tensor]:
    def fill(padding: np.ndarray) -> None:
        padding[...] = JUNK if padding.dtype == np.float32 else 1

    inputs, lengths = pad(rows, fill)
    return torch.from_numpy(inputs), torch.from_numpy(lengths)


def _trimmed(outputs: Tensor, rows: Rows, per_step: bool) -> list[np.ndarray]:
    if not per_step:
        return list(outputs.numpy())
    return [one.numpy()[: len(row)] for one, row in zip(outputs, rows, strict=True)]
