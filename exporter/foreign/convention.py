"""How a module that was not written for us wants to be called: the axes of its input, states and lengths."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from exporter.errors import ForeignError
from exporter.foreign.layers import RecurrentLayer

Layout = Literal["batch-first", "time-first", "unbatched"]
LENGTHS = re.compile(r"^(?!max|min|total|pred|out)\w*len", re.IGNORECASE)
STATES = re.compile(r"^(h|c|s)(x|n|c|_?0|_?t)?$|hid|state|cell|prev|init|memory", re.IGNORECASE)
STATE_METHODS = re.compile(r"^(init|initial|zero|get|make)\w*(hidden|state|hid)\w*$", re.IGNORECASE)
Maker = Callable[[int], tuple[Any, ...]]
"""Batch size -> the initial states that a forward wants to be given."""


@dataclass(frozen=True)
class Convention:
    """`arrange` turns batch-first inputs into the arguments of the module's forward."""

    layout: Layout
    flat: bool
    """Whether a series of one feature is given without an axis for features."""
    dtype: torch.dtype | None
    """Of the features; None for token ids."""
    lengths: str | None
    """The parameter that takes the number of steps of each row."""
    single_row: bool
    """Whether it only takes one row at a time."""
    states: Callable[[int], dict[str, Any]] = field(repr=False)
    """Batch size -> initial states for the parameters that need them."""

    def of(self, precision: torch.dtype) -> "Convention":
        """The same for a copy of the module in another precision."""
        states = self.states
        return replace(
            self,
            dtype=None if self.dtype is None else precision,
            states=lambda batch: {name: _of(precision, value) for name, value in states(batch).items()},
        )

    def arrange(self, inputs: Tensor, lengths: Tensor) -> dict[str, Any]:
        """`inputs` [B, T] or [B, T, F], `lengths` int64 [B] -> arguments by name; the input is called `""`."""
        given = inputs[..., 0] if self.flat else inputs
        if self.dtype is not None:
            given = given.to(self.dtype)
        turned = {"batch-first": given, "time-first": given.transpose(0, 1)}
        first = given.flatten(0, 1) if self.layout == "unbatched" else turned[self.layout]
        arguments = {"": first} | self.states(inputs.shape[0])
        return arguments | ({} if self.lengths is None else {self.lengths: lengths})


def call(module: nn.Module, arguments: dict[str, Any]) -> Tensor:
    """The answer of the module: the first tensor of what it returns, or the one that is called logits or output."""
    named = {name: value for name, value in arguments.items() if name}
    return answer(module(arguments[""], **named))


def answer(returned: Any) -> Tensor:
    """Raises ForeignError if there is no tensor in what a module returned."""
    while not isinstance(returned, Tensor):
        if isinstance(returned, dict) and returned:
            names = [name for name in ("logits", "output", "outputs", "prediction") if name in returned]
            returned = returned[names[0]] if names else next(iter(returned.values()))
        elif isinstance(returned, (tuple, list)) and returned:
            returned = returned[0]
        else:
            raise ForeignError(
                f"the module's forward returned {type(returned).__name__}; let it return a tensor, or a tuple or dict "
                "that begins with one"
            )
    return returned


def conventions(
    module: nn.Module, layers: Sequence[RecurrentLayer], features: int | None, dtype: torch.dtype
) -> Iterator[Convention]:
    """The ways in which the module may want to be called, the usual ones first. `features`: None for token ids.

    Raises ForeignError if its forward needs something that nobody here knows.
    """
    lengths, needed = _parameters(module)
    makers = list(_state_makers(module, layers, needed, dtype)) if needed else [lambda batch: ()]
    layouts: tuple[Layout, ...] = ("batch-first", "time-first", "unbatched")
    for flat in (False, True) if features == 1 else (False,):
        for layout in layouts:
            for maker in makers:
                yield Convention(
                    layout=layout,
                    flat=flat,
                    dtype=None if features is None else dtype,
                    lengths=lengths,
                    single_row=False,
                    states=lambda batch, maker=maker: dict(zip(needed, maker(batch), strict=True)),
                )


def _parameters(module: nn.Module) -> tuple[str | None, list[str]]:
    """The parameter for lengths, and those for states, of the module's forward."""
    parameters = list(inspect.signature(module.forward).parameters.values())
    if not parameters or parameters[0].kind not in (parameters[0].POSITIONAL_OR_KEYWORD, parameters[0].POSITIONAL_ONLY):
        raise ForeignError("the module's forward takes no input; let its first parameter be the sequence")
    others = [each for each in parameters[1:] if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    free = [each for each in others if each.default in (each.empty, None)]
    lengths = next((each.name for each in free if LENGTHS.search(each.name)), None)
    needed = [each.name for each in others if each.default is each.empty and each.name != lengths]
    unknown = [name for name in needed if not STATES.search(name)]
    if unknown:
        raise ForeignError(
            f"the module's forward needs {', '.join(map(repr, unknown))}, which an exporter cannot know; give it a "
            "default value, or let `build` return a module that fills it in (lengths and initial states are known)"
        )
    return lengths, needed


def _state_makers(
    module: nn.Module, layers: Sequence[RecurrentLayer], needed: Sequence[str], dtype: torch.dtype
) -> Iterator[Maker]:
    """Ways to make the initial states that the caller must hand in, one value for each parameter."""
    for name in dir(type(module)):
        make = getattr(module, name, None) if STATE_METHODS.match(name) else None
        if callable(make):
            yield lambda batch, make=make: _spread(_made(make, batch), len(needed))
    for layer in layers:
        yield lambda batch, layer=layer: _spread(_zeros(layer, batch, dtype), len(needed))


def _made(make: Callable[..., Any], batch: int) -> Any:
    wanted = [each for each in inspect.signature(make).parameters.values() if each.default is each.empty]
    return make(*[batch] * min(len(wanted), 1))


def _zeros(layer: RecurrentLayer, batch: int, dtype: torch.dtype) -> Any:
    leading = () if layer.is_cell else (layer.num_layers * layer.directions,)
    zeros = torch.zeros(*leading, batch, layer.hidden_size, dtype=dtype)
    return (zeros, zeros) if layer.cell.startswith("lstm") else zeros


def _spread(states: Any, parameters: int) -> tuple[Any, ...]:
    """One parameter takes what there is, as it is; several take a part each."""
    return (states,) if parameters == 1 else tuple(states)


def _of(precision: torch.dtype, states: Any) -> Any:
    if isinstance(states, (tuple, list)):
        return type(states)(_of(precision, part) for part in states)
    return states.to(precision) if isinstance(states, Tensor) else states
