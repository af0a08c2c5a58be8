"""What an export has produced so far: the data that manifest and card are written from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from exporter.measure import preference
from models.manifest import Invariance, Precision
from training.checkpoint import Checkpoint
from training.evaluation import Evaluation, Split
from training.networks.step import StateSlice


@dataclass(frozen=True)
class Built:
    """The graphs of a checkpoint, and the layout of the state that they share."""

    models: Mapping[Precision, onnx.ModelProto]
    slices: tuple[StateSlice, ...]
    pinned: tuple[int, ...]
    without_int8: str | None
    """Why there is no int8 graph; None if there is one."""


@dataclass(frozen=True)
class Finding:
    """What was measured of one precision."""

    parity: float
    invariance: Invariance
    metrics: Mapping[Split, Mapping[str, float]]
    milliseconds: Mapping[int, float]
    chunk_milliseconds: Mapping[int, float]
    outputs: Mapping[Split, np.ndarray]


@dataclass(frozen=True)
class Export:
    """A checkpoint, its graphs and everything that was found out about them."""

    checkpoint: Checkpoint
    built: Built
    findings: Mapping[Precision, Finding]
    splits: Mapping[Split, Evaluation]
    typical_steps: int

    @property
    def preferred(self) -> tuple[Precision, ...]:
        """Precisions for the CPU, best first."""
        return preference({precision: finding.chunk_milliseconds for precision, finding in self.findings.items()})


@dataclass(frozen=True)
class About:
    """What only a person can say about a model."""

    title: str
    description: str
    licence: str


@dataclass(frozen=True)
class Headline:
    """The figures that a person asks for first, and those of the simple methods to beat."""

    figures: dict[str, float]
    baselines: dict[str, float]
