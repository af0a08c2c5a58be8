"""A scaler that was fitted outside, as a part of the graph: raw features in, answers in the target's own units out."""

import json
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from torch import Tensor, nn

from exporter.errors import ForeignError

Numbers = Annotated[tuple[float, ...], Field(min_length=1)]


MISFIT = "misfit"
Kind = TypeVar("Kind", bound=BaseModel)


def _fitting(scaler: Kind, **numbers: tuple[float, ...]) -> Kind:
    """The same scaler, if its lists have the same length, or one number for all."""
    sizes = {name: len(values) for name, values in numbers.items()}
    if len({size for size in sizes.values() if size > 1}) > 1:
        told = " and ".join(f"{size} for {name}" for name, size in sizes.items())
        raise PydanticCustomError(MISFIT, f"{told} do not fit; give as many, or one for all")
    return scaler


class Standard(BaseModel):
    """scaled = (raw - mean) / scale, one number for each feature or one for all."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    kind: Literal["standard"]
    mean: Numbers
    scale: Numbers

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        return _fitting(self, mean=self.mean, scale=self.scale)

    def shift_and_unit(self) -> tuple[np.ndarray, np.ndarray]:
        """scaled = (raw - shift) / unit, both float64."""
        return np.array(self.mean), np.array(self.scale)


class MinMax(BaseModel):
    """The minimum becomes the first number of `range`, the maximum the second."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    kind: Literal["minmax"]
    minimum: Numbers
    maximum: Numbers
    range: tuple[float, float] = (0.0, 1.0)

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        if self.range[0] == self.range[1]:
            raise PydanticCustomError(MISFIT, f"range: two different numbers are expected, not {list(self.range)}")
        return _fitting(self, minimum=self.minimum, maximum=self.maximum)

    def shift_and_unit(self) -> tuple[np.ndarray, np.ndarray]:
        """scaled = (raw - shift) / unit, both float64."""
        low, high = self.range
        unit = (np.array(self.maximum) - np.array(self.minimum)) / (high - low)
        return np.array(self.minimum) - low * unit, unit


Fitted = Annotated[Standard | MinMax, Field(discriminator="kind")]


class ScalerFile(BaseModel):
    """A scaler's JSON file: the inputs' scaler, and as `target`, if there is one, that of the answers."""

    model_config = ConfigDict(frozen=True)
    inputs: Fitted
    target: Fitted | None = None


EXPECTED = (
    'expected is {"kind": "standard", "mean": [...], "scale": [...]} or {"kind": "minmax", "minimum": [...], '
    '"maximum": [...], "range": [0, 1]}, and "target": {...} of the same form for answers that were scaled'
)


class Affine(nn.Module):
    """(x - shift) / unit along the last axis; inverted, x * unit + shift. Then clamped to [-clip, clip], if wanted."""

    def __init__(self, fitted: Standard | MinMax | None, inverted: bool = False, clip: float | None = None) -> None:
        super().__init__()
        shift, unit = (np.zeros(1), np.ones(1)) if fitted is None else fitted.shift_and_unit()
        self.changes, self.inverted, self.clip = fitted is not None, inverted, clip
        self.register_buffer("shift", torch.from_numpy(shift))
        self.register_buffer("unit", torch.from_numpy(unit))

    @property
    def width(self) -> int:
        """Of the last axis that it scales; 1 scales any."""
        return max(len(self.shift), len(self.unit))

    def forward(self, values: Tensor) -> Tensor:
        """Float32 is computed in float32, float64 in float64; token ids are left alone."""
        if not values.is_floating_point():
            return values
        if self.changes:
            shift, unit = self.shift.to(values.dtype), self.unit.to(values.dtype)
            values = values * unit + shift if self.inverted else (values - shift) / unit
        return values if self.clip is None else values.clamp(-self.clip, self.clip)


def read_scaler(path: Path) -> ScalerFile:
    """Raises ForeignError that names the field, what came and what would be accepted."""
    try:
        document = json.loads(path.read_bytes())
        target = document.pop("target", None) if isinstance(document, dict) else None
        found = ScalerFile.model_validate({"inputs": document, "target": target})
    except OSError as error:
        raise ForeignError(f"--scaler {path}: cannot be read ({error.strerror}); {EXPECTED}") from error
    except ValidationError as error:
        raise ForeignError(f"--scaler {path}: {_problem(error.errors()[0])}; {EXPECTED}") from error
    except ValueError as error:
        raise ForeignError(f"--scaler {path}: not valid JSON ({error}); {EXPECTED}") from error
    for name, fitted in (("", found.inputs), ("target.", found.target)):
        if fitted is not None and not (fitted.shift_and_unit()[1] != 0).all():
            field = "scale" if isinstance(fitted, Standard) else "maximum"
            raise ForeignError(
                f"--scaler {path}: {name}{field}: a feature has no spread, so nothing can be divided by it"
            )
    return found


def _problem(first: ErrorDetails) -> str:
    """What pydantic found first: the field, and what is wrong with it."""
    place = ".".join(str(part) for part in first["loc"] if part not in ("inputs", "standard", "minmax"))
    if first["type"].startswith("union_tag"):
        place = f"{place}.kind".lstrip(".")
        given = first["input"].get("kind") if isinstance(first["input"], dict) else None
        return (
            f'{place}: {json.dumps(given)} was given; "standard" or "minmax" is expected'
            if given
            else f"{place} is missing"
        )
    if first["type"] == MISFIT:
        return f"{place}: {first['msg']}" if place else first["msg"]
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown"
    return f"{place}: {first['msg']}" if place else "it holds no object"
