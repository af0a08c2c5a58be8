"""One checkpoint all the way: graphs, checks, scores, times, manifest, card; published only if all of it is right."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
from tqdm import tqdm

from exporter import card, describe, graph, measure, verify
from exporter.errors import CheckFailed
from exporter.quantize import quantized
from exporter.recurrent import exportable, pinned_columns, why_not_pinnable
from exporter.report import Built, Export, Finding
from exporter.sessions import Rows, StepSession, by_length, together
from exporter.verify import Subject
from models import bundle
from models.manifest import Precision
from training.checkpoint import Checkpoint
from training.evaluation import Evaluation, Gate, Split, predict

PARITY_TOLERANCE = 1e-4
"""For fp32. What is seen is 1e-6 to 1e-5: the same sums in another order."""
PARITY_ROWS = 256
INVARIANCE_ROWS = 96
SCORE_BATCH = 32

Evaluate = Callable[[Split], Evaluation]


def export(checkpoint: Checkpoint, evaluate: Evaluate, target: Path) -> bundle.Bundle:
    """The published bundle. Raises CheckFailed, and publishes nothing, if any check fails."""
    print(f"building the graphs of {checkpoint.folder}", flush=True)
    splits: dict[Split, Evaluation] = {"validation": evaluate("validation"), "test": evaluate("test")}
    built = build(checkpoint, splits["validation"].inputs[0])
    findings = check(checkpoint, built, splits)
    done = Export(checkpoint, built, findings, splits, describe.typical_steps(splits["validation"].inputs))
    return publish(done, target)


def build(checkpoint: Checkpoint, example: np.ndarray) -> Built:
    """The ONNX graphs of a checkpoint: fp32, and pinned int8 where the network allows it."""
    without_int8 = why_not_pinnable(checkpoint.network)
    network = exportable(checkpoint.network, pinned=without_int8 is None)
    models: dict[Precision, onnx.ModelProto] = {"fp32": graph.to_onnx(network, example)}
    if without_int8 is None:
        models["int8"] = quantized(models["fp32"])
    return Built(models, network.state_slices(), pinned_columns(network), without_int8)


def check(checkpoint: Checkpoint, built: Built, splits: Mapping[Split, Evaluation]) -> dict[Precision, Finding]:
    """All checks of all precisions, the cheap ones first."""
    validation = splits["validation"]
    typical = describe.typical_steps(validation.inputs)
    subjects = {precision: describe.subject(checkpoint, built, precision) for precision in built.models}
    rows = spread(validation.inputs, PARITY_ROWS)
    reference = predict(checkpoint.network, rows)
    exact = {precision: _check_exactness(precision, one, rows, reference) for precision, one in subjects.items()}
    sessions = {precision: one.session() for precision, one in subjects.items()}
    outputs = {
        precision: {split: score(session, one.inputs, f"{precision}, {split}") for split, one in splits.items()}
        for precision, session in sessions.items()
    }
    metrics = {
        precision: {split: one.metrics(outputs[precision][split]) for split, one in splits.items()}
        for precision in outputs
    }
    for precision, found in metrics.items():
        check_gate(validation.gate, metrics["fp32"]["validation"], found["validation"], precision)
    whole, chunks = (measure.milliseconds(sessions, validation.inputs, steps) for steps in (typical, measure.CHUNK))
    return {
        precision: Finding(
            *exact[precision], metrics[precision], whole[precision], chunks[precision], outputs[precision]
        )
        for precision in subjects
    }


def _check_exactness(precision: Precision, subject: Subject, rows: Rows, reference: np.ndarray) -> tuple:
    """Parity to PyTorch, and invariance; the pins on the way."""
    outputs = score(subject.session(), rows, f"{precision}, parity")
    parity = verify.parity(reference, outputs)
    if precision == "fp32" and not parity <= PARITY_TOLERANCE:
        raise CheckFailed(
            f"parity: fp32 differs from PyTorch by {parity:.3g}, at most {PARITY_TOLERANCE:g} is accepted"
        )
    some = spread(rows, INVARIANCE_ROWS)
    verify.check_pins(subject, some)
    invariance = verify.invariance(subject, some)
    verify.check_invariance(invariance, precision, subject, some)
    print(f"{precision}: {parity:.1g} from PyTorch, exact over {invariance.sequences} sequences", flush=True)
    return parity, invariance


def check_gate(gate: Gate, reference: Mapping[str, float], found: Mapping[str, float], precision: Precision) -> None:
    """Raises CheckFailed if a precision's metric on validation rows is too much worse than fp32's."""
    before, after = reference[gate.metric], found[gate.metric]
    if not gate.accepts(before, after):
        share = " of it" if gate.relative else ""
        raise CheckFailed(
            f"gate: {gate.metric} on validation rows is {after:.5g} with {precision} and {before:.5g} with fp32: "
            f"{gate.loss(before, after):.3g}{share} worse, at most {gate.allowed_loss:g} is accepted"
        )


def score(session: StepSession, rows: Rows, title: str) -> np.ndarray:
    """Outputs [N, ...] for whole sequences, with a progress bar."""
    with tqdm(by_length(rows, SCORE_BATCH), desc=title, unit="batch", leave=False) as batches:
        return together(session, batches, rows).outputs


def spread(rows: Rows, count: int) -> list[np.ndarray]:
    """At most `count` of the rows, evenly over their order."""
    return [rows[place] for place in np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def publish(done: Export, target: Path) -> bundle.Bundle:
    """Write everything into a folder beside the target, and move it there in one step."""
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    staged.mkdir(parents=True)
    try:
        write(done, staged, target.parent.name, int(target.name))
        return bundle.publish(staged, target)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def write(done: Export, folder: Path, name: str, version: int) -> None:
    for precision, model in done.built.models.items():
        (folder / f"{precision}.onnx").write_bytes(model.SerializeToString())
    if done.checkpoint.tokenizer is not None:
        shutil.copyfile(done.checkpoint.tokenizer, folder / describe.TOKENIZER)
    manifest = card.write(done, folder, name, version)
    (folder / bundle.MANIFEST).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
