"""Findings of a made-up bundle, with all sections."""

from datetime import UTC, datetime

import numpy as np

from exporter.page.examples import Pair, Reader, examples
from exporter.page.findings import Check, File, Findings, Identity, Invariance, Speed, Speeds
from exporter.page.metric import metric
from exporter.page.parity import parity
from exporter.page.parts import Activations, GateWeights, Layer
from exporter.page.values import spread
from models.manifest import Outputs
from training.evaluation import Evaluation, Gate

ROWS = 60
LABELS = ("negative", "positive")


def outputs(seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """Probabilities of two classes [N, 2]; the same seed and no noise give the same ones."""
    positive = np.random.default_rng(seed).uniform(0.1, 0.9, ROWS)
    positive += noise * np.random.default_rng(seed + 1).normal(size=ROWS)
    return np.stack([1 - positive, positive], 1).astype(np.float32)


def evaluation() -> Evaluation:
    targets = np.random.default_rng(5).integers(0, 2, ROWS)

    def right(found: np.ndarray) -> np.ndarray:
        return (found.argmax(1) == targets).astype(float)

    return Evaluation(
        inputs=rows(),
        metrics=lambda found: {"accuracy": float(right(found).mean()), "confidence": float(found.max(1).mean())},
        gate=Gate("accuracy", higher_is_better=True, allowed_loss=0.05),
        targets=targets,
        groups=["en", "zh"] * (ROWS // 2),
        row_scores=right,
    )


def rows() -> list[np.ndarray]:
    return [np.arange(length % 90 + 1) for length in range(ROWS)]


def findings(piece: str = "▁word", **changed: object) -> Findings:
    """`piece` is what every token of the examples' texts looks like."""
    both = {"fp32": outputs(), "int8": outputs(noise=0.02)}
    by_split = {name: {"validation": found, "test": found} for name, found in both.items()}
    reader = Reader("text-classification", Outputs(shape=(2,), labels=LABELS), lambda ids: [piece] * len(ids))
    labelled = evaluation()
    compared = {"PyTorch float32": outputs(noise=1e-7), "ONNX fp32": outputs(), "ONNX int8": both["int8"]}
    found = Findings(
        identity=identity(),
        checks=(Check(name="parity", state="passed", text="All is well."),),
        parity=parity(compared, 1e-4),
        invariance=(invariance("fp32", 0.0), invariance("unpinned int8", 0.3)),
        metric=metric({"validation": labelled, "test": labelled}, by_split),
        speeds=Speeds(steps=25, chunk_steps=16, threads=1, precisions=(speed("fp32"), speed("int8"))),
        activations=Activations(rows=8, steps=200, layers=(layer(),)),
        examples=examples(
            Pair("fp32", "int8", *both.values()), rows(), reader, "test rows", labelled.targets, labelled.groups
        ),
    )
    return found.model_copy(update=changed)


def identity() -> Identity:
    return Identity(
        name="sentiment",
        version=3,
        title="Sentiment",
        description="Tells how a text feels.",
        task="text-classification",
        licence="MIT",
        provenance="Recipe sentiment, seed 0.",
        created=datetime(2026, 11, 21, tzinfo=UTC),
        machine="A processor",
        libraries={"onnx": "1.0"},
        parameters=1000,
        reads="token ids",
        answers="probabilities",
        smallest_steps=1,
        largest_steps=1024,
        state_bytes=2048,
        files=(File(name="fp32.onnx", size_bytes=1234, sha256="0" * 64),),
    )


def invariance(precision: str, moved: float) -> Invariance:
    return Invariance(
        precision=precision,
        comparison_only=moved > 0,
        batch=moved,
        batch_scaled=moved,
        padding=moved,
        chunks=None,
        threads=moved,
        sequences=96,
    )


def speed(precision: str, **changed: object) -> Speed:
    times = {1: 0.2, 8: 0.9, 32: 2.5}
    found = Speed(
        precision=precision,
        size_bytes=100_000,
        devices=("cpu",),
        contract="Every bit is the same.",
        milliseconds=times,
        chunk_milliseconds=times,
        sequences_per_second={batch: 1000 * batch / time for batch, time in times.items()},
    )
    return found.model_copy(update=changed)


def layer() -> Layer:
    values = spread(np.random.default_rng(0).normal(size=500) / 4)
    return Layer(
        name="layer 1",
        operator="LSTM",
        input_size=8,
        hidden_size=16,
        directions=1,
        inputs=values,
        input_bound=2.0,
        input_bits_lost=0.5,
        hidden=values,
        hidden_bits_lost=0.1,
        saturated_share=0.02,
        cell=values,
        gates=(GateWeights(gate="forget", inputs=values, recurrent=values, bias=values),),
    )
