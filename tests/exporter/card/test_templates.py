"""Every template has a head that is understood and placeholders that a card fills."""

import pytest

from exporter.card import templates

TEMPLATES = sorted(path.stem for path in templates.FOLDER.glob("*.md"))


@pytest.mark.parametrize("recipe", TEMPLATES)
def test_the_head_is_complete(recipe: str) -> None:
    about = templates.load(recipe).about
    assert about.title
    assert about.description.endswith(".")
    assert about.licence


@pytest.mark.parametrize("recipe", TEMPLATES)
def test_what_every_card_tells(recipe: str) -> None:
    assert {"precisions", "invariance", "provenance"} <= set(templates.load(recipe).body.get_identifiers())


def test_an_unknown_recipe_has_the_general_card() -> None:
    assert templates.load("somebody-elses").about == templates.load(templates.DEFAULT).about
