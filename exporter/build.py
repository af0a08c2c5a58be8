"""The ONNX graphs of a source: fp32, and every other precision that its network allows."""

from collections.abc import Mapping

import numpy as np
import onnx

from exporter import graph
from exporter.errors import ExportError
from exporter.options import Options
from exporter.precisions import DEVICES, variants
from exporter.precisions import why_not as not_possible
from exporter.recurrent import bounds_of_int8, pinned_columns
from exporter.report import Built
from exporter.sessions import Rows
from exporter.source import AnyNetwork, Source
from models.manifest import Precision
from training.networks.step import StepNetwork

NOT_CHUNKABLE = "the network reads the whole sequence at once"
NOT_PADDED = "the network looks past the end of a sequence, so only sequences of one length share a batch"
NOT_RUN = "it runs on a GPU only, and there is none where the model was exported, so it was not run"
EXAMPLE_STEPS = 8


def build(source: Source, rows: Rows, options: Options) -> Built:
    """All graphs. `rows` are some encoded sequences. Raises GraphError, QuantizationError, or ExportError where a
    precision was asked for that cannot be had."""
    network = source.exportable(source.without_int8 is None)
    chunkable = isinstance(network, StepNetwork)
    if chunkable and not source.padding:
        raise ExportError("padding: a network that runs in chunks must allow it, since chunks end at different steps")
    smallest = 1 if chunkable else source.limits.smallest
    fp32 = graph.to_onnx(network, example(rows, source.limits.largest), smallest)
    models, reasons = precisions(source, fp32, options, bounds_of_int8(network, fp32))
    return Built(
        models=models,
        slices=network.state_slices() if chunkable else (),
        pinned=pinned_columns(network) if chunkable else (),
        chunkable=chunkable,
        per_step=network.per_step,
        reasons=reasons | why_not(source, network),
    )


def precisions(
    source: Source, fp32: onnx.ModelProto, options: Options, bounds: Mapping[str, float]
) -> tuple[dict[Precision, onnx.ModelProto], dict[str, str]]:
    """The wanted precisions, and why another one cannot be had, or was not run. `bounds` are for int8."""
    models = variants(fp32, pinned=source.without_int8 is None, bounds=bounds)
    reasons: dict[str, str] = {**not_possible(fp32)}
    if source.without_int8 is not None:
        reasons["int8"] = source.without_int8
    wanted = models.keys() if options.precisions is None else {"fp32", *options.precisions}
    if missing := sorted(wanted - models.keys()):
        raise ExportError(f"precisions: {missing[0]} cannot be had: {reasons[missing[0]]}; {', '.join(models)} can")
    models = {precision: model for precision, model in models.items() if precision in wanted}
    return models, reasons | {precision: NOT_RUN for precision in models if "cpu" not in DEVICES[precision]}


def why_not(source: Source, network: AnyNetwork) -> dict[str, str]:
    """What the network does not do, in a sentence each."""
    reasons: dict[str, str] = {}
    if not isinstance(network, StepNetwork):
        reasons["chunks"] = NOT_CHUNKABLE
    if not source.padding:
        reasons["padding"] = NOT_PADDED
    return reasons | dict(source.reasons)


def example(rows: Rows, largest: int) -> np.ndarray:
    """A row to trace the network with: not so short that its length looks like a constant of the network."""
    row = max(rows[:32], key=len)
    steps = max(len(row), min(EXAMPLE_STEPS, largest))
    return np.concatenate([row] * -(-steps // len(row)))[:steps]
