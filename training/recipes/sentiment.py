"""One bilingual network, English and Chinese, that tells negative from positive texts."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from sentencepiece import SentencePieceProcessor
from threadpoolctl import threadpool_limits

from training import linear, loop, sentiment_data, sentiment_fit, sentiment_report, subwords
from training.checkpoint import Checkpoint, Description, Limits, NetworkSpec, save
from training.evaluation import Evaluation, Gate, Split
from training.networks.sentiment import SentimentNetwork
from training.sentiment_data import LABELS, NOISY_SOURCE, Row
from training.sentiment_fit import Texts

ENGLISH_PIECES, CHINESE_PIECES = 17_000, 7_400
LONGEST = 1024
UNCLEAR_ROW_WEIGHT = 0.5
LINEAR_TEACHER_SHARE = 0.5


def fit(out: Path, seed: int) -> None:
    """Train on all corpora and write the checkpoint with its report."""
    torch.set_num_threads(1)  # sums over several threads would not be the same bits on another number of cores
    threadpool_limits(1)
    loop.seed_everything(seed)
    parts = sentiment_data.parts()
    model = train_tokenizer(parts["train"])
    tokenizer = SentencePieceProcessor(model_proto=model)
    rows, validation = (encode(tokenizer, parts[part]) for part in ("train", "validation"))
    network = new_network(tokenizer, rows, seed)
    evidence = fit_evidence(network, rows)
    softened = rows.softened(evidence.logits(rows.ids), LINEAR_TEACHER_SHARE, rows.noisy)
    curve = sentiment_fit.train(network, softened, validation, seed)
    sentiment_fit.add_evidence(network, evidence, validation)
    temperature = sentiment_fit.calibrate(network, validation)
    description = Description(
        name="sentiment",
        recipe="sentiment",
        network=NetworkSpec(class_name="sentiment.SentimentNetwork", arguments=network.arguments),
        task="text-classification",
        labels=list(LABELS),
        seed=seed,
        limits=Limits(min_steps=1, max_steps=LONGEST),
    )
    report = sentiment_report.report(network, tokenizer, temperature, LONGEST)
    save(out, description, network, {**report, "training_curve": loop.as_json(curve)}, model)


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


def new_network(tokenizer: SentencePieceProcessor, rows: Texts, seed: int) -> SentimentNetwork:
    """Before training: pieces start from what is known about them, and the head from zero."""
    network = SentimentNetwork(tokenizer.vocab_size(), embedding_size=62, hidden_size=126, buckets=1 << 18)
    chinese = rows.where(rows.languages == "zh").ids
    start = subwords.initial_embedding(tokenizer, network.lstm.embedding.embedding_dim, chinese, seed)
    network.lstm.embedding.weight.data.copy_(torch.from_numpy(start))
    torch.nn.init.zeros_(network.head.weight)
    return network


def fit_evidence(network: SentimentNetwork, rows: Texts) -> linear.Evidence:
    """The linear model, without the rows whose labels are often wrong: it would learn them by heart."""
    clean = rows.where(~rows.noisy)
    sizes = len(network.token_evidence), len(network.pair_evidence)
    return linear.fit_evidence(clean.ids, clean.targets, clean.weights, *sizes)


def evaluation(checkpoint: Checkpoint, split: Split) -> Evaluation:
    """The scored rows of a split; at most half a point of accuracy may be lost."""
    rows = sentiment_data.parts()[split]
    tokenizer = SentencePieceProcessor(model_file=str(checkpoint.tokenizer))
    return Evaluation(
        inputs=encode(tokenizer, rows).ids,
        metrics=lambda outputs: sentiment_report.headline(rows, outputs[:, 1]),
        gate=Gate("accuracy", higher_is_better=True, allowed_loss=0.005),
        targets=sentiment_report.labels_of(rows),
        groups=[row.language for row in rows],
    )
