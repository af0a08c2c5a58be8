"""Words that a vocabulary has and no text becomes, because training has split texts in another way."""

import re
from collections.abc import Sequence
from pathlib import Path

from exporter.errors import ForeignError
from models.text import TextEncoder
from models.words import HAN, WordVocabulary

SHOWN = 6
FEW = 0.05
"""Of all entries. As many Chinese words may be lost: of a network that reads another language, they are a mistake."""


def never_produced(path: Path, tokenizer: TextEncoder) -> str | None:
    """A sentence about entries that never come out of a text as themselves; None if there are none.

    Raises ForeignError if they are most of its Chinese words: the network would read hardly a word that it knows.
    """
    if not isinstance(tokenizer, WordVocabulary):
        return None
    words, lost = tokenizer.words(), tokenizer.unreachable()
    chinese, lost_chinese = _chinese(words), _chinese(lost)
    if len(lost_chinese) > max(len(chinese) / 2, FEW * len(words)):
        raise ForeignError(
            f"--tokenizer {path}: {len(lost_chinese):,} of its {len(chinese):,} Chinese words, such as "
            f"{_some(lost_chinese)}, can never come out of a text, since each Chinese character is a word of its own; "
            "leave --tokenizer out and send token ids, or give a tokenizer.json that splits texts as training did"
        )
    if not lost:
        return None
    return (
        f"The tokenizer never produces {len(lost):,} of the {len(words):,} words of its vocabulary, since it splits "
        f"texts in its own way: {_some(lost)}{' and others' if len(lost) > SHOWN else ''}."
    )


def _chinese(words: Sequence[str]) -> list[str]:
    """Those of several characters."""
    return [word for word in words if len(word) > 1 and re.search(f"[{HAN}]", word)]


def _some(words: Sequence[str]) -> str:
    return ", ".join(map(repr, words[:SHOWN]))
