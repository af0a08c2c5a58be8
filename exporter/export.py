"""One source all the way: graphs, checks, scores, times, manifest, card; published only if all of it is right."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from exporter import card, describe, page, verify
from exporter.build import build
from exporter.check import Splits, check, with_gate
from exporter.errors import ExportError
from exporter.options import STRICT, Options
from exporter.report import Export
from exporter.sessions import Rows
from exporter.source import Source
from models import bundle
from models.integrity import sealed
from training.evaluation import Evaluation, Split

GENERATED_ROWS = 128
GENERATED_SPREAD = 1.0

Evaluate = Callable[[Split], Evaluation]


def export(source: Source, evaluate: Evaluate | None, target: Path, options: Options = STRICT) -> bundle.Bundle:
    """The published bundle.

    Without `evaluate` there are no labelled rows: checks run on generated ones, and the metric's gate not at all, which
    the options must allow. Raises ExportError, and publishes nothing, if that or any check fails.
    """
    if evaluate is None and not options.without_evaluation:
        raise ExportError(
            "evaluation: without labelled rows nobody can tell whether a precision is good enough; give them with "
            "--eval FILE, or publish with --without-evaluation, and the manifest says that the gate was not run"
        )
    splits = evaluated(evaluate, options)
    rows = splits["validation"].inputs if splits else generated(source)
    print("building the graphs", flush=True)
    built = build(source, rows, options)
    if source.int8_bounds and "int8" in built.models:
        print(f"note: {clamping(source.int8_bounds)}", flush=True)
    findings = check(source, built, splits, rows, options)
    return publish(Export(source, built, findings, splits, describe.typical_steps(rows), options, rows), target)


def clamping(bounds: Mapping[str, float]) -> str:
    """What int8 does to large inputs, and what can be done about it, for people."""
    told = " and ".join(f"what {layer} reads at ±{bound:.4g}" for layer, bound in bounds.items())
    return (
        f"int8 clamps {told} (after scaling), far beyond all rows; no other precision does, so a server takes int8 "
        "only if it is asked to; if training clamped inputs, too, say where with --clip"
    )


def evaluated(evaluate: Evaluate | None, options: Options) -> Splits:
    """Both splits, with the gate that the options want; none without labelled rows."""
    if evaluate is None:
        return {}
    return {"validation": with_gate(evaluate("validation"), options), "test": with_gate(evaluate("test"), options)}


def generated(source: Source) -> Rows:
    """Sequences that fit the inputs."""
    if source.examples is not None:
        return source.examples(GENERATED_ROWS)
    return verify.generated_rows(source.inputs, source.limits, GENERATED_ROWS, GENERATED_SPREAD)


def publish(done: Export, target: Path) -> bundle.Bundle:
    """Write everything into a folder beside the target, and move it there in one step."""
    new = not target.parent.exists()
    target.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        staged.chmod(0o755)  # a server may run as another user
        write(done, staged, target.parent.name, int(target.name))
        return bundle.publish(staged, target, done.options.overwrite)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        if new and not any(target.parent.iterdir()):
            target.parent.rmdir()  # servers warn of a model without a version


def write(done: Export, folder: Path, name: str, version: int) -> None:
    for precision, model in done.built.models.items():
        (folder / f"{precision}.onnx").write_bytes(model.SerializeToString())
    if done.source.tokenizer is not None:
        shutil.copyfile(done.source.tokenizer, folder / describe.TOKENIZER)
    manifest = page.write(done, card.write(done, folder, name, version), folder)
    (folder / bundle.MANIFEST).write_text(sealed(manifest).model_dump_json(indent=1) + "\n", encoding="utf-8")
