"""Which tensors lie in [-1, 1] by construction: hidden states, and what only moves them about."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

MARK = "lies_within_one"
SQUASHING = {"sigmoid", "tanh", "softmax", "softsign"}
# fmt: off
MOVING = {
    "__getitem__", "reshape", "view", "view_as", "transpose", "permute", "squeeze", "unsqueeze", "flatten", "unflatten",
    "contiguous", "clone", "detach", "to", "float", "double", "cat", "concat", "stack", "hstack", "chunk", "split",
    "select", "expand", "repeat", "gather", "index_select", "movedim", "swapaxes", "unbind", "flip", "narrow", "t",
    "dropout", "dropout_", "feature_dropout", "relu", "relu_", "abs", "neg", "sigmoid_", "tanh_", "mean", "max", "amax",
    "min", "amin", "max_pool1d", "avg_pool1d", "adaptive_max_pool1d", "adaptive_avg_pool1d", "mul", "__mul__",
    "_pack_padded_sequence", "_pad_packed_sequence",
}
# fmt: on
"""A product of two such tensors is one; so is a mean or a maximum of one."""


def mark(value: Any) -> Any:
    """Marks a tensor, and every tensor in a tuple or list."""
    if isinstance(value, Tensor):
        setattr(value, MARK, True)
    elif isinstance(value, (tuple, list)):
        for part in value:
            mark(part)
    return value


def is_marked(value: Any) -> bool:
    return getattr(value, MARK, False)


class Bounds(TorchFunctionMode):
    """Carries the marks on while a module runs. What changes a tensor in place takes its mark away."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name, given = getattr(function, "__name__", ""), (*args, *(kwargs or {}).values())
        if name in SQUASHING or (name == "hardtanh" and _within_one(args, kwargs or {})):
            return mark(result)
        tensors = [each for each in _flat(given) if isinstance(each, Tensor) and each.is_floating_point()]
        if name in MOVING and tensors and all(map(is_marked, tensors)) and not _scales(name, given):
            return mark(result)
        changed = args[0] if args else (kwargs or {}).get("input")
        if _in_place(name, kwargs or {}) and isinstance(changed, Tensor):
            setattr(changed, MARK, False)
        return result


def _within_one(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether the limits of a hardtanh lie in [-1, 1]."""
    limits = {"min_val": -1.0, "max_val": 1.0} | dict(zip(("min_val", "max_val"), args[1:], strict=False)) | kwargs
    return all(abs(limits[name]) <= 1 for name in ("min_val", "max_val"))


def _in_place(name: str, kwargs: Mapping[str, Any]) -> bool:
    """`add_`, `__iadd__`, `__setitem__`, `leaky_relu(inplace=True)`."""
    named = (name.endswith("_") and not name.endswith("__")) or name.startswith(("__i", "__set"))
    return named or bool(kwargs.get("inplace"))


def _flat(values: Any) -> list[Any]:
    parts = (_flat(value) if isinstance(value, (tuple, list)) else [value] for value in values)
    return [each for part in parts for each in part]


def _scales(name: str, args: tuple[Any, ...]) -> bool:
    """A product with a plain number, which may be any number."""
    return "mul" in name and not all(isinstance(each, torch.Tensor) for each in args)
