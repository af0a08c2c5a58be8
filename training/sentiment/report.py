"""What is published about a sentiment network: scores by language and source, baselines, errors and behaviour."""

from collections.abc import Sequence

import numpy as np
from sentencepiece import SentencePieceProcessor

from training.evaluation import predict
from training.metrics.classification import classification, expected_calibration_error, logit
from training.networks.sentiment import SentimentNetwork
from training.sentiment import behaviour, data, linear
from training.sentiment.data import LABELS, Language, Row

LANGUAGES: tuple[Language, ...] = ("en", "zh")
ERRORS_PER_LANGUAGE = 8


def report(network: SentimentNetwork, tokenizer: SentencePieceProcessor, temperature: float, longest: int) -> dict:
    """All of `metrics.json` but the training curve, as JSON values."""

    def probabilities(texts: Sequence[str]) -> np.ndarray:
        return predict(network, [np.array(ids[:longest], np.int64) for ids in tokenizer.encode(list(texts))])

    parts = data.parts()
    figures: dict = {"temperature": temperature}
    for split in ("validation", "test"):
        rows = parts[split]
        positive = probabilities([row.text for row in rows])[:, 1]
        figures[split] = scores(rows, positive, temperature) | {"baselines": baselines(parts["train"], rows)}
        if split == "test":
            figures["errors"] = errors(rows, positive)
    suite = [case.text for case in behaviour.cases()]
    return figures | {"behaviour": behaviour.results(LABELS, probabilities(suite))}


def scores(rows: Sequence[Row], positive: np.ndarray, temperature: float) -> dict:
    """Figures by language and by source; `ece_uncalibrated` is the calibration error at temperature 1."""
    uncalibrated = 1 / (1 + np.exp(-logit(positive) * temperature))
    figures: dict = {"by_language": {}, "by_source": {}}
    for key, names in (("language", LANGUAGES), ("source", dict.fromkeys(row.source for row in rows))):
        for name in names:
            chosen = np.array([getattr(row, key) == name for row in rows])
            labels = labels_of(rows)[chosen]
            figures[f"by_{key}"][name] = classification(labels, positive[chosen]) | {
                "ece_uncalibrated": expected_calibration_error(labels, uncalibrated[chosen])
            }
    return figures


def headline(rows: Sequence[Row], positive: np.ndarray) -> dict[str, float]:
    """Accuracy of each language, and the mean of the two."""
    correct = (positive > 0.5) == labels_of(rows)
    by_language = {name: float(correct[[row.language == name for row in rows]].mean()) for name in LANGUAGES}
    return {"accuracy": float(np.mean(list(by_language.values())))} | {
        f"accuracy_{name}": value for name, value in by_language.items()
    }


def headline_by_row(rows: Sequence[Row], positive: np.ndarray) -> np.ndarray:
    """float [N], whose mean is the headline's accuracy: a right answer in a rarer language counts more."""
    languages = np.array([row.language for row in rows])
    names, places, counts = np.unique(languages, return_inverse=True, return_counts=True)
    return ((positive > 0.5) == labels_of(rows)) * (len(rows) / len(names) / counts)[places]


def baselines(training: Sequence[Row], rated: Sequence[Row]) -> dict:
    """Accuracy of the linear models by language, fitted on the training rows of this same split."""
    figures: dict = {}
    for language in LANGUAGES:
        known, asked = ([row for row in rows if row.language == language] for rows in (training, rated))
        for name, model in (("tf-idf", linear.tf_idf_baseline), ("nb-lr", linear.nb_lr_baseline)):
            correct = (model(language, known, asked) > 0) == labels_of(asked)
            figures.setdefault(name, {})[language] = float(correct.mean())
    return figures


def errors(rows: Sequence[Row], positive: np.ndarray) -> list[dict]:
    """The most confident mistakes of each language."""
    wrong = np.flatnonzero((positive > 0.5) != labels_of(rows))
    surest = wrong[np.argsort(-np.abs(positive[wrong] - 0.5))]
    by_language = ([row for row in surest if rows[row].language == name] for name in LANGUAGES)
    chosen = [row for group in by_language for row in group[:ERRORS_PER_LANGUAGE]]
    return [
        {
            "text": rows[row].text[:200],
            "language": rows[row].language,
            "source": rows[row].source,
            "label": LABELS[rows[row].label],
            "positive": round(float(positive[row]), 3),
        }
        for row in chosen
    ]


def labels_of(rows: Sequence[Row]) -> np.ndarray:
    return np.array([row.label for row in rows])
