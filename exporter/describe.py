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
from exporter.precisions import DEVICES, contract
from exporter.report import About, Built, Export, Headline
from exporter.sessions import Rows
from exporter.source import Source
from exporter.verify import Subject
from models import manifest as schema
from models.bundle import MANIFEST, sha256
from models.manifest import Manifest, Precision
from models.text import open_tokenizer
from training.networks.step import StateSlice

TOKENIZER = "tokenizer.model"
LIBRARIES = ("torch", "onnx", "onnxruntime", "onnxscript")


def subject(source: Source, built: Built, precision: Precision) -> Subject:
    """One of the graphs, ready to be checked."""
    return Subject(
        model=built.models[precision].SerializeToString(),
        initial_state=built.initial_state,
        pinned=built.pinned,
        vocabulary=source.vocabulary,
        first_chunk=source.limits.first_chunk,
        chunkable=built.chunkable,
        per_step=built.per_step,
        padding=source.padding,
        largest=source.limits.largest,
    )


def typical_steps(rows: Rows) -> int:
    """The median length, which is what speed is measured at."""
    return int(np.median([len(row) for row in rows]))


def manifest(done: Export, about: About, headline: Headline, folder: Path, name: str, version: int) -> Manifest:
    """The manifest of a bundle whose ONNX files and tokenizer lie in `folder`."""
    source, built = done.source, done.built
    return Manifest(
        name=name,
        version=version,
        task=source.task,
        title=about.title,
        description=about.description,
        created=datetime.now(UTC).replace(microsecond=0),
        machine=processor(),
        versions={library: importlib.metadata.version(library) for library in LIBRARIES},
        parameters=source.parameters,
        chunkable=built.chunkable,
        padding=source.padding,
        reasons=reasons(done),
        session="state" if built.chunkable else "none",
        inputs=source.inputs,
        outputs=outputs(done),
        steps=source.limits,
        typical_steps=done.typical_steps,
        state=tuple(state_slice(part) for part in built.slices),
        pinned=built.pinned,
        clip=source.clip,
        tokenizer=TOKENIZER if source.tokenizer else None,
        precisions={precision: precision_file(done, precision, folder) for precision in built.models},
        preference={"cpu": done.preferred, "cuda": on_cuda(built)},
        gate=schema.Gate.model_validate(asdict(done.splits["validation"].gate)) if done.splits else None,
        figures=headline.figures,
        baselines=headline.baselines,
        statistics=statistics(source, done.splits["validation"].inputs) if done.splits else None,
        licence=about.licence,
        files=digests(folder),
    )


def reasons(done: Export) -> dict[str, str]:
    """Those of the graphs, with what was found of precisions that could not run here."""
    found = {name: finding.simulated_parity for name, finding in done.findings.items() if finding.simulated_parity}
    simulated = {
        name: f"{done.built.reasons[name]}; from its rounded weights, in float32, it is {parity:.1g} from PyTorch"
        for name, parity in found.items()
    }
    return {**done.built.reasons, **simulated}


def on_cuda(built: Built) -> tuple[Precision, ...]:
    """What a GPU loads, best first: what was verified comes before what could not be run here."""
    return tuple(precision for precision in built.models if "cuda" in DEVICES[precision])


def precision_file(done: Export, precision: Precision, folder: Path) -> schema.PrecisionFile:
    finding, file = done.findings[precision], f"{precision}.onnx"
    clamped = dict(done.source.int8_bounds) if precision == "int8" else {}
    return schema.PrecisionFile(
        file=file,
        bytes=(folder / file).stat().st_size,
        operators=graph.operators(done.built.models[precision]),
        devices=DEVICES[precision],
        contract=contract(precision, clamped, done.source.padding, done.built.chunkable),
        clamped_at=clamped,
        parity=finding.parity,
        invariance=finding.invariance,
        validation=dict(finding.metrics.get("validation", {})),
        test=dict(finding.metrics.get("test", {})),
        milliseconds=dict(finding.milliseconds),
        chunk_milliseconds=dict(finding.chunk_milliseconds),
        throughput=measure.throughput(finding.milliseconds),
    )


def outputs(done: Export) -> schema.Outputs:
    source, built = done.source, done.built
    shape = built.models["fp32"].graph.output[0].type.tensor_type.shape
    fixed = [dim.dim_value for dim in shape.dim][2 if built.per_step else 1 :]
    return schema.Outputs(
        when="per_step" if built.per_step else "final",
        shape=tuple(fixed),
        labels=source.labels,
        scores=source.scores,
        quantiles=source.quantiles,
        default_horizon=source.default_horizon,
        names=source.names,
    )


def state_slice(part: StateSlice) -> schema.StateSlice:
    """With the initial values run-length coded."""
    runs = ((len(list(run)), value) for value, run in itertools.groupby(part.values().tolist()))
    return schema.StateSlice(name=part.name, size=part.size, initial=tuple(runs))


def statistics(source: Source, rows: Rows) -> schema.Statistics:
    """Of the validation rows."""
    lengths = [len(row) for row in rows]
    values = np.concatenate(rows).ravel()
    if source.vocabulary is None:
        return schema.Statistics(length_quantiles=_quantiles(lengths), value_quantiles=_quantiles(values))
    if source.tokenizer is None:
        return schema.Statistics(length_quantiles=_quantiles(lengths))
    unknown = float((values == open_tokenizer(source.tokenizer).unknown_id).mean())
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
