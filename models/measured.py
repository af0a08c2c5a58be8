"""The part of the manifest that was measured: sizes, times, exactness and scores of each precision."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Precision = Literal["fp32", "int8", "int8-weights", "fp16"]
Device = Literal["cpu", "cuda"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Part(BaseModel):
    """A part of the manifest: it cannot be changed, and knows all of its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Invariance(Part):
    """Largest absolute difference of outputs and states against the same sequence alone, unpadded, in one piece.

    None where the question does not arise: chunks of a network that is not chunkable, padding where none is allowed.
    """

    batch: float
    padding: float | None
    chunks: float | None
    threads: float
    sequences: int


class PrecisionFile(Part):
    """One ONNX file and what was measured with it at export, on the machine named in the manifest."""

    file: FileName
    bytes: int
    operators: dict[str, int]
    """How many nodes of each operator type the graph has."""
    devices: tuple[Device, ...]
    contract: str = ""
    """What is promised of this precision, in a sentence."""
    clamped_at: dict[str, float] = {}
    """Where this precision clamps what recurrent layers read (after scaling), by their names, although the network does
    not: at bounds that were taken from labelled rows. Beyond them its answers are others than the network's."""
    parity: float | None
    """Largest difference of the outputs to eager PyTorch in float32 (for int8: the quantization error), by the largest
    output of the same sequence where that is above 1. None, as with invariance: not run, for want of such a device."""
    invariance: Invariance | None
    validation: dict[str, float] = {}
    test: dict[str, float] = {}
    milliseconds: dict[int, float] = {}
    """Median time of one run of `typical_steps` steps in one thread, by batch size."""
    chunk_milliseconds: dict[int, float] = {}
    """The same for runs of 16 steps, which is what continuous batching does; they decide the preference."""
    throughput: dict[int, float] = {}
    """Sequences per second, by batch size, of the runs of `typical_steps`."""


class Gate(Part):
    """The metric that decides on validation rows whether a precision is published."""

    metric: str
    higher_is_better: bool
    allowed_loss: float
    relative: bool


class Statistics(Part):
    """What the validation rows looked like. Told to people; no program compares requests with it."""

    length_quantiles: dict[str, float]
    """Number of time steps at the 0.05, 0.5, 0.95 and 1.0 quantile of the rows."""
    unknown_rate: float | None = None
    """Share of unknown tokens (text)."""
    value_quantiles: dict[str, float] | None = None
    """Raw input values, of all features together. The example in the server's documentation lies between them."""
