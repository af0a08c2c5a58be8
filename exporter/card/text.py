"""The card of a text classifier: scores by language and source, calibration, behaviour, and what it gets wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from exporter.card import pictures
from exporter.card.markdown import bold, picture, quote, table
from exporter.card.story import Story
from exporter.report import Export, Headline

LANGUAGES = {"en": "English", "zh": "Chinese"}
BINS = 10
FAILURES_SHOWN = 3


def story(done: Export, folder: Path) -> Story:
    metrics: Mapping[str, Any] = done.source.checkpoint.metrics
    test = done.findings[done.preferred[0]].metrics["test"]
    baselines = {
        f"accuracy_{language}, {name}": value
        for name, by_language in metrics["test"]["baselines"].items()
        for language, value in by_language.items()
    }
    parts = {
        "scores": scores(metrics["test"], test),
        "sources": sources(metrics["test"]["by_source"]),
        "calibration": calibration(done, folder),
        "behaviour": behaviour(metrics["behaviour"], folder),
        "errors": errors(metrics["errors"]),
    }
    return Story(Headline(dict(test), baselines), parts)


def scores(test: Mapping[str, Any], shipped: Mapping[str, float]) -> str:
    """One row a language; `shipped` are the figures of the preferred file."""
    baselines = test["baselines"]
    head = [
        "language",
        "test rows",
        "accuracy",
        *(f"{name} accuracy" for name in baselines),
        "F1",
        "AUC",
        "calibration error",
    ]
    rows = [
        [
            LANGUAGES[language],
            f"{found['rows']:,}",
            bold(f"{shipped.get(f'accuracy_{language}', found['accuracy']):.4f}"),
        ]
        + [f"{by_language[language]:.4f}" for by_language in baselines.values()]
        + [f"{found['f1']:.4f}", f"{found['auc']:.4f}", f"{found['ece']:.4f} (was {found['ece_uncalibrated']:.4f})"]
        for language, found in test["by_language"].items()
    ]
    return table(head, rows)


def sources(by_source: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            source,
            f"{found['rows']:,}",
            f"{found['accuracy']:.4f}",
            f"{found['f1']:.4f}",
            f"{found['auc']:.4f}",
            f"{found['ece']:.4f}",
        ]
        for source, found in sorted(by_source.items(), key=lambda item: -item[1]["rows"])
    ]
    return table(["source", "test rows", "accuracy", "F1", "AUC", "calibration error"], rows)


def calibration(done: Export, folder: Path) -> str:
    """A reliability diagram of the preferred file on test rows, by language."""
    test, outputs = done.splits["test"], done.findings[done.preferred[0]].outputs["test"]
    if test.targets is None or test.groups is None:
        return ""
    figure, axes = pictures.canvas(1, 2, height=3.0)
    for axis, language in zip(axes.flat, LANGUAGES, strict=True):
        chosen = np.array([group == language for group in test.groups])
        _reliability(axis, outputs[chosen], test.targets[chosen])
        axis.set_title(LANGUAGES[language], fontsize=10)
    pictures.save(figure, folder / "calibration.png")
    return picture("calibration.png", "How often the model is right, by how sure it says it is, for each language")


def _reliability(axis, outputs: np.ndarray, classes: np.ndarray) -> None:
    confidence, right = outputs.max(1), outputs.argmax(1) == classes
    edges = np.linspace(0.5, 1, BINS + 1)
    of_bin = np.clip(np.digitize(confidence, edges) - 1, 0, BINS - 1)
    centres = (edges[1:] + edges[:-1]) / 2
    filled = [number for number in range(BINS) if (of_bin == number).any()]
    share = np.bincount(of_bin, minlength=BINS) / len(of_bin)
    axis.bar(centres, share, width=0.045, color=pictures.GRID, label="share of texts")
    axis.plot([0.5, 1], [0.5, 1], color=pictures.OTHER, linewidth=1, linestyle="--", label="perfect")
    axis.plot(
        centres[filled],
        [right[of_bin == number].mean() for number in filled],
        "o-",
        color=pictures.MODEL,
        label="accuracy",
    )
    axis.set(xlabel="probability of the answer", ylabel="share", xlim=(0.5, 1), ylim=(0, 1.02))
    axis.legend(fontsize=8, loc="upper left")


def behaviour(suite: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
    """Pass rates by category, as a picture and as a table with some failures."""
    names, rates = list(suite), [entry["passed"] / entry["cases"] for entry in suite.values()]
    figure, axes = pictures.canvas(height=0.3 * len(names) + 0.7)
    bars = axes[0, 0].barh(names, rates, color=pictures.MODEL, height=0.65)
    axes[0, 0].bar_label(
        bars, [f"{entry['passed']}/{entry['cases']}" for entry in suite.values()], fontsize=8, padding=3
    )
    axes[0, 0].invert_yaxis()
    axes[0, 0].set(xlim=(0, 1.08), xlabel="share of cases answered right")
    pictures.save(figure, folder / "behaviour.png")
    rows = [
        [
            name,
            f"{entry['passed']} of {entry['cases']}",
            "<br>".join(map(_failure, entry["failed"][:FAILURES_SHOWN])) or "–",
        ]
        for name, entry in suite.items()
    ]
    shown = picture("behaviour.png", "Share of cases answered right in each category of the behavioural suite")
    return f"{shown}\n\n{table(['category', 'right', 'some that are not'], rows)}"


def _failure(case: Mapping[str, Any]) -> str:
    return f"{quote(case['text'])} is {case['expected']} (the opposite got {case['score']:.2f})"


def errors(mistakes: list[Mapping[str, Any]]) -> str:
    rows = [
        [quote(mistake["text"]), mistake["source"], mistake["label"], f"{mistake['positive']:.3f}"]
        for mistake in mistakes
    ]
    return table(["text", "source", "label", "probability of positive"], rows)
