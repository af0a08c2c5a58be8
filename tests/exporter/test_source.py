"""Any network becomes a bundle: whole, per step, without padding, with labelled rows or without."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from exporter import check, page
from exporter.build import NOT_CHUNKABLE, example
from exporter.check import check_parity, with_gate
from exporter.errors import CheckFailed, ExportError
from exporter.export import export
from exporter.options import STRICT, Options
from exporter.recurrent import exportable, why_not_pinnable
from exporter.sessions import Rows, alone
from exporter.source import About, Limits, Source
from exporter.verify import Subject, bundle_invariance, generated_rows
from models.bundle import Bundle
from models.manifest import Inputs
from tests.exporter.networks import NETWORKS, rows_for, strong
from training.evaluation import Evaluation, Gate, Split, predict

UNLABELLED = Options(without_evaluation=True)


def source(name: str, **fields: object) -> Source:
    """A network that is trained elsewhere, as somebody else would describe it."""
    network = strong(NETWORKS[name]())
    without_int8 = why_not_pinnable(network)
    about = Source(
        task="tagging" if network.per_step else "regression",
        reference=lambda rows: [predict(network, [row])[0] for row in rows],
        exportable=lambda pinned: exportable(network, pinned),
        without_int8=without_int8,
        inputs=Inputs(kind="features", features=2),
        limits=Limits(smallest=2, largest=60),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        provenance="Random weights.",
        names=("low", "middle", "high"),
        about=About("Three numbers", "For a test.", "MIT"),
    )
    return dataclasses.replace(about, **fields)


def labelled(metric: Callable[[np.ndarray], float]) -> Callable[[Split], Evaluation]:
    """Rows whose metric, an error, is made of the outputs."""

    def evaluate(split: Split) -> Evaluation:
        rows = [row for row in rows_for(strong(NETWORKS["series"]()), 30) if len(row) > 1]
        return Evaluation(rows, lambda outputs: {"error": metric(outputs)}, Gate("error", False, 0.01))

    return evaluate


@pytest.fixture(scope="module", autouse=True)
def without_page() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write", lambda done, manifest, folder: manifest)  # it has tests of its own
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Bundle]:
    """Bundles without labelled rows, by the network's name."""
    done: dict[str, Bundle] = {}

    def get(name: str) -> Bundle:
        if name not in done:
            target = tmp_path_factory.mktemp("models") / "three" / "1"
            done[name] = export(source(name, padding=name != "backwards"), None, target, UNLABELLED)
        return done[name]

    return get


def subject(bundle: Bundle) -> Subject:
    found = bundle.manifest
    model, per_step = bundle.path(found.precisions["fp32"].file).read_bytes(), found.outputs.when == "per_step"
    return Subject(model, found.initial_state(), (), None, 1, found.chunkable, per_step, found.padding)


def test_a_whole_network_has_neither_state_nor_chunks(published: Callable[[str], Bundle]) -> None:
    manifest = published("both ways").manifest
    assert (manifest.chunkable, manifest.session, manifest.state, manifest.pinned) == (False, "none", (), ())
    assert manifest.reasons["chunks"] == NOT_CHUNKABLE
    assert (manifest.outputs.shape, manifest.outputs.names) == ((3,), ("low", "middle", "high"))
    for precision in ("fp32", "int8", "int8-weights"):
        file = manifest.precisions[precision]
        assert file.invariance.model_dump() == {
            "batch": 0,
            "padding": 0,
            "chunks": None,
            "threads": 0,
            "sequences": 96,
        }
        assert file.milliseconds
        assert not file.chunk_milliseconds
    assert set(manifest.preference["cpu"]) == {"fp32", "int8", "int8-weights"}


def test_outputs_per_step_are_published_as_such(published: Callable[[str], Bundle]) -> None:
    bundle = published("tagging")
    assert (bundle.manifest.outputs.when, bundle.manifest.outputs.shape) == ("per_step", (3,))
    assert bundle.manifest.chunkable
    network, rows = strong(NETWORKS["tagging"]()), rows_for(strong(NETWORKS["series"]()), 8)
    found = alone(subject(bundle).session(), rows).outputs
    assert found.shape == (8, max(map(len, rows)), 3)
    np.testing.assert_allclose(found, predict(network, rows), atol=2e-5)


def test_a_network_that_sees_padding_says_why_it_has_none(published: Callable[[str], Bundle]) -> None:
    manifest = published("backwards").manifest
    assert not manifest.padding
    assert "only sequences of one length share a batch" in manifest.reasons["padding"]
    assert manifest.precisions["fp32"].invariance.padding is None


@pytest.mark.parametrize("name", ["both ways", "tagging", "backwards"])
def test_every_kind_of_bundle_is_verified_again(published: Callable[[str], Bundle], name: str) -> None:
    found = dict(bundle_invariance(published(name), sequences=20))
    assert set(found) == {"fp32", "int8", "int8-weights"}


def test_without_labelled_rows_the_gate_was_not_run(published: Callable[[str], Bundle]) -> None:
    bundle = published("both ways")
    assert (bundle.manifest.gate, bundle.manifest.statistics, bundle.manifest.figures) == (None, None, {})
    assert not bundle.manifest.precisions["fp32"].test
    card = (bundle.folder / "card.md").read_text(encoding="utf-8")
    assert "the gate was not run" in card
    assert card.startswith("# Three numbers\n")
    assert "For a test." in card


def test_without_labelled_rows_publishing_needs_to_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"evaluation: without labelled rows.*--eval FILE.*--without-evaluation"):
        export(source("series"), None, tmp_path / "three" / "1")
    assert not list(tmp_path.iterdir())


def test_labelled_rows_decide_and_are_told(tmp_path: Path) -> None:
    asked = Options(precisions=("int8-weights",), allowed_loss=0.5, relative=True)
    bundle = export(source("series"), labelled(lambda outputs: abs(outputs).mean()), tmp_path / "three" / "2", asked)
    manifest = bundle.manifest
    assert set(manifest.precisions) == {"fp32", "int8-weights"}
    assert (manifest.gate.allowed_loss, manifest.gate.relative) == (0.5, True)
    assert manifest.precisions["fp32"].test.keys() == manifest.figures.keys() == {"error"}
    assert "| error |" in (bundle.folder / "card.md").read_text(encoding="utf-8")


def test_a_precision_that_cannot_be_had_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"precisions: int8 cannot be had: .*no int8 kernel for GRU; fp32.* can"):
        export(
            source("series, gru"), None, tmp_path / "three" / "1", dataclasses.replace(UNLABELLED, precisions=("int8",))
        )


def test_a_network_in_chunks_must_allow_padding(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="padding: a network that runs in chunks must allow it"):
        export(source("series", padding=False), None, tmp_path / "three" / "1", UNLABELLED)


@pytest.mark.parametrize(
    ("options", "fine", "bad"),
    [
        (STRICT, 9e-5, 1.1e-4),
        (Options(parity=0.1), 0.09, 0.11),
        (STRICT, 0.0, float("nan")),
    ],
)
def test_the_accepted_parity_can_be_chosen(options: Options, fine: float, bad: float) -> None:
    check_parity(fine, options)
    with pytest.raises(CheckFailed, match="parity: fp32 differs"):
        check_parity(bad, options)


def test_the_options_override_only_what_they_give() -> None:
    evaluation = labelled(lambda outputs: 0.0)("test")
    assert with_gate(evaluation, STRICT).gate == evaluation.gate
    assert with_gate(evaluation, Options(allowed_loss=0.3)).gate == Gate("error", False, 0.3)
    assert with_gate(evaluation, Options(relative=True)).gate == Gate("error", False, 0.01, relative=True)


@pytest.mark.parametrize(
    ("lengths", "largest", "steps"), [([1], 60, 8), ([3, 20, 5], 60, 20), ([1], 4, 4), ([9], 4, 9)]
)
def test_the_example_is_long_enough(lengths: list[int], largest: int, steps: int) -> None:
    rows = [np.arange(length) for length in lengths]
    assert len(example(rows, largest)) == steps


@pytest.mark.parametrize(
    "inputs",
    [
        Inputs(kind="tokens", vocabulary=7),
        Inputs(kind="features", features=3),
        Inputs(kind="features", features=1, above=5),
    ],
)
def test_generated_rows_fit_the_inputs(inputs: Inputs) -> None:
    rows: Rows = generated_rows(inputs, Limits(smallest=3, largest=9), 50)
    assert {len(row) for row in rows} == set(range(3, 10))
    if inputs.vocabulary is not None:
        assert {int(token) for row in rows for token in row} == set(range(7))
    else:
        assert all(row.shape[1] == inputs.features for row in rows)
        assert inputs.above is None or all((row > inputs.above).all() for row in rows)


def test_a_weight_too_large_for_sixteen_bits_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "score", lambda session, rows, title: np.full((len(rows), 3), np.inf, np.float32))
    with pytest.raises(CheckFailed, match="fp16: an output is not a finite number"):
        check.simulated_parity("fp16", None, [np.zeros((4, 2), np.float32)], np.zeros((1, 3), np.float32))
