"""Text to token ids, shared by training, exporter and server: `open_tokenizer(path)` reads any file that is supported.

A tokenizer's file travels in the bundle, under any name: what it is is told by its content.

* a SentencePiece model;
* `tokenizer.json` of the `tokenizers` library, which the extra `tokenizers` of this project installs;
* a plain JSON vocabulary of whole words, `{"word": id}` or `["word", ...]` (see `models.words`).
"""

import importlib
import json
import re
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from sentencepiece import SentencePieceProcessor

from models.errors import BundleError
from models.words import WordVocabulary

CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
"""What no text has in it."""
WORDS = re.compile(r"""\s*(?!\{|\["|\[\s)\S+(?:[ \t]+\d+)?[ \t]*\r?\n(?s:.*)""")
"""A text whose first line is a word (perhaps with a number), and not how JSON begins."""


class TextEncoder(Protocol):
    """A tokenizer. Ids are below `vocabulary_size`; what is not in the vocabulary becomes `unknown_id`."""

    vocabulary_size: int
    """One more than the largest id."""
    unknown_id: int
    """-1 where nothing is unknown (bytes), or where unknown words are left out."""

    def encode(self, text: str) -> np.ndarray:
        """int64 [T], perhaps with T = 0, without padding or truncation. UnicodeEncodeError on a lone surrogate."""

    def pieces(self, text: str) -> list[str]:
        """The same tokens as text, for people."""

    def piece(self, token: int) -> str:
        """One token as text, for people; "" for an id that has none."""


def open_tokenizer(path: Path) -> TextEncoder:
    """The tokenizer in a file. Raises BundleError, in one sentence, for a file that is none of the three kinds."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: the tokenizer cannot be read ({error.strerror})") from error
    document = _json(content)
    if document is None:
        return Tokenizer(path)
    if isinstance(document, dict) and isinstance(document.get("model"), dict):
        return LibraryTokenizer(path, document)
    return WordVocabulary(path, document)


def _json(content: bytes) -> Any:
    """None for what is not JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _reason(content: bytes) -> str:
    """What is wrong with a text that is not JSON; "" for other bytes."""
    if CONTROL.search(content) or not content.strip():
        return ""
    try:
        text = content.decode("utf-8-sig")
        json.loads(text)
    except UnicodeDecodeError:
        return " (a text that is not in UTF-8; save it as UTF-8)"
    except (ValueError, RecursionError) as error:
        if WORDS.fullmatch(text):
            return ' (one word a line; make it a JSON list: ["word", ...])'
        return f" (not valid JSON: {error})"
    return ""


class Tokenizer:
    """A SentencePiece model. Those trained here never let a piece cross white space, punctuation or a change of script.

    Such a model is *prefix-stable*: the ids of a text cut at one of these places are the first ids of the whole text.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._processor = SentencePieceProcessor(model_file=str(path))
        except (OSError, RuntimeError) as error:
            kinds = "a SentencePiece model, a tokenizer.json or a JSON vocabulary of words"
            raise BundleError(f"{path}: not a tokenizer{_reason(path.read_bytes())}; {kinds} is expected") from error
        self.vocabulary_size: int = self._processor.vocab_size()
        self.unknown_id: int = self._processor.unk_id()

    def encode(self, text: str) -> np.ndarray:
        """int64 [T]; T = 0 for a text of white space only. Raises UnicodeEncodeError on a lone surrogate."""
        try:
            return np.array(self._processor.encode(text), dtype=np.int64)
        except RuntimeError:
            text.encode()
            raise

    def pieces(self, text: str) -> list[str]:
        """The same tokens as text, for people."""
        return self._processor.encode(text, out_type=str)

    def piece(self, token: int) -> str:
        """One token as text, for people; "" for an id that has none."""
        return self._processor.id_to_piece(token) if 0 <= token < self.vocabulary_size else ""


class LibraryTokenizer:
    """A `tokenizer.json` of the `tokenizers` library: its own normaliser, splits, model and post-processor.

    Special tokens are added only where the post-processor adds them, as in training. Its padding and truncation are
    switched off: the server knows each row's length, and has a limit of its own.
    """

    def __init__(self, path: Path, document: dict[str, Any]) -> None:
        library = _library(path)
        try:
            self._tokenizer = library.Tokenizer.from_str(json.dumps(document))
        except Exception as error:  # the library raises nothing more precise
            raise BundleError(f"{path}: not a tokenizer.json that is understood ({error})") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._bytes = (document.get("decoder") or {}).get("type") == "ByteLevel"
        self.vocabulary_size: int = 1 + max(self._tokenizer.get_vocab().values(), default=-1)
        self.unknown_id = self._unknown(document["model"])

    def _unknown(self, model: dict[str, Any]) -> int:
        """A Unigram model names the id, the others name the token."""
        named = model.get("unk_token")
        found = model.get("unk_id") if named is None else self._tokenizer.token_to_id(named)
        return -1 if found is None else int(found)

    def encode(self, text: str) -> np.ndarray:
        """int64 [T]. Raises UnicodeEncodeError on a lone surrogate."""
        try:
            return np.array(self._tokenizer.encode(text).ids, dtype=np.int64)
        except TypeError:
            text.encode()
            raise

    def pieces(self, text: str) -> list[str]:
        """The same tokens as text, for people."""
        return [self.piece(token) for token in self.encode(text).tolist()]

    def piece(self, token: int) -> str:
        """One token as text, for people; "" for an id that has none. Bytes are decoded, which may give a "�"."""
        if self._bytes:
            return self._tokenizer.decode([token], skip_special_tokens=False)
        return self._tokenizer.id_to_token(token) or ""


def _library(path: Path) -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        advice = "pip install 'tokenizers>=0.22', the extra `tokenizers` of this project"
        raise BundleError(f"{path}: this tokenizer needs a package that is not installed; {advice}") from error
