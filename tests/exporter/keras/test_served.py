"""Keras files all the way: exported by the command line, served by a server process, answered as Keras predicts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest

from exporter import page
from exporter.__main__ import main
from models import bundle as bundles
from models.integrity import sealed
from tests.exporter.keras.tutorials import VOCABULARY, built, rows, saved
from tests.processes import serving

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning:keras"
)
WORDS = ["", "[UNK]", "this", "film", "is", "not", "good", "at", "all", *(f"word{n}" for n in range(9, VOCABULARY))]
TEXTS = {"This film is GOOD!": [2, 3, 4, 6], "Not at all; good?": [5, 7, 8, 6], "unheard of": [1, 1]}
FLAGS: dict[str, list[str]] = {
    "stacked regressor": ["--task", "regression", "--names", "price"],
    "GRU, reset before": ["--task", "regression", "--names", "wind,rain"],
    "sentiment": ["--task", "classification", "--labels", "bad,good"],
}


@dataclass(frozen=True)
class Served:
    models: dict[str, Any]
    client: httpx.Client
    folder: Path

    def answers(self, name: str, inputs: list) -> list[dict[str, Any]]:
        reply = self.client.post("/predict", json={"model": slug(name), "inputs": inputs})
        assert reply.status_code == 200, reply.text
        return reply.json()["outputs"]


def slug(name: str) -> str:
    return name.lower().replace(",", "").replace(" ", "-")


@pytest.fixture(scope="module")
def served(keras: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    files, published = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("published")
    (files / "words.json").write_text(json.dumps(WORDS))
    models = {name: built(keras, name) for name in FLAGS}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            page, "write", lambda done, manifest, folder: manifest
        )  # takes its time, and has tests of its own
        for name, model in models.items():
            tokenizer = ["--tokenizer", str(files / "words.json")] if name == "sentiment" else []
            target = published / slug(name) / "1"
            main([str(saved(model, files)), "--out", str(target), "--without-evaluation", *FLAGS[name], *tokenizer])
            prefer_fp32(target)
    with serving("--models", str(published)) as process, httpx.Client(base_url=process.url, timeout=30) as client:
        yield Served(models, client, published)


def prefer_fp32(folder: Path) -> None:
    """int8 has an error of its own; what is compared here is the import."""
    manifest = bundles.read(folder).manifest
    changed = sealed(manifest.model_copy(update={"preference": manifest.preference | {"cpu": ("fp32",)}}))
    (folder / bundles.MANIFEST).write_text(changed.model_dump_json(), encoding="utf-8")


def test_the_card_says_what_to_mind(served: Served) -> None:
    card = (served.folder / slug("stacked regressor") / "1" / "card.md").read_text(encoding="utf-8")
    assert "Imported from the Keras file `model.keras`. The input layer fixes 60 time steps" in card


@pytest.mark.parametrize("name", [name for name in FLAGS if name != "sentiment"])
def test_series_are_answered_as_keras_predicts(name: str, served: Served) -> None:
    model = served.models[name]
    inputs = rows(model)
    answers = served.answers(name, [{"values": row.tolist()} for row in inputs])
    found = np.array([list(answer["values"].values()) for answer in answers])
    np.testing.assert_allclose(found, model.predict(inputs, verbose=0), atol=1e-5)


def test_texts_are_answered_as_keras_predicts(served: Served) -> None:
    for text, ids in TEXTS.items():
        expected = float(served.models["sentiment"].predict(np.array([ids]), verbose=0)[0, 0])
        for item in (text, {"tokens": ids}):
            (answer,) = served.answers("sentiment", [item])
            assert answer["probabilities"]["good"] == pytest.approx(expected, abs=1e-5)
            assert answer["label"] == ("good" if expected > 0.5 else "bad")


def test_rows_of_many_lengths_share_a_batch(served: Served) -> None:
    model = served.models["GRU, reset before"]
    lengths = [3, 17, 40, 1, 9]
    inputs = [rows(model, 1, length)[0] for length in lengths]
    answers = served.answers("GRU, reset before", [{"values": row.tolist()} for row in inputs])
    for row, answer in zip(inputs, answers, strict=True):
        np.testing.assert_allclose(list(answer["values"].values()), model.predict(row[None], verbose=0)[0], atol=1e-5)


def test_what_cannot_be_imported_is_one_sentence(keras: ModuleType, tmp_path: Path) -> None:
    layers, target = keras.layers, tmp_path / "models" / "tones" / "1"
    path = saved(keras.Sequential([keras.Input((9, 2)), layers.Conv1D(3, 3), layers.LSTM(2)]), tmp_path)
    with pytest.raises(SystemExit, match=r"^error: layer 'conv1d\w*' \(Conv1D\): not supported; these are: "):
        main([str(path), "--out", str(target), "--without-evaluation", "--task", "regression"])
    assert not target.parent.exists()


def test_rows_with_padding_are_refused(keras: ModuleType, tmp_path: Path) -> None:
    path, labelled = saved(built(keras, "masked reviews"), tmp_path), tmp_path / "rows.jsonl"
    rows = [[3, 4, 5], [3, 4, 0, 0], [6], [7]]
    labelled.write_text("\n".join(json.dumps({"inputs": {"tokens": row}, "target": 0}) for row in rows))
    arguments = [
        "--task",
        "classification",
        "--eval",
        str(labelled),
        "--out",
        str(tmp_path / "models" / "padded" / "1"),
    ]
    with pytest.raises(SystemExit, match=r"line 2: inputs: token id 0 is padding, which Keras skips .*; leave it out"):
        main([str(path), *arguments])
