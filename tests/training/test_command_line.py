import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import pytest

from training import __main__ as command_line
from training import hyperparameters, recipes
from training.corpora import catalogue, downloads
from training.corpora.downloads import CorpusUnavailable
from training.hyperparameters import Choice, Real, Whole
from training.loop import Diverged


@dataclass(frozen=True)
class FakeSettings:
    size: int = 3
    rate: float = 0.1
    share: float = 0.0

    def scaled(self, share: float) -> Self:
        return replace(self, share=share)


class FakeRecipe:
    """Remembers how it was called."""

    Settings = FakeSettings
    SPACE: ClassVar = {"size": Whole(1, 9, step=2), "rate": Real(0, 1), "layers": Choice((1, 2))}

    def __init__(self) -> None:
        self.calls: list[tuple[Path, int, FakeSettings]] = []

    def fit(self, out: Path, seed: int, settings: FakeSettings) -> None:
        self.calls.append((out, seed, settings))


def test_every_module_of_the_folder_is_a_recipe() -> None:
    assert {"sentiment", "forecast-hourly", "forecast-stock"} <= set(recipes.names())
    for name in recipes.names():
        recipe = recipes.load(name)
        assert callable(recipe.fit)
        assert callable(recipe.evaluation)
        assert callable(recipe.rehearsal)


def test_the_shipped_hyperparameters_are_among_those_that_may_be_chosen() -> None:
    for name in recipes.names():
        recipe = recipes.load(name)
        shipped = hyperparameters.values(recipe.Settings(), recipe.SPACE)
        assert {key for key, value in shipped.items() if value not in recipe.SPACE[key]} == set()
        assert hyperparameters.replaced(recipe.Settings(), shipped) == recipe.Settings()
        assert recipe.Settings().scaled(1) == recipe.Settings()
        assert recipe.Settings().scaled(0.25) != recipe.Settings()


def test_an_unknown_recipe_is_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'poetry'; there are: .*sentiment"):
        recipes.load("poetry")


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ([], (Path("checkpoints/sentiment"), 0, FakeSettings(share=1))),
        (["--seed", "5", "--out", "elsewhere"], (Path("elsewhere"), 5, FakeSettings(share=1))),
        (["--with", "size=7", "rate=1e-3"], (Path("checkpoints/sentiment"), 0, FakeSettings(7, 0.001, 1))),
    ],
)
def test_fit_passes_its_options(monkeypatch: pytest.MonkeyPatch, options: list[str], call: tuple) -> None:
    recipe = FakeRecipe()
    monkeypatch.setattr(recipes, "load", lambda _: recipe)
    command_line.main(["fit", "sentiment", *options])
    assert recipe.calls == [call]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("size=many", "error: size: 'many' is no number; it may be 1 to 9 in steps of 2"),
        ("size=4", "error: size: 4 was given; it may be 1 to 9 in steps of 2"),
        ("size=-3", "error: size: -3 was given; it may be 1 to 9 in steps of 2"),
        ("rate=1.5", r"error: rate: 1\.5 was given; it may be 0 to 1"),
        ("rate=nan", "error: rate: nan was given; it may be 0 to 1"),
        ("layers=3", "error: layers: 3 was given; it may be 1, 2"),
        ("depth=2", "error: 'depth' is no hyperparameter of this recipe; there are: size, rate, layers"),
    ],
)
def test_a_wrong_hyperparameter_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setattr(recipes, "load", lambda _: FakeRecipe())
    with pytest.raises(SystemExit, match=f"^{said}$"):
        command_line.main(["fit", "sentiment", "--with", value])


def test_a_training_that_diverges_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*_: object) -> None:
        raise Diverged("sentiment: the loss was never a number")

    recipe = FakeRecipe()
    monkeypatch.setattr(recipe, "fit", fit)
    monkeypatch.setattr(recipes, "load", lambda _: recipe)
    with pytest.raises(SystemExit, match=r"^error: sentiment: the loss was never a number$"):
        command_line.main(["fit", "sentiment"])


def test_a_search_without_optuna_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("training.search")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit, match=r"^error: optuna is missing; install the extra with `pip .*\[search\]'`$"):
        command_line.main(["search", "sentiment"])


def test_data_says_where_the_corpora_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(downloads.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(catalogue, "fetch_all", lambda: None)
    command_line.main(["data"])
    assert str(tmp_path) in capsys.readouterr().out


def test_a_missing_corpus_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise CorpusUnavailable("no network")

    monkeypatch.setattr(catalogue, "fetch_all", fail)
    with pytest.raises(SystemExit, match=r"^error: no network$"):
        command_line.main(["data"])
