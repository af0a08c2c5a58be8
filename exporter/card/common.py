"""The parts of a card that every task has: precisions, exactness, limits and where the model comes from."""

from collections.abc import Sequence
from typing import get_args

from exporter import measure, verify
from exporter.card.markdown import bold, code, digits, table
from exporter.page.figures import listed, size
from exporter.page.verdict import LEFT_OUT, sentence
from exporter.report import Export
from models.manifest import Manifest, Precision

WAYS = ("batch", "padding", "chunks", "threads")
REPORT = (
    "The [verification report](report.html) has the details: parity, invariance compared with plain dynamic int8, "
    "confidence intervals, speed, the ranges of every layer, and the rows on which precisions differ most."
)


def parts(done: Export, manifest: Manifest) -> dict[str, str]:
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "precisions": precisions(manifest),
        "invariance": invariance(manifest, far=done.findings["fp32"].far_rows > 0),
        "provenance": provenance(done, manifest),
        "smallest": f"{manifest.steps.smallest:,}",
        "largest": f"{manifest.steps.largest:,}",
    }


def precisions(manifest: Manifest) -> str:
    """What each file weighs, scores and takes, and which one a server loads."""
    first = manifest.precisions["fp32"]
    gate = manifest.gate.metric if manifest.gate else None
    largest = max(first.milliseconds)
    head = ["precision", "size", "against PyTorch"] + ([f"{gate}, validation"] if gate else [])
    head += [f"{metric}, test" for metric in first.test] + [f"ms, batch {batch}" for batch in first.milliseconds]
    head += [f"ms, chunk, batch {largest}"] if manifest.chunkable else []
    head += [f"sequences/s, batch {largest}"]
    rows = [
        [precision, size(file.bytes), _known(file.parity, ".1g")]
        + ([_digits4(file.validation.get(gate))] if gate else [])
        + [_digits4(file.test.get(metric)) for metric in first.test]
        + [_known(file.milliseconds.get(batch), ".3f") for batch in first.milliseconds]
        + ([_known(file.chunk_milliseconds.get(largest), ".3f")] if manifest.chunkable else [])
        + [_known(file.throughput.get(largest), ",.0f")]
        for precision, file in manifest.precisions.items()
    ]
    return f"{table(head, rows)}\n\n{_how_measured(manifest)} {_choice(manifest)}\n\n{_contracts(manifest)}"


def _known(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def _digits4(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 10 else digits(value)


def _how_measured(manifest: Manifest) -> str:
    chunks = f" and of chunks of {measure.CHUNK} steps" if manifest.chunkable else ""
    return (
        "“Against PyTorch” is the largest difference of any output from that of the trained network, divided by the "
        "sequence's largest output where that is above 1. Times are medians of whole sequences of "
        f"{manifest.typical_steps} steps{chunks}, in one thread ({manifest.machine or 'an unnamed processor'}, "
        f"onnxruntime {manifest.versions['onnxruntime']}). {_gate(manifest)}"
    )


def _gate(manifest: Manifest) -> str:
    gate = manifest.gate
    if gate is None:
        return "There were no labelled rows, so the metric's gate was not run."
    allowed = f"{100 * gate.allowed_loss:g} %" if gate.relative else f"{gate.allowed_loss:g}"
    unmeasured = [name for name, file in manifest.precisions.items() if not file.validation]
    only = "could not be run here; only its rounded weights, in float32, passed this gate"
    but = f" ({listed(unmeasured)} {only})" if unmeasured else ""
    return (
        f"A precision is published only if its {gate.metric} on validation rows is at most {allowed} worse than "
        f"fp32's{but}; test rows decide nothing."
    )


def _choice(manifest: Manifest) -> str:
    """Which file a server loads on a CPU, and why."""
    order = manifest.preference["cpu"]
    clamping = [name for name in order if manifest.precisions[name].clamped_at]
    asked = f" It loads {listed(clamping)}, which clamps what it reads, only if it is asked to." if clamping else ""
    return _first(manifest, [name for name in order if name not in clamping]) + asked


def _first(manifest: Manifest, order: Sequence[Precision]) -> str:
    first = order[0]
    if len(order) == 1:
        return f"On a CPU the server loads {first}."
    runs = "chunks" if manifest.chunkable else "whole sequences"
    if first != "fp32":
        return f"On a CPU the server loads {first}, since it runs {runs} clearly faster than fp32."
    others = "no other precision runs" if len(order) == len(manifest.preference["cpu"]) else f"{order[1]} does not run"
    return f"On a CPU the server loads fp32, since {others} {runs} clearly faster."


def _contracts(manifest: Manifest) -> str:
    """What is promised of each precision, and why others are not there or were not run."""
    known = {name: file.contract for name, file in manifest.precisions.items()}
    absent = {name: LEFT_OUT for name in get_args(Precision) if name not in known} | manifest.reasons
    told = known | {name: f"{known.get(name, '')} {sentence(code(reason))}".strip() for name, reason in absent.items()}
    return "\n".join(f"* {bold(name)}: {text}" for name, text in told.items() if text)


def invariance(manifest: Manifest, far: bool = False) -> str:
    """The largest differences, and where there is more to read; `far`: rows far outside the range were tried, too."""
    head = ["precision", "batch-mates, order", "padding content", "chunk length", "threads", "sequences tried"]
    found = [
        (precision, file.invariance.model_dump())
        for precision, file in manifest.precisions.items()
        if file.invariance is not None
    ]
    rows = [
        [precision, *(_known(values[way], "g") for way in WAYS), str(values["sequences"])]
        for precision, values in found
    ]
    exact = not any(values[way] for _, values in found for way in WAYS)
    return f"{table(head, rows)}\n\n{_how_tried(manifest, far)}{' Every bit is equal.' if exact else ''}\n\n{REPORT}"


def _how_tried(manifest: Manifest, far: bool) -> str:
    rows = f"{'validation' if manifest.gate else 'generated'} rows{' and rows far outside their range' if far else ''}"
    padding = "with other content in the padding, " if manifest.padding else ""
    chunks = f"in chunks of {listed(list(map(str, verify.CHUNKS)))} steps, " if manifest.chunkable else ""
    return (
        "The largest absolute difference of any output or state from the same sequence run alone, unpadded and in one "
        f"piece, over {rows}: in mixed batches of {verify.BATCH}, "
        f"{padding}{chunks}and with 2 and 3 threads."
    )


def provenance(done: Export, manifest: Manifest) -> str:
    """How the bundle came to be, in a sentence or two."""
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    pinned = f", of which {len(manifest.pinned)} are pinned" if manifest.pinned else ""
    state = f" A sequence's state is {manifest.state_size:,} numbers ({size(4 * manifest.state_size)}){pinned}."
    return (
        f"{done.source.provenance} {manifest.parameters:,} trained parameters, exported {manifest.created:%Y-%m-%d} "
        f"with {libraries}.{state if manifest.chunkable else ''}"
    )
