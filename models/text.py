"""Text to token ids, shared by training, exporter and server."""

from pathlib import Path

import numpy as np
from sentencepiece import SentencePieceProcessor


class Tokenizer:
    """A SentencePiece model whose pieces never cross white space, punctuation or a change of script.

    Such a model is *prefix-stable*: the ids of a text cut at one of these places are the first ids of the whole text.
    """

    def __init__(self, path: Path) -> None:
        self._processor = SentencePieceProcessor(model_file=str(path))
        self.vocabulary_size: int = self._processor.vocab_size()
        self.unknown_id: int = self._processor.unk_id()

    def encode(self, text: str) -> np.ndarray:
        """int64 [T]; T = 0 for a text of white space only. Raises UnicodeEncodeError on a lone surrogate."""
        return np.array(self._processor.encode(text), dtype=np.int64)

    def pieces(self, text: str) -> list[str]:
        """The same tokens as text, for people."""
        return self._processor.encode(text, out_type=str)
