"""One module a recipe. `training fit some-name` runs `fit` of `training.recipes.some_name`.

A recipe module offers `fit(out: Path, seed: int, settings: Settings) -> None`, which writes a checkpoint, and
`evaluation(checkpoint, split) -> Evaluation`, with which an exporter scores any precision of it. For the search it
offers `SPACE`, the hyperparameters that may be chosen, and `rehearsal(seed)`, which trains without writing anything;
`Settings()` is the shipped recipe, and `scaled` makes it shorter. A new file here is a new recipe: nothing else has to
know it.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any, Protocol, Self, cast

from training.checkpoint import Checkpoint
from training.evaluation import Evaluation, Split
from training.hyperparameters import Rehearsal, Space


class Settings(Protocol):
    """A frozen dataclass of hyperparameters."""

    def scaled(self, share: float) -> Self:
        """For a training that sees `share` times as many rows as the shipped recipe, whatever the batch size."""


class Recipe(Protocol):
    """What a recipe module offers."""

    Settings: type[Settings]
    SPACE: Space

    def fit(self, out: Path, seed: int, settings: Any = ...) -> None: ...

    def rehearsal(self, seed: int) -> Rehearsal[Any]: ...

    def evaluation(self, checkpoint: Checkpoint, split: Split) -> Evaluation: ...


def names() -> list[str]:
    """The recipes' names as they are typed."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Recipe:
    if name not in names():
        raise ValueError(f"unknown recipe {name!r}; there are: {', '.join(names())}")
    return cast(Recipe, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
