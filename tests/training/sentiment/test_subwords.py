"""Properties of the bilingual sub-words: prefix-stable, complete, deterministic."""

import re
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentencepiece import SentencePieceProcessor

from training.sentiment import subwords

ENGLISH_TEXT = "the room was clean and staff very friendly i don't like this film; it's boring! bad, long. 24 1990"
CHINESE_TEXT = "这个 宾馆 非常好 ， 服务 也 不错 。 房间 太小了 早餐 很差 不会 再来 书 的 内容 有意思 、 值得 一读 ！ 3"


def sentences(text: str, between: str) -> list[str]:
    random = Random(0)
    return [between.join(random.choices(text.split(), k=12)) for _ in range(300)]


def trained() -> bytes:
    return subwords.train(sentences(ENGLISH_TEXT, " "), sentences(CHINESE_TEXT, ""), 400, 400)


@pytest.fixture(scope="module")
def model() -> bytes:
    return trained()


@pytest.fixture(scope="module")
def tokenizer(model: bytes) -> SentencePieceProcessor:
    return SentencePieceProcessor(model_proto=model)


WORDS = st.text(
    st.sampled_from("aAbcdehilnorstyé'’-0123456789!?.,;:()。，、！“”好不很了宾馆房间差🙂👍❤️"), min_size=1, max_size=8
)
TEXTS = st.lists(WORDS, min_size=1, max_size=8).map(" ".join)


def is_start(ids: list[int], whole: list[int]) -> bool:
    return whole[: len(ids)] == ids


@given(before=TEXTS, after=TEXTS)
def test_a_text_cut_at_white_space_begins_the_whole(tokenizer: SentencePieceProcessor, before: str, after: str) -> None:
    start, whole = tokenizer.encode(before), tokenizer.encode(f"{before} {after}")
    assert is_start(start, whole)
    assert whole[len(start) :] == tokenizer.encode(after)


@given(
    words=st.lists(
        st.sampled_from(["room", "not", "宾馆", "好", "很差", "42", "!", "，", "。"]), min_size=2, max_size=9
    )
)
def test_a_text_cut_where_the_script_changes_begins_the_whole(
    tokenizer: SentencePieceProcessor, words: list[str]
) -> None:
    text = "".join(words)
    kinds = [
        re.match(r"(?P<latin>[a-z])|(?P<digit>\d)|(?P<han>[\u4e00-\u9fff])|(?P<mark>.)", c).lastgroup for c in text
    ]
    whole = tokenizer.encode(text)
    for cut in (place for place in range(1, len(text)) if kinds[place] != kinds[place - 1]):
        assert is_start(tokenizer.encode(text[:cut]), whole)


@given(text=st.text(max_size=40))
def test_every_text_has_ids_of_the_vocabulary_and_none_is_unknown(tokenizer: SentencePieceProcessor, text: str) -> None:
    ids = tokenizer.encode(text)
    assert all(0 < token < tokenizer.vocab_size() for token in ids)


def test_case_does_not_matter(tokenizer: SentencePieceProcessor) -> None:
    assert tokenizer.encode("VERY Friendly") == tokenizer.encode("very friendly")


def test_both_vocabularies_are_in_one_model_once(tokenizer: SentencePieceProcessor) -> None:
    pieces = [tokenizer.id_to_piece(token) for token in range(tokenizer.vocab_size())]
    assert len(set(pieces)) == len(pieces)
    assert {"。", "好", "e"} <= set(pieces)


def test_training_is_deterministic(model: bytes) -> None:
    assert trained() == model


def test_tokens_that_keep_the_same_company_get_similar_vectors() -> None:
    random = np.random.default_rng(0)
    texts = [np.array([random.choice([1, 2]), 3, random.choice([4, 5]), 6]) for _ in range(200)]
    texts += [np.array([7, 8, 9, 10]) for _ in range(100)]
    vectors = subwords.cooccurrence_vectors(texts, vocabulary_size=11, size=4)
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
    assert cosine(vectors[1], vectors[2]) > 0.9 > cosine(vectors[1], vectors[8])
    assert np.allclose(vectors[0], 0, atol=1e-6)
