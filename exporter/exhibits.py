"""What `python -m exporter gallery` shows: every architecture in a usual size, with strong random weights.

To export a network of your own, copy the entry that is closest to it.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from exporter.recurrent import exportable, why_not_pinnable
from exporter.source import About, Source, clip_of
from models.manifest import Inputs, Steps, Task
from training import checkpoint as checkpoints
from training.evaluation import predict
from training.networks import forecast, gallery, sentiment, stock
from training.networks.step import StepNetwork, WholeNetwork

LARGEST = 2048
ANY_LENGTH = Steps(largest=LARGEST)
LONGEST = 96
"""Of the generated rows, in steps above the smallest."""


@dataclass(frozen=True)
class Answer:
    """What the outputs mean."""

    task: Task
    labels: tuple[str, ...] | None = None
    names: tuple[str, ...] | None = None
    quantiles: tuple[float, ...] | None = None
    scores: Literal["probabilities", "logits"] = "probabilities"


@dataclass(frozen=True)
class Exhibit:
    """One architecture: how it is built, what goes in, and what comes out."""

    name: str
    build: Callable[[], StepNetwork | WholeNetwork]
    inputs: Inputs
    answer: Answer
    steps: Steps = ANY_LENGTH
    recipe: str | None = None
    """Its checkpoint is taken, if `python -m training fit` has written one."""

    @property
    def checkpoint(self) -> Path | None:
        folder = Path("checkpoints", self.recipe or "")
        return folder if self.recipe and (folder / checkpoints.DESCRIPTION).is_file() else None

    def network(self, seed: int = 0) -> StepNetwork | WholeNetwork:
        """Trained, or with random weights that make the units saturate as trained ones do."""
        if self.checkpoint:
            return checkpoints.load(self.checkpoint).network
        torch.manual_seed(seed)
        return strengthened(self.build()).eval()

    def rows(self, count: int, seed: int = 0) -> list[np.ndarray]:
        """Random sequences of mixed lengths: int64 [T], or float32 [T, features], noise and random walks in turn.

        Noise comes and goes, but a walk drives the cells to where they saturate.
        """
        random = np.random.default_rng(seed)
        lengths = random.integers(self.steps.smallest, self.steps.smallest + LONGEST, count)
        if self.inputs.vocabulary is not None:
            return [random.integers(0, self.inputs.vocabulary, length) for length in lengths]
        rows = [random.normal(scale=2, size=(length, self.inputs.features)) for length in lengths]
        rows[1::2] = [row.cumsum(0) for row in rows[1::2]]
        return [(row if self.inputs.above is None else 100 * np.exp(row / 100)).astype(np.float32) for row in rows]

    def source(self) -> Source:
        """What `exporter.export.export` takes."""
        network = self.network()
        return Source(
            task=self.answer.task,
            reference=lambda rows: predict(network, rows),
            exportable=lambda pinned: exportable(network, pinned),
            without_int8=why_not_pinnable(network),
            inputs=self.inputs,
            limits=self.steps,
            parameters=sum(tensor.numel() for tensor in network.state_dict().values()),
            provenance=self.provenance,
            labels=self.answer.labels,
            scores=self.answer.scores,
            quantiles=self.answer.quantiles,
            names=self.answer.names,
            clip=clip_of(network),
            about=About(self.name, self.provenance, "MIT"),
            float64=lambda rows: predict(copy.deepcopy(network).double(), rows, double=True),
        )

    @property
    def provenance(self) -> str:
        if self.checkpoint:
            return f"The architecture {self.name}, trained by the recipe {self.recipe}."
        return f"The architecture {self.name} with random weights, which answer nothing of use."


@torch.no_grad()
def strengthened(network: StepNetwork | WholeNetwork) -> StepNetwork | WholeNetwork:
    """Weights of about twice the size that training starts with; what a ReLU feeds back stays below 1."""
    for module in network.modules():
        gain = 0.6 if getattr(module, "nonlinearity", None) == "relu" else 1.8
        for parameter in module.parameters(recurse=False):
            apart = parameter.ndim == 1 or isinstance(module, nn.Embedding)
            parameter.normal_(std=0.4 if apart else gain * parameter.shape[-1] ** -0.5)
    return network


def tokens(vocabulary: int = 1000) -> Inputs:
    return Inputs(kind="tokens", vocabulary=vocabulary)


def features(count: int, above: float | None = None) -> Inputs:
    return Inputs(kind="features", features=count, above=above)


def numbers(*names: str) -> Answer:
    return Answer("regression", names=names)


def classes(*labels: str) -> Answer:
    return Answer("classification", labels=labels, scores="logits")


def forecasts(quantiles: tuple[float, ...]) -> Answer:
    return Answer("forecast", quantiles=quantiles)


TOPICS = classes("sport", "politics", "science", "culture")
NUMBER = numbers("value")
FEELINGS = ("negative", "positive")
HOURS = numbers(*(f"hour_{ahead}" for ahead in range(1, 7)))
MEMORY = numbers(*(f"h{unit}" for unit in range(48)))
SIZES = {"vocabulary_size": 1000, "embedding_size": 64, "hidden_size": 96}

EXHIBITS = (
    Exhibit("LSTMClassifier", lambda: gallery.LSTMClassifier(**SIZES, classes=4, num_layers=2), tokens(), TOPICS),
    Exhibit(
        "SentimentLSTM",
        lambda: gallery.SentimentLSTM(**SIZES),
        tokens(),
        Answer("classification", labels=FEELINGS),
    ),
    Exhibit("LSTMSentimentAnalysis", gallery.LSTMSentimentAnalysis, tokens(), classes(*FEELINGS)),
    Exhibit("LSTMNet", gallery.LSTMNet, features(10), NUMBER),
    Exhibit("StockPredictor", gallery.StockPredictor, features(1), NUMBER),
    Exhibit("stacked-keras-regressor", gallery.StackedRegressor, features(1), NUMBER),
    Exhibit("small-keras-regressor", gallery.SmallRegressor, features(32), NUMBER),
    Exhibit("GRUNet", lambda: gallery.GRUNet(5), features(5), NUMBER),
    Exhibit(
        "bidirectional-tokens",
        lambda: gallery.BidirectionalClassifier(**SIZES, classes=4, num_layers=2),
        tokens(),
        TOPICS,
    ),
    Exhibit("bidirectional-features", lambda: gallery.BidirectionalNet(5, 48, classes=4), features(5), TOPICS),
    Exhibit("LSTMWithAttention", lambda: gallery.LSTMWithAttention(5), features(5), NUMBER),
    Exhibit(
        "CNN_LSTM",
        lambda: gallery.CNN_LSTM(5),
        features(5),
        NUMBER,
        Steps(smallest=3, largest=LARGEST, first_chunk=3),
    ),
    Exhibit("encoder-decoder", lambda: gallery.EncoderDecoder(3, 48, horizon=6), features(3), HOURS),
    Exhibit("encoder", lambda: gallery.Encoder(3, 48), features(3), MEMORY),
    Exhibit("decoder", lambda: gallery.Decoder(48), features(1), Answer("tagging", names=("value",))),
    Exhibit("peephole-lstm", lambda: gallery.PeepholeClassifier(**SIZES, classes=4), tokens(), TOPICS),
    Exhibit("coupled-gates", lambda: gallery.CoupledClassifier(**SIZES, classes=4), tokens(), TOPICS),
    Exhibit(
        "language-model",
        lambda: gallery.LSTMLanguageModel(**SIZES),
        tokens(),
        Answer("language-model", scores="logits"),
    ),
    Exhibit(
        "sequence-to-sequence",
        lambda: gallery.SequenceLSTMNet(outputs=3),
        features(10),
        Answer("tagging", labels=("rest", "walk", "run"), scores="logits"),
    ),
    Exhibit("vanilla-rnn-tanh", gallery.RNNNet, features(10), NUMBER),
    Exhibit("vanilla-rnn-relu", gallery.ReluRNNNet, features(10), NUMBER),
    Exhibit(
        "sentiment",
        lambda: sentiment.SentimentNetwork(1000, embedding_size=48, hidden_size=96, buckets=4096),
        tokens(),
        Answer("classification", labels=FEELINGS),
        recipe="sentiment",
    ),
    Exhibit(
        "forecast-hourly",
        forecast.ForecastNetwork,
        features(1),
        forecasts(forecast.QUANTILES),
        Steps(smallest=forecast.WEEK, largest=LARGEST),
        recipe="forecast-hourly",
    ),
    Exhibit(
        "forecast-stock",
        stock.StockNetwork,
        features(1, above=0.0),
        forecasts(stock.QUANTILES),
        Steps(smallest=stock.CONTEXT, largest=LARGEST),
        recipe="forecast-stock",
    ),
)
