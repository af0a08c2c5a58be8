"""Which tensors lie in [-1, 1], or even in [0, 1], by construction: hidden states, probabilities, and what only moves
them about."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

MARK = "lowest_within_one"
"""The attribute that holds the lower bound, -1 or 0; the upper one is 1."""
SQUASHING = dict.fromkeys(("sigmoid", "hardsigmoid", "expit", "special_expit", "softmax"), 0.0) | dict.fromkeys(
    ("tanh", "softsign"), -1.0
)
"""Each with its smallest value."""
CLAMPING = ("hardtanh", "clamp", "clip", "clamp_min", "clamp_max")
# fmt: off
MOVING = {
    "__getitem__", "reshape", "view", "view_as", "transpose", "permute", "squeeze", "unsqueeze", "flatten", "unflatten",
    "contiguous", "clone", "detach", "to", "float", "double", "cat", "concat", "stack", "hstack", "chunk", "split",
    "select", "expand", "repeat", "gather", "index_select", "movedim", "swapaxes", "unbind", "flip", "narrow", "t",
    "dropout", "dropout_", "feature_dropout", "relu", "relu_", "abs", "neg", "mean", "max", "amax",
    "min", "amin", "max_pool1d", "avg_pool1d", "adaptive_max_pool1d", "adaptive_avg_pool1d", "mul", "__mul__",
    "_pack_padded_sequence", "_pad_packed_sequence",
}
# fmt: on
"""A product of two such tensors is one; so is a mean or a maximum of one."""


LINEAR = "comes_from_a_linear_layer"
# fmt: off
STAYS_LINEAR = (MOVING - {"relu", "relu_", "abs"}) | {
    "add", "__add__", "__radd__", "__iadd__", "add_", "sub", "__sub__", "rsub", "__rsub__", "div", "__truediv__",
    "batch_norm", "layer_norm",
}
# fmt: on
Nature = Literal["probability", "logit", "unknown"]


def nature(value: Any) -> Nature:
    """What a module's numbers are by construction: in [0, 1], or without a bound, since a linear layer made them."""
    if getattr(value, MARK, None) == 0:
        return "probability"
    return "logit" if getattr(value, LINEAR, False) else "unknown"


def mark(value: Any, lowest: float = -1.0) -> Any:
    """Marks a tensor, and every tensor in a tuple or list."""
    if isinstance(value, Tensor):
        setattr(value, MARK, lowest)
    elif isinstance(value, (tuple, list)):
        for part in value:
            mark(part, lowest)
    return value


def is_marked(value: Any) -> bool:
    return getattr(value, MARK, None) is not None


class Bounds(TorchFunctionMode):
    """Carries the marks on while a module runs. What changes a tensor in place takes its mark away."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        name, given = getattr(function, "__name__", ""), (*args, *(kwargs or {}).values())
        floats = [each for each in _flat(given) if isinstance(each, Tensor) and each.is_floating_point()]
        linear = name == "linear" or (name in STAYS_LINEAR and any(getattr(each, LINEAR, False) for each in floats))
        for part in _flat([result]) if linear else ():
            if isinstance(part, Tensor):
                setattr(part, LINEAR, True)
        plain = name if name.startswith("__") else name.removesuffix("_")
        if plain in SQUASHING:
            return mark(result, SQUASHING[plain])
        if plain in CLAMPING and (lowest := _clamped(plain, args, kwargs or {})) is not None:
            return mark(result, lowest)
        if name in ("rsub", "__rsub__") and nature(args[0]) == "probability" and args[1:] == (1,) and not kwargs:
            return mark(result, 0.0)
        if name in MOVING and floats and all(map(is_marked, floats)) and not _scales(name, given):
            return mark(result, _lowest(plain, floats))
        changed = args[0] if args else (kwargs or {}).get("input")
        if _in_place(name, kwargs or {}) and isinstance(changed, Tensor):
            setattr(changed, MARK, None)
            setattr(changed, LINEAR, linear)
        return result


def _clamped(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """The lower bound of what is clamped within one; None if it is not, or by limits that are tensors."""
    usual = {"hardtanh": ("min_val", "max_val"), "clamp_min": ("min",), "clamp_max": ("max",)}.get(name, ("min", "max"))
    given = dict(zip(("input", *usual), args, strict=False)) | dict(kwargs)
    known = getattr(given.get("input"), MARK, None)
    low, high = given.get("min_val", given.get("min")), given.get("max_val", given.get("max"))
    if name == "hardtanh" or known is not None:
        low, high = -1.0 if low is None else low, 1.0 if high is None else high
    if not all(isinstance(limit, (int, float)) and abs(limit) <= 1 for limit in (low, high)):
        return None
    return 0.0 if max(low, -1.0 if known is None else known) >= 0 and high >= 0 else -1.0


def _lowest(name: str, tensors: Sequence[Tensor]) -> float:
    """What is moved about keeps its lower bound; a product of numbers from -1 on may be -1."""
    if name in ("relu", "abs"):
        return 0.0
    return -1.0 if name == "neg" else min(getattr(each, MARK) for each in tensors)


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
