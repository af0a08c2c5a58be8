"""Plain dynamic int8, as a tutorial would make it: measured as a comparison, and never offered."""

from dataclasses import dataclass

from exporter import build, describe, graph, verify
from exporter.differences import row_differences, scales
from exporter.quantize import unpinned_int8
from exporter.report import Built, Export
from exporter.sessions import REFUSALS, Results, Rows
from exporter.verify import Subject
from models.manifest import Invariance
from training.networks.step import StepNetwork

UNPINNED = "unpinned int8"


class NotRunnable(Exception):
    """Plain dynamic quantization makes nothing of a graph, or nothing that ONNX Runtime runs; the message says so to
    people."""


@dataclass(frozen=True)
class Unpinned:
    subject: Subject
    invariance: Invariance
    outputs: Invariance
    """Of the outputs alone: states are often larger, and nobody sees them."""
    batch_scaled: float


def unpinned(done: Export, rows: Rows) -> Unpinned | None:
    """The network quantized without pins; None if the export has no pinned int8 to compare it with. Raises NotRunnable:
    where nodes share their weights, for example, `quantize_dynamic` makes a graph that fails, or none."""
    if "int8" not in done.built.models:
        return None
    network = done.source.exportable(False)
    limits = done.source.limits
    smallest = 1 if done.built.chunkable else limits.smallest
    model = graph.to_onnx(network, build.example(rows, limits.largest), smallest)
    try:
        int8 = unpinned_int8(model)
    except Exception as error:  # the tool of others raises anything at a graph that it does not understand
        raise NotRunnable(
            "Plain dynamic int8 was to be made for comparison, too, but quantize_dynamic cannot quantize this graph: "
            f"it ended with {type(error).__name__}."
        ) from error
    plain = Built(
        models={"int8": int8},
        slices=network.state_slices() if isinstance(network, StepNetwork) else (),
        pinned=(),
        chunkable=done.built.chunkable,
        per_step=done.built.per_step,
        reasons={},
    )
    subject = describe.subject(done.source, plain, "int8")
    try:
        runs = verify.runs(subject, rows)
    except REFUSALS as error:
        raise NotRunnable(
            "Plain dynamic int8 was made for comparison, too, but ONNX Runtime cannot run the graph that "
            f"quantize_dynamic has made: it ended with {type(error).__name__}."
        ) from error
    return Unpinned(subject, runs.moved(), runs.moved(outputs), scaled(runs))


def outputs(found: Results) -> Results:
    """Without the states."""
    return Results(found.outputs, found.states[:, :0], found.per_step)


def scaled(runs: verify.Runs) -> float:
    """How far mixed batches move the outputs, as differences in parity are."""
    expected = runs.alone.outputs
    if any(other.outputs.shape != expected.shape for other in runs.batch):
        return float("inf")
    scale = scales(expected)
    return max(float(row_differences(expected, other.outputs, scale).max()) for other in runs.batch)
