"""An export in the terms of the manifest."""

import importlib.metadata
import itertools
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from exporter import graph, measure
from exporter.report import About, Built, Export, Finding, Headline
from exporter.sessions import Rows
from exporter.verify import Subject
from models import manifest as schema
from models.bundle import MANIFEST, sha256
from models.manifest import Manifest, Precision
from models.text import Tokenizer
from training.checkpoint import Checkpoint
from training.networks.recurrent import Recurrent
from training.networks.step import StateSlice

TOKENIZER = "tokenizer.model"
LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxscript")
DEVICES: dict[Precision, tuple[schema.Device, ...]] = {"fp32": ("cpu", "cuda"), "int8": ("cpu",)}
"""ONNX Runtime's int8 LSTM kernel exists on the CPU only."""


def subject(checkpoint: Checkpoint, built: Built, precision: Precision) -> Subject:
    return Subject(
        built.models[precision].SerializeToString(),
        np.concatenate([part.values().numpy() for part in built.slices]),
        built.pinned,
        vocabulary(checkpoint),
        first_chunk(checkpoint),
    )


def vocabulary(checkpoint: Checkpoint) -> int | None:
    """The number of token ids; None for a network that reads features."""
    return None if checkpoint.tokenizer is None else Tokenizer(checkpoint.tokenizer).vocabulary_size


def first_chunk(checkpoint: Checkpoint) -> int:
    """How many steps the first chunk needs at least, which a network may say in `details`."""
    return int(checkpoint.description.details.get("first_chunk", 1))


def typical_steps(rows: Rows) -> int:
    """The median length, which is what speed is measured at."""
    return int(np.median([len(row) for row in rows]))


def manifest(done: Export, about: About, headline: Headline, folder: Path, name: str, version: int) -> Manifest:
    """The manifest of a bundle whose ONNX files and tokenizer lie in `folder`."""
    checkpoint, built, rows = done.checkpoint, done.built, done.splits["validation"].inputs
    precisions = {precision: precision_file(done, precision, folder) for precision in built.models}
    return Manifest(
        name=name,
        version=version,
        task=checkpoint.description.task,
        title=about.title,
        description=about.description,
        created=datetime.now(UTC).replace(microsecond=0),
        machine=processor(),
        versions={library: importlib.metadata.version(library) for library in LIBRARIES},
        parameters=sum(tensor.numel() for tensor in checkpoint.network.state_dict().values()),
        chunkable=True,
        session="state",
        inputs=inputs(checkpoint, rows),
        outputs=outputs(checkpoint, done.findings["fp32"]),
        steps=steps(checkpoint),
        typical_steps=done.typical_steps,
        state=tuple(state_slice(part) for part in built.slices),
        pinned=built.pinned,
        clip=clip(checkpoint),
        tokenizer=TOKENIZER if checkpoint.tokenizer else None,
        precisions=precisions,
        preference={"cpu": done.preferred, "cuda": ("fp32",)},
        gate=schema.Gate.model_validate(asdict(done.splits["validation"].gate)),
        figures=headline.figures,
        baselines=headline.baselines,
        statistics=statistics(checkpoint, rows),
        licence=about.licence,
        files=digests(folder),
    )


def precision_file(done: Export, precision: Precision, folder: Path) -> schema.PrecisionFile:
    finding, file = done.findings[precision], f"{precision}.onnx"
    return schema.PrecisionFile(
        file=file,
        bytes=(folder / file).stat().st_size,
        operators=graph.operators(done.built.models[precision]),
        devices=DEVICES[precision],
        parity=finding.parity,
        invariance=finding.invariance,
        validation=dict(finding.metrics["validation"]),
        test=dict(finding.metrics["test"]),
        milliseconds=dict(finding.milliseconds),
        chunk_milliseconds=dict(finding.chunk_milliseconds),
        throughput=measure.throughput(finding.milliseconds),
    )


def inputs(checkpoint: Checkpoint, rows: Rows) -> schema.Inputs:
    if checkpoint.tokenizer is not None:
        return schema.Inputs(kind="tokens", vocabulary=vocabulary(checkpoint))
    above = checkpoint.description.details.get("above")
    return schema.Inputs(kind="features", features=rows[0].shape[1], above=above)


def outputs(checkpoint: Checkpoint, finding: Finding) -> schema.Outputs:
    description = checkpoint.description
    return schema.Outputs(
        shape=finding.outputs["test"].shape[1:],
        labels=None if description.labels is None else tuple(description.labels),
        quantiles=description.details.get("quantiles"),
        default_horizon=description.details.get("default_horizon"),
    )


def steps(checkpoint: Checkpoint) -> schema.Steps:
    limits, details = checkpoint.description.limits, checkpoint.description.details
    return schema.Steps(
        smallest=limits.min_steps,
        largest=limits.max_steps,
        first_chunk=first_chunk(checkpoint),
        default=details.get("default_steps"),
    )


def state_slice(part: StateSlice) -> schema.StateSlice:
    """With the initial values run-length coded."""
    runs = ((len(list(run)), value) for value, run in itertools.groupby(part.values().tolist()))
    return schema.StateSlice(name=part.name, size=part.size, initial=tuple(runs))


def clip(checkpoint: Checkpoint) -> float | None:
    clips = [module.input_clip for module in checkpoint.network.modules() if isinstance(module, Recurrent)]
    return next((value for value in clips if value is not None), None)


def statistics(checkpoint: Checkpoint, rows: Rows) -> schema.Statistics:
    """Of the validation rows, which are drawn from the same source as the training rows."""
    lengths = [len(row) for row in rows]
    values = np.concatenate(rows).ravel()
    if checkpoint.tokenizer is None:
        return schema.Statistics(length_quantiles=_quantiles(lengths), value_quantiles=_quantiles(values))
    unknown = float((values == Tokenizer(checkpoint.tokenizer).unknown_id).mean())
    return schema.Statistics(length_quantiles=_quantiles(lengths), unknown_rate=unknown)


def _quantiles(values: Sequence[float] | np.ndarray) -> dict[str, float]:
    levels = (0.05, 0.5, 0.95, 1.0)
    return {str(level): float(value) for level, value in zip(levels, np.quantile(values, levels), strict=True)}


def digests(folder: Path) -> dict[str, str]:
    """sha256 of every file of a bundle but its manifest."""
    return {path.name: sha256(path) for path in sorted(folder.iterdir()) if path.name != MANIFEST}


def processor() -> str:
    """The processor's name as the system tells it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.is_file() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
