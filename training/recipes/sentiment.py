"""One bilingual network, English and Chinese, that tells negative from positive texts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Self

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from threadpoolctl import threadpool_limits

from training import loop
from training.checkpoint import Checkpoint, Description, Limits, NetworkSpec, save
from training.evaluation import Evaluation, Gate, Split, predict
from training.hyperparameters import Choice, Real, Rehearsal, Space, Whole
from training.metrics.classification import logit
from training.networks.sentiment import SentimentNetwork
from training.sentiment import data, linear, subwords
from training.sentiment.data import LABELS, NOISY_SOURCE, Row
from training.sentiment.fit import Fitting, Texts, add_evidence, calibrate, train_lstm, validation_scores
from training.sentiment.report import headline, headline_by_row, labels_of, report

ENGLISH_PIECES, CHINESE_PIECES = 17_000, 7_400
EMBEDDING, BUCKETS = 62, 1 << 18
LONGEST = 1024
UNCLEAR_ROW_WEIGHT = 0.5
LINEAR_TEACHER_SHARE = 0.5
Trained = tuple[SentimentNetwork, list[loop.Epoch]]


@dataclass(frozen=True)
class Settings:
    """What gave the lowest validation loss; `share` is the part of the training rows that is used."""

    hidden_size: int = 126
    layers: int = 1
    share: float = 1.0
    fitting: Fitting = field(default_factory=Fitting)

    def scaled(self, share: float) -> Self:
        """These settings with a part of the rows."""
        return replace(self, share=share)


SPACE: Space = {
    "hidden_size": Whole(62, 190, step=32),  # with the exporter's two pins a multiple of 32
    "layers": Whole(1, 2),
    "fitting.learning_rate": Real(1e-3, 8e-3, log=True),
    "fitting.rows": Choice((32, 64, 128)),
    "fitting.longest": Whole(64, 256, step=64),
    "fitting.dropout.embedding": Real(0.2, 0.7),
    "fitting.dropout.token": Real(0.0, 0.4),
    "fitting.dropout.feature": Real(0.2, 0.7),
}


@dataclass(frozen=True)
class Prepared:
    """All that is ready before the LSTM is trained; `rows` have softened targets."""

    model: bytes
    tokenizer: SentencePieceProcessor
    evidence: linear.Evidence
    rows: Texts
    validation: Texts


def prepare(seed: int) -> Prepared:
    """The same random numbers, and the data."""
    torch.set_num_threads(1)  # sums over several threads would not be the same bits on another number of cores
    threadpool_limits(1)
    loop.seed_everything(seed)
    parts = data.parts()
    model = train_tokenizer(parts["train"])
    tokenizer = SentencePieceProcessor(model_proto=model)
    rows, validation = (encode(tokenizer, parts[part]) for part in ("train", "validation"))
    evidence = fit_evidence(tokenizer.vocab_size(), rows)
    softened = rows.softened(evidence.logits(rows.ids), LINEAR_TEACHER_SHARE, rows.noisy)
    return Prepared(model, tokenizer, evidence, softened, validation)


def train(prepared: Prepared, seed: int, settings: Settings, on_epoch: loop.OnEpoch = loop.ignore) -> Trained:
    """A network whose LSTM has learnt from the rows, and the evidence put beside it; and its curve."""
    loop.seed_everything(seed)
    chosen = np.random.default_rng(seed).random(len(prepared.rows)) < settings.share
    network = new_network(prepared.tokenizer, prepared.rows, seed, settings)
    curve = train_lstm(network, prepared.rows.where(chosen), prepared.validation, seed, settings.fitting, on_epoch)
    add_evidence(network, prepared.evidence, prepared.validation)
    return network, curve


def rehearsal(seed: int) -> Rehearsal[Settings]:
    """Trains on rows that are encoded once; tells log-loss and accuracy of the whole network on validation rows."""
    prepared = prepare(seed)

    def rehearse(settings: Settings, on_epoch: loop.OnEpoch) -> dict[str, float]:
        network, _ = train(prepared, seed, settings, on_epoch)
        return validation_scores(logit(predict(network, prepared.validation.ids)[:, 1]), prepared.validation)

    return rehearse


def fit(out: Path, seed: int, settings: Settings = Settings()) -> None:
    """Train on all corpora and write the checkpoint with its report."""
    prepared = prepare(seed)
    network, curve = train(prepared, seed, settings)
    temperature = calibrate(network, prepared.validation)
    description = Description(
        name="sentiment",
        recipe="sentiment",
        network=NetworkSpec(class_name="sentiment.SentimentNetwork", arguments=network.arguments),
        task="text-classification",
        labels=list(LABELS),
        seed=seed,
        limits=Limits(min_steps=1, max_steps=LONGEST),
    )
    figures = report(network, prepared.tokenizer, temperature, LONGEST)
    save(out, description, network, {**figures, "training_curve": loop.as_json(curve)}, prepared.model)


def train_tokenizer(rows: Sequence[Row]) -> bytes:
    """Clean English rows count twice: it is their words that need pieces of their own."""
    english = [[row.text] * (2 if row.scored else 1) for row in rows if row.language == "en"]
    chinese = [row.text for row in rows if row.language == "zh"]
    return subwords.train(chain.from_iterable(english), chinese, ENGLISH_PIECES, CHINESE_PIECES)


def encode(tokenizer: SentencePieceProcessor, rows: Sequence[Row]) -> Texts:
    return Texts(
        ids=[np.array(ids[:LONGEST], np.int64) for ids in tokenizer.encode([row.text for row in rows])],
        targets=np.array([row.positive for row in rows]),
        weights=np.array([1.0 if row.scored else UNCLEAR_ROW_WEIGHT for row in rows]),
        languages=np.array([row.language for row in rows]),
        noisy=np.array([row.source == NOISY_SOURCE for row in rows]),
    )


def new_network(tokenizer: SentencePieceProcessor, rows: Texts, seed: int, settings: Settings) -> SentimentNetwork:
    """Before training: pieces start from what is known about them, and the head from zero."""
    network = SentimentNetwork(tokenizer.vocab_size(), EMBEDDING, settings.hidden_size, BUCKETS, settings.layers)
    chinese = rows.where(rows.languages == "zh").ids
    start = subwords.initial_embedding(tokenizer, network.lstm.embedding.embedding_dim, chinese, seed)
    network.lstm.embedding.weight.data.copy_(torch.from_numpy(start))
    torch.nn.init.zeros_(network.head.weight)
    return network


def fit_evidence(vocabulary_size: int, rows: Texts) -> linear.Evidence:
    """The linear model, without the rows whose labels are often wrong: it would learn them by heart."""
    clean = rows.where(~rows.noisy)
    return linear.fit_evidence(clean.ids, clean.targets, clean.weights, vocabulary_size, BUCKETS)


def evaluation(checkpoint: Checkpoint, split: Split) -> Evaluation:
    """The scored rows of a split; at most half a point of accuracy may be lost."""
    rows = data.parts()[split]
    tokenizer = SentencePieceProcessor(model_file=str(checkpoint.tokenizer))
    return Evaluation(
        inputs=encode(tokenizer, rows).ids,
        metrics=lambda outputs: headline(rows, outputs[:, 1]),
        gate=Gate("accuracy", higher_is_better=True, allowed_loss=0.005),
        targets=labels_of(rows),
        groups=[row.language for row in rows],
        row_scores=lambda outputs: headline_by_row(rows, outputs[:, 1]),
    )
