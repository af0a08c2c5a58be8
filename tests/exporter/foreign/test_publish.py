"""Modules of every task become bundles that read back, with what is not offered said in the manifest."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from exporter import page
from exporter.export import export
from exporter.foreign import trial
from exporter.foreign.answers import Said
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from models.manifest import Manifest
from tests.exporter.foreign.cases import ABOUT, CASES, foreign, trained

UNSCORED = Options(precisions=("fp32",), without_evaluation=True)


def published(given: Foreign, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Manifest:
    monkeypatch.setattr(trial, "_problem_in_onnx", lambda *_: None)  # it is looked for again on the way
    monkeypatch.setattr(page, "write", lambda done, manifest, folder: manifest)  # it has tests of its own
    return export(foreign_source(given, UNSCORED), None, folder / "models" / "it" / "1", UNSCORED).manifest


def test_a_language_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = published(foreign("tied weights, states handed in"), tmp_path, monkeypatch)
    assert (manifest.task, manifest.outputs.shape, manifest.outputs.scores) == ("language-model", (50,), "logits")
    assert (manifest.chunkable, manifest.session, manifest.gate) == (True, "state", None)


def test_tags_for_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = published(foreign("one sentence, tags"), tmp_path, monkeypatch)
    assert (manifest.task, manifest.outputs.when) == ("tagging", "per_step")
    assert manifest.outputs.labels == ("a", "b", "c", "d")


def test_quantiles_of_a_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = trained(CASES["encoder and decoder"])
    manifest = published(Foreign(module, ABOUT, Said("quantile", quantiles=(0.1, 0.5, 0.9))), tmp_path, monkeypatch)
    assert (manifest.task, manifest.outputs.shape) == ("forecast", (1, 3))
    assert not manifest.chunkable
    assert "starts from a state that the module computes" in manifest.reasons["chunks"]


def test_rows_of_equal_length_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = published(foreign("middle step"), tmp_path, monkeypatch)
    assert not manifest.padding
    assert {"chunks", "padding", "int8"} <= manifest.reasons.keys()
    assert manifest.precisions["fp32"].invariance.padding is None


def test_a_way_that_fails_as_a_graph_is_stepped_down_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_problem_in_onnx", lambda source, *_: "it moves" if source.padding else None)
    source = foreign_source(foreign("mean"), Options())
    assert not source.padding
    assert source.reasons["padding"] == "it moves"


def test_a_graph_that_is_not_the_module_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    given = foreign("hn.view")
    with monkeypatch.context() as patch:
        patch.setattr(trial, "_problem_in_onnx", lambda *_: None)
        source = foreign_source(given, Options())
    wrong = dataclasses.replace(source, reference=lambda rows: [np.ones(1, np.float32) * 9 for _ in rows])
    assert "parity: fp32 differs from PyTorch by" in trial._problem_in_onnx(wrong, source.examples(8), Options())
