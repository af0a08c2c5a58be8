"""A vocabulary of whole words in a plain JSON file, as tutorials write it.

`{"word": id}` (a `word_index`, a `stoi`), or a list of words whose places are their ids (`get_itos()`,
`TextVectorization.get_vocabulary()`). How a text is split is not in such a file, so it is fixed here:

* Text is lower-cased, unless the vocabulary has words with capitals.
* A word is a run of letters, digits and underscores; an apostrophe inside is part of it if the vocabulary has such a
  word, else the word is split there. A Han character is a word. A punctuation mark counts if it is in the vocabulary,
  else it is left out.
* A list that begins with "" is one of Keras' TextVectorization. As in that layer, unless it was told otherwise: ASCII
  letters are lower-cased, ASCII punctuation is removed, and the rest is split at ASCII white space.
* What is not in the vocabulary becomes the entry "<unk>", "[UNK]", "<UNK>", "<OOV>" or "<oov>"; without such an entry
  it is left out. Entries for padding are never produced.
"""

import re
import string
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import BundleError

UNKNOWN = ("<unk>", "[UNK]", "<UNK>", "<OOV>", "<oov>")
SPECIAL = re.compile(r"<.*>|\[.*\]|", re.DOTALL)
"""Entries like <pad>, [PAD], <s> or "": no word of a text."""
HAN = "\u3400-\u9fff"
REMOVED_BY_KERAS = string.punctuation.encode()


@cache
def _tokens_and_parts() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Words, Han characters and marks of a text; and what a word with apostrophes falls apart into.

    To `re`, the vowel signs of many scripts are no part of a word, so they are collected here.
    """
    signs = "".join(char for char in map(chr, range(0x300, 0x10000)) if unicodedata.category(char).startswith("M"))
    word = rf"(?:[^\W{HAN}]|[{signs}])+"
    return re.compile(rf"[{HAN}]|{word}(?:['’]{word})*|[^\w\s]"), re.compile(rf"[{HAN}]|{word}|['’]")


class WordVocabulary:
    """A `TextEncoder` of whole words."""

    def __init__(self, path: Path, document: Any) -> None:
        """Raises BundleError if the document is not a vocabulary."""
        of_keras = isinstance(document, list) and document[:1] == [""]
        ids = _checked(path, document)
        self.vocabulary_size: int = 1 + max(ids.values())
        self.unknown_id: int = next((ids[name] for name in UNKNOWN if name in ids), -1)
        self._ids = {word: token for word, token in ids.items() if not SPECIAL.fullmatch(word)}
        self._words = {token: word for word, token in ids.items()}
        self._lower = all(word == word.lower() for word in self._ids)
        self._split = self._split_as_keras if of_keras else self._split_at_marks

    def encode(self, text: str) -> np.ndarray:
        """int64 [T]; T = 0 for a text without words. Raises UnicodeEncodeError on a lone surrogate."""
        text.encode()
        found = (self._ids.get(word, self.unknown_id) for word in self._split(text))
        return np.array([token for token in found if token >= 0], np.int64)

    def pieces(self, text: str) -> list[str]:
        """The same tokens as text, for people."""
        return [self.piece(token) for token in self.encode(text).tolist()]

    def piece(self, token: int) -> str:
        """One token as text, for people; "" for an id that has none."""
        return self._words.get(token, "")

    def words(self) -> list[str]:
        """The entries, without those like <pad>."""
        return list(self._ids)

    def unreachable(self) -> list[str]:
        """Entries that do not come out as themselves: they are split, or changed, on the way."""
        return [
            word for word, token in self._ids.items() if not _is_text(word) or self.encode(word).tolist() != [token]
        ]

    def _split_as_keras(self, text: str) -> list[str]:
        return [word.decode() for word in text.encode().lower().translate(None, REMOVED_BY_KERAS).split()]

    def _split_at_marks(self, text: str) -> list[str]:
        tokens, parts = _tokens_and_parts()
        words: list[str] = []
        for token in tokens.findall(text.lower() if self._lower else text):
            words += [token] if token in self._ids else parts.findall(token)
        return [word for word in words if word in self._ids or any(map(str.isalnum, word))]


def _is_text(word: str) -> bool:
    """Half a character is none."""
    return not any("\ud800" <= char <= "\udfff" for char in word)


def _checked(path: Path, document: Any) -> dict[str, int]:
    """The id of each entry. Raises BundleError if the document is not a vocabulary."""
    expected = 'a JSON vocabulary {"word": id} or ["word", ...] is expected'
    if isinstance(document, list) and all(isinstance(word, str) for word in document):
        document = {word: place for place, word in enumerate(document)}
    if not isinstance(document, dict) or not document:
        raise BundleError(f"{path}: no tokenizer; {expected}")
    for word, token in document.items():
        if type(token) is not int or not 0 <= token < 1 << 31:
            raise BundleError(f"{path}: the id of {word!r} is {token!r}, not a whole number from 0 on; {expected}")
    return document
