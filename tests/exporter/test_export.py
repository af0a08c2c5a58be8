"""A checkpoint becomes a bundle, or nothing at all."""

import dataclasses
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sentencepiece import SentencePieceTrainer

from exporter import __main__ as command
from exporter import page, verify
from exporter.build import build, example
from exporter.check import check_gate
from exporter.errors import CheckFailed
from exporter.export import export, publish
from exporter.options import Options
from exporter.report import Built
from exporter.sessions import Rows, alone
from exporter.source import Source, of_checkpoint
from exporter.verify import Subject
from models import bundle
from models.bundle import Bundle, BundleError
from tests.exporter.once import digest
from training import checkpoint, recipes
from training.checkpoint import Checkpoint, Description, Limits, NetworkSpec
from training.evaluation import Evaluation, Gate, Split, predict

QUANTILES = (0.1, 0.5, 0.9)
SENTENCES = ["a good film", "a bad film", "not good at all", "what a lovely day", "it rains and rains again"] * 40
TEXT_ARGUMENTS = {"vocabulary_size": 40, "embedding_size": 14, "hidden_size": 14, "buckets": 64}
FIGURES = {"rows": 20, "accuracy": 0.8, "f1": 0.8, "auc": 0.9, "ece": 0.02, "ece_uncalibrated": 0.1}
TEXT_METRICS = {
    "test": {
        "by_language": {"en": FIGURES, "zh": FIGURES},
        "by_source": {"films": FIGURES},
        "baselines": {"tf-idf": {"en": 0.7, "zh": 0.7}},
    },
    "behaviour": {
        "negation": {"passed": 1, "cases": 2, "failed": [{"text": "a | b", "expected": "negative", "score": 0.9}]}
    },
    "errors": [{"text": "so `so`", "source": "films", "label": "negative", "positive": 0.9}],
}
SERIES_FIGURES = {
    "origins": 9,
    "in_training": True,
    "network": {"mape": 1.5, "coverage": 0.8},
    "last price": {"mape": 1.6, "coverage": 0.8},
}
SERIES_METRICS = {"test": {"one": SERIES_FIGURES, "two": SERIES_FIGURES | {"in_training": False}}}


def tokenizer() -> bytes:
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES), model_writer=model, vocab_size=40, hard_vocab_limit=False, minloglevel=2
    )
    return model.getvalue()


def saved(folder: Path, task: str, class_name: str, arguments: dict, metrics: dict, **fields: object) -> Checkpoint:
    torch.manual_seed(0)
    network = NetworkSpec.model_validate({"class": class_name, "arguments": arguments})
    about = {"name": task, "recipe": task, "task": task, "seed": 0, "limits": Limits(min_steps=1, max_steps=200)}
    description = Description.model_validate(
        about | {"network": network} | {k: v for k, v in fields.items() if k != "model"}
    )
    built = network.build()
    for parameter in built.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    checkpoint.save(folder, description, built, metrics, fields.get("model"))
    return checkpoint.load(folder)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("text")
    fields = {"labels": ["negative", "positive"], "model": tokenizer()}
    name = "sentiment.SentimentNetwork"
    return saved(folder, "text-classification", name, TEXT_ARGUMENTS, TEXT_METRICS, **fields)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    details = {"horizon": 5, "quantiles": list(QUANTILES), "default_horizon": 2}
    arguments = {"hidden_size": 14, "perceptron_size": 8}
    return saved(
        tmp_path_factory.mktemp("series"), "forecast", "stock.StockNetwork", arguments, SERIES_METRICS, details=details
    )


def texts(split: Split) -> Evaluation:
    random = np.random.default_rng(len(split))
    inputs = [random.integers(0, 40, length) for length in random.integers(1, 60, 40)]
    targets = random.integers(0, 2, 40)

    def metrics(outputs: np.ndarray) -> dict[str, float]:
        return {"accuracy": float((outputs.argmax(1) == targets).mean())}

    return Evaluation(inputs, metrics, Gate("accuracy", True, 0.05), targets, ["en", "zh"] * 20)


def prices(split: Split) -> Evaluation:
    random = np.random.default_rng(len(split))
    walks = [100 * np.exp(np.cumsum(random.normal(scale=0.02, size=length))) for length in random.integers(30, 90, 40)]
    targets = np.stack([np.full(5, walk[-1]) for walk in walks])

    def metrics(outputs: np.ndarray) -> dict[str, float]:
        return {"error": float(np.abs(outputs[..., 1] / targets - 1).mean())}

    inputs = [walk[:, None].astype(np.float32) for walk in walks]
    return Evaluation(inputs, metrics, Gate("error", False, 0.5, relative=True), targets, ["one", "two"] * 20)


CASES: dict[str, Callable[[Split], Evaluation]] = {"text": texts, "series": prices}


@pytest.fixture(scope="module", autouse=True)
def graphs_made_once() -> Iterator[None]:
    """All that `build` reads being the same, so are the graphs."""
    done: dict[tuple[str, str], Built] = {}

    def build_once(source: Source, rows: Rows, options: Options) -> Built:
        network = source.exportable(source.without_int8 is None)
        read = (options.precisions, source.without_int8, source.limits, source.padding, dict(source.reasons))
        key = digest(network, example(rows, source.limits.largest)), repr(read)
        if key not in done:
            done[key] = build(source, rows, options)
        return done[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("exporter.export.build", build_once)
        yield


@pytest.fixture(scope="module", params=CASES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Bundle]:
    trained = request.getfixturevalue(request.param)
    return trained, export(
        of_checkpoint(trained), CASES[request.param], tmp_path_factory.mktemp("models") / request.param / "1"
    )


def test_a_bundle_is_complete_and_reads_back(exported: tuple[Checkpoint, Bundle]) -> None:
    _, published = exported
    again = bundle.read(published.folder)
    again.verify()
    assert again.manifest == published.manifest
    assert {"fp32", "int8", "int8-weights"} <= set(again.manifest.precisions)
    assert set(again.manifest.files) | {bundle.MANIFEST} == {path.name for path in published.folder.iterdir()}
    assert not list(published.folder.parent.glob(".*"))
    assert published.folder.stat().st_mode & 0o055 == 0o055


def test_the_published_files_answer_as_pytorch_does(exported: tuple[Checkpoint, Bundle]) -> None:
    trained, published = exported
    manifest = published.manifest
    rows = (texts if manifest.tokenizer else prices)("test").inputs
    model = published.path(manifest.precisions["fp32"].file).read_bytes()
    found = alone(Subject(model, manifest.initial_state(), (), None, 1).session(), rows).outputs
    np.testing.assert_allclose(found, predict(trained.network, rows), rtol=2e-5, atol=2e-6)


def test_a_checkpoint_can_be_run_in_float64(text: Checkpoint, series: Checkpoint) -> None:
    for trained, evaluate in ((text, texts), (series, prices)):
        source, rows = of_checkpoint(trained), evaluate("test").inputs[:8]
        exact = source.float64(rows)
        assert exact.dtype == np.float64
        assert 0 < np.abs(exact / source.reference(rows) - 1).max() < 1e-4


def test_the_manifest_tells_what_was_measured(exported: tuple[Checkpoint, Bundle]) -> None:
    _, published = exported
    manifest = published.manifest
    assert len(manifest.pinned) == 4
    for precision, file in manifest.precisions.items():
        assert file.bytes == published.path(file.file).stat().st_size
        assert file.contract
        if precision == "fp16":
            continue
        assert (file.invariance.batch, file.invariance.padding, file.invariance.chunks, file.invariance.threads) == (
            0,
            0,
            0,
            0,
        )
        assert sorted(file.milliseconds) == sorted(file.throughput) == [1, 8, 32]
        assert file.parity < 1e-4 or precision != "fp32"
        assert file.operators["DynamicQuantizeLSTM" if precision == "int8" else "LSTM"] == 1
    assert manifest.preference["cuda"][0] == "fp32"


def test_what_runs_on_a_gpu_only_was_not_run_and_says_so(exported: tuple[Checkpoint, Bundle]) -> None:
    manifest = exported[1].manifest
    half = manifest.precisions["fp16"]
    assert half.devices == ("cuda",)
    assert (half.parity, half.invariance, half.validation, half.milliseconds) == (None, None, {}, {})
    assert re.search(
        r"so it was not run; from its rounded weights, .* it is \d\S* from PyTorch", manifest.reasons["fp16"]
    )
    assert "fp16" not in manifest.preference["cpu"]


def test_the_card_shows_its_pictures(exported: tuple[Checkpoint, Bundle]) -> None:
    _, published = exported
    card = (published.folder / "card.md").read_text(encoding="utf-8")
    pictures = [file for file in published.manifest.files if file.endswith(".png")]
    assert len(pictures) >= 2 or "sentiment" not in card
    for picture in pictures:
        assert published.path(picture).stat().st_size < 60_000
    assert "| int8 |" in card


def test_verify_needs_nothing_but_the_bundle(
    exported: tuple[Checkpoint, Bundle], capsys: pytest.CaptureFixture[str]
) -> None:
    _, published = exported
    command.main(["verify", str(published.folder)])
    assert "int8: pins stay" in capsys.readouterr().out


def test_a_changed_byte_is_found(exported: tuple[Checkpoint, Bundle], tmp_path: Path) -> None:
    folder = tmp_path / exported[1].manifest.name / "1"
    shutil.copytree(exported[1].folder, folder)
    with (folder / "fp32.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"\0")
    with pytest.raises(SystemExit, match=r"fp32\.onnx: its sha256 is .*export again"):
        command.main(["verify", str(folder)])


def spoiled(split: Split) -> Evaluation:
    """Rows on which int8 is far worse than fp32: the metric counts what differs from fp32's first answers."""
    evaluation, seen = texts(split), []

    def metrics(outputs: np.ndarray) -> dict[str, float]:
        seen.append(outputs)
        return {"accuracy": 0.9 if (outputs == seen[0]).all() else 0.84}

    return dataclasses.replace(evaluation, metrics=metrics)


def test_a_failed_gate_publishes_nothing_and_leaves_what_is_there(text: Checkpoint, tmp_path: Path) -> None:
    target = tmp_path / "sentiment" / "1"
    target.mkdir(parents=True)
    (target / "old").write_text("still here")
    with pytest.raises(
        CheckFailed, match=r"gate: accuracy on validation rows is 0\.84 with int8 and 0\.9 with fp32: 0\.06 worse"
    ):
        export(of_checkpoint(text), spoiled, target)
    assert [path.name for path in tmp_path.rglob("*")] == ["sentiment", "1", "old"]


def test_a_lost_parity_is_found(text: Checkpoint, tmp_path: Path) -> None:
    wrong = dataclasses.replace(of_checkpoint(text), reference=lambda rows: predict(text.network, rows) + 0.01)
    with pytest.raises(CheckFailed, match=r"parity: fp32 differs from PyTorch by 0\.01, at most 0\.0001 is accepted"):
        export(wrong, texts, tmp_path / "sentiment" / "1")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("gate", "fine", "bad"),
    [(Gate("m", True, 0.005), 0.896, 0.894), (Gate("m", False, 0.01, relative=True), 0.908, 0.910)],
)
def test_the_gate_is_as_wide_as_it_says(gate: Gate, fine: float, bad: float) -> None:
    built = ["fp32", "int8", "int8-weights", "fp16"]
    check_gate(gate, {"m": 0.9}, {"m": fine}, "int8", built)
    with pytest.raises(CheckFailed, match=r"leave it out \(--precisions int8-weights,fp16\), or accept more \(--allow"):
        check_gate(gate, {"m": 0.9}, {"m": bad}, "int8", built)
    with pytest.raises(CheckFailed, match=r"leave it out \(--precisions fp32\), or"):
        check_gate(gate, {"m": 0.9}, {"m": bad}, "int8", built[:2])


def test_the_command_publishes_and_says_where(
    series: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Recipe:
        evaluation = staticmethod(lambda trained, split: prices(split))

    monkeypatch.setattr(recipes, "load", lambda name: Recipe)
    monkeypatch.setattr(page, "write", lambda done, manifest, folder: manifest)  # it has tests of its own
    command.main([str(series.folder), "--out", str(tmp_path / "prices" / "2")])
    assert bundle.read(tmp_path / "prices" / "2").manifest.version == 2
    assert "The bundle is in" in capsys.readouterr().out


@pytest.mark.parametrize("target", ["models/prices/latest", "models/prices/0", "1", "models/prices/-1"])
def test_a_target_without_name_and_version_is_refused(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["export", "checkpoints/x", "--out", target])
    assert "does not end in NAME/VERSION" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["评论", "Reviews", "-x", "my model", "a" * 65])
def test_a_name_that_no_manifest_may_have_is_refused_at_once(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["export", "checkpoints/x", f"--out=models/{name}/1"])
    problem = f"'{name}' is no name of a model; up to 64 of a-z, 0-9, '.', '_' and '-' are, beginning with a letter"
    assert problem in capsys.readouterr().err


def test_a_missing_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: .*lacks checkpoint\.json.*training fit"):
        command.main([str(tmp_path), "--out", "models/prices/1"])


def test_a_version_that_is_there_is_replaced_only_on_demand(tmp_path: Path) -> None:
    for version in ("2", "9"):
        (tmp_path / "prices" / version).mkdir(parents=True)
    again = [str(tmp_path), "--out", str(tmp_path / "prices" / "2")]
    with pytest.raises(SystemExit, match=r"prices/2: there is already a bundle; .*, .*prices/10, or give --overwrite$"):
        command.main(again)
    with pytest.raises(SystemExit, match=r"lacks checkpoint\.json"):
        command.main([*again, "--overwrite"])
    assert command._strictness(command.parser("export").parse_args(["export", *again, "--overwrite"])).overwrite


def test_a_version_that_came_in_the_meantime_stays(
    exported: tuple[Checkpoint, Bundle], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(done: object, folder: Path, name: str, version: int) -> None:
        shutil.copytree(published.folder, folder, dirs_exist_ok=True)

    published = exported[1]
    target = tmp_path / published.folder.parent.name / "1"
    target.mkdir(parents=True)
    (target / "old").touch()
    (target.parent / f".1.{os.getpid()}").mkdir()  # of an export that was killed
    monkeypatch.setattr("exporter.export.write", write)
    with pytest.raises(BundleError, match="there is already a bundle"):
        publish(SimpleNamespace(options=Options()), target)
    assert [path.name for path in target.iterdir()] == ["old"]
    assert publish(SimpleNamespace(options=Options(overwrite=True)), target).manifest == published.manifest
    assert bundle.read(target).manifest == published.manifest


def test_an_export_that_fails_at_the_end_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("exporter.export.write", write)
    for there in ([], ["models/prices/2"]):
        for folder in there:
            (tmp_path / folder).mkdir(parents=True)
        with pytest.raises(OSError, match="no space left"):
            publish(SimpleNamespace(options=Options()), tmp_path / "models" / "prices" / "1")
        assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("models/*/*")] == there
        assert (tmp_path / "models" / "prices").exists() == bool(there)


def test_generated_rows_fit_the_manifest(exported: tuple[Checkpoint, Bundle]) -> None:
    manifest = exported[1].manifest
    rows = verify.generated_rows(manifest.inputs, manifest.steps, 30)
    assert all(manifest.steps.smallest <= len(row) <= manifest.steps.largest for row in rows)
    if manifest.inputs.vocabulary:
        assert max(row.max() for row in rows) < manifest.inputs.vocabulary


def test_a_folder_that_is_no_bundle_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"there is no such file; name the folder of one version"):
        bundle.read(tmp_path)
