"""Texts to labels as one writes it for any server: tokenize, pad, run, name. The other servers share it.

It needs onnxruntime, sentencepiece, numpy and pydantic, and nothing of our server.
"""

import os
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime

from models import bundle
from models.text import Tokenizer

MODEL = "sentiment"


class Classifier:
    """The shipped sentiment network in the file that its manifest prefers, one thread."""

    def __init__(self) -> None:
        folder = [found for found in bundle.find(Path(bundle.__file__).parent) if found.parent.name == MODEL][-1]
        self.manifest = bundle.read(folder).manifest
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        precision = self.manifest.precisions[self.manifest.preference["cpu"][0]]
        self._session = onnxruntime.InferenceSession(folder / precision.file, options)
        self._tokenizer = Tokenizer(folder / str(self.manifest.tokenizer))
        self._labels = self.manifest.outputs.labels or ()
        self._initial_state = self.manifest.initial_state()

    def __call__(self, texts: Sequence[str]) -> list[dict]:
        """{"label", "score", "probabilities"} for each text, from one padded batch."""
        rows = [self._tokenizer.encode(text)[: self.manifest.steps.largest] for text in texts]
        lengths = np.array([len(row) for row in rows], np.int32)
        inputs = np.zeros((len(rows), lengths.max()), np.int64)
        for place, row in zip(inputs, rows, strict=True):
            place[: len(row)] = row
        state = np.tile(self._initial_state, (len(rows), 1))
        outputs = self._session.run(["outputs"], {"inputs": inputs, "lengths": lengths, "state": state})[0]
        return [self._named(row) for row in outputs.tolist()]

    def _named(self, probabilities: list[float]) -> dict:
        score = max(probabilities)
        named = dict(zip(self._labels, probabilities, strict=True))
        return {"label": self._labels[probabilities.index(score)], "score": score, "probabilities": named}
