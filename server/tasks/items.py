"""What a caller sends: a request, with items and parameters."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Kind = Literal["text", "values", "tokens"]

ONE_OF_THEM = 'an object has either "values" or "tokens"'


class Numbers(msgspec.Struct, forbid_unknown_fields=True):
    """A sequence in numbers, its first step first. Send one of the two fields."""

    values: (
        Annotated[
            list[float | list[float]],
            Meta(description="A series, oldest value first; of several features, a list of them for each time step."),
        ]
        | UnsetType
    ) = UNSET
    tokens: Annotated[list[int], Meta(description="Token ids.")] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if (self.values is UNSET) == (self.tokens is UNSET):
            raise ValueError(ONE_OF_THEM)


Item = str | Numbers


def kind_of(item: Item) -> Kind:
    if isinstance(item, str):
        return "text"
    return "tokens" if item.values is UNSET else "values"


class Parameters(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be asked of a prediction. Leave out what you do not need."""

    truncate: Annotated[
        bool,
        Meta(description="Texts and tokens: keep the beginning of what is longer than the limit, and do not refuse."),
    ] = False
    horizon: Annotated[int, Meta(description="Forecast: how many steps.")] | None = None
    quantiles: Annotated[list[float], Meta(description="Forecast: which quantiles to return.")] | None = None
    top: (
        Annotated[int, Meta(description="Labels and next tokens: how many to return, the most probable first.")] | None
    ) = None
    timeout_ms: (
        Annotated[float, Meta(description="Give up, with status 504, when the answer takes longer, in milliseconds.")]
        | None
    ) = None


PLAIN = Parameters()
"""The parameters of a request that has none: this very object, so that it can be told at a glance."""


class PredictRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One input or a list of them; the answer's `outputs` have the same shape."""

    inputs: Item | list[Item]
    model: str | None = None
    """A model's name or its task. May be left out where only one model takes such inputs."""
    version: int | None = None
    """Default: the highest."""
    parameters: Parameters = PLAIN
