"""What is made once is never taken for something else."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch.onnx._internal.exporter._registration import ONNXRegistry

from exporter import graph
from exporter.recurrent import exportable
from tests.exporter import once
from tests.exporter.networks import NETWORKS, strong

ROW = np.zeros((5, 2), np.float32)


def double_a_weight(network: torch.nn.Module) -> None:
    network.head.weight.data *= 2


def widen_the_clip(network: torch.nn.Module) -> None:
    network.lstm.input_clip *= 2


def test_a_graph_is_of_this_network_and_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def to_onnx(network: torch.nn.Module, example: np.ndarray) -> onnx.ModelProto:
        made.append(len(example))
        return onnx.ModelProto(doc_string=f"graph {len(made)}")

    def found(changed: Callable[[torch.nn.Module], None] | None = None, row: np.ndarray = ROW) -> str:
        network = strong(NETWORKS["series"]())
        if changed:
            changed(network)
        return once.once("series", network, row).doc_string

    made: list[int] = []
    monkeypatch.setattr(graph, "to_onnx", to_onnx)
    monkeypatch.setattr(once, "folder", tmp_path)
    assert [found(), found()] == ["graph 1", "graph 1"]
    assert [found(double_a_weight), found(widen_the_clip), found(row=ROW[:4])] == ["graph 2", "graph 3", "graph 4"]
    assert found() == "graph 1"


def test_two_processes_find_the_same_graph() -> None:
    """Nothing in a digest is an address, or ordered by one."""
    for network in (exportable(NETWORKS["text"](), True), NETWORKS["tagging both ways"]()):
        assert " at 0x" not in str([part for part in once.parts(network) if not isinstance(part[1], torch.Tensor)])


def test_what_one_export_registers_is_unknown_to_the_next() -> None:
    first = ONNXRegistry.from_torchlib()
    for target in (math.gamma, torch.ops.aten.relu.default):
        first.register_op(target, lambda x: x)
        assert first.get_decomps(target)[0].is_custom
    second = ONNXRegistry.from_torchlib()
    assert not second.is_registered(math.gamma)
    assert [one.is_custom for one in second.get_decomps(torch.ops.aten.relu.default)] == [False]
