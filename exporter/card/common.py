"""The parts of a card that every task has: precisions, exactness, limits and where the model comes from."""

from exporter import measure, verify
from exporter.card.markdown import digits, table
from exporter.report import Export
from models.manifest import Manifest


def parts(done: Export, manifest: Manifest) -> dict[str, str]:
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "precisions": precisions(manifest, done.built.without_int8),
        "invariance": invariance(manifest),
        "provenance": provenance(done, manifest),
        "smallest": f"{manifest.steps.smallest:,}",
        "largest": f"{manifest.steps.largest:,}",
    }


def precisions(manifest: Manifest, without_int8: str | None) -> str:
    """What each file weighs, scores and takes, and which one a server loads."""
    gate, sizes = manifest.gate.metric, sorted(next(iter(manifest.precisions.values())).milliseconds)
    metrics = list(next(iter(manifest.precisions.values())).test)
    head = ["precision", "size", "against PyTorch", f"{gate}, validation", *(f"{metric}, test" for metric in metrics)]
    head += [f"ms, batch {size}" for size in sizes] + [
        f"ms, chunk, batch {sizes[-1]}",
        f"sequences/s, batch {sizes[-1]}",
    ]
    rows = [
        [precision, f"{file.bytes / 1e6:.2f} MB", f"{file.parity:.1g}", digits4(file.validation[gate])]
        + [digits4(file.test[metric]) for metric in metrics]
        + [f"{file.milliseconds[size]:.3f}" for size in sizes]
        + [f"{file.chunk_milliseconds[sizes[-1]]:.3f}", f"{file.throughput[sizes[-1]]:,.0f}"]
        for precision, file in manifest.precisions.items()
    ]
    return f"{table(head, rows)}\n\n{_how_measured(manifest)} {_choice(manifest, without_int8)}"


def digits4(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else digits(value)


def _how_measured(manifest: Manifest) -> str:
    gate = manifest.gate
    allowed = f"{100 * gate.allowed_loss:g} %" if gate.relative else f"{gate.allowed_loss:g}"
    return (
        "“Against PyTorch” is the largest difference of an output to the network that was trained, by the largest "
        "output of the same sequence where that is above 1. Times are medians of runs over whole sequences of "
        f"{manifest.typical_steps} steps, and over chunks of {measure.CHUNK} steps, in one thread "
        f"({manifest.machine}, onnxruntime {manifest.versions['onnxruntime']}). A precision is published only if its "
        f"{gate.metric} on validation rows is at most {allowed} worse than fp32's; test rows decide nothing."
    )


def _choice(manifest: Manifest, without_int8: str | None) -> str:
    first = manifest.preference["cpu"][0]
    if without_int8 is not None:
        return f"There is no int8 file: {without_int8}."
    others = ", ".join(precision for precision in manifest.precisions if precision != first)
    reason = "its chunks are clearly faster" if first != "fp32" else "the chunks of int8 are not clearly faster"
    return (
        f"On a CPU the server loads {first} rather than {others}: {reason}. In the int8 file the weights of the LSTM "
        "and its embedding, if it has one, take 8 bits, the rest is float; it runs on CPUs only, and CUDA gets fp32."
    )


def invariance(manifest: Manifest) -> str:
    """The largest differences, which are all zero, or the bundle would not be there."""
    head = ["precision", "batch-mates, order", "padding content", "chunk length", "threads", "sequences tried"]
    rows = [
        [precision, *(f"{value:g}" for value in found[:-1]), str(found[-1])]
        for precision, file in manifest.precisions.items()
        if (found := tuple(file.invariance.model_dump().values()))
    ]
    chunks = ", ".join(map(str, verify.CHUNKS))
    return (
        f"{table(head, rows)}\n\nThe largest absolute difference of any output or state to the same sequence alone, "
        f"unpadded and in one piece, over validation rows: in mixed batches of {verify.BATCH}, with other content "
        f"behind each sequence's end, in chunks of {chunks} steps, and with 2 and 3 threads. Every bit is equal."
    )


def provenance(done: Export, manifest: Manifest) -> str:
    """How the bundle came to be, in a sentence or two."""
    description = done.checkpoint.description
    libraries = ", ".join(f"{library} {number}" for library, number in manifest.versions.items())
    return (
        f"Recipe `{description.recipe}`, seed {description.seed}, {manifest.parameters:,} trained numbers. Trained "
        f"{description.trained_at:%Y-%m-%d}, exported {manifest.created:%Y-%m-%d} with {libraries}. A sequence's "
        f"state takes {4 * manifest.state_size:,} bytes: {manifest.state_size:,} numbers, of which "
        f"{len(manifest.pinned)} are pinned."
    )
