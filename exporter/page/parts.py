"""The parts of a report that show single layers and single rows: ranges, histograms, examples."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Histogram(Part):
    """How many values fall into each of `counts`' equally wide bins between `low` and `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


class Values(Part):
    """Of how many values, and how they are spread; quantiles by level."""

    count: int
    minimum: float
    maximum: float
    quantiles: dict[str, float]
    histogram: Histogram


class GateWeights(Part):
    """The numbers of one gate of one layer."""

    gate: str
    inputs: Values
    """That multiply the inputs."""
    recurrent: Values
    """That multiply the hidden values."""
    bias: Values


class Layer(Part):
    """One recurrent layer, run in fp32 over some rows, padding and pinned units left out."""

    name: str
    operator: str
    input_size: int
    hidden_size: int
    directions: int
    inputs: Values
    input_bound: float | None
    """The end of the range that int8 takes for the inputs; None if the layer is not pinned."""
    input_bits_lost: float | None
    """log2(bound / largest input): how much of the 8 bits the pins' range leaves unused."""
    hidden: Values
    hidden_bits_lost: float | None
    """log2(1 / largest hidden value)."""
    saturated_share: float
    """Of hidden values above 0.99 in magnitude."""
    cell: Values | None
    """None for a layer without a cell state."""
    gates: tuple[GateWeights, ...]


class Activations(Part):
    rows: int
    steps: int
    """Of all those rows together."""
    layers: tuple[Layer, ...]


class Answer(Part):
    """One number that both precisions give, with its name."""

    name: str
    reference: float
    compared: float


class Lines(Part):
    """What a series looks like: the end of what was given, what came, and the middle line of both forecasts."""

    past: tuple[float, ...]
    came: tuple[float, ...] = ()
    reference: tuple[float, ...] = ()
    compared: tuple[float, ...] = ()


class Example(Part):
    """A row whose decision changes, or on which two precisions differ much."""

    row: int
    group: str | None
    truth: str | None
    steps: int
    pieces: tuple[str, ...] | None
    """The text's tokens, or the ids of tokens that have no text."""
    pieces_left_out: int
    lines: Lines | None
    answers: tuple[Answer, ...]
    difference: float
    """As in `Difference`."""
    flips: bool | None
    """Whether the decision is another one; None where nothing is decided."""
    decisions: tuple[str, str] | None = None
    """Of reference and compared, where a row has one decision."""


class Examples(Part):
    """Rows whose decision changes, and then those on which two precisions differ most; of both the worst first."""

    reference: str
    compared: str
    rows: int
    source: str
    """Which rows these are, in words."""
    flipped: int | None
    """Rows with another decision; None where nothing is decided."""
    gained: int | None
    """Rows that were wrong and are right now; None without known answers."""
    lost: int | None
    worst: tuple[Example, ...]
