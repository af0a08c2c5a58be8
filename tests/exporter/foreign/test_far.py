"""Inputs far larger than all labelled rows: int8 clamps them and says so; every other precision answers as PyTorch."""

import contextlib
import dataclasses
import html
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exporter import card, describe, page, verify
from exporter.build import build
from exporter.card import common
from exporter.check import FAR_ROWS, ROUNDING, as_array, check_far
from exporter.errors import CheckFailed, QuantizationError
from exporter.export import export
from exporter.foreign import trial
from exporter.foreign.bounded import Bounds, is_marked, mark
from exporter.foreign.scaling import ScalerFile, Standard
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from exporter.quantize import clamped_at, quantized
from exporter.report import Built, Export
from exporter.sessions import alone
from exporter.source import Source
from models.bundle import Bundle
from tests.exporter.foreign import modules
from tests.exporter.foreign.cases import ABOUT, NUMBERS, Case, trained

RANDOM = np.random.default_rng(0)
MIDDLE, UNIT = 5.0, 0.14
ROWS = [(MIDDLE + UNIT * RANDOM.uniform(-1.5, 1.5, (steps, 1))).astype(np.float32) for steps in range(4, 28)]
SCALER = ScalerFile(inputs=Standard(kind="standard", mean=(MIDDLE,), scale=(UNIT,)))
BOUND = 4 * max(float(np.abs(row - MIDDLE).max()) for row in ROWS) / UNIT
UNSCORED = Options(without_evaluation=True)


@pytest.fixture(scope="module")
def source() -> Source:
    module = trained(Case(lambda: modules.StockLSTM(1, 20), NUMBERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial, "_problem_in_onnx", lambda *_: None)  # the same graph is tried here
        return foreign_source(Foreign(module, ABOUT, NUMBERS, rows=ROWS, scaler=SCALER), Options())


@pytest.fixture(scope="module")
def graphs(source: Source) -> Built:
    return build(source, ROWS, UNSCORED)


@pytest.fixture(scope="module")
def far(source: Source) -> list[np.ndarray]:
    rows = source.beyond(ROWS)
    assert all(np.abs(row - MIDDLE).max() / UNIT > 2 * BOUND for row in rows)
    return rows


def differences(source: Source, graphs: Built, precision: str, rows: list[np.ndarray]) -> np.ndarray:
    found = alone(describe.subject(source, graphs, precision).session(), rows).outputs
    return verify.row_parities(as_array(source.reference(rows), False), found)


@pytest.mark.parametrize(("precision", "accepted"), [("fp32", 1e-5), ("int8-weights", 0.02), ("fp16", 0.02)])
def test_what_need_not_clamp_does_not(
    source: Source, graphs: Built, far: list[np.ndarray], precision: str, accepted: float
) -> None:
    clamped = differences(source, graphs, "int8", far).max()
    assert differences(source, graphs, precision, far).max() < accepted < 0.2 * clamped


def test_the_largest_numbers_that_there_are_do_not_spoil_the_pins(source: Source, graphs: Built) -> None:
    """They become infinite when they are scaled."""
    largest = [np.array([[5.1], [value], [4.9]], np.float32) for value in (3e38, -3e38)]
    assert differences(source, graphs, "fp32", largest).max() < 1e-5
    verify.check_pins(describe.subject(source, graphs, "fp32"), largest)


def test_int8_clamps_and_is_exact_there_too(source: Source, graphs: Built, far: list[np.ndarray]) -> None:
    assert list(clamped_at(graphs.models["int8"]).values()) == [pytest.approx(BOUND)]
    subject = describe.subject(source, graphs, "int8")
    verify.check_pins(subject, far)
    verify.check_invariance(verify.invariance(subject, far), "int8", subject, far)


def test_a_bound_that_no_lstm_has_is_refused(graphs: Built) -> None:
    with pytest.raises(QuantizationError, match="no LSTM multiplies its inputs by other"):
        quantized(graphs.models["fp32"], bounds={"other": 1.0})


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_state_counts_what_is_beyond(source: Source, graphs: Built, far: list[np.ndarray], precision: str) -> None:
    assert graphs.slices[-1].name == "clipped"
    states = alone(describe.subject(source, graphs, precision).session(), [*far, *ROWS]).states
    wanted = [(np.abs(row - MIDDLE) / UNIT > BOUND).sum() for row in far]
    assert states[:, -1].tolist() == [*wanted, *[0] * len(ROWS)]


def test_a_graph_that_clamps_is_found(source: Source, graphs: Built, far: list[np.ndarray]) -> None:
    check_far(source, describe.subject(source, graphs, "fp32"), far, UNSCORED)
    with pytest.raises(CheckFailed, match=r"where inputs are far larger .*, at most 0\.0001 is accepted"):
        check_far(source, describe.subject(source, graphs, "int8"), far, UNSCORED)


@pytest.mark.parametrize(("times", "accepted"), [(0.9, False), (1.1, True)])
def test_what_rounding_does_to_the_network_itself_is_accepted_several_times_over(
    source: Source, graphs: Built, far: list[np.ndarray], times: float, accepted: bool
) -> None:
    """float64 differs from the network by what makes just more, or just less, of fp32's difference acceptable."""
    shift = 2e-3
    shaken = dataclasses.replace(
        source,
        reference=lambda rows: [one + shift for one in source.reference(rows)],
        float64=lambda rows: [one + shift * (1 + times / ROUNDING) for one in source.reference(rows)],
    )
    fp32 = describe.subject(source, graphs, "fp32")
    if accepted:
        assert check_far(shaken, fp32, far, UNSCORED) == len(far)
    else:
        with pytest.raises(CheckFailed, match=r"differs from PyTorch by 0\.00"):
            check_far(shaken, fp32, far, UNSCORED)


def test_a_row_where_rounding_allows_anything_does_not_count(
    source: Source, graphs: Built, far: list[np.ndarray]
) -> None:
    def shaken(rows: list[np.ndarray]) -> list[np.ndarray]:
        return [one + (place < 3) for place, one in enumerate(source.reference(rows))]

    fp32 = describe.subject(source, graphs, "fp32")
    assert check_far(dataclasses.replace(source, float64=shaken), fp32, far, UNSCORED) == len(far) - 3


@pytest.fixture(scope="module")
def published(source: Source, graphs: Built, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, str, Export]:
    """With what the export has printed, and what it has found."""
    exports: list[Export] = []
    write = page.write
    target = tmp_path_factory.mktemp("far") / "models" / "it" / "1"
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.setattr("exporter.export.build", lambda *_: graphs)
        patch.setattr("exporter.report.preference", lambda times: ("int8", "fp32", "int8-weights"))
        patch.setattr(page, "write", lambda done, *others: exports.append(done) or write(done, *others))
        bundle = export(source, None, target, UNSCORED)
    return bundle, printed.getvalue(), exports[0]


def test_the_export_and_the_manifest_say_where_int8_clamps(published: tuple[Bundle, str, Export]) -> None:
    manifest, printed = published[0].manifest, published[1]
    told = f"what lstm reads at ±{BOUND:.4g} (after scaling)"
    assert f"note: int8 clamps {told}, far beyond all rows" in printed
    assert f"It clamps {told}" in manifest.precisions["int8"].contract
    assert manifest.precisions["int8"].clamped_at == {"lstm": pytest.approx(BOUND)}
    others = [file for name, file in manifest.precisions.items() if name != "int8"]
    assert not any(file.clamped_at or "clamps" in file.contract for file in others)
    assert manifest.columns("clipped") is not None


def test_the_far_rows_that_were_compared_are_counted(published: tuple[Bundle, str, Export]) -> None:
    findings = published[2].findings
    assert {name: one.far_rows for name, one in findings.items() if one.far_rows} == {"fp32": FAR_ROWS}


def test_card_and_report_say_what_became_of_far_rows(published: tuple[Bundle, str, Export]) -> None:
    files = [(published[0].folder / name).read_text(encoding="utf-8") for name in (card.FILE, page.PAGE)]
    written, report = (" ".join(html.unescape(file).split()) for file in files)
    for text in (written, report):
        assert f"It clamps what lstm reads at ±{BOUND:.4g} (after scaling), and beyond that its answers are not" in text
    assert "over generated rows and rows far outside their range: in mixed batches" in written
    assert "It loads int8, which clamps what it reads, only if it is asked to." in written
    assert f"fp32 also agrees on {FAR_ROWS} rows far outside their range." in report
    assert f"fp32 was also compared on {FAR_ROWS} rows far outside the range of these, and was as close as" in report


def test_a_card_is_silent_on_far_rows_of_which_none_counted(published: tuple[Bundle, str, Export]) -> None:
    bundle, _, done = published
    uncounted = done.findings | {"fp32": dataclasses.replace(done.findings["fp32"], far_rows=0)}
    found = common.parts(dataclasses.replace(done, findings=uncounted), bundle.manifest)["invariance"]
    assert "over generated rows: in mixed batches" in found


def test_a_server_takes_a_clamping_int8_only_if_it_is_asked_to(published: tuple[Bundle, str, Export]) -> None:
    assert published[0].manifest.preference["cpu"] == ("fp32", "int8-weights", "int8")


def test_a_state_that_is_changed_in_place_is_not_bounded_by_one_any_more() -> None:
    scaled = mark(torch.ones(3))
    with Bounds():
        scaled *= 5
        assert is_marked(mark(torch.ones(3)).relu_())
    assert not is_marked(scaled)


@pytest.mark.parametrize(
    ("function", "bounded"),
    [
        (nn.Hardtanh(), True),
        (nn.Hardtanh(0, 0.5), True),
        (nn.Hardtanh(-5, 5), False),
        (nn.Hardtanh(-1, 6, inplace=True), False),
        (lambda x: torch._C._nn.hardtanh(x, -5, 5), False),
        (lambda x: torch.mul(x, other=5), False),
        (lambda x: torch.exp_(input=x), False),
        (nn.LeakyReLU(-2, inplace=True), False),
        (nn.ReLU(inplace=True), True),
    ],
)
def test_what_keeps_a_bounded_tensor_within_one(function: Callable[[Tensor], Tensor], bounded: bool) -> None:
    with Bounds():
        assert is_marked(function(mark(torch.ones(3)))) == bounded
