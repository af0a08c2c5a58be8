"""What is done differently while a module runs for the exporter: single precision, and lengths that stay in order."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.overrides import TorchFunctionMode

Function = Callable[..., Any]
WIDE = {torch.float64: torch.float32, torch.complex128: torch.complex64}


class Tracing(TorchFunctionMode):
    """Sees every call of a torch function that is made inside.

    Double precision becomes single, as in the weights. Sorting rows by length leaves them where they are: the
    recurrent layers take any order. A list of lengths stays a tensor.
    """

    def __enter__(self) -> "Tracing":
        self._originals = [(kind, kind.tolist) for kind in (Tensor, FakeTensor)]
        for kind, original in self._originals:
            kind.tolist = _still_a_tensor(original)
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for kind, original in self._originals:
            kind.tolist = original

    def __torch_function__(self, function: Function, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {name: _single(value) for name, value in (kwargs or {}).items()}
        args = tuple(_single(value) for value in args)
        name = getattr(function, "__name__", "")
        if name == "double":
            return args[0].float()
        if name in ("sort", "argsort") and _are_lengths(args[0]):
            places = torch.arange(args[0].shape[0])
            return places if name == "argsort" else torch.return_types.sort((args[0], places))
        return self.called(name, function, args, kwargs)

    def called(self, name: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """For those who want to do more."""
        return function(*args, **kwargs)


def _single(value: Any) -> Any:
    return WIDE.get(value, value) if isinstance(value, torch.dtype) else value


def _are_lengths(value: Any) -> bool:
    """One whole number for each row."""
    return isinstance(value, Tensor) and value.dim() == 1 and value.dtype in (torch.int64, torch.int32)


def _still_a_tensor(original: Function) -> Function:
    """`tolist` of lengths would fix their number, and their values, while a graph is traced."""
    return lambda tensor: tensor if _are_lengths(tensor) else original(tensor)
