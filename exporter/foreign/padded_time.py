"""Operations over time are redone while a module runs (see `exporter.foreign.over_time`)."""

from typing import Any

from torch import Tensor

from exporter.foreign.over_time import HANDLERS
from exporter.foreign.time_axes import Size, TimeAxes
from exporter.foreign.tracing import Function, Tracing


class PaddedTime(Tracing):
    """Rows of B sequences, padded to T steps."""

    def __init__(self, batch: Size, steps: Size, lengths: Tensor) -> None:
        super().__init__()
        self.axes = TimeAxes(batch, steps, lengths)

    def called(self, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        handler = HANDLERS.get(name)
        if handler is None or not any(isinstance(each, Tensor) for each in args[:2]):
            return function(*args, **kwargs)
        result = handler(self.axes, name, function, args, kwargs)
        return function(*args, **kwargs) if result is NotImplemented else result
