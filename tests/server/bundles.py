"""Bundles as other people's models would be: every task, every kind of input, with and without chunks and padding."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from sentencepiece import SentencePieceTrainer

from models import integrity
from models.bundle import MANIFEST, sha256
from models.manifest import Manifest
from tests.server.graphs import Network

VOCABULARY = 60
"""Of the tokenizer, and so of every network that reads texts."""
LONGEST = 200
TEXT = "the a rain in spain stays mainly on plain we went to rome and saw many old stones it was good not bad"
"""What the tokenizer is trained on; its words are what texts for the zoo are made of."""
WORDS = TEXT.split()


def make_tokenizer(path: Path) -> None:
    """A SentencePiece model of VOCABULARY pieces."""
    sentences = [" ".join(WORDS[start:] + WORDS[:start]) for start in range(len(WORDS))]
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=VOCABULARY,
        model_type="bpe",
        minloglevel=2,
        bos_id=-1,
        eos_id=-1,
    )
    path.write_bytes(model.getvalue())


def publish(folder: Path, network: Network, *, tokenizer: bool = False, **fields: Any) -> Path:
    """Writes the bundle of a network; `fields` are the manifest's own."""
    folder.mkdir(parents=True)
    file = folder / "fp32.onnx"
    file.write_bytes(network.model().SerializeToString())
    if tokenizer:
        make_tokenizer(folder / "tokenizer.model")
    document = about(folder, network) | measured(file) | fields
    document["tokenizer"] = "tokenizer.model" if tokenizer else None
    document["files"] = {path.name: sha256(path) for path in folder.iterdir()}
    manifest = integrity.sealed(Manifest.model_validate(document))
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return folder


def about(folder: Path, network: Network) -> dict[str, Any]:
    tokens = network.vocabulary is not None
    numbers = {"kind": "tokens", "vocabulary": network.vocabulary}
    features = {"kind": "features", "features": network.features}
    state = [{"name": "lstm", "size": network.state_size, "initial": [[network.state_size, 0.0]]}]
    return {
        "name": folder.parent.name,
        "version": int(folder.name),
        "title": f"A model called {folder.parent.name}",
        "description": "It has random weights.",
        "created": datetime(2026, 1, 2, tzinfo=UTC),
        "parameters": 1,
        "chunkable": network.chunkable,
        "padding": not network.blind,
        "session": "state" if network.chunkable else "window",
        "inputs": numbers if tokens else features,
        "steps": {"smallest": network.window, "largest": LONGEST},
        "typical_steps": 20,
        "state": state if network.chunkable else [],
        "licence": "MIT",
    }


def measured(file: Path) -> dict[str, Any]:
    """What an exporter without labelled rows has to say."""
    part = {
        "file": file.name,
        "bytes": file.stat().st_size,
        "operators": {},
        "devices": ["cpu"],
        "parity": None,
        "invariance": None,
    }
    return {
        "machine": "none",
        "versions": {},
        "precisions": {"fp32": part},
        "preference": {"cpu": ["fp32"]},
        "gate": None,
        "figures": {},
        "baselines": {},
        "statistics": None,
        "reasons": {"gate": "there were no labelled rows"},
    }


NETWORKS = {
    "spam": Network(1, vocabulary=VOCABULARY, sigmoid=True),
    "writer": Network(VOCABULARY, vocabulary=VOCABULARY),
    "entities": Network(3, vocabulary=VOCABULARY, bidirectional=True, chunkable=False, per_step=True),
    "letters": Network(3, vocabulary=20, per_step=True),
    "topics": Network(8, vocabulary=30),
    "gestures": Network(3, features=2, bidirectional=True, chunkable=False),
    "curve": Network(2, features=2, bidirectional=True, chunkable=False, per_step=True),
    "trend": Network(1, window=3, chunkable=False),
    "mean": Network(2, features=3, blind=True, chunkable=False),
}


def zoo(root: Path) -> Path:
    """Publishes all of NETWORKS in a folder."""
    two, three = ["ham", "spam"], ["none", "person", "place"]
    steps = {"when": "per_step", "scores": "logits"}
    tasks: dict[str, dict[str, Any]] = {
        "spam": {"task": "text-classification", "outputs": {"shape": [1], "labels": two}, "tokenizer": True},
        "writer": {
            "task": "language-model",
            "outputs": {"shape": [VOCABULARY], "scores": "logits"},
            "tokenizer": True,
        },
        "entities": {"task": "tagging", "outputs": steps | {"shape": [3], "labels": three}, "tokenizer": True},
        "letters": {"task": "tagging", "outputs": steps | {"shape": [3], "labels": three}},
        "topics": {
            "task": "classification",
            "outputs": {"shape": [8], "labels": [f"topic {place}" for place in range(8)], "scores": "logits"},
        },
        "gestures": {"task": "classification", "outputs": {"shape": [3], "labels": three, "scores": "logits"}},
        "curve": {"task": "tagging", "outputs": {"shape": [2], "names": ["x", "y"], "when": "per_step"}},
        "trend": {"task": "regression", "outputs": {"shape": [1]}},
        "mean": {"task": "regression", "outputs": {"shape": [2], "names": ["low", "high"]}},
    }
    for name, fields in tasks.items():
        publish(root / name / "1", NETWORKS[name], **fields)
    return root


def outputs_alone(name: str, sequence: list) -> np.ndarray:
    """What a network of the zoo gives for one encoded sequence, alone and in one piece."""
    network = NETWORKS[name]
    session = onnxruntime.InferenceSession(network.model().SerializeToString(), providers=["CPUExecutionProvider"])
    kind = np.float32 if network.vocabulary is None else np.int64
    inputs = np.array([sequence], kind).reshape(1, len(sequence), *([] if network.vocabulary else [network.features]))
    feed = {"inputs": inputs, "lengths": np.array([len(sequence)], np.int32)}
    if network.chunkable:
        feed["state"] = np.zeros((1, network.state_size), np.float32)
    return session.run(["outputs"], feed)[0][0]
