from pathlib import Path

import pytest

from training import __main__ as command_line
from training import corpora, downloads, recipes
from training.downloads import CorpusUnavailable


class FakeRecipe:
    """Remembers how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Path, int]] = []

    def fit(self, out: Path, seed: int) -> None:
        self.calls.append((out, seed))


def test_every_module_of_the_folder_is_a_recipe() -> None:
    assert {"sentiment", "forecast-hourly", "forecast-stock"} <= set(recipes.names())
    for name in recipes.names():
        recipe = recipes.load(name)
        assert callable(recipe.fit)
        assert callable(recipe.evaluation)


def test_an_unknown_recipe_is_answered_with_the_known() -> None:
    with pytest.raises(ValueError, match=r"unknown recipe 'poetry'; there are: .*sentiment"):
        recipes.load("poetry")


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ([], (Path("checkpoints/sentiment"), 0)),
        (["--seed", "5", "--out", "elsewhere"], (Path("elsewhere"), 5)),
    ],
)
def test_fit_passes_its_options(monkeypatch: pytest.MonkeyPatch, options: list[str], call: tuple[Path, int]) -> None:
    recipe = FakeRecipe()
    monkeypatch.setattr(recipes, "load", lambda _: recipe)
    command_line.main(["fit", "sentiment", *options])
    assert recipe.calls == [call]


def test_data_says_where_the_corpora_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv(downloads.CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(corpora, "fetch_all", lambda: None)
    command_line.main(["data"])
    assert str(tmp_path) in capsys.readouterr().out


def test_a_missing_corpus_ends_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise CorpusUnavailable("no network")

    monkeypatch.setattr(corpora, "fetch_all", fail)
    with pytest.raises(SystemExit, match=r"^error: no network$"):
        command_line.main(["data"])
