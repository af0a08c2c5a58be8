"""The parts of a card that every task has: precisions, exactness, limits and where the model comes from."""

from exporter import measure, verify
from exporter.card.markdown import bold, digits, table
from exporter.report import Export
from models.manifest import Manifest

WAYS = ("batch", "padding", "chunks", "threads")
REPORT = (
    "The [verification report](report.html) shows all of this in detail: parity, invariance beside plain dynamic int8, "
    "confidence intervals, speed, the ranges of every layer, and the rows on which precisions differ most."
)


def parts(done: Export, manifest: Manifest) -> dict[str, str]:
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "precisions": precisions(manifest),
        "invariance": invariance(manifest),
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
    head += [f"{metric}, test" for metric in first.test] + [f"ms, batch {size}" for size in first.milliseconds]
    head += [f"ms, chunk, batch {largest}"] if manifest.chunkable else []
    head += [f"sequences/s, batch {largest}"]
    rows = [
        [precision, f"{file.bytes / 1e6:.2f} MB", _known(file.parity, ".1g")]
        + ([_digits4(file.validation.get(gate))] if gate else [])
        + [_digits4(file.test.get(metric)) for metric in first.test]
        + [_known(file.milliseconds.get(size), ".3f") for size in first.milliseconds]
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
    chunks = f", and over chunks of {measure.CHUNK} steps" if manifest.chunkable else ""
    return (
        "“Against PyTorch” is the largest difference of an output to the network that was trained, by the largest "
        "output of the same sequence where that is above 1. Times are medians of runs over whole sequences of "
        f"{manifest.typical_steps} steps{chunks}, in one thread "
        f"({manifest.machine}, onnxruntime {manifest.versions['onnxruntime']}). {_gate(manifest)}"
    )


def _gate(manifest: Manifest) -> str:
    gate = manifest.gate
    if gate is None:
        return "There were no labelled rows, so the metric's gate was not run."
    allowed = f"{100 * gate.allowed_loss:g} %" if gate.relative else f"{gate.allowed_loss:g}"
    return (
        f"A precision is published only if its {gate.metric} on validation rows is at most {allowed} worse than "
        "fp32's; test rows decide nothing."
    )


def _choice(manifest: Manifest) -> str:
    """Which file a server loads on a CPU, and why."""
    first, *others = manifest.preference["cpu"]
    if not others:
        return f"On a CPU the server loads {first}."
    runs = "chunks" if manifest.chunkable else "runs"
    reason = f"its {runs} are clearly faster" if first != "fp32" else f"the {runs} of no other are clearly faster"
    return f"On a CPU the server loads {first} rather than {', '.join(others)}: {reason}."


def _contracts(manifest: Manifest) -> str:
    """What is promised of each precision, and why others are not there or were not run."""
    promised = [f"* {bold(name)}: {file.contract}" for name, file in manifest.precisions.items() if file.contract]
    unpromised = [f"* {bold(name)}: {_sentence(reason)}" for name, reason in manifest.reasons.items()]
    return "\n".join([*promised, *unpromised])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def invariance(manifest: Manifest) -> str:
    """The largest differences, and where there is more to read."""
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
    return f"{table(head, rows)}\n\n{_how_tried(manifest)}{' Every bit is equal.' if exact else ''}\n\n{REPORT}"


def _how_tried(manifest: Manifest) -> str:
    padding = "with other content behind each sequence's end, " if manifest.padding else ""
    chunks = f"in chunks of {', '.join(map(str, verify.CHUNKS))} steps, " if manifest.chunkable else ""
    return (
        "The largest absolute difference of any output or state to the same sequence alone, unpadded and in one piece, "
        f"over {'validation' if manifest.gate else 'generated'} rows: in mixed batches of {verify.BATCH}, "
        f"{padding}{chunks}and with 2 and 3 threads."
    )


def provenance(done: Export, manifest: Manifest) -> str:
    """How the bundle came to be, in a sentence or two."""
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    state = (
        f" A sequence's state takes {4 * manifest.state_size:,} bytes: {manifest.state_size:,} numbers, of which "
        f"{len(manifest.pinned)} are pinned."
    )
    return (
        f"{done.source.provenance} {manifest.parameters:,} trained numbers, exported {manifest.created:%Y-%m-%d} with "
        f"{libraries}.{state if manifest.chunkable else ''}"
    )
