"""A published bundle, and sequences to try it with, without its corpus: the load tests' sample, or generated ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from exporter.sessions import Rows, some_of
from exporter.verify import generated_rows
from models import bundle as bundles
from models.bundle import Bundle, BundleError
from models.text import open_tokenizer

SAMPLE = Path(__file__).parent.parent / "loadtests" / "sample.jsonl"
"""Texts and series of the test parts; a series is for the models whose names its kind is part of."""


def opened(folder: Path) -> Bundle:
    """The bundle of a command, its files checked. Ends the program, in one sentence, if it is none."""
    try:
        bundle = bundles.read(folder)
        bundle.verify()
    except BundleError as error:
        raise SystemExit(f"error: {error}") from error
    return bundle


def sample(bundle: Bundle, count: int) -> Rows:
    """At most `count` encoded rows, spread evenly over the sample."""
    manifest = bundle.manifest
    entries = read(SAMPLE)
    rows: list[np.ndarray] = []
    if manifest.tokenizer is not None:
        tokenizer = open_tokenizer(bundle.path(manifest.tokenizer))
        rows = [tokenizer.encode(entry["text"]) for entry in entries if entry["kind"] == "text"]
    elif manifest.inputs.features == 1:
        fitting = [entry["values"] for entry in entries if entry["kind"] in manifest.name.split("-")]
        rows = [np.array(values, np.float32)[:, None] for values in fitting]
    rows = [row[: manifest.steps.largest] for row in rows if len(row) >= manifest.steps.smallest]
    return some_of(rows, count) if rows else generated_rows(manifest.inputs, manifest.steps, count)


def read(file: Path) -> list[dict[str, Any]]:
    """The documents of a file of JSON Lines. Only "\n" ends a line: a text may have other line ends inside."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
