"""Hyperparameters by name: which ones a recipe lets be chosen, from what range, and where they are in its settings.

A name is a path into a frozen dataclass: `hidden_size`, or `schedule.learning_rate` for a field of a field.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, TypeVar

from training.loop import OnEpoch

Settings = TypeVar("Settings")
Rehearsal = Callable[[Settings, OnEpoch], dict[str, float]]
"""Trains with some settings, tells each epoch, and returns figures of the validation rows that a person asks for."""


@dataclass(frozen=True)
class Whole:
    """The whole numbers low, low + step, ... up to high."""

    low: int
    high: int
    step: int = 1

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high and not (value - self.low) % self.step

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")


@dataclass(frozen=True)
class Real:
    """Numbers from low to high; `log` spreads them evenly over their magnitudes."""

    low: float
    high: float
    log: bool = False

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}" + (", by magnitude" if self.log else "")


@dataclass(frozen=True)
class Choice:
    """A few numbers, in order."""

    options: tuple[int, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.options

    def __str__(self) -> str:
        return ", ".join(map(str, self.options))


class NoSuchValue(ValueError):
    """A hyperparameter that does not exist, no number for it, or one that is out of its range."""


Space = Mapping[str, Whole | Real | Choice]
Values = Mapping[str, int | float]


def values(settings: Any, space: Space) -> dict[str, int | float]:
    """What the settings say now."""
    found = {}
    for name in space:
        place = settings
        for field in name.split("."):
            place = getattr(place, field)
        found[name] = place
    return found


def replaced(settings: Settings, chosen: Values) -> Settings:
    """The settings with other values."""
    for name, value in chosen.items():
        settings = _replaced(settings, name.split("."), value)
    return settings


def _replaced(settings: Any, path: list[str], value: int | float) -> Any:
    assert is_dataclass(settings)
    first, *rest = path
    return replace(settings, **{first: _replaced(getattr(settings, first), rest, value) if rest else value})


def parsed(assignments: list[str], space: Space) -> dict[str, int | float]:
    """`["hidden_size=94"]` -> values. Raises NoSuchValue."""
    chosen: dict[str, int | float] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in space:
            raise NoSuchValue(f"{name!r} is no hyperparameter of this recipe; there are: {', '.join(space)}")
        try:
            chosen[name] = float(text) if isinstance(space[name], Real) else int(text)
        except ValueError:
            raise NoSuchValue(f"{name}: {text!r} is no number; it may be {space[name]}") from None
        if chosen[name] not in space[name]:
            raise NoSuchValue(f"{name}: {text} was given; it may be {space[name]}")
    return chosen
