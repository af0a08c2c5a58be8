"""A vocabulary whose words no text becomes is told of, or refused."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from exporter.errors import ForeignError
from exporter.foreign.vocabulary import never_produced
from models.text import open_tokenizer


def told(folder: Path, words: Sequence[str]) -> str | None:
    path = folder / "words.json"
    path.write_text(json.dumps([*words]), encoding="utf-8")
    return never_produced(path, open_tokenizer(path))


def test_words_that_come_out_of_a_text_are_nothing_to_tell(tmp_path: Path) -> None:
    assert told(tmp_path, ["<pad>", "<unk>", "good", "don't", "好", ",", "，", "नमस्ते"]) is None
    assert told(tmp_path, ["", "[UNK]", "good", "房间"]) is None  # Keras splits at white space only


def test_words_that_never_do_are_named(tmp_path: Path) -> None:
    sentence = told(tmp_path, ["<pad>", "<unk>", "great!", "good", "New York", "好", "\ud800"])
    assert sentence is not None
    assert "never produces 3 of the 5 words of its vocabulary" in sentence
    assert sentence.endswith(": 'great!', 'New York', '\\ud800'.")
    assert (told(tmp_path, [f"{number}!" for number in range(9)]) or "").endswith("'5!' and others.")


def test_chinese_words_are_refused_with_the_next_step(tmp_path: Path) -> None:
    problem = r"2 of its 2 Chinese words, such as '房间', '很好', can .* leave --tokenizer out and send token ids, or"
    with pytest.raises(ForeignError, match=problem):
        told(tmp_path, ["<pad>", "<unk>", "房间", "很好", "。"])


def test_a_chinese_word_in_another_language_is_told_of_only(tmp_path: Path) -> None:
    assert "never produces 1 of the 101 words" in (told(tmp_path, ["房间", *map(str, range(100))]) or "")
