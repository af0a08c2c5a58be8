"""How strict an export is, what it builds, and what it may replace."""

from dataclasses import dataclass

from models.manifest import Precision


@dataclass(frozen=True)
class Options:
    """The gates are on by default; whoever widens one finds it in the report."""

    parity: float = 1e-4
    """Largest difference of fp32's outputs to the reference, by a row's largest output where that is above 1, and by
    what an output's values span over all rows where that is less (`check.check_answers`). What is seen is 1e-6 to 1e-5:
    the same sums in another order. The error of other precisions is judged by the metric."""
    allowed_loss: float | None = None
    """How much worse than fp32's the metric may get; None takes what the evaluation says."""
    relative: bool | None = None
    """Whether `allowed_loss` is a share of fp32's metric; None takes what the evaluation says."""
    precisions: tuple[Precision, ...] | None = None
    """What to build beside fp32, which is always there; None builds all that are possible."""
    without_evaluation: bool = False
    """Publish although there are no labelled rows, so that the metric gate is not run."""
    overwrite: bool = False
    """Replace a version that is there already, which servers may have loaded."""


STRICT = Options()
