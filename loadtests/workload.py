"""What the benchmarks send: texts whose lengths in tokens are log-normal, and windows of hourly series.

The texts are made of the ones in `sample.jsonl`, which are rows that no model was trained on.
"""

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests import sample
from loadtests.sample import MODELS, Request
from models import bundle
from models.text import Tokenizer

BUNDLES = Path(bundle.__file__).parent
MEDIAN_TOKENS, SPREAD, MOST_TOKENS = 28, 0.9, 400
"""The mean is then 42 tokens, the 95th percentile 123."""
LONG_TOKENS, SHORT_TOKENS = 400, (5, 20)
LIST_SIZE = 64
ATTEMPTS = 3
"""To cut a text to length."""


def newest(model: str) -> Path:
    """The folder of a model's highest version among the shipped bundles."""
    return [folder for folder in bundle.find(BUNDLES) if folder.parent.name == model][-1]


def tokenizer() -> Tokenizer:
    return Tokenizer(newest(MODELS["text"]) / "tokenizer.model")


@dataclass(frozen=True)
class Texts:
    """Makes texts of a wanted number of tokens: several of the sample's, of one language, in a row and then cut."""

    tokenizer: Tokenizer
    by_language: dict[str, list[list[str]]]
    """The pieces of every text."""

    @classmethod
    def read(cls, path: Path = sample.SAMPLE) -> "Texts":
        pieces, found = tokenizer(), defaultdict(list)
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["kind"] == "text":
                found[entry["language"]].append(pieces.pieces(entry["text"]))
        return cls(pieces, dict(found))

    def of(self, tokens: int, random: np.random.Generator) -> str:
        """A text of `tokens` tokens, or a few more or less: what is left of a cut word may be other tokens."""
        texts = self.by_language[str(random.choice(sorted(self.by_language)))]
        pieces: list[str] = []
        while len(pieces) < tokens:
            pieces += texts[random.integers(len(texts))]
        for _ in range(ATTEMPTS):
            text = "".join(pieces[:tokens]).replace("▁", " ").strip() or "."
            pieces = self.tokenizer.pieces(text)
        return text

    def mixed(self, count: int, seed: int = 0) -> list[str]:
        """Log-normal lengths, 2 to MOST_TOKENS tokens."""
        random = np.random.default_rng(seed)
        lengths = np.exp(np.log(MEDIAN_TOKENS) + SPREAD * random.standard_normal(count))
        return [self.of(int(n), random) for n in np.clip(lengths, 2, MOST_TOKENS)]

    def short(self, count: int, seed: int = 1) -> list[str]:
        random = np.random.default_rng(seed)
        return [self.of(int(n), random) for n in random.integers(SHORT_TOKENS[0], SHORT_TOKENS[1] + 1, count)]

    def long(self, count: int, seed: int = 2) -> list[str]:
        random = np.random.default_rng(seed)
        return [self.of(LONG_TOKENS, random) for _ in range(count)]


def hourly(count: int, seed: int = 0) -> list[list[float]]:
    """Windows of the sample's hourly series, cut to between the model's least number of points and all of them."""
    random = np.random.default_rng(seed)
    windows = [request.inputs["values"] for request in sample.read()["hourly"]]
    least = bundle.read(newest(MODELS["hourly"])).manifest.steps.smallest
    chosen = [windows[index] for index in random.integers(len(windows), size=count)]
    return [values[-int(random.integers(least, len(values) + 1)) :] for values in chosen]


def text_request(text: str) -> Request:
    return Request("text", MODELS["text"], text)


def list_requests(texts: list[str], size: int = LIST_SIZE) -> list[Request]:
    starts = range(0, len(texts) - size + 1, size)
    return [Request("texts", MODELS["text"], texts[start : start + size]) for start in starts]


def hourly_request(values: list[float]) -> Request:
    return Request("hourly", MODELS["hourly"], {"values": values})
