import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.sentiment import data
from training.sentiment.data import Row, normalise, part_of, share_of_positive_raters, unique

TEXTS = st.text(min_size=1, max_size=30)


def row(text: str, positive: float = 1.0, scored: bool = True) -> Row:
    return Row(text, positive, "en", "test", scored)


@given(text=TEXTS)
def test_the_test_part_is_the_published_fifth(text: str) -> None:
    digest = int(hashlib.sha1(normalise(text).encode()).hexdigest(), 16)
    assert (part_of(text) == "test") == (digest % 5 == 0)


@given(text=TEXTS)
def test_case_and_punctuation_cannot_move_a_text_to_another_part(text: str) -> None:
    assert part_of(f"good {text}!") == part_of(f"good {text} ...")
    assert normalise(normalise(text)) == normalise(text)


@given(
    rows=st.lists(
        st.builds(row, st.sampled_from(["a b", "A b!", "c", "C.", "D"]), st.sampled_from([0.0, 1.0]), st.booleans())
    )
)
def test_no_text_is_there_twice_and_no_scored_label_is_contradicted(rows: list[Row]) -> None:
    kept = unique(rows)
    keys = [normalise(one.text) for one in kept]
    assert len(set(keys)) == len(keys)
    for one in kept:
        rivals = [other for other in rows if other.scored and normalise(other.text) == normalise(one.text)]
        assert {other.label for other in rivals} <= {one.label}
        assert one.scored or not rivals


def test_a_text_without_words_may_help_training_but_is_never_scored() -> None:
    assert unique([row("!!!"), row(":(", 0.0, scored=False), row("", scored=False)]) == [row(":(", 0.0, scored=False)]


def test_ratings_become_shares() -> None:
    assert share_of_positive_raters(0.0) == 0.5
    assert share_of_positive_raters(1.0) == pytest.approx(0.9)
    assert share_of_positive_raters(-1.0) == pytest.approx(0.1)


@pytest.fixture
def _small_corpora(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the corpora's formats, with a few rows each."""
    ratings = [f"{number}\t{number % 9 - 4}\tsnippet number {number}" for number in range(60)]
    members = {
        "GroundTruth": "\n".join(ratings),
        "lexicon": "good\t1.9\t0.9\t[2, 1]\n:(\t-1.9\t0.9\t[-2, -1]\n",
        ".json": json.dumps(
            [{"text": f"sentence {n}", "class": n % 2} for n in range(60)] + [{"text": "x", "class": None}]
        ),
        ".csv": "sentiment,confidence,text\nnegative,1,so sad\nneutral,1,a desk\npositive,1,yay\n",
        "neg_sentences": "\n".join([*(f"房间 {number} 很差" for number in range(60)), "宾馆反馈 2008年"]),
        "pos_sentences": "\n".join(f"房间 {number} 很好" for number in range(60)),
    }

    def read(_: str, member: str) -> bytes:
        return next(content for part, content in members.items() if part in member).encode()

    monkeypatch.setattr(data, "read_member", read)
    data.parts.cache_clear()
    yield
    data.parts.cache_clear()


@pytest.mark.usefixtures("_small_corpora")
def test_the_parts_are_disjoint_deterministic_and_only_training_has_unscored_rows() -> None:
    parts = data.parts()
    texts = {name: {normalise(one.text) for one in rows} for name, rows in parts.items()}
    assert all(texts.values())
    assert (
        not texts["train"] & texts["validation"] | texts["train"] & texts["test"] | texts["validation"] & texts["test"]
    )
    assert all(one.scored for name in ("validation", "test") for one in parts[name])
    data.parts.cache_clear()
    assert data.parts() == parts


@pytest.mark.usefixtures("_small_corpora")
def test_rows_carry_their_language_source_and_how_far_to_trust_them() -> None:
    rows = {one.text: one for one in [*data.english(), *data.chinese()]}
    assert rows["so sad"] == Row("so sad", 0.0, "en", "noisy-tweets", scored=False)
    assert rows[":("].positive < 0.1
    assert not rows["snippet number 4"].scored, "its mean rating is 0"
    assert rows["房间 1 很差"] == Row("房间 1 很差", 0.0, "zh", "reviews")
    assert not {"宾馆反馈 2008年", "a desk", "x"} & rows.keys()
