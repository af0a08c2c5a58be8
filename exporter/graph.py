"""A network as one clean ONNX graph with the inputs `inputs`, `lengths`, `state` and dynamic batch and time."""

import logging
import sys
import warnings
from collections import Counter
from contextlib import redirect_stderr
from typing import TextIO

import numpy as np
import onnx
import torch

from exporter.errors import GraphError
from exporter.exact import make_exact
from training.networks.step import StepNetwork, WholeNetwork

INPUTS = ("inputs", "lengths", "state")
OUTPUTS = ("outputs", "next_state")
OPSET = 20


def to_onnx(network: StepNetwork | WholeNetwork, example: np.ndarray, smallest: int = 1) -> onnx.ModelProto:
    """The graph of an exportable network (see `exporter.recurrent.exportable`).

    `example` is one encoded sequence, int64 [T] or float32 [T, F] with T > 1; its length does not limit the graph, but
    `smallest` does: fewer steps need not work. A whole network's graph has neither `state` nor `next_state`.
    """
    model = _traced(network, example, smallest)
    _strip(model)
    make_exact(model)
    onnx.checker.check_model(model, full_check=True)
    _check_dimensions(model)
    return model


def _traced(network: StepNetwork | WholeNetwork, example: np.ndarray, smallest: int) -> onnx.ModelProto:
    inputs = torch.from_numpy(np.stack([example, example]))
    arguments: tuple[torch.Tensor, ...] = (inputs, torch.full((2,), len(example), dtype=torch.int32))
    if isinstance(network, StepNetwork):
        arguments += (network.initial_state(2),)
    batch, time = torch.export.Dim("batch", min=1), torch.export.Dim("time", min=smallest)
    with warnings.catch_warnings(), quiet("torch.onnx"):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            arguments,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=INPUTS[: len(arguments)],
            output_names=OUTPUTS[: len(arguments) - 1],
            dynamic_shapes=({0: batch, 1: time}, {0: batch}, {0: batch})[: len(arguments)],
        )
    return program.model_proto


def _check_dimensions(model: onnx.ModelProto) -> None:
    """Batch and time must have stayed open: `len(x)` in a network's code fixes them to those of the example."""
    for value, dynamic in zip(model.graph.input, (2, 1, 1), strict=False):
        for axis, dim in enumerate(value.type.tensor_type.shape.dim[:dynamic]):
            if dim.dim_value:
                raise GraphError(
                    f"axis {axis} of {value.name!r} was fixed to {dim.dim_value} on export, but batch and time must "
                    "stay open; in the network's forward, use x.shape[n] for sizes, and not len(x) or int(...)"
                )


def operators(model: onnx.ModelProto) -> dict[str, int]:
    """How many nodes of each type the graph has, the most frequent first."""
    return dict(Counter(node.op_type for node in model.graph.node).most_common())


def _strip(model: onnx.ModelProto) -> None:
    """Remove what no runtime needs: stack traces with paths of this machine, and shapes that optimizing outdated."""
    graph = model.graph
    graph.ClearField("value_info")
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    model.ClearField("functions")


class quiet:
    """Silences a logger inside a `with` block."""

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)

    def __enter__(self) -> None:
        self.level = self.logger.level
        self.logger.setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        self.logger.setLevel(self.level)


def without_prints_of(package: str) -> redirect_stderr:
    """Inside, what code of a package prints on stderr is dropped: PyTorch prints whole graphs when tracing fails."""
    return redirect_stderr(_Without(package, sys.stderr))


class _Without:
    """A stream that drops what a package writes."""

    def __init__(self, package: str, stream: TextIO) -> None:
        self.package, self.stream = package, stream

    def write(self, text: str) -> int:
        writer = sys._getframe(1).f_globals.get("__name__", "")
        return len(text) if f"{writer}.".startswith(f"{self.package}.") else self.stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)
