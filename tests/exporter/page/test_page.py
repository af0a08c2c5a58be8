"""Every bundle gets its report: with and without labelled rows, pins, chunks and padding."""

import importlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from exporter.exhibits import EXHIBITS
from exporter.export import export
from exporter.options import Options
from exporter.page import DATA, PAGE
from exporter.page.collect import comparison, whole_characters
from exporter.page.findings import Findings
from exporter.page.render import render
from exporter.recurrent import exportable, why_not_pinnable
from exporter.source import About, Limits, Source
from models.bundle import Bundle, sha256
from models.manifest import Inputs
from tests.exporter.networks import NETWORKS, WITHOUT_PADDING, rows_for, strong
from training.evaluation import Evaluation, Gate, Split, predict

UNLABELLED = Options(without_evaluation=True, parity=2e-4, allowed_loss=0.5)


def source(name: str, padding: bool = True) -> Source:
    network = strong(NETWORKS[name]())
    return Source(
        task="tagging" if network.per_step else "regression",
        reference=lambda rows: [predict(network, [row])[0] for row in rows],
        exportable=lambda pinned: exportable(network, pinned),
        without_int8=why_not_pinnable(network),
        inputs=Inputs(kind="features", features=2),
        limits=Limits(smallest=2, largest=60),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        provenance="Random `weights`.",
        names=("low", "middle", "high"),
        padding=padding and name not in WITHOUT_PADDING,
        about=About("Three <numbers>", "For a test.", "MIT"),
    )


def labelled(split: Split) -> Evaluation:
    rows = [row for row in rows_for(strong(NETWORKS["series"]()), 30) if len(row) > 1]
    targets = np.zeros((len(rows), 3))

    def errors(outputs: np.ndarray) -> np.ndarray:
        return np.abs(outputs - targets).mean(1)

    gate = Gate("error", higher_is_better=False, allowed_loss=0.01, relative=True)
    return Evaluation(rows, lambda outputs: {"error": float(errors(outputs).mean())}, gate, targets, None, errors)


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exporter.export.GENERATED_ROWS", 32)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bundle]:
    done: dict[tuple[str, bool], Bundle] = {}

    def bundle(name: str, evaluated: bool = False) -> Bundle:
        if (name, evaluated) not in done:
            target = tmp_path_factory.mktemp("models") / "numbers" / "1"
            done[name, evaluated] = export(source(name), labelled if evaluated else None, target, UNLABELLED)
        return done[name, evaluated]

    return bundle


def findings(bundle: Bundle) -> Findings:
    return Findings.model_validate_json((bundle.folder / DATA).read_bytes())


@pytest.mark.parametrize("name", ["series", "series, gru", "tagging both ways", "backwards"])
def test_the_page_is_drawn_from_the_data_and_both_are_listed(published: Callable[..., Bundle], name: str) -> None:
    bundle = published(name)
    page = (bundle.folder / PAGE).read_text(encoding="utf-8")
    assert page == render(findings(bundle))
    assert "Three &lt;numbers&gt;" in page
    for file in (PAGE, DATA):
        assert bundle.manifest.files[file] == sha256(bundle.folder / file)
        assert (bundle.folder / file).stat().st_size < 500_000


def test_a_report_says_what_the_manifest_says(published: Callable[..., Bundle]) -> None:
    bundle = published("series", evaluated=True)
    found, manifest = findings(bundle), bundle.manifest
    assert {one.name for one in found.identity.files} == set(manifest.files) - {PAGE, DATA}
    assert (found.parity.tolerance, found.metric.allowed_loss) == (2e-4, 0.5)
    for score in found.metric.scores:
        file = manifest.precisions[score.precision]
        assert score.value.value == (file.validation if score.split == "validation" else file.test)["error"]
        assert score.value.low <= score.value.value <= score.value.high
    largest = {(one.one, one.other): one.largest for one in found.parity.differences}
    for precision, file in manifest.precisions.items():
        if file.parity is not None:
            assert largest["PyTorch float32", f"ONNX {precision}"] == pytest.approx(file.parity, rel=1e-3)


def test_pinned_int8_stands_beside_the_unpinned_one(published: Callable[..., Bundle]) -> None:
    invariance = {one.precision: one for one in findings(published("series")).invariance}
    offered, plain = invariance["int8"], invariance["unpinned int8"]
    assert (offered.batch, offered.padding, offered.chunks, offered.threads) == (0, 0, 0, 0)
    assert not offered.comparison_only
    assert plain.comparison_only
    assert plain.batch_scaled > 1e-4
    for way in ("batch", "padding", "chunks", "threads"):
        assert 0 < getattr(plain.outputs, way) <= getattr(plain, way)
    assert plain.outputs.batch > 1e-4
    assert offered.outputs is None


def test_a_network_without_int8_has_no_comparison_and_says_why(published: Callable[..., Bundle]) -> None:
    found = findings(published("series, gru"))
    assert not [one for one in found.invariance if one.comparison_only]
    reasons = {check.name: check for check in found.checks}
    assert reasons["int8"].state == "not offered"
    assert "GRU" in reasons["int8"].text
    assert found.examples is None


def test_a_whole_network_reports_both_directions(published: Callable[..., Bundle]) -> None:
    found = findings(published("tagging both ways"))
    assert [(layer.directions, layer.hidden_size) for layer in found.activations.layers] == [(2, 18), (2, 18)]
    assert found.identity.state_bytes == 0
    assert found.invariance[0].chunks is None


def test_rows_of_a_network_without_padding_keep_their_length(published: Callable[..., Bundle]) -> None:
    found = findings(published("backwards"))
    assert found.invariance[0].padding is None
    assert found.activations.steps % found.activations.rows == 0


def test_a_comparison_that_cannot_run_is_no_reason_to_publish_nothing(tmp_path: Path) -> None:
    """The decoder's nodes share their weights, which plain dynamic quantization does not stand."""
    exhibit = next(one for one in EXHIBITS if one.name == "encoder-decoder")
    found = findings(export(exhibit.source(), None, tmp_path / "numbers" / "1", Options(without_evaluation=True)))
    assert "cannot run the graph" in found.without_comparison
    assert "int8" in [one.precision for one in found.invariance]
    assert [layer.name for layer in found.activations.layers] == ["layer 1", "layer 2"]


def test_neither_is_one_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> None:
        raise RuntimeError("Unable to find data type for weight_name='linear_MatMul'. shape_inference failed")

    module = importlib.import_module("exporter.page.unpinned")
    monkeypatch.setattr(module, "unpinned_int8", fails)
    monkeypatch.setattr(module.graph, "to_onnx", lambda *_: None)
    built = SimpleNamespace(models={"int8": None}, chunkable=True)
    found, reason = comparison(SimpleNamespace(source=source("series"), built=built), [np.ones((9, 2), np.float32)])
    assert found is None
    assert reason.endswith("quantize_dynamic cannot quantize this graph: it ended with RuntimeError.")


def test_without_labelled_rows_the_report_says_so(published: Callable[..., Bundle]) -> None:
    bundle = published("series")
    found = findings(bundle)
    assert found.metric is None
    assert found.examples.source == "generated rows"
    assert "metric gate" in [check.name for check in found.checks if check.state == "not run"]


def test_the_card_links_to_the_report(published: Callable[..., Bundle]) -> None:
    for evaluated in (False, True):
        card = (published("series", evaluated).folder / "card.md").read_text(encoding="utf-8")
        assert f"]({PAGE})" in card


def test_bytes_become_the_characters_that_they_make() -> None:
    found = whole_characters(["▁a", "<0xE8>", "<0x9C>", "<0xBB>", "b", "<0xFF>"])
    assert found == ["▁a", "蜻", "b", "\ufffd"]


def test_nothing_is_left_beside_the_bundle(published: Callable[..., Bundle]) -> None:
    folder: Path = published("series").folder
    assert [path.name for path in folder.parent.iterdir()] == ["1"]
