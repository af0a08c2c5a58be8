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


def test_the_general_card_has_the_title_and_the_licence_that_were_given() -> None:
    parts = dict.fromkeys(templates.load("default").body.get_identifiers(), "")
    given = {"title": "评论的情感", "licence": "Apache-2.0", "name": "reviews", "version": "3"}
    card = templates.load("default").fill(parts | given)
    assert card.startswith("# 评论的情感\n")
    assert "Model `reviews`, version 3." in card
    assert "Licence of the weights: Apache-2.0." in card


def test_an_unknown_recipe_has_the_general_card() -> None:
    assert templates.load("somebody-elses").about == templates.load(templates.DEFAULT).about
