"""Every architecture, in every precision, from random weights to the answer of a server process."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from exporter import page
from exporter.exhibits import EXHIBITS, Exhibit
from exporter.export import export
from exporter.options import Options
from exporter.sessions import StepSession, alone
from models import bundle as bundles
from models.bundle import Bundle
from models.integrity import sealed
from models.manifest import Precision
from tests.processes import serving
from training.evaluation import predict

CPU: tuple[Precision, ...] = ("fp32", "int8", "int8-weights")
OURS = [exhibit for exhibit in EXHIBITS if exhibit.recipe is None]
NAMED = {exhibit.name.lower(): exhibit for exhibit in OURS}
QUANTIZED = 0.25
"""How far an answer may lie from the eager network's, of outputs of about 1; what is seen is up to 0.1."""


@dataclass(frozen=True)
class Served:
    """The bundles as they were exported, and a client of a server that has each of their precisions as a model."""

    bundles: dict[str, Bundle]
    client: httpx.Client

    def precisions(self, name: str) -> list[Precision]:
        return [precision for precision in CPU if precision in self.bundles[name].manifest.precisions]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    exported, models = tmp_path_factory.mktemp("exported"), tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write", lambda done, manifest, folder: manifest)  # it has tests of its own
        patch.setattr("exporter.export.GENERATED_ROWS", 24)
        found = {name: publish(exhibit, exported / name / "1") for name, exhibit in NAMED.items()}
    for bundle in found.values():
        for precision in set(CPU) & bundle.manifest.precisions.keys():
            prefer(bundle, precision, models)
    with serving("--models", str(models)) as process, httpx.Client(base_url=process.url, timeout=30) as client:
        yield Served(found, client)


def publish(exhibit: Exhibit, target: Path) -> Bundle:
    return export(exhibit.source(), None, target, Options(without_evaluation=True))


def prefer(bundle: Bundle, precision: Precision, models: Path) -> None:
    """The same bundle under another name, which makes the server load this precision."""
    name = f"{bundle.manifest.name}-{precision}"
    preference = {"cpu": (precision,), "cuda": bundle.manifest.preference["cuda"]}
    folder = shutil.copytree(bundle.folder, models / name / "1")
    manifest = sealed(bundle.manifest.model_copy(update={"name": name, "preference": preference}))
    (folder / bundles.MANIFEST).write_text(manifest.model_dump_json(), encoding="utf-8")


def body(exhibit: Exhibit, rows: list[np.ndarray]) -> list[dict[str, list]]:
    key = "tokens" if exhibit.inputs.kind == "tokens" else "values"
    return [{key: row.tolist()} for row in rows]


def numbers(exhibit: Exhibit, answer: dict[str, Any]) -> np.ndarray:
    """What the answer says of the outputs: probabilities, values, or the best of them."""
    if "probabilities" in answer:
        return np.array([answer["probabilities"][label] for label in exhibit.answer.labels])
    if "values" in answer:
        return np.array([answer["values"][name] for name in exhibit.answer.names]).T
    if "next" in answer:
        return np.array([[token["token"], token["probability"]] for token in answer["next"]])
    return np.array([[exhibit.answer.labels.index(label) for label in answer["labels"]], answer["scores"]])


def said(exhibit: Exhibit, outputs: np.ndarray) -> np.ndarray:
    """The same numbers from the network's outputs."""
    if exhibit.answer.task == "regression" or exhibit.answer.names:
        return outputs
    if exhibit.answer.scores == "probabilities":
        return np.array([1 - outputs[0], outputs[0]])
    exponentials = np.exp(outputs.astype(np.float64) - outputs.max(-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(-1, keepdims=True)
    if exhibit.answer.task == "language-model":
        best = np.argsort(-probabilities)[:5]
        return np.stack([best, probabilities[best]], 1)
    if exhibit.answer.task == "tagging":
        return np.stack([probabilities.argmax(1), probabilities.max(1)])
    return probabilities


def by_onnx(bundle: Bundle, precision: Precision, rows: list[np.ndarray]) -> np.ndarray:
    """What the published file computes for each row alone."""
    manifest = bundle.manifest
    model = bundle.path(manifest.precisions[precision].file).read_bytes()
    session = StepSession(model, manifest.initial_state(), per_step=manifest.outputs.when == "per_step")
    return alone(session, rows).outputs


@pytest.mark.parametrize("name", NAMED)
def test_the_server_answers_what_the_network_computes(served: Served, name: str) -> None:
    exhibit, bundle = NAMED[name], served.bundles[name]
    rows = exhibit.rows(3, seed=5)
    eager = predict(exhibit.network(), rows)
    for precision in served.precisions(name):
        reply = served.client.post("/predict", json={"model": f"{name}-{precision}", "inputs": body(exhibit, rows)})
        assert reply.status_code == 200, reply.text
        computed = by_onnx(bundle, precision, rows)
        for row, answer, expected, network in zip(rows, reply.json()["outputs"], computed, eager, strict=True):
            steps = len(row) if bundle.manifest.outputs.when == "per_step" else None
            np.testing.assert_allclose(numbers(exhibit, answer), said(exhibit, expected[:steps]), rtol=1e-5, atol=1e-6)
            allowed = 1e-4 if precision == "fp32" else QUANTIZED
            np.testing.assert_allclose(
                expected[:steps], network[:steps], rtol=0, atol=allowed * max(1, abs(network).max())
            )


@pytest.mark.parametrize("name", NAMED)
def test_every_precision_is_there_or_the_manifest_says_why_not(served: Served, name: str) -> None:
    manifest = served.bundles[name].manifest
    for precision in (*CPU, "fp16"):
        assert precision in manifest.precisions or manifest.reasons[precision]
    assert ("int8" in manifest.precisions) == (not name.startswith(("gru", "vanilla")))


@pytest.mark.parametrize("name", NAMED)
def test_what_is_published_is_exact(served: Served, name: str) -> None:
    for precision in served.precisions(name):
        found = served.bundles[name].manifest.precisions[precision].invariance
        assert (found.batch, found.padding, found.chunks or 0.0, found.threads) == (0.0, 0.0, 0.0, 0.0)


def test_networks_that_read_everything_at_once_say_so(served: Served) -> None:
    whole = {name for name, bundle in served.bundles.items() if not bundle.manifest.chunkable}
    assert whole == {"bidirectional-tokens", "bidirectional-features", "lstmwithattention"}
    for name in whole:
        manifest = served.bundles[name].manifest
        assert manifest.state == ()
        assert "whole sequence" in manifest.reasons["chunks"]


def test_too_short_a_sequence_is_refused(served: Served) -> None:
    inputs = {"values": [[1.0] * 5] * 2}
    reply = served.client.post("/predict", json={"model": "cnn_lstm-fp32", "inputs": inputs})
    assert reply.status_code == 422
    assert "at least 3" in reply.json()["error"]["accepted"]
