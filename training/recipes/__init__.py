"""One module a recipe. `training fit some-name` runs `fit` of `training.recipes.some_name`.

A recipe module offers `fit(out: Path, seed: int) -> None`, which writes a checkpoint, and
`evaluation(checkpoint, split) -> Evaluation`, with which an exporter scores any precision of it. A new file here is a
new recipe: nothing else has to know it.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Protocol, cast

from training.checkpoint import Checkpoint
from training.evaluation import Evaluation, Split


class Recipe(Protocol):
    """The two functions of a recipe module."""

    def fit(self, out: Path, seed: int) -> None: ...

    def evaluation(self, checkpoint: Checkpoint, split: Split) -> Evaluation: ...


def names() -> list[str]:
    """The recipes' names as they are typed."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Recipe:
    if name not in names():
        raise ValueError(f"unknown recipe {name!r}; there are: {', '.join(names())}")
    return cast(Recipe, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
