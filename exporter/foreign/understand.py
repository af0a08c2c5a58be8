"""Finding out by trying: what a plain module reads, how it is called, how long its sequences are, what it answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exporter.errors import ForeignError
from exporter.foreign.bounded import Bounds, Nature, nature
from exporter.foreign.calls import Call, watching
from exporter.foreign.convention import Convention, call, conventions
from exporter.foreign.layers import RecurrentLayer, recurrent_layers
from exporter.foreign.packing import unchanged
from exporter.sessions import Rows
from models.manifest import Inputs

TRIED_STEPS = (7, *range(2, 65), 72, 80, 90, 96, 100, 120, 128, 144, 168, 180, 200, 240, 250, 256, 300, 365, 500, 512)
"""The number of steps is fixed in some modules, and everybody likes these numbers."""
COMPANY = (3, 4)
"""Rows that are given at once; the second number is for 3 steps."""
MODULE_FAILURES = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ImportError)


@dataclass(frozen=True)
class Understood:
    """A module in evaluation mode, and what was found out about it."""

    module: nn.Module
    layers: tuple[RecurrentLayer, ...]
    inputs: Inputs
    convention: Convention
    smallest: int
    largest: int
    shape: tuple[int, ...]
    """Of the answer to one row, or to one step of it."""
    grows: bool
    """Whether there is an answer for every step."""
    precision: torch.dtype | None = None
    """Of the tensors that its code makes without naming one, if it is not PyTorch's own choice."""

    steps_seen: Tensor | None = None
    """The scaled features of all steps of real rows, [N, F], if there are any: what is tried is drawn from these."""

    def example(self, batch: int, steps: int, seed: int = 0) -> Tensor:
        """Scaled inputs to try the module with: [B, T] or [B, T, F]."""
        return example(self.inputs, batch, steps, seed, self.steps_seen)

    def told_of_inputs(self) -> str:
        """What those are, for people."""
        kind = "random token ids" if self.inputs.vocabulary is not None else "standard normal features"
        return kind if self.steps_seen is None else "steps of the --eval rows"

    def raw(self, inputs: Tensor) -> Tensor:
        """The module's own answer to scaled inputs [B, T] or [B, T, F] of equal length."""
        lengths = torch.full((inputs.shape[0],), inputs.shape[1])
        with torch.no_grad(), unchanged(self.module), default_precision(self.precision):
            return call(self.module, self.convention.arrange(inputs, lengths))

    def alone(self, row: np.ndarray) -> np.ndarray:
        """The answer to one scaled row: float [*shape], or [T, *shape]."""
        raw = self.raw(torch.from_numpy(np.ascontiguousarray(row))[None]).double().numpy()
        return raw.reshape((len(row), *self.shape) if self.grows else self.shape)

    def watched(self, inputs: Tensor) -> tuple[list[Call], Nature]:
        """The calls of recurrent layers while it answers, and what the answer is by construction."""
        with Bounds(), watching(self.module, self.layers) as calls:
            raw = self.raw(inputs)
        return calls, nature(raw)


@contextmanager
def default_precision(precision: torch.dtype | None) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(precision or before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def understand(
    module: nn.Module, rows: Rows | None, vocabulary: int | None, max_steps: int | None, per_step: bool = False
) -> Understood:
    """Everything about a module that trying can tell. `rows`: some real inputs, scaled, if there are any. `per_step`:
    whether an answer for each step is expected.

    Raises ForeignError that says what to change.
    """
    module = module.eval()
    layers = tuple(recurrent_layers(module))
    _check_layers(layers)
    inputs, convention, worked = _how_to_call(module, layers, rows, vocabulary)
    found = Understood(module, layers, inputs, convention, worked, worked, (), False, steps_seen=_steps_of(rows))
    smallest, largest = _limits(found, worked, rows, max_steps)
    shape, grows = _answers(found, smallest, largest, per_step)
    return replace(found, smallest=smallest, largest=largest, shape=shape, grows=grows)


def _check_layers(layers: Sequence[RecurrentLayer]) -> None:
    if not layers:
        raise ForeignError(
            "the module has no nn.LSTM, nn.GRU, nn.RNN or cell of these; only recurrent networks are exported"
        )
    for layer in layers:
        if getattr(layer.module, "proj_size", 0):
            raise ForeignError(
                f"{layer.name} has proj_size={layer.module.proj_size}, which ONNX's LSTM has not; put an nn.Linear "
                "behind an LSTM without it"
            )


def _how_to_call(
    module: nn.Module, layers: Sequence[RecurrentLayer], rows: Rows | None, vocabulary: int | None
) -> tuple[Inputs, Convention, int]:
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    failures: dict[str, None] = {}
    possible = list(_possible_inputs(module, rows, vocabulary))
    seen = _steps_of(rows)
    for inputs in possible:
        ways = list(conventions(module, layers, inputs.features, dtype))
        for batch, steps in _sizes(rows):
            for convention in ways:
                problem = _problem(module, layers, convention, example(inputs, batch, steps, seen=seen))
                if problem is None:
                    return inputs, replace(convention, single_row=batch == 1), steps
                failures[problem] = None
    raise ForeignError(
        f"the module answered no input that was tried ({_told(possible)}); the first failure was: "
        f"{next(iter(failures), 'nothing to try')}; let its forward take token ids [batch, steps] or features [batch, "
        "steps, features]"
    )


def _told(possible: Sequence[Inputs]) -> str:
    return ", ".join("token ids" if each.features is None else f"{each.features} features a step" for each in possible)


def _sizes(rows: Rows | None) -> Iterator[tuple[int, int]]:
    """Numbers of rows and steps to try, which must differ: else nobody could tell batch from time."""
    lengths = dict.fromkeys(TRIED_STEPS if rows is None else (len(row) for row in rows))
    for steps in list(lengths)[: len(TRIED_STEPS)]:
        yield from ((batch, steps) for batch in (company(steps), 1) if batch != steps)


def company(steps: int) -> int:
    """How many rows nobody can mistake for so many steps."""
    return next(count for count in COMPANY if count != steps)


def _possible_inputs(module: nn.Module, rows: Rows | None, vocabulary: int | None) -> Iterator[Inputs]:
    """Token ids if an embedding comes first, else as many features as a layer takes, the first layers first."""
    found = [child for child in module.modules() if list(child.parameters(recurse=False))]
    first = next((child for child in found if isinstance(child, nn.Embedding)), None)
    tokens = first is not None and (found[0] is first if rows is None else rows[0].ndim == 1)
    if tokens:
        known = first.num_embeddings
        if vocabulary is not None and vocabulary > known:
            raise ForeignError(
                f"--tokenizer: its token ids go up to {vocabulary - 1}, but the module's embedding has {known} rows; "
                "give the tokenizer that the module was trained with"
            )
        yield Inputs(kind="tokens", vocabulary=known)
        return
    if rows is not None and rows[0].ndim == 2:
        yield Inputs(kind="features", features=rows[0].shape[1])
        return
    names = ("input_size", "in_features", "in_channels", "num_features")
    widths = (getattr(child, name) for child in found for name in names if hasattr(child, name))
    for width in dict.fromkeys(widths):
        yield Inputs(kind="features", features=width)


def _steps_of(rows: Rows | None) -> Tensor | None:
    """All steps of rows of features, float32 [N, F]."""
    series = [row for row in rows or [] if row.ndim == 2]
    return torch.from_numpy(np.concatenate(series)).float() if series else None


def example(inputs: Inputs, batch: int, steps: int, seed: int = 0, seen: Tensor | None = None) -> Tensor:
    """Random scaled inputs: int64 [B, T], or float32 [B, T, F] from the steps that were seen, or standard normal."""
    random = torch.Generator().manual_seed(seed)
    if inputs.vocabulary is not None:
        return torch.randint(0, inputs.vocabulary, (batch, steps), generator=random)
    if seen is not None:
        return seen[torch.randint(0, len(seen), (batch, steps), generator=random)]
    return torch.randn(batch, steps, inputs.features, generator=random)


def _problem(module: nn.Module, layers: Sequence[RecurrentLayer], convention: Convention, inputs: Tensor) -> str | None:
    """Why this is not how the module is called; None if it is: time reached the first recurrent layer as time."""
    batch, steps = inputs.shape[:2]
    if convention.layout == "unbatched" and batch > 1:
        return "one row at a time"
    try:
        with torch.no_grad(), unchanged(module), watching(module, layers) as calls:
            call(module, convention.arrange(inputs, torch.full((batch,), steps)))
    except MODULE_FAILURES as error:
        return _line(error)
    if not calls:
        return "its recurrent layers are not called"
    first = calls[0]
    times = sum(each.layer is first.layer for each in calls) if first.layer.is_cell else first.steps
    if first.batch != batch or (steps > 1 and not 1 < times <= steps) or times > steps:
        return f"{first.layer.name} saw {times} steps of {first.batch} rows where {steps} of {batch} were given"
    return None


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _limits(found: Understood, worked: int, rows: Rows | None, max_steps: int | None) -> tuple[int, int]:
    """The shortest and the longest sequence that the module answers."""
    if not _answers_to(found, worked + 1):
        return worked, worked
    smallest = next(steps for steps in range(1, worked + 2) if _answers_to(found, steps))
    wanted = max_steps or max(512, *(len(row) for row in rows or [()]))
    if _answers_to(found, wanted):
        return smallest, wanted
    if max_steps is not None:
        raise ForeignError(
            f"--max-steps {max_steps}: the module fails on a sequence of that length; give a smaller one"
        )
    low, high = worked + 1, wanted
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _answers_to(found, middle) else (low, middle)
    return smallest, low


def _answers_to(found: Understood, steps: int) -> bool:
    """With numbers: a standard deviation over a single step is none."""
    try:
        return bool(torch.isfinite(found.raw(found.example(1, steps))).all())
    except MODULE_FAILURES:
        return False


def _answers(found: Understood, smallest: int, largest: int, per_step: bool) -> tuple[tuple[int, ...], bool]:
    """The shape of one answer, and whether there is one for each step. Raises ForeignError for anything else.

    Where the number of steps is fixed, an axis of that size may be a horizon as well: what is expected decides.
    """
    short = max(smallest, min(5, largest))
    long = min(short + 6, largest)
    one, other = (_shape(found, steps) for steps in (short, long))
    looks_per_step = per_step and short == long and len(one) == 3 and one[:2] in ((1, short), (short, 1))
    if one == other and not looks_per_step:
        if not found.convention.single_row:
            _check_rows(found, short)
        return _without_leading_ones(one), False
    axes = [axis for axis, (a, b) in enumerate(zip(one, other, strict=False)) if a != b] or [one.index(short)]
    if len(one) != len(other) or len(axes) != 1 or (one[axes[0]], other[axes[0]]) != (short, long):
        raise ForeignError(
            f"the module answers {short} steps with the shape {one} and {long} with {other}; let it return one answer "
            "for a sequence, or one for each of its steps"
        )
    return _without_leading_ones(tuple(size for axis, size in enumerate(one) if axis != axes[0])), True


def _check_rows(found: Understood, steps: int) -> None:
    """Raises ForeignError if the module gives several rows of answers for each sequence."""
    one, two = (found.raw(found.example(batch, steps)) for batch in (1, 2))
    if one.dim() > 1 and one.shape[0] > 1 and two.shape[0] == 2 * one.shape[0]:
        raise ForeignError(
            f"the module answers {one.shape[0]} times for one sequence, with {tuple(one.shape)}; if it takes a view of "
            "the final states of several layers, as in hn.view(-1, hidden), let it take hn[-1]"
        )


def _shape(found: Understood, steps: int) -> tuple[int, ...]:
    inputs = found.example(1, steps)
    try:
        raw, again = found.raw(inputs), found.raw(inputs)
    except MODULE_FAILURES as error:
        raise ForeignError(
            f"the module fails on one row of {steps} steps alone ({_line(error)}); let it answer a batch of one row, "
            "as often as it is asked, and let eval() reach all of its layers, such as batch normalization"
        ) from error
    if not torch.isfinite(raw).all():
        raise ForeignError(
            f"the module's answer to {found.told_of_inputs()} is not finite; are its weights those of a finished "
            "training, and does it take such inputs?" + (" --eval gives real ones" if found.steps_seen is None else "")
        )
    if not torch.equal(raw, again):
        raise ForeignError(
            "the module gives other answers to the same input from call to call; let its initial states be zeros "
            "instead of random, a state that it keeps be reset in forward, and dropout be off "
            "(F.dropout(x, p, self.training))"
        )
    return tuple(raw.shape)


def _without_leading_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """At least one axis is left."""
    kept: list[Any] = list(shape)
    while len(kept) > 1 and kept[0] == 1:
        kept.pop(0)
    return tuple(kept) or (1,)
