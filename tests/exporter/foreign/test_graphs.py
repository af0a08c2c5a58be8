"""The ONNX graphs of plain modules: the same answers, whoever shares the batch, in every precision that is built."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from torch import nn

from exporter import describe, verify
from exporter.build import build
from exporter.check import as_array, check_far
from exporter.foreign import trial
from exporter.foreign.scaling import MinMax, ScalerFile, Standard
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from exporter.report import Built
from exporter.sessions import Rows, alone
from exporter.source import Source
from tests.exporter.foreign import modules
from tests.exporter.foreign.cases import ABOUT, CASES, NUMBERS, Case, foreign, trained

ROWS = 24
BOUNDED = {
    "stacked, batch norm": {"clip": 5.0},
    "encoder and decoder": {
        "rows": [np.random.default_rng(n).normal(size=(9, 2)).astype(np.float32) for n in range(9)]
    },
}
"""What makes pinned int8 possible where features are read."""
QUICK = Options(precisions=("int8",))


@pytest.fixture(autouse=True)
def tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A source tries its fp32 graph itself; the same is done here, and with int8."""
    monkeypatch.setattr(trial, "_problem_in_onnx", lambda *_: None)


def built(source: Source) -> Built:
    wanted = QUICK if source.without_int8 is None else Options(precisions=("fp32",))
    return build(source, source.examples(ROWS), wanted)


@pytest.mark.parametrize(
    "name",
    [
        "packed, any order",
        "stacked, batch norm",
        "one sentence, tags",
        "remembers its state",
        "sorts rows",
        "bidirectional, final states",
        "convolution, pooling",
        "self-attention",
        "encoder and decoder",
        "flattened time",
        "additive attention",
        "dot attention",
        "two readers, pooled",
        "indexed by length",
        "middle step",
    ],
)
def test_a_graph_gives_the_modules_own_answers(name: str) -> None:
    """In every precision that is built: fp32 must be as good as equal and int8 close, and both must be exact."""
    source = foreign_source(foreign(name, **BOUNDED.get(name, {})), Options())
    graphs = built(source)
    rows = source.examples(ROWS)
    if source.beyond is not None:
        check_far(source, describe.subject(source, graphs, "fp32"), source.beyond(rows), Options())
    for precision in graphs.models:
        subject = describe.subject(source, graphs, precision)
        found = alone(subject.session(), rows).outputs
        parity = verify.parity(as_array(source.reference(rows), graphs.per_step), found)
        assert parity < (1e-4 if precision == "fp32" else 0.2)
        verify.check_pins(subject, rows)
        verify.check_invariance(verify.invariance(subject, rows), precision, subject, rows)
    assert ("int8" in graphs.models) == (source.without_int8 is None)


@pytest.mark.parametrize(
    ("make", "rows", "nodes"),
    [
        pytest.param(lambda: modules.LeftOver(called=False), None, 1, id="a layer that is not called"),
        pytest.param(lambda: modules.LeftOver(called=True), None, 1, id="outputs that are not read"),
        pytest.param(modules.CalledTwice, BOUNDED["encoder and decoder"]["rows"], 2, id="a layer that is called twice"),
    ],
)
def test_int8_clamps_at_every_node_even_if_layers_are_others(
    make: Callable[[], nn.Module], rows: Rows | None, nodes: int
) -> None:
    source = foreign_source(Foreign(trained(Case(make, NUMBERS)), ABOUT, NUMBERS, rows=rows), Options())
    graphs = built(source)
    quantized = [node for node in graphs.models["int8"].graph.node if node.op_type == "DynamicQuantizeLSTM"]
    assert [node.input[0].endswith(".clamped") for node in quantized] == [True] * nodes
    some, subject = source.examples(ROWS), describe.subject(source, graphs, "int8")
    found = alone(subject.session(), some).outputs
    assert verify.parity(as_array(source.reference(some), graphs.per_step), found) < 0.2
    verify.check_invariance(verify.invariance(subject, some), "int8", subject, some)


def test_the_graph_holds_the_scalers() -> None:
    inputs = Standard(kind="standard", mean=(100.0, -3.0, 0.5), scale=(20.0, 0.1, 2.0))
    target = MinMax(kind="minmax", minimum=(50.0,), maximum=(250.0,))
    said = dataclasses.replace(CASES["hn.view"].said, target=target)
    module = trained(CASES["hn.view"])
    scaler = ScalerFile(inputs=inputs, target=target)
    source = foreign_source(Foreign(module, ABOUT, said, scaler=scaler), Options())
    plain = foreign_source(Foreign(module, ABOUT, CASES["hn.view"].said), Options())
    raw = np.array([[120.0, -3.1, 0.5], [80.0, -2.9, 4.5]], np.float32)
    scaled = ((raw.astype(np.float64) - inputs.mean) / inputs.scale).astype(np.float32)
    wanted = 50 + 200 * plain.reference([scaled])[0]
    graphs = built(source)
    session = describe.subject(source, graphs, "fp32").session()
    np.testing.assert_allclose(source.reference([raw])[0], wanted, rtol=1e-5)
    np.testing.assert_allclose(alone(session, [raw]).outputs[0], wanted, rtol=1e-5)


def test_the_weights_are_in_the_graph_once() -> None:
    """What the stand-ins hold must not be joined by the layers that they stand in for."""
    given = foreign("packed, any order")
    graphs = built(foreign_source(given, Options()))
    numbers = sum(parameter.numel() for parameter in given.module.parameters())
    assert len(graphs.models["fp32"].SerializeToString()) < 4 * numbers * 1.3 + 6000
