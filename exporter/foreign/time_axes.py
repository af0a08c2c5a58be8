"""Which axis of a tensor is time, and which of its entries are padding.

Which axis is time is told by its size: while a graph is traced, sizes are symbols, and the one of time is like no
other; when a module is tried with numbers, the number of steps is one that hardly any weight has.
"""

from dataclasses import dataclass

import torch
from torch import SymInt, Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true

from exporter.foreign.source_lines import calling_line

Size = int | SymInt


def same_size(one: Size, other: Size) -> bool:
    return isinstance(one, (int, SymInt)) and statically_known_true(one == other)


@dataclass(frozen=True)
class Axis:
    """An axis of time: its size, and how many of its entries are valid in each row [B]."""

    size: Size
    lengths: Tensor


class TimeAxes:
    """The axes of time that are known: that of the inputs, and those that convolutions and pooling make of it."""

    def __init__(self, batch: Size, steps: Size, lengths: Tensor) -> None:
        self.batch, self.axes = batch, [Axis(steps, lengths)]
        self.used: list[str] = []
        """Operations over time that were met, and where they stand."""

    def add(self, size: Size, lengths: Tensor) -> None:
        if self.lengths_of(size) is None:
            self.axes.append(Axis(size, lengths))

    def note(self, what: str) -> None:
        line = calling_line()
        self.used.append(f"{what} over time" + (f" ({line})" if line else ""))

    def lengths_of(self, size: Size) -> Tensor | None:
        """The valid lengths along an axis of that size; None if it is no axis of time."""
        return next((axis.lengths for axis in reversed(self.axes) if same_size(size, axis.size)), None)

    def rows_of(self, value: Tensor) -> int | None:
        """The axis of rows."""
        return next((place for place, size in enumerate(value.shape) if same_size(size, self.batch)), None)

    def by_row(self, value: Tensor, axis: int) -> Tensor | None:
        """The valid lengths along an axis of time, broadcastable to `value`: int64 [.., B, ..]; None if it is none."""
        lengths, rows = self.lengths_of(value.shape[axis]), self.rows_of(value)
        if lengths is None or rows is None or rows == axis:
            return None
        sizes: list[Size] = [1] * value.dim()
        sizes[rows] = value.shape[rows]
        return lengths.long().reshape(sizes)

    def places(self, value: Tensor, axis: int) -> Tensor:
        """0, 1, 2, ... along an axis, broadcastable to `value`."""
        sizes: list[Size] = [1] * value.dim()
        sizes[axis] = value.shape[axis]
        return torch.arange(value.shape[axis]).reshape(sizes)

    def valid(self, value: Tensor, axis: int) -> Tensor | None:
        """True where an entry of `value` is no padding, broadcastable to it; None if `axis` is not time."""
        lengths = self.by_row(value, axis)
        return None if lengths is None else self.places(value, axis) < lengths
