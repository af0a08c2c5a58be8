"""What many exports need is made once: graphs in a run, whose processes share a folder, and PyTorch's operators."""

import copy
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from torch import Tensor, nn
from torch.onnx._internal.exporter._registration import ONNXRegistry

from exporter import graph

folder: Path | None = None
"""Set for the time of a run."""


def once(name: str, network: nn.Module, example: np.ndarray) -> onnx.ModelProto:
    """The network's graph: read if a process of this run has made that of the same one already."""
    if folder is None:
        return graph.to_onnx(network, example)
    path = folder / f"{name} {digest(network, example)}.onnx"
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_bytes(graph.to_onnx(network, example).SerializeToString())
        part.replace(path)
    return onnx.ModelProto.FromString(path.read_bytes())


def digest(network: nn.Module, example: np.ndarray) -> str:
    """Of all that a graph depends on: the network's modules with their attributes and tensors, and the row to trace."""
    found = hashlib.sha256()
    for name, value in [("example", example), *parts(network)]:
        array = value.detach().numpy() if isinstance(value, Tensor) else value
        is_array = isinstance(array, np.ndarray)
        found.update(f"{name} {(array.dtype, array.shape) if is_array else array!r}\n".encode())
        found.update(array.tobytes() if is_array else b"")
    return found.hexdigest()[:16]


def parts(network: nn.Module) -> Iterator[tuple[str, object]]:
    for path, module in network.named_modules():
        yield path, type(module)
        yield from ((f"{path}.{name}", value) for name, value in vars(module).items() if not name.startswith("_"))
    yield from network.named_parameters()
    yield from network.named_buffers()


def operators_once(patch: pytest.MonkeyPatch) -> None:
    """PyTorch fills its table of operators anew for every export, which takes long. Here that is done once, and every
    export gets a copy, so that an operator that one registers is unknown to the next."""
    filled = cache(ONNXRegistry.from_torchlib)

    def copied(**options: Any) -> ONNXRegistry:
        table = copy.copy(filled(**options))
        table.functions = {target: [copy.copy(one) for one in found] for target, found in table.functions.items()}
        return table

    patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(copied))
