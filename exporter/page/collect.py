"""From an export to the findings of its report. Nothing here decides anything: what fails has failed before."""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from exporter import check, describe, measure
from exporter.page import activations, examples, parity, verdict
from exporter.page import metric as metrics
from exporter.page.examples import Pair, Reader
from exporter.page.findings import File, Findings, Identity, Invariance, Metric, Moves, Speed, Speeds
from exporter.page.parts import Activations, Examples
from exporter.page.unpinned import UNPINNED, NotRunnable, Unpinned, unpinned
from exporter.report import Export
from exporter.sessions import Rows, pad, some_of
from models.manifest import Manifest
from models.text import open_tokenizer

FLOAT64 = "PyTorch float64"
THREADS = 1
BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def collect(done: Export, manifest: Manifest, folder: Path) -> Findings:
    """Everything that the report says. `folder` holds the bundle but for the report."""
    rows = some_of(done.rows, check.PARITY_ROWS)
    plain, without = comparison(done, rows)
    outputs, far = implementations(done, rows, plain), done.findings["fp32"].far_rows
    compared = parity.parity(outputs, done.options.parity, far)
    found, speeds = tuple(invariance(manifest, plain)), tuple(speed(manifest))
    score = task_metric(done)
    return Findings(
        identity=identity(done, manifest, folder),
        checks=verdict.checks(compared, found, score, speeds, manifest.reasons),
        parity=compared,
        invariance=found,
        without_comparison=without,
        metric=score,
        speeds=Speeds(
            steps=manifest.typical_steps,
            chunk_steps=max(measure.CHUNK, manifest.steps.first_chunk),
            threads=THREADS,
            precisions=speeds,
        ),
        activations=ranges(done, rows),
        examples=differing(done, manifest, rows),
    )


def comparison(done: Export, rows: Rows) -> tuple[Unpinned | None, str | None]:
    """Plain dynamic int8, or why it could not be run: no reason to publish nothing."""
    try:
        return unpinned(done, some_of(rows, check.INVARIANCE_ROWS)), None
    except NotRunnable as error:
        return None, str(error)


def implementations(done: Export, rows: Rows, plain: Unpinned | None) -> dict[str, np.ndarray]:
    """Outputs [N, ...] of everything that can run here, the trained network first."""
    per_step = done.built.per_step
    found = {verdict.TRAINED: check.as_array(done.source.reference(rows), per_step)}
    if done.source.float64 is not None:
        found[FLOAT64] = check.as_array(done.source.float64(rows), per_step)
    for precision in done.built.runnable:
        session = describe.subject(done.source, done.built, precision).session()
        found[f"ONNX {precision}"] = check.score(session, rows, f"{precision}, report")
    if plain is not None:
        found[UNPINNED] = check.score(plain.subject.session(), rows, f"{UNPINNED}, report")
    return found


def invariance(manifest: Manifest, plain: Unpinned | None) -> Iterator[Invariance]:
    for precision, file in manifest.precisions.items():
        if file.invariance is not None:
            moved = float(file.invariance.batch)
            measured = file.invariance.model_dump()
            yield Invariance(precision=precision, comparison_only=False, batch_scaled=moved, **measured)
    if plain is not None:
        measured = plain.invariance.model_dump()
        yield Invariance(
            precision=UNPINNED,
            comparison_only=True,
            batch_scaled=plain.batch_scaled,
            outputs=Moves(**plain.outputs.model_dump(exclude={"sequences"})),
            **measured,
        )


def task_metric(done: Export) -> Metric | None:
    if not done.splits:
        return None
    return metrics.metric(done.splits, {name: done.findings[name].outputs for name in done.built.runnable})


def speed(manifest: Manifest) -> Iterator[Speed]:
    for precision, file in manifest.precisions.items():
        yield Speed(
            precision=precision,
            size_bytes=file.bytes,
            devices=file.devices,
            contract=file.contract,
            milliseconds=file.milliseconds,
            chunk_milliseconds=file.chunk_milliseconds,
            sequences_per_second=file.throughput,
        )


def ranges(done: Export, rows: Rows) -> Activations | None:
    """Of the fp32 graph. Rows that must not be padded are those of the most frequent length."""
    some = some_of(rows, activations.ROWS)
    if not done.source.padding:
        lengths = [len(row) for row in rows]
        usual = max(lengths, key=lengths.count)
        some = [row for row in rows if len(row) == usual][: activations.ROWS]

    def run(model: bytes, batch: Rows) -> Mapping[str, np.ndarray]:
        session = dataclasses.replace(subject, model=model).session()
        inputs, lengths = pad(batch)
        state = session.initial_state(len(batch))
        return {"inputs": inputs, "lengths": lengths, "state": state} | session.everything(inputs, lengths)

    subject = describe.subject(done.source, done.built, "fp32")
    return activations.activations(done.built.models["fp32"], some, run)


def differing(done: Export, manifest: Manifest, rows: Rows) -> Examples | None:
    """Where int8, or else the precision that a CPU loads first, differs from fp32; None if fp32 is alone."""
    others = [name for name in ("int8", *done.preferred) if name in done.built.runnable and name != "fp32"]
    if not others:
        return None
    names = ("fp32", others[0])
    reader = Reader(manifest.task, manifest.outputs, pieces(done.source.tokenizer))
    if done.splits:
        test = done.splits["test"]
        pair = Pair(*names, *(done.findings[name].outputs["test"] for name in names))
        return examples.examples(pair, test.inputs, reader, "test rows", test.targets, test.groups)
    sessions = (describe.subject(done.source, done.built, name).session() for name in names)
    pair = Pair(*names, *(check.score(session, rows, "report") for session in sessions))
    return examples.examples(pair, rows, reader, "generated rows", None, None)


def pieces(tokenizer: Path | None) -> Callable[[Sequence[int]], list[str]] | None:
    """Token ids -> their texts; None without a tokenizer."""
    if tokenizer is None:
        return None
    known = open_tokenizer(tokenizer)
    return lambda ids: whole_characters([known.piece(token) for token in ids])


def whole_characters(found: Sequence[str]) -> list[str]:
    """Runs of tokens that stand for single bytes, `<0xE8>`, as the characters that they make."""
    merged: list[str] = []
    for is_byte, run in itertools.groupby(found, lambda piece: BYTE.fullmatch(piece) is not None):
        parts = list(run)
        merged += [bytes(int(piece[3:5], 16) for piece in parts).decode(errors="replace")] if is_byte else parts
    return merged


def identity(done: Export, manifest: Manifest, folder: Path) -> Identity:
    return Identity(
        name=manifest.name,
        version=manifest.version,
        title=manifest.title.rstrip("."),
        description=manifest.description,
        task=manifest.task,
        licence=manifest.licence,
        provenance=done.source.provenance.replace("`", ""),
        created=manifest.created,
        machine=manifest.machine,
        libraries=manifest.versions,
        parameters=manifest.parameters,
        reads=reads(manifest),
        answers=answers(manifest),
        smallest_steps=manifest.steps.smallest,
        largest_steps=manifest.steps.largest,
        state_bytes=4 * manifest.state_size,
        files=tuple(
            File(name=name, size_bytes=(folder / name).stat().st_size, sha256=digest)
            for name, digest in manifest.files.items()
        ),
    )


def reads(manifest: Manifest) -> str:
    if manifest.inputs.kind == "tokens":
        return f"token ids, int64, of a vocabulary of {manifest.inputs.vocabulary:,}"
    count = manifest.inputs.features
    return f"{count} feature{'s' if count != 1 else ''} a step, float32"


def answers(manifest: Manifest) -> str:
    """For example `float32 [24, 3] at the end: quantiles 0.1, 0.5, 0.9`."""
    found = manifest.outputs
    when = "at every step" if found.when == "per_step" else "at the end"
    names = found.labels or found.names or tuple(f"quantile {level:g}" for level in found.quantiles or ())
    shown = ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
    return f"float32 {list(found.shape)} {when}" + (f": {shown}" if shown else "")
