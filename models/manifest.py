"""The contract of a bundle: what a server must know to run a model, and what the exporter has shown about it."""

from datetime import datetime
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from models.measured import Device as Device
from models.measured import FileName, Part, PrecisionFile, Statistics
from models.measured import Gate as Gate
from models.measured import Invariance as Invariance
from models.measured import Precision as Precision

SCHEMA_VERSION: Literal[2] = 2

Task = Literal["text-classification", "classification", "forecast", "regression", "tagging", "language-model"]
NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class StateSlice(Part):
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


class Inputs(Part):
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


class Outputs(Part):
    """What the graph's `outputs` hold: float32 [B, *shape] (final) or [B, T, *shape] (per step)."""

    when: Literal["final", "per_step"] = "final"
    shape: tuple[int, ...]
    labels: tuple[str, ...] | None = None
    """Classes in the order of the last axis. Two classes may share an axis of one: the score of the second."""
    scores: Literal["probabilities", "logits"] = "probabilities"
    """What is given for classes and next tokens. Of logits the server takes the softmax, or the sigmoid of just one."""
    quantiles: tuple[float, ...] | None = None
    """Quantile levels in the order of the last axis; the first axis of `shape` is then the horizon."""
    default_horizon: int | None = None
    names: tuple[str, ...] | None = None
    """Targets of a regression in the order of the last axis."""

    @model_validator(mode="after")
    def _names_match_the_shape(self) -> Self:
        lists: list[tuple] = [given for given in (self.labels, self.quantiles, self.names) if given is not None]
        if len(lists) > 1:
            raise ValueError("outputs: only one of labels, quantiles and names can describe the last axis")
        for names in lists:
            both_of_one = names is self.labels and len(names) == 2 and self.shape == (1,)
            if self.shape[-1:] != (len(names),) and not both_of_one:
                raise ValueError(f"outputs: {len(names)} names for a last axis of {self.shape[-1:]}")
            if len(set(names)) < len(names):
                raise ValueError(f"outputs: the same name twice in {', '.join(map(str, names))}")
        return self


class Steps(Part):
    """How many time steps a sequence may have, and how many its first chunk must have at least."""

    smallest: Annotated[int, Field(ge=1)] = 1
    largest: Annotated[int, Field(ge=1)]
    first_chunk: Annotated[int, Field(ge=1)] = 1
    default: int | None = None
    """How many of the latest steps the published figures were measured with, where it is a choice."""

    @model_validator(mode="after")
    def _smallest_is_below_largest(self) -> Self:
        if self.smallest > self.largest:
            raise ValueError(f"steps: smallest {self.smallest} is above largest {self.largest}")
        return self


class Manifest(Part):
    """`manifest.json`: one version of one model."""

    schema_version: Literal[2] = SCHEMA_VERSION
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
    padding: bool = True
    """False: sequences of different lengths must not share a batch."""
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why something is not offered or was not run ("chunks", "padding", "int8", ...), in a sentence each."""
    session: Literal["state", "window", "none"]
    inputs: Inputs
    outputs: Outputs
    steps: Steps
    typical_steps: int
    state: tuple[StateSlice, ...]
    pinned: tuple[int, ...] = ()
    """Columns of the state that no step may change: what keeps the scales of a quantized product constant."""
    clip: float | None = None
    """Scaled inputs are clamped to [-clip, clip], as a part of the network. The state slice `clipped`, where there is
    one, counts how often; without a clip, how often inputs were beyond what a precision is `clamped_at`."""
    tokenizer: FileName | None = None
    precisions: dict[Precision, PrecisionFile]
    preference: dict[Device, tuple[Precision, ...]]
    """Which precision to load on which device, best first."""
    gate: Gate | None
    """None: not run, because there were no labelled rows."""
    figures: dict[str, float]
    """The few test-set figures that a person asks for first, of the preferred precision on the CPU."""
    baselines: dict[str, float]
    """The same figures of the simple methods to beat."""
    statistics: Statistics | None
    """None: there were no rows to take them of."""
    licence: str
    files: dict[FileName, Sha256]
    """Every other file of the bundle."""
    digest: Sha256 | None = None
    """Of everything above; see `models.integrity`. None only until the manifest is written."""

    @model_validator(mode="after")
    def _files_are_listed(self) -> Self:
        used = {part.file for part in self.precisions.values()} | ({self.tokenizer} if self.tokenizer else set())
        if missing := used - self.files.keys():
            raise ValueError(f"files: no sha256 for {', '.join(sorted(missing))}")
        for device, precisions in self.preference.items():
            for precision in precisions:
                if precision not in self.precisions or device not in self.precisions[precision].devices:
                    raise ValueError(f"preference: {precision} is not offered for {device}")
        if not self.preference.get("cpu"):
            raise ValueError("preference: no precision for the cpu, which every server has")
        return self

    @model_validator(mode="after")
    def _whole_networks_have_no_state(self) -> Self:
        if not self.chunkable and (self.state or self.session == "state"):
            raise ValueError("state: a network that is not chunkable has none, and cannot keep one for a session")
        if self.chunkable and not self.padding:
            raise ValueError("padding: a chunkable network has to allow it, since chunks end at different steps")
        if any(column >= self.state_size for column in self.pinned):
            raise ValueError(f"pinned: there are only {self.state_size} columns")
        return self

    @model_validator(mode="after")
    def _the_parts_suit_the_task(self) -> Self:
        task, inputs, outputs = self.task, self.inputs, self.outputs
        series_of_quantiles = len(outputs.shape) == 2 and 0.5 in (outputs.quantiles or ())
        problems = {
            "tokenizer: only a network that reads token ids can have one": self.tokenizer and inputs.kind != "tokens",
            "tokenizer: a text-classification needs one; the task without it is classification": (
                task == "text-classification" and not self.tokenizer
            ),
            "outputs: tagging answers per step, every other task once": (
                (task == "tagging") != (outputs.when == "per_step")
            ),
            "outputs: a classification needs labels": "classification" in task and not outputs.labels,
            "outputs: a forecast of features has the shape [horizon, quantiles], with 0.5 among the quantiles": (
                task == "forecast" and not (inputs.kind == "features" and series_of_quantiles)
            ),
            "outputs: a language model has one number for each token of its vocabulary": (
                task == "language-model" and outputs.shape != (inputs.vocabulary,)
            ),
            "outputs: only a forecast has quantiles, and an axis for the horizon": (
                task != "forecast" and (outputs.quantiles is not None or len(outputs.shape) != 1)
            ),
            "outputs: a regression has names, not labels": task == "regression" and outputs.labels is not None,
        }
        for problem, found in problems.items():
            if found:
                raise ValueError(problem)
        return self

    @property
    def state_size(self) -> int:
        """Columns of the state array; 0 for a network that is not chunkable."""
        return sum(part.size for part in self.state)

    def initial_state(self) -> np.ndarray:
        """The state before the first time step: float32 [S]."""
        runs = [run for part in self.state for run in part.initial]
        counts = np.array([count for count, _ in runs], np.int64)
        return np.repeat(np.array([value for _, value in runs], np.float32), counts)

    def columns(self, slice_name: str) -> slice | None:
        """Where a named slice lies in the state; None if there is no such slice."""
        start = 0
        for part in self.state:
            if part.name == slice_name:
                return slice(start, start + part.size)
            start += part.size
        return None
