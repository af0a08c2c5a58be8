"""The prose of the cards: one Markdown file a recipe, with `$placeholders` and a head of `key: value` lines."""

import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from exporter.report import About

FOLDER = Path(__file__).parent
DEFAULT = "default"


@dataclass(frozen=True)
class CardTemplate:
    """A head for the manifest, and a body that takes the figures."""

    about: About
    body: Template

    def fill(self, parts: dict[str, str]) -> str:
        """The card. Raises KeyError if the body has a placeholder that `parts` lacks."""
        card = self.body.substitute(vars(self.about) | parts)
        return re.sub(r"\n{3,}", "\n\n", card).strip() + "\n"


def load(recipe: str) -> CardTemplate:
    """The recipe's own card, or the general one."""
    own = FOLDER / f"{recipe}.md"
    head, _, body = (own if own.is_file() else FOLDER / f"{DEFAULT}.md").read_text(encoding="utf-8").partition("\n\n")
    return CardTemplate(About(**dict(line.split(": ", 1) for line in head.splitlines())), Template(body))
