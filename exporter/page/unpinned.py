"""Plain dynamic int8, as a tutorial would make it: measured as a comparison, and never offered."""

from dataclasses import dataclass

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, RuntimeException
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NotImplementedInOrt

from exporter import build, describe, graph, verify
from exporter.page import parity
from exporter.page.findings import Moves
from exporter.quantize import unpinned_int8
from exporter.report import Built, Export
from exporter.sessions import Results, Rows, alone, in_chunks, together
from exporter.verify import Subject
from models.manifest import Invariance
from training.networks.step import StepNetwork

UNPINNED = "unpinned int8"
REFUSALS = (Fail, InvalidArgument, InvalidGraph, NotImplementedInOrt, RuntimeException)


class NotRunnable(Exception):
    """ONNX Runtime does not run what plain dynamic quantization has made; the message says so to people."""


@dataclass(frozen=True)
class Unpinned:
    subject: Subject
    invariance: Invariance
    outputs: Moves
    """Of the outputs alone: states are often larger, and nobody sees them."""
    batch_scaled: float
    """How far mixed batches move the outputs, scaled as differences in parity are."""


def unpinned(done: Export, rows: Rows) -> Unpinned | None:
    """The network quantized without pins; None if the export has no pinned int8 to compare it with. Raises NotRunnable:
    where nodes share their weights, for example, `quantize_dynamic` makes a graph that fails."""
    if "int8" not in done.built.models:
        return None
    network = done.source.exportable(False)
    limits = done.source.limits
    smallest = 1 if done.built.chunkable else limits.smallest
    model = graph.to_onnx(network, build.example(rows, limits.largest), smallest)
    plain = Built(
        models={"int8": unpinned_int8(model)},
        slices=network.state_slices() if isinstance(network, StepNetwork) else (),
        pinned=(),
        chunkable=done.built.chunkable,
        per_step=done.built.per_step,
        reasons={},
    )
    subject = describe.subject(done.source, plain, "int8")
    try:
        return Unpinned(subject, verify.invariance(subject, rows), *moved(subject, rows))
    except REFUSALS as error:
        raise NotRunnable(
            "Plain dynamic int8 was made for comparison, too, but ONNX Runtime cannot run the graph that "
            f"quantize_dynamic has made: it ended with {type(error).__name__}."
        ) from error


def moved(subject: Subject, rows: Rows) -> tuple[Moves, float]:
    """The largest difference of an output to the same row alone by each way of running rows in their order, and that
    of mixed batches, scaled."""
    rows = rows if subject.padding else verify.of_few_lengths(rows)
    session, slots, first = subject.session(), verify.SLOTS, subject.first_chunk
    batches = [range(start, min(start + verify.BATCH, len(rows))) for start in range(0, len(rows), verify.BATCH)]
    expected, mixed = outputs(alone(session, rows)), outputs(together(session, batches, rows))
    fills = verify.fills(subject, np.random.default_rng(0)) if subject.padding else []
    padded = [expected.deviation(outputs(together(session, batches, rows, fill, 1))) for fill in fills]
    chunks = verify.CHUNKS[1:] if subject.chunkable else ()
    cut = [expected.deviation(outputs(in_chunks(session, rows, chunk, first, slots))) for chunk in chunks]
    moves = Moves(
        batch=expected.deviation(mixed),
        padding=max(padded, default=None),
        chunks=max(cut, default=None),
        threads=expected.deviation(outputs(together(subject.session(2), batches, rows))),
    )
    return moves, scaled(expected, mixed)


def outputs(found: Results) -> Results:
    """Without the states."""
    return Results(found.outputs, found.states[:, :0], found.per_step)


def scaled(expected: Results, found: Results) -> float:
    """As differences in parity are."""
    if expected.outputs.shape != found.outputs.shape:
        return float("inf")
    scales = parity.scales(expected.outputs)
    return float(parity.row_differences(expected.outputs, found.outputs, scales).max())
