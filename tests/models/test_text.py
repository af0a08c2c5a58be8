"""Every kind of tokenizer, written as its users write it, opened by its content and used in the same way."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from models.errors import BundleError
from models.text import LibraryTokenizer, TextEncoder, Tokenizer, open_tokenizer
from models.words import WordVocabulary

TEXTS = ["A good film, but I don't love it.", "Ein schöner Film über Käse", "房间很干净，服务也很好。", "хороший фильм"]
SHIPPED = Path(__file__).parents[2] / "models/sentiment/1/tokenizer.model"


def word_level() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordLevel(unk_token="[UNK]"))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.train_from_iterator(TEXTS, trainers.WordLevelTrainer(special_tokens=["[PAD]", "[UNK]"]))
    return made


def byte_level() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet))
    return made


def with_special_tokens() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(TEXTS, trainers.WordPieceTrainer(special_tokens=names))
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def unigram() -> tokenizers.Tokenizer:
    made = tokenizers.Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.train_from_iterator(TEXTS, trainers.UnigramTrainer(unk_token="<unk>", special_tokens=["<pad>", "<unk>"]))
    return made


LIBRARY: dict[str, Callable[[], tokenizers.Tokenizer]] = {
    "word level": word_level,
    "byte level": byte_level,
    "special tokens": with_special_tokens,
    "unigram": unigram,
}
WORDS = ["<pad>", "<unk>", "a", "good", "film", ",", "don't", "it", "isn", "t", "käse", "干", "净", "नमस्ते"]


@pytest.fixture(scope="module", params=["SentencePiece", "words", *LIBRARY])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    """One of every kind, in a file whose name says nothing."""
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.model"
    if request.param == "SentencePiece":
        path.write_bytes(SHIPPED.read_bytes())
    elif request.param == "words":
        path.write_text(json.dumps(WORDS), encoding="utf-8")
    else:
        LIBRARY[request.param]().save(str(path))
    return open_tokenizer(path)


def vocabulary(folder: Path, entries: object) -> TextEncoder:
    path = folder / "vocabulary.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    return open_tokenizer(path)


def words(encoder: TextEncoder, text: str) -> Sequence[str]:
    return [encoder.piece(token) for token in encoder.encode(text)]


@given(text=st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=60))
def test_every_text_has_ids_of_the_vocabulary(encoder: TextEncoder, text: str) -> None:
    ids = encoder.encode(text)
    assert (ids.dtype, ids.ndim) == (np.int64, 1)
    assert ((ids >= 0) & (ids < encoder.vocabulary_size)).all()
    assert len(encoder.pieces(text)) == len(ids)


def test_texts_of_all_scripts_have_known_tokens(encoder: TextEncoder) -> None:
    texts = ["a good film", "a käse", "干净"] if isinstance(encoder, WordVocabulary) else TEXTS
    for text in texts:
        ids = encoder.encode(text)
        assert len(ids) > 1
        assert encoder.unknown_id not in ids
        assert all(encoder.piece(token) for token in ids.tolist())


def test_a_lone_surrogate_is_an_error_of_unicode(encoder: TextEncoder) -> None:
    with pytest.raises(UnicodeEncodeError):
        encoder.encode("good \ud83d film")


def test_an_id_outside_the_vocabulary_has_no_piece(encoder: TextEncoder) -> None:
    assert encoder.piece(encoder.vocabulary_size + 7) == ""


def test_an_empty_text_has_no_tokens_but_those_that_are_always_added(encoder: TextEncoder) -> None:
    added = encoder.pieces("")
    assert added in ([], ["[CLS]", "[SEP]"])
    assert len(encoder.encode("")) == len(added)


def test_the_file_says_what_kind_it_is(tmp_path: Path) -> None:
    assert isinstance(open_tokenizer(SHIPPED), Tokenizer)
    assert isinstance(vocabulary(tmp_path, {"<unk>": 0, "film": 3}), WordVocabulary)
    word_level().save(str(tmp_path / "t"))
    assert isinstance(open_tokenizer(tmp_path / "t"), LibraryTokenizer)


@pytest.mark.parametrize("name", LIBRARY)
def test_ids_are_those_of_the_library(name: str, tmp_path: Path) -> None:
    library = LIBRARY[name]()
    library.save(str(tmp_path / "tokenizer.json"))
    ours = open_tokenizer(tmp_path / "tokenizer.json")
    for text in (*TEXTS, "unseen wörds 😀", ""):
        assert ours.encode(text).tolist() == library.encode(text).ids
    assert ours.vocabulary_size == library.get_vocab_size()


def test_padding_and_truncation_of_training_are_left_to_the_server(tmp_path: Path) -> None:
    library = word_level()
    expected = [library.encode(text).ids for text in TEXTS]
    library.enable_padding(length=50)
    library.enable_truncation(2)
    library.save(str(tmp_path / "tokenizer.json"))
    ours = open_tokenizer(tmp_path / "tokenizer.json")
    assert [ours.encode(text).tolist() for text in TEXTS] == expected


def test_special_tokens_are_added_where_the_tokenizer_adds_them(tmp_path: Path) -> None:
    for name, expected in (("special tokens", True), ("word level", False)):
        LIBRARY[name]().save(str(tmp_path / name))
        assert ("[CLS]" in open_tokenizer(tmp_path / name).pieces("a good film")) is expected


def test_which_id_is_unknown(tmp_path: Path) -> None:
    for name, expected in (("word level", 1), ("special tokens", 1), ("unigram", 1), ("byte level", -1)):
        LIBRARY[name]().save(str(tmp_path / name))
        encoder = open_tokenizer(tmp_path / name)
        assert encoder.unknown_id == expected
        assert (encoder.unknown_id in encoder.encode("🜁")) is (expected >= 0)


def test_bytes_are_readable(tmp_path: Path) -> None:
    byte_level().save(str(tmp_path / "tokenizer.json"))
    assert "".join(open_tokenizer(tmp_path / "tokenizer.json").pieces("a good film")) == "a good film"


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word_level().save(str(tmp_path / "tokenizer.json"))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(BundleError, match=r"not installed; pip install 'tokenizers"):
        open_tokenizer(tmp_path / "tokenizer.json")


def test_words_are_split_at_marks_and_apostrophes(tmp_path: Path) -> None:
    encoder = vocabulary(tmp_path, WORDS)
    assert words(encoder, "A GOOD film, it isn't…") == ["a", "good", "film", ",", "it", "isn", "t"]
    assert words(encoder, "I DON'T") == ["<unk>", "don't"]
    assert words(encoder, "很干净。नमस्ते") == ["<unk>", "干", "净", "नमस्ते"]
    assert words(encoder, "<pad> [PAD] ...") == ["<unk>", "<unk>"]
    assert words(encoder, "good_film good-film") == ["<unk>", "good", "film"], "an underscore is part of a word"


def test_capitals_count_where_the_vocabulary_has_them(tmp_path: Path) -> None:
    encoder = vocabulary(tmp_path, {"<OOV>": 1, "Film": 2, "film": 5})
    assert encoder.encode("Film film FILM").tolist() == [2, 5, 1]
    assert (encoder.vocabulary_size, encoder.unknown_id) == (6, 1)
    assert vocabulary(tmp_path, {"[UNK]": 0, "film": 2}).encode("Film").tolist() == [2]


def test_without_an_entry_for_the_unknown_it_is_left_out(tmp_path: Path) -> None:
    encoder = vocabulary(tmp_path, {"good": 1, "film": 2})
    assert encoder.encode("a good, but long film").tolist() == [1, 2]
    assert encoder.unknown_id == -1


def test_a_text_vectorization_is_split_as_keras_does(tmp_path: Path) -> None:
    encoder = vocabulary(tmp_path, ["", "[UNK]", "the", "dont", "film", "Äh"])
    assert encoder.encode("The film, DON'T! Äh [UNK] \u3000film").tolist() == [2, 4, 3, 5, 1, 1]
    assert encoder.unknown_id == 1


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"[[1], 2]",
        b'{"a": -1}',
        b'{"a": true}',
        b'{"a": "b"}',
        b"7",
        b"\x00\x01",
        b'{"version": "9", "model": {"type": "Nothing"}}',
    ],
)
def test_what_is_no_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(BundleError, match="tokenizer"):
        open_tokenizer(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"房间": 2}'.encode("gbk"), " (a text that is not in UTF-8; save it as UTF-8)"),
        ("<pad>\n<unk>\n房间\n".encode(), ' (one word a line; make it a JSON list: ["word", ...])'),
        (b"[PAD]\r\n[UNK]\r\n", ' (one word a line; make it a JSON list: ["word", ...])'),
        (b"the 0\nof 1\n", ' (one word a line; make it a JSON list: ["word", ...])'),
        (b'{\n "the": 0,\n}', " (not valid JSON: "),
        (SHIPPED.read_bytes()[:1000], ""),
    ],
)
def test_why_a_file_is_no_tokenizer(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "vocab"
    path.write_bytes(content)
    end = "a SentencePiece model, a tokenizer.json or a JSON vocabulary of words is expected"
    with pytest.raises(BundleError) as refused:
        open_tokenizer(path)
    told = str(refused.value)
    assert told.startswith(f"{path}: not a tokenizer{reason}")
    assert told.endswith(f"; {end}")
    assert reason or told == f"{path}: not a tokenizer; {end}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nothing\.json: the tokenizer cannot be read"):
        open_tokenizer(tmp_path / "nothing.json")
