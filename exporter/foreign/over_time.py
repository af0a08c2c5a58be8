"""Operations over time, redone so that padding does not count: means, maxima, softmaxes, convolutions, attention.

They are also redone so that a row's values do not depend on its batch in the last bits, which ONNX Runtime's kernels
for convolutions and for products with a vector do not promise.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from exporter.foreign.time_axes import TimeAxes, same_size
from exporter.foreign.tracing import Function

LOWEST = torch.finfo(torch.float32).min
NAMES = {
    "conv1d": "a convolution",
    "max_pool1d": "pooling",
    "avg_pool1d": "pooling",
    "adaptive_max_pool1d": "a maximum",
    "adaptive_avg_pool1d": "a mean",
    "max": "a maximum",
    "amax": "a maximum",
    "min": "a minimum",
    "amin": "a minimum",
    "mean": "a mean",
    "sum": "a sum",
    "softmax": "a softmax (attention)",
    "multi_head_attention_forward": "attention",
    "scaled_dot_product_attention": "attention",
    "flip": "a reversal",
}

Handler = Callable[[TimeAxes, str, Function, tuple[Any, ...], dict[str, Any]], Any]


def indexed(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`x[:, -1]` is each row's last valid step; `x[:, -1:]` too, with an axis of one."""
    value, index = args
    index = index if isinstance(index, tuple) else (index,)
    if Ellipsis in [each for each in index if not isinstance(each, Tensor)]:
        place = next(place for place, each in enumerate(index) if each is Ellipsis)
        index = (*index[:place], *[slice(None)] * (value.dim() - len(index) + 1), *index[place + 1 :])
    for axis, each in enumerate(index):
        last = each == slice(-1, None) if isinstance(each, slice) else isinstance(each, int) and each < 0
        if last and time.valid(value, axis) is not None:
            steps = -1 if isinstance(each, slice) else each
            taken = _from_the_end(time, value, axis, steps)
            taken = taken if isinstance(each, slice) else taken.squeeze(axis)
            rest = list(index)
            rest[axis : axis + 1] = [slice(None)] if isinstance(each, slice) else []
            return taken[tuple(rest)]
    return NotImplemented


def selected(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    value, axis, index = (*args, *kwargs.values())[:3]
    if isinstance(index, int) and index < 0 and time.valid(value, axis % value.dim()) is not None:
        return _from_the_end(time, value, axis % value.dim(), index).squeeze(axis)
    return NotImplemented


def _from_the_end(time: TimeAxes, value: Tensor, axis: int, steps: int) -> Tensor:
    """The step that is `steps` (negative) from each row's end; `axis` has size 1 afterwards."""
    shape = list(value.shape)
    shape[axis] = 1
    return value.gather(axis, (time.by_row(value, axis) + steps).expand(shape))


def reduced(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Sums, means, maxima and minima over the valid steps."""
    value = args[0]
    given = args[1] if len(args) > 1 else kwargs.get("dim", kwargs.get("axis"))
    axes = [given] if isinstance(given, int) else list(given) if isinstance(given, (tuple, list)) else []
    mask = time.valid(value, axes[0] % value.dim()) if len(axes) == 1 else None
    if mask is None:
        return NotImplemented
    time.note(NAMES[name])
    axis = axes[0] % value.dim()
    rest = (axis, *args[2:])
    named = {key: each for key, each in kwargs.items() if key not in ("dim", "axis")}
    if name in ("sum", "mean"):
        total = torch.where(mask, value, 0.0).sum(*rest, **named)
        return total if name == "sum" else total / mask.to(value.dtype).sum(*rest, **named)
    return function(torch.where(mask, value, LOWEST if "max" in name else -LOWEST), *rest, **named)


def softmaxed(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """exp(x - max) over its sum, of the valid steps; 0 for the others."""
    value = args[0]
    axis = args[1] if len(args) > 1 else kwargs.get("dim")
    mask = None if axis is None else time.valid(value, axis % value.dim())
    if mask is None:
        return NotImplemented
    time.note(NAMES[name])
    largest = torch.where(mask, value, LOWEST).amax(axis, keepdim=True)
    weights = torch.where(mask, (value - largest).clamp_max(0.0).exp(), 0.0)
    return weights / weights.sum(axis, keepdim=True)


def convolved(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """[B, C, T]: windows times weights. The padding is zero, as it is before the first step and past the last."""
    names = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
    given = dict(zip(names, args, strict=False)) | kwargs
    value, weight = given["input"], given["weight"]
    mask = time.valid(value, 2) if value.dim() == 3 else None
    if mask is None:
        return NotImplemented
    time.note(NAMES[name])
    kernel, stride = weight.shape[2], _one(given.get("stride", 1))
    dilation, padding = _one(given.get("dilation", 1)), given.get("padding", 0)
    reach = dilation * (kernel - 1)
    sides = {"valid": (0, 0), "same": (reach // 2, reach - reach // 2)}
    left, right = sides[padding] if isinstance(padding, str) else (_one(padding), _one(padding))
    padded = nn.functional.pad(torch.where(mask, value, 0.0), (left, right))
    lengths = (time.lengths_of(value.shape[2]) + (left + right - reach - 1)) // stride + 1
    if given.get("groups", 1) != 1:
        result = function(padded, weight, given.get("bias"), stride, 0, dilation, given["groups"])
        time.add(result.shape[2], lengths)
        return result
    windows = [padded[:, :, tap : tap + padded.shape[2] - reach : stride] for tap in range(0, reach + 1, dilation)]
    products = torch.cat(windows, 1).transpose(1, 2) @ weight.permute(2, 1, 0).flatten(0, 1)
    time.add(products.shape[1], lengths)
    return (products if given.get("bias") is None else products + given["bias"]).transpose(1, 2)


def pooled(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Windows of valid steps; or all of them, where the result has one step."""
    value = args[0]
    mask = time.valid(value, value.dim() - 1)
    if mask is None:
        return NotImplemented
    kernel = args[1] if len(args) > 1 else kwargs.get("kernel_size", kwargs.get("output_size"))
    kernel = kernel[0] if isinstance(kernel, (tuple, list)) else kernel
    time.note(NAMES[name])
    whole = same_size(kernel, 1) if name.startswith("adaptive") else same_size(kernel, value.shape[-1])
    filled = torch.where(mask, value, LOWEST if "max" in name else 0.0)
    if whole and "max" in name:
        return filled.amax(-1, keepdim=True)
    if whole:
        return filled.sum(-1, keepdim=True) / mask.to(value.dtype).sum(-1, keepdim=True)
    if name.startswith("adaptive"):
        return NotImplemented
    stride = _one(args[2] if len(args) > 2 else kwargs.get("stride") or kernel)
    padding = _one(args[3] if len(args) > 3 else kwargs.get("padding", 0))
    padded = nn.functional.pad(filled, (padding, padding), value=LOWEST if "max" in name else 0.0)
    size = (padded.shape[-1] - kernel) // stride + 1
    reach = (size - 1) * stride + 1
    windows = torch.stack([padded[..., tap : tap + reach : stride] for tap in range(kernel)])
    time.add(windows.shape[-1], (time.lengths_of(value.shape[-1]) + 2 * padding - kernel) // stride + 1)
    return windows.amax(0) if "max" in name else windows.mean(0)


def multiplied(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A product of batches of matrices over time. One with a vector is made a sum, whose order does not depend on
    the batch."""
    if len(args) != 2 or kwargs or any(not isinstance(each, Tensor) or each.dim() != 3 for each in args):
        return NotImplemented
    one, other = args
    if (mask := time.valid(other, 1)) is not None:
        other = torch.where(mask, other, 0.0)
    if same_size(one.shape[1], 1) or same_size(other.shape[2], 1):
        return (one.unsqueeze(3) * other.unsqueeze(1)).sum(2)
    return function(one, other)


def summed(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """An `einsum` of two tensors over time, one of which has no axis of its own: a product and sums, as above."""
    equation, *operands = args
    left, arrow, kept = equation.replace(" ", "").partition("->")
    names = left.split(",")
    if len(operands) != 2 or not arrow or "." in equation or set(max(names, key=len)) != set(left) - {","}:
        return NotImplemented
    if not any(time.valid(each, axis) is not None for each in operands for axis in range(each.dim())):
        return NotImplemented
    order = "".join(dict.fromkeys(kept + left.replace(",", "")))
    product = _spread(time, operands[0], names[0], order) * _spread(time, operands[1], names[1], order)
    for _ in order[len(kept) :]:
        product = product.sum(-1)
    return product


def _spread(time: TimeAxes, value: Tensor, names: str, order: str) -> Tensor:
    """Without padding, and with an axis for every name in `order`."""
    for axis in range(value.dim()):
        if (mask := time.valid(value, axis)) is not None:
            value = torch.where(mask, value, 0.0)
    value = value.permute([names.index(name) for name in order if name in names])
    for place, name in enumerate(order):
        value = value if name in names else value.unsqueeze(place)
    return value


def attended(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Nobody attends to padding."""
    if name == "scaled_dot_product_attention":
        key = args[1]
        lengths = time.lengths_of(key.shape[-2])
        if (
            lengths is None
            or len(args) > 3
            or kwargs.get("attn_mask") is not None
            or not same_size(key.shape[0], time.batch)
        ):
            return NotImplemented
        mask = torch.arange(key.shape[-2]) < lengths.reshape(-1, *[1] * (key.dim() - 1))
        time.note(NAMES[name])
        return function(*args, **kwargs, attn_mask=mask)
    lengths = time.lengths_of(args[1].shape[0])
    if lengths is None or kwargs.get("key_padding_mask") is not None:
        return NotImplemented
    time.note(NAMES[name])
    return function(*args, **kwargs | {"key_padding_mask": torch.arange(args[1].shape[0]) >= lengths[:, None]})


def reversed_(time: TimeAxes, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The last valid step becomes the first; the padding stays behind."""
    value = args[0]
    given = args[1] if len(args) > 1 else kwargs["dims"]
    axes = [given] if isinstance(given, int) else list(given)
    axis = axes[0] % value.dim()
    if len(axes) != 1 or (mask := time.valid(value, axis)) is None:
        return NotImplemented
    time.note(NAMES[name])
    places, lengths = time.places(value, axis), time.by_row(value, axis)
    places = torch.where(mask, lengths - 1 - places, places)
    return value.gather(axis, places.expand(value.shape))


HANDLERS: dict[str, Handler] = {
    "__getitem__": indexed,
    "select": selected,
    **dict.fromkeys(("mean", "sum", "max", "amax", "min", "amin"), reduced),
    "softmax": softmaxed,
    "conv1d": convolved,
    **dict.fromkeys(("max_pool1d", "avg_pool1d", "adaptive_max_pool1d", "adaptive_avg_pool1d"), pooled),
    **dict.fromkeys(("multi_head_attention_forward", "scaled_dot_product_attention"), attended),
    **dict.fromkeys(("bmm", "matmul", "__matmul__"), multiplied),
    "einsum": summed,
    "flip": reversed_,
}


def _one(value: Any) -> int:
    return value[0] if isinstance(value, (tuple, list)) else value
