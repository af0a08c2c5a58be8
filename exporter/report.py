"""What an export has produced so far: the data that manifest, card and report are written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx

from exporter.measure import preference
from exporter.options import Options
from exporter.precisions import DEVICES
from exporter.sessions import Rows
from exporter.source import About as About
from exporter.source import Source
from models.manifest import Invariance, Precision
from training.evaluation import Evaluation, Split
from training.networks.step import StateSlice


@dataclass(frozen=True)
class Built:
    """The graphs of a source, and the layout of the state that they share."""

    models: Mapping[Precision, onnx.ModelProto]
    slices: tuple[StateSlice, ...]
    """Of the state; none for a whole network."""
    pinned: tuple[int, ...]
    """Columns of the state that never change."""
    chunkable: bool
    per_step: bool
    reasons: Mapping[str, str]
    """Why a precision, chunks or padding are not offered."""

    @property
    def runnable(self) -> list[Precision]:
        """Precisions that a CPU can run, and so everything can be checked of them here."""
        return [precision for precision in self.models if "cpu" in DEVICES[precision]]

    @property
    def initial_state(self) -> np.ndarray:
        """float32 [S]."""
        return np.concatenate([np.zeros(0, np.float32), *(part.values().numpy() for part in self.slices)])


@dataclass(frozen=True)
class Finding:
    """What was measured of one precision; almost nothing of one that cannot run here."""

    parity: float | None = None
    invariance: Invariance | None = None
    metrics: Mapping[Split, Mapping[str, float]] = field(default_factory=dict)
    """By split; empty without labelled rows."""
    milliseconds: Mapping[int, float] = field(default_factory=dict)
    chunk_milliseconds: Mapping[int, float] = field(default_factory=dict)
    outputs: Mapping[Split, np.ndarray] = field(default_factory=dict)
    """float32 [N, ...], per step [N, longest, ...] with zeros past each row's length."""
    simulated_parity: float | None = None
    """Of a precision that cannot run here: parity of its rounded weights, computed in float32."""
    far_rows: int = 0
    """Of fp32: on how many rows far outside the range of the others it was found to agree with the network."""


@dataclass(frozen=True)
class Export:
    """A source, its graphs and everything that was found out about them."""

    source: Source
    built: Built
    findings: Mapping[Precision, Finding]
    splits: Mapping[Split, Evaluation]
    """Empty without labelled rows."""
    typical_steps: int
    options: Options
    rows: Rows
    """What everything but the metric was measured on: validation rows, or generated ones."""

    @property
    def preferred(self) -> tuple[Precision, ...]:
        """Precisions for the CPU, best first: by the time of chunks or, where there are none, of whole sequences.

        An int8 that clamps inputs where the network does not comes last: whoever wants it must ask for it.
        """
        found = {precision: self.findings[precision] for precision in self.built.runnable}
        order = preference({name: one.chunk_milliseconds or one.milliseconds for name, one in found.items()})
        return tuple(sorted(order, key=lambda name: name == "int8")) if self.source.int8_bounds else order


@dataclass(frozen=True)
class Headline:
    """The figures that a person asks for first, and those of the simple methods to beat."""

    figures: dict[str, float]
    baselines: dict[str, float]
