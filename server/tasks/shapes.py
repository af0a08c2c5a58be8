"""The shapes of the answers, for the documentation. Answers are written as plain objects, which is faster."""

import msgspec
from msgspec import UNSET, UnsetType


class Label(msgspec.Struct, forbid_unknown_fields=True):
    """Classification: the most probable label, its probability, and those of all labels (or of the first `top`)."""

    label: str
    score: float
    probabilities: dict[str, float]


class Forecast(msgspec.Struct, forbid_unknown_fields=True):
    """Forecast: one number for each step of the horizon."""

    median: list[float]
    quantiles: dict[str, list[float]]


class Targets(msgspec.Struct, forbid_unknown_fields=True):
    """Regression: one number for each target."""

    values: dict[str, float]


class StepLabels(msgspec.Struct, forbid_unknown_fields=True):
    """Tagging: the most probable label of each step, its probability, and the token that was read (texts)."""

    labels: list[str]
    scores: list[float]
    tokens: list[str] | UnsetType = UNSET


class StepTargets(msgspec.Struct, forbid_unknown_fields=True):
    """Tagging with numbers: for each target one number a step."""

    values: dict[str, list[float]]
    tokens: list[str] | UnsetType = UNSET


class NextToken(msgspec.Struct, forbid_unknown_fields=True):
    token: int
    probability: float
    text: str | UnsetType = UNSET


class NextTokens(msgspec.Struct, forbid_unknown_fields=True):
    """Language model: the most probable next tokens, the first one first."""

    next: list[NextToken]


SHAPES = (Label, Forecast, Targets, StepLabels, StepTargets, NextTokens)

EXAMPLES = {
    "classification": Label("positive", 0.9, {"negative": 0.1, "positive": 0.9}),
    "forecast": Forecast([10.1, 10.2], {"0.1": [9.8, 9.7], "0.5": [10.1, 10.2], "0.9": [10.4, 10.7]}),
    "regression": Targets({"price": 181.4}),
    "tagging": StepLabels(["O", "CITY"], [0.97, 0.88], ["in", "Rome"]),
    "tagging with numbers": StepTargets({"temperature": [20.1, 20.4, 20.2]}),
    "language model": NextTokens([NextToken(17, 0.25, "the"), NextToken(4, 0.125, "a")]),
}
