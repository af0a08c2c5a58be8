"""What a verification report says: `report.json`, from which alone `report.html` is drawn.

Every figure carries its unit in its name or its description. `None` stands for what was not measured; infinities and
what is not a number are written as strings, so that a broken figure is read back as such.
"""

from datetime import datetime
from typing import Literal

from exporter.page.parts import Activations, Examples, Histogram, Part

SCHEMA_VERSION: Literal[1] = 1

Split = Literal["validation", "test"]
CheckState = Literal["passed", "not run", "not offered", "failed"]


class File(Part):
    name: str
    size_bytes: int
    sha256: str


class Identity(Part):
    """Which model this is, and where and when it was measured."""

    name: str
    version: int
    title: str
    description: str
    task: str
    licence: str
    provenance: str
    created: datetime
    machine: str
    """The processor."""
    libraries: dict[str, str]
    """Version by name."""
    parameters: int
    """Numbers that training has set."""
    reads: str
    """What goes in, in words."""
    answers: str
    """What comes out, in words."""
    smallest_steps: int
    largest_steps: int
    state_bytes: int
    """Of one sequence; 0 if the network cannot be run piece by piece."""
    files: tuple[File, ...]


class Check(Part):
    """One line of the verdict."""

    name: str
    state: CheckState
    text: str


class Difference(Part):
    """How far two implementations lie apart, over rows: a row's largest absolute difference of any output, divided by
    its largest reference output where that is above 1."""

    one: str
    other: str
    largest: float
    median: float
    equal_rows: int
    """Rows without any difference."""
    log10_histogram: Histogram | None
    """Of log10 of the other rows' differences."""


class Parity(Part):
    """Every implementation against every other one."""

    rows: int
    implementations: tuple[str, ...]
    """The first one is the network as it was trained."""
    differences: tuple[Difference, ...]
    tolerance: float
    """The largest difference to the trained network that is accepted of fp32; of others the metric alone decides."""
    far_rows: int = 0
    """Rows far outside the range of these, on which fp32 had to answer as the trained network does, too."""


class Moves(Part):
    """Largest absolute differences to the same sequence alone, unpadded and in one piece, by what was varied."""

    batch: float
    padding: float | None
    chunks: float | None
    threads: float


class Invariance(Part):
    """Largest absolute difference of any output or state to the same sequence alone, unpadded and in one piece."""

    precision: str
    comparison_only: bool
    """True for the plain dynamic int8 that is measured here but never offered."""
    batch: float
    """Other batch-mates, another order."""
    batch_scaled: float
    """The same of the outputs alone, scaled as in `Difference`."""
    padding: float | None
    """Other content past a sequence's end; None where rows of different lengths never share a batch."""
    chunks: float | None
    """None where a network is not run in chunks."""
    threads: float
    sequences: int
    outputs: Moves | None = None
    """Of the outputs alone, where they were told apart from the states."""


class Interval(Part):
    """A figure and the ends of its 95 % confidence interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Score(Part):
    """The gate's metric of one precision on the rows of one split, and the other metrics."""

    precision: str
    split: Split
    value: Interval
    minus_fp32: Interval | None
    """Paired: the same rows were drawn for both."""
    others: dict[str, float]


class Decision(Part):
    precision: str
    loss: float
    """How much worse than fp32, in the metric's unit or as a share of fp32's value."""
    accepted: bool


class Metric(Part):
    """What the model is for, measured, and the gate that rests on it."""

    name: str
    higher_is_better: bool
    allowed_loss: float
    relative: bool
    """Whether the allowed loss is a share of fp32's value."""
    rows: dict[Split, int]
    scores: tuple[Score, ...]
    decisions: tuple[Decision, ...]
    """On validation rows; test rows decide nothing."""
    shares: bool = False
    """Whether the metric is a share of the rows, with Wilson's interval; differences have the bootstrap's."""
    resamples: int
    """Of the bootstrap; 0 if the metric is not a mean over rows, and so has no interval here."""
    seed: int


class Speed(Part):
    """What one precision weighs and takes; empty where no such device was at hand. Keys are batch sizes."""

    precision: str
    size_bytes: int
    devices: tuple[str, ...]
    contract: str
    """What is promised of this precision, in a sentence."""
    milliseconds: dict[int, float]
    """Median of a run over whole sequences."""
    chunk_milliseconds: dict[int, float]
    """Median of a run over chunks."""
    sequences_per_second: dict[int, float]


class Speeds(Part):
    steps: int
    """Of the whole sequences."""
    chunk_steps: int
    threads: int
    precisions: tuple[Speed, ...]


class Findings(Part):
    """`report.json`."""

    schema_version: Literal[1] = SCHEMA_VERSION
    identity: Identity
    checks: tuple[Check, ...]
    parity: Parity | None
    invariance: tuple[Invariance, ...]
    without_comparison: str | None = None
    """Why plain dynamic int8 is not beside the pinned one, where it should be."""
    metric: Metric | None
    """None: there were no labelled rows, so the gate was not run."""
    speeds: Speeds
    activations: Activations | None
    examples: Examples | None
