"""What PyTorch and ONNX Runtime say when an attempt fails is a reason that a person can read, and nothing beside it."""

import sys

import pytest
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail
from torch import Tensor, nn

from exporter.foreign.failure import told
from exporter.graph import without_prints_of

BROADCAST = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. Name:'node_add_14' Status "
    "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:583 void onnxruntime::"
    "BroadcastIterator::Append(ptrdiff_t, ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast "
    "an axis by a dimension other than 1. 20 by 21\n"
)


class Chooses(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + 1 if x.sum() > 0 else x


def test_a_graph_that_cannot_be_traced_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with without_prints_of("torch"), pytest.raises(RuntimeError) as failed:
        torch.export.export(Chooses(), (torch.ones(2),), strict=False)
    assert capsys.readouterr().err == ""
    assert told(failed.value).startswith("it cannot be traced: an `if` on the values of a tensor, GuardOnDataDep")


def test_what_others_print_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with without_prints_of("torch"):
        print("a note of the module's own", file=sys.stderr)
        exec("import sys; print('of a namesake', file=sys.stderr)", {"__name__": "torchlike.module"})
        exec("import sys; print('a graph', file=sys.stderr)", {"__name__": "torch.export._trace"})
    assert capsys.readouterr().err == "a note of the module's own\nof a namesake\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            Fail(BROADCAST),
            "ONNX Runtime cannot run its graph: Add: Attempting to broadcast an axis by a dimension other than 1. "
            "20 by 21",
        ),
        (Fail("[ONNXRuntimeError] : 1 : FAIL : Type Error"), "ONNX Runtime cannot run its graph: Type Error"),
        (ValueError("one\ntwo"), "it cannot be traced: ValueError: one"),
        (ValueError(), "it cannot be traced: ValueError: no message"),
    ],
)
def test_a_reason_is_one_line_without_internals(error: Exception, reason: str) -> None:
    assert told(error) == reason
