"""How the LSTM of the sentiment network is trained: heavy dropout, batches of similar length, whole texts at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor, nn

from training import loop
from training.evaluation import batches_by_length, pad, predict
from training.metrics.classification import best_temperature, log_loss, logit
from training.networks.sentiment import SentimentNetwork
from training.sentiment.linear import Evidence


@dataclass(frozen=True)
class Texts:
    """Encoded rows: ids are int64 [T]; all else is [N]. Targets lie in [0, 1], and `noisy` marks a doubtful label."""

    ids: list[np.ndarray]
    targets: np.ndarray
    weights: np.ndarray
    languages: np.ndarray
    noisy: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, mask: np.ndarray) -> Self:
        """The rows for which `mask` [N] is true."""
        columns = (self.targets, self.weights, self.languages, self.noisy)
        return Texts([self.ids[row] for row in np.flatnonzero(mask)], *(column[mask] for column in columns))

    def softened(self, logits: np.ndarray, share: float, mask: np.ndarray | bool = True) -> Self:
        """With `share` of each target that `mask` allows given by a teacher's logits [N]."""
        mixed = (1 - share) * self.targets + share * expit(logits)
        return replace(self, targets=np.where(mask, mixed, self.targets))


@dataclass(frozen=True)
class Dropout:
    """Shares that are dropped in training."""

    embedding: float = 0.5
    """Columns of the embedding, the same ones for all tokens of a text."""
    token: float = 0.25
    """Whole tokens."""
    feature: float = 0.5
    """Pooled features."""


@dataclass(frozen=True)
class Batch:
    """ids int64 [B, T], lengths int32 [B], targets and weights float32 [B]."""

    ids: Tensor
    lengths: Tensor
    targets: Tensor
    weights: Tensor


@dataclass(frozen=True)
class Fitting:
    """How the LSTM is trained: texts in a batch, tokens after which a text is cut, and the rest."""

    epochs: int = 8
    learning_rate: float = 3e-3
    rows: int = 64
    longest: int = 128
    dropout: Dropout = Dropout()


def train_lstm(
    network: SentimentNetwork,
    rows: Texts,
    validation: Texts,
    seed: int,
    fitting: Fitting = Fitting(),
    on_epoch: loop.OnEpoch = loop.ignore,
) -> list[loop.Epoch]:
    """Train the LSTM and its part of the head; the evidence is left out until `add_evidence`."""
    random, steps = np.random.default_rng(seed), -(-len(rows) // fitting.rows)
    schedule = loop.Schedule(fitting.epochs, steps, fitting.learning_rate)

    def loss(batch: Batch) -> Tensor:
        logits = lstm_logits(network, batch.ids, batch.lengths, fitting.dropout)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, batch.targets, reduction="none")
        return (losses * batch.weights).mean()

    def validate(averaged: nn.Module) -> dict[str, float]:
        return validation_scores(predict_logits(averaged, validation.ids), validation)

    def batches() -> Iterator[Batch]:
        return shuffled_batches(rows, fitting.rows, random, fitting.longest)

    return loop.fit(network, loss, batches, validate, schedule, "sentiment", on_epoch)


def shuffled_batches(rows: Texts, size: int, random: np.random.Generator, longest: int) -> Iterator[Batch]:
    """Every row once; batches hold similar lengths, and come in random order. Long texts lose their end."""
    lengths = np.minimum([len(ids) for ids in rows.ids], longest)
    groups = list(batches_by_length(lengths * random.uniform(0.9, 1.1, len(rows)), size))
    random.shuffle(groups)
    for group in groups:
        ids, lengths = pad([rows.ids[row][:longest] for row in group])
        yield Batch(ids, lengths, *(torch.from_numpy(values[group]).float() for values in (rows.targets, rows.weights)))


def lstm_logits(network: SentimentNetwork, ids: Tensor, lengths: Tensor, dropout: Dropout | None = None) -> Tensor:
    """Logits [B] of whole texts without the evidence: the maths of `forward`, on a path that trains fast."""
    lstm = network.lstm
    embedded = lstm.embedding(ids.T)
    if dropout:
        embedded = embedded * keep((1, len(ids), embedded.shape[2]), dropout.embedding)
        embedded = embedded * keep((*embedded.shape[:2], 1), dropout.token, rescale=False)
    hidden, _ = lstm.rnn(embedded)
    valid = (torch.arange(len(hidden))[:, None] < lengths[None, :])[..., None]
    last = hidden.gather(0, (lengths.long() - 1)[None, :, None].expand(1, -1, hidden.shape[2]))[0]
    mean = (hidden * valid).sum(0) / lengths[:, None]
    features = torch.cat([hidden.masked_fill(~valid, -1.0).amax(0), mean, last], 1)
    features = nn.functional.dropout(features, dropout.feature if dropout else 0.0)
    return features @ network.head.weight[0, :-1] + network.head.bias


def keep(shape: Sequence[int], dropped: float, rescale: bool = True) -> Tensor:
    """A mask of zeros and ones; rescaled so that its mean is 1."""
    mask = (torch.rand(*shape) >= dropped).float()
    return mask / (1 - dropped) if rescale else mask


@torch.inference_mode()
def predict_logits(network: SentimentNetwork, texts: list[np.ndarray]) -> np.ndarray:
    """Logits [N] of the LSTM alone."""
    logits = np.zeros(len(texts))
    for rows in batches_by_length([len(ids) for ids in texts], 128):
        logits[rows] = lstm_logits(network, *pad([texts[row] for row in rows])).numpy()
    return logits


def validation_scores(logits: np.ndarray, rows: Texts) -> dict[str, float]:
    """Log-loss at the best temperature, which decides, and accuracy; means over the languages."""
    losses, accuracies = [], []
    for language in np.unique(rows.languages):
        chosen = rows.languages == language
        labels, scores = rows.targets[chosen] > 0.5, logits[chosen]
        losses.append(log_loss(labels, scores / best_temperature(labels, scores)))
        accuracies.append(np.mean((scores > 0) == labels))
    return {"loss": float(np.mean(losses)), "accuracy": float(np.mean(accuracies))}


@torch.no_grad()
def add_evidence(network: SentimentNetwork, evidence: Evidence, validation: Texts) -> None:
    """Put the linear model beside the LSTM, as strong as it is best on the validation rows."""
    labels = validation.targets > 0.5
    strength = best_strength(labels, predict_logits(network, validation.ids), evidence.logits(validation.ids))
    network.token_evidence[:, 0] = torch.from_numpy(evidence.tokens)
    network.pair_evidence[:, 0] = torch.from_numpy(evidence.pairs)
    network.head.weight[0, -1] = strength
    network.head.bias += strength * evidence.bias


def best_strength(labels: np.ndarray, lstm: np.ndarray, linear: np.ndarray) -> float:
    """The weight of the linear logits beside the LSTM's for the lowest log-loss at any temperature."""
    found = minimize(lambda mix: log_loss(labels, mix[0] * lstm + mix[1] * linear), [0.5, 0.5], method="Nelder-Mead")
    return float(found.x[1] / found.x[0])


def calibrate(network: SentimentNetwork, validation: Texts) -> float:
    """Set the temperature that is best on the validation rows, and return it."""
    logits = logit(predict(network, validation.ids)[:, 1])
    temperature = best_temperature(validation.targets > 0.5, logits)
    network.set_temperature(temperature)
    return temperature
