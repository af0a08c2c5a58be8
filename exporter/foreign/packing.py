"""While a module is tried or traced, its recurrent layers ask somebody else, and packing leaves sequences alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import SymInt, Tensor, nn
from torch.nn.utils import rnn as packing

from exporter.foreign.layers import KINDS, RecurrentLayer

Answer = Callable[[RecurrentLayer, Any, Any, Callable[[], Any]], Any]
"""`answer(layer, inputs, state, itself)` instead of the layer's own forward, which is what `itself()` calls."""


@dataclass(frozen=True)
class Packed:
    """What `pack_padded_sequence` returns: the padded sequences as they were, and their lengths."""

    data: Tensor
    batch_first: bool
    lengths: Tensor


def pack(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> Packed:
    return Packed(input, batch_first, torch.as_tensor(lengths))


def unpack(
    sequence: Packed, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    turned = sequence.data if batch_first == sequence.batch_first else sequence.data.transpose(0, 1)
    return turned, sequence.lengths


REPLACEMENTS: dict[Callable[..., Any], Callable[..., Any]] = {
    packing.pack_padded_sequence: pack,
    packing.pad_packed_sequence: unpack,
}


@contextmanager
def answering(
    module: nn.Module, layers: Sequence[RecurrentLayer], answer: Answer, packing_too: bool = True
) -> Iterator[None]:
    """Inside, each of the `layers` calls `answer`, wherever in `module` it is called from.

    The classes' forwards are replaced rather than the layers themselves, so that a module may go on asking a layer for
    its `num_layers`, and a subclass of `nn.LSTM` may call `super().forward`.
    """
    known = {id(layer.module): layer for layer in layers}
    classes = [*KINDS, *{type(layer.module): None for layer in layers if layer.is_custom}]
    with ExitStack() as stack:
        for base in classes:
            stack.callback(setattr, base, "forward", base.forward)
            base.forward = _dispatch(base.forward, known, answer)
        for namespace in _namespaces(module) if packing_too else ():
            _replace_names(namespace, stack)
        yield


def _replace_names(namespace: dict[str, Any], stack: ExitStack) -> None:
    """The functions for packing, and `len`, until the stack is closed."""
    originals = {name: value for name, value in namespace.items() if _replaceable(value)}
    stack.callback(namespace.update, originals)
    namespace.update({name: REPLACEMENTS[value] for name, value in originals.items()})
    if "len" not in namespace:
        stack.callback(namespace.pop, "len")
        namespace["len"] = length


def length(value: Any) -> int | SymInt:
    """`len`, which must return a plain number, would fix the size of a tensor while a graph is traced."""
    return value.shape[0] if isinstance(value, Tensor) and value.dim() else len(value)


def _dispatch(original: Callable[..., Any], known: dict[int, RecurrentLayer], answer: Answer) -> Callable[..., Any]:
    def forward(self: nn.Module, input: Any, hx: Any = None) -> Any:
        layer, itself = known.get(id(self)), partial(original, self, input, hx)
        return itself() if layer is None else answer(layer, input, hx, itself)

    return forward


def _namespaces(module: nn.Module) -> list[dict[str, Any]]:
    """PyTorch's own module of these functions, and the globals of every forward, which may have imported the names."""
    functions = [
        value
        for child in module.modules()
        for base in type(child).__mro__
        if not base.__module__.startswith(("torch.", "exporter."))
        for value in vars(base).values()
        if hasattr(value, "__globals__")
    ]
    return list({id(space): space for space in (vars(packing), *(each.__globals__ for each in functions))}.values())


def _replaceable(value: object) -> bool:
    return any(value is original for original in REPLACEMENTS)


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Attributes that a forward sets (a hidden state that it remembers) are as before afterwards."""
    before = [(child, _copied(vars(child))) for child in module.modules()]
    try:
        yield
    finally:
        for child, attributes in before:
            vars(child).clear()
            vars(child).update(attributes)


def _copied(attributes: dict[str, Any]) -> dict[str, Any]:
    """One level deep: the dictionaries of parameters, buffers and submodules are copied, what is in them is not."""
    return {name: value.copy() if isinstance(value, dict) else value for name, value in attributes.items()}
