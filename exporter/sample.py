"""Sequences to try a published bundle with, without its corpus: the load tests' sample, or generated ones."""

import json
from pathlib import Path

import numpy as np

from exporter.sessions import Rows
from exporter.verify import generated_rows
from models.bundle import Bundle
from models.text import Tokenizer

SAMPLE = Path(__file__).parent.parent / "loadtests" / "sample.jsonl"
"""Texts and series of the test parts; a series is for the models whose names its kind is part of."""


def sample(bundle: Bundle, count: int) -> Rows:
    """At most `count` encoded rows, spread evenly over the sample."""
    manifest = bundle.manifest
    entries = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    if manifest.tokenizer is not None:
        tokenizer = Tokenizer(bundle.path(manifest.tokenizer))
        rows = [tokenizer.encode(entry["text"]) for entry in entries if entry["kind"] == "text"]
    else:
        fitting = [entry["values"] for entry in entries if entry["kind"] in manifest.name.split("-")]
        rows = [np.array(values, np.float32)[:, None] for values in fitting]
    if not rows:
        return generated_rows(manifest.inputs, manifest.steps, count)
    rows = [row[: manifest.steps.largest] for row in rows]
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
