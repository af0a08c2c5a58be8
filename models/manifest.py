"""The contract of a bundle: what a server must know to run a model, and what the exporter has shown about it."""

from datetime import datetime
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

SCHEMA_VERSION: Literal[1] = 1

Precision = Literal["fp32", "int8", "int8-weights", "fp16"]
Device = Literal["cpu", "cuda"]
Task = Literal["text-classification", "forecast", "regression", "tagging", "language-model"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StateSlice(_Part):
    """Some columns of the state. `initial` is run-length coded: pairs of (number of columns, value)."""

    name: str
    size: Annotated[int, Field(ge=1)]
    initial: tuple[tuple[int, float], ...]

    @model_validator(mode="after")
    def _runs_fill_the_slice(self) -> Self:
        if sum(count for count, _ in self.initial) != self.size:
            raise ValueError(
                f"state slice {self.name!r}: the runs of initial values do not add up to {self.size} columns"
            )
        return self


class Inputs(_Part):
    """What the graph's `inputs` hold: int64 token ids [B, T], or float32 features [B, T, features]."""

    kind: Literal["tokens", "features"]
    features: Annotated[int, Field(ge=1)] | None = None
    vocabulary: Annotated[int, Field(ge=1)] | None = None
    above: float | None = None
    """Every feature must be greater than this, where it is set (prices are above 0)."""

    @model_validator(mode="after")
    def _one_width(self) -> Self:
        if (self.features is None) == (self.kind == "features") or (self.vocabulary is None) == (self.kind == "tokens"):
            raise ValueError("inputs: token ids have a vocabulary, features have a number of features")
        return self


class Outputs(_Part):
    """What the graph's `outputs` hold: float32 [B, *shape] (final) or [B, T, *shape] (per step)."""

    when: Literal["final", "per_step"] = "final"
    shape: tuple[int, ...]
    labels: tuple[str, ...] | None = None
    """Classes in the order of the last axis, which then holds probabilities."""
    quantiles: tuple[float, ...] | None = None
    """Quantile levels in the order of the last axis; the first axis of `shape` is then the horizon."""
    default_horizon: int | None = None

    @model_validator(mode="after")
    def _names_match_the_shape(self) -> Self:
        names = self.labels or self.quantiles
        if names is not None and self.shape[-1:] != (len(names),):
            raise ValueError(f"outputs: {len(names)} names for a last axis of {self.shape[-1:]}")
        return self


class Steps(_Part):
    """How many time steps a sequence may have, and how many its first chunk must have at least."""

    smallest: Annotated[int, Field(ge=1)] = 1
    largest: Annotated[int, Field(ge=1)]
    first_chunk: Annotated[int, Field(ge=1)] = 1
    default: int | None = None
    """How many of the latest steps the published figures were measured with, where it is a choice."""


class Invariance(_Part):
    """Largest absolute difference of outputs and states against the same sequence alone, unpadded, in one piece.

    None where the question does not arise (chunks of a network that is not chunkable).
    """

    batch: float
    padding: float
    chunks: float | None
    threads: float
    sequences: int


class PrecisionFile(_Part):
    """One ONNX file and what was measured with it at export, on the machine named in the manifest."""

    file: FileName
    bytes: int
    operators: dict[str, int]
    """How many nodes of each operator type the graph has."""
    devices: tuple[Device, ...]
    parity: float
    """Largest difference of the outputs to eager PyTorch in float32 (for int8: the quantization error), by the largest
    output of the same sequence where that is above 1."""
    invariance: Invariance
    validation: dict[str, float]
    test: dict[str, float]
    milliseconds: dict[int, float]
    """Median time of one run of `typical_steps` steps in one thread, by batch size."""
    chunk_milliseconds: dict[int, float] = {}
    """The same for runs of 16 steps, which is what continuous batching does; they decide the preference."""
    throughput: dict[int, float] = {}
    """Sequences per second, by batch size, of the runs of `typical_steps`."""


class Gate(_Part):
    """The metric that decides on validation rows whether a precision is published."""

    metric: str
    higher_is_better: bool
    allowed_loss: float
    relative: bool


class Statistics(_Part):
    """What the training inputs looked like, to notice when production's look different."""

    length_quantiles: dict[str, float]
    """Number of time steps at the 0.05, 0.5, 0.95 and 1.0 quantile of the training sequences."""
    unknown_rate: float | None = None
    """Share of unknown tokens (text)."""
    value_quantiles: dict[str, float] | None = None
    """Raw input values (features)."""


class Manifest(_Part):
    """`manifest.json`: one version of one model."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: Name
    version: Annotated[int, Field(ge=1)]
    task: Task
    title: str
    description: str
    created: datetime
    machine: str
    """The processor that the figures were measured on."""
    versions: dict[str, str]
    """Of the libraries that made the bundle."""
    parameters: int
    """Numbers that training has set."""
    chunkable: bool
    session: Literal["state", "window", "none"]
    inputs: Inputs
    outputs: Outputs
    steps: Steps
    typical_steps: int
    state: tuple[StateSlice, ...]
    pinned: tuple[int, ...] = ()
    """Columns of the state that no step may change: what keeps the scales of a quantized product constant."""
    clip: float | None = None
    """Scaled inputs are clamped to [-clip, clip]; the state slice `clipped`, where there is one, counts how often."""
    tokenizer: FileName | None = None
    precisions: dict[Precision, PrecisionFile]
    preference: dict[Device, tuple[Precision, ...]]
    """Which precision to load on which device, best first."""
    gate: Gate
    figures: dict[str, float]
    """The few test-set figures that a person asks for first, of the preferred precision on the CPU."""
    baselines: dict[str, float]
    """The same figures of the simple methods to beat."""
    statistics: Statistics
    licence: str
    files: dict[FileName, Sha256]
    """Every other file of the bundle."""

    @model_validator(mode="after")
    def _files_are_listed(self) -> Self:
        used = {part.file for part in self.precisions.values()} | ({self.tokenizer} if self.tokenizer else set())
        if missing := used - self.files.keys():
            raise ValueError(f"files: no sha256 for {', '.join(sorted(missing))}")
        for device, precisions in self.preference.items():
            for precision in precisions:
                if precision not in self.precisions or device not in self.precisions[precision].devices:
                    raise ValueError(f"preference: {precision} is not offered for {device}")
        if (self.tokenizer is None) == (self.inputs.kind == "tokens" and self.task == "text-classification"):
            raise ValueError("tokenizer: a text model has one, others have none")
        return self

    @property
    def state_size(self) -> int:
        """Columns of the state array; 0 for a network that is not chunkable."""
        return sum(part.size for part in self.state)

    def initial_state(self) -> np.ndarray:
        """The state before the first time step: float32 [S]."""
        runs = [run for part in self.state for run in part.initial]
        return np.repeat(np.array([value for _, value in runs], np.float32), [count for count, _ in runs])

    def columns(self, slice_name: str) -> slice | None:
        """Where a named slice lies in the state; None if there is no such slice."""
        start = 0
        for part in self.state:
            if part.name == slice_name:
                return slice(start, start + part.size)
            start += part.size
        return None
