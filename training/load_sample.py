"""The requests that the load tests send: rows of the test parts, drawn once and committed as `loadtests/sample.jsonl`.

`python -m training.load_sample` writes the same file again, byte for byte.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from models.files import write_whole
from training.forecast.series import hourly_series, stock_series
from training.sentiment.data import Language, Row, parts

SAMPLE = Path(__file__).parent.parent / "loadtests" / "sample.jsonl"
SEED = 20
TEXTS_A_LANGUAGE = 160
MEDIAN_TOKENS, SPREAD, MOST_TOKENS = 28, 0.9, 400
SERIES = {"hourly": (hourly_series, ("electricity",), (168, 336), 32)}
SERIES["stock"] = (stock_series, ("AAPL 2013-2023", "AMZN 2013-2023", "NVDA 2013-2023"), (60, 250), 32)

TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+|[^\w\s]")


def entries() -> Iterator[dict]:
    """Every line of the sample, in order."""
    generator = np.random.default_rng(SEED)
    for language in ("en", "zh"):
        yield from texts(language, generator)
    for kind, (read, names, lengths, count) in SERIES.items():
        known = {series.name: series for series in read()}
        yield from windows(kind, [known[name] for name in names], lengths, count, generator)


def texts(language: Language, generator: np.random.Generator) -> Iterator[dict]:
    """Texts whose numbers of words and characters are log-normal, as those of real traffic are."""
    rows = [row for row in parts()["test"] if row.language == language]
    rows = [rows[index] for index in generator.permutation(len(rows))]
    targets = np.exp(generator.normal(np.log(MEDIAN_TOKENS), SPREAD, TEXTS_A_LANGUAGE)).clip(1, MOST_TOKENS)
    for target in targets.round().astype(int):
        used = nearest(rows, target) if target <= longest(rows) else joined(rows, target)
        rows = [row for row in rows if row not in used]
        text = " ".join(row.text.strip() for row in used)
        yield {"kind": "text", "language": language, "source": used[0].source, "text": text}


def tokens(row: Row) -> int:
    """Words, punctuation marks and Han characters: about what any tokenizer makes of a text."""
    return len(TOKEN.findall(row.text))


def longest(rows: list[Row]) -> int:
    return max(map(tokens, rows))


def nearest(rows: list[Row], target: int) -> list[Row]:
    return [min(rows, key=lambda row: abs(tokens(row) - target))]


def joined(rows: list[Row], target: int) -> list[Row]:
    """Several rows of one source: the corpora hold single sentences, reviews are several."""
    found: list[Row] = []
    for row in (row for row in rows if row.source == "movies"):
        found.append(row)
        if sum(map(tokens, found)) >= target:
            break
    return found


def windows(kind: str, sources: list, lengths: tuple[int, int], count: int, generator: np.random.Generator) -> Iterator:
    """Windows of test rows, of lengths spread evenly on a logarithmic scale."""
    for index in range(count):
        series = sources[index % len(sources)]
        length = round(float(np.exp(generator.uniform(*np.log(lengths)))))
        end = int(generator.integers(series.test_start + length, len(series.values)))
        values = np.round(series.values[end - length : end], 2).tolist()
        yield {"kind": kind, "source": series.name, "values": values}


def main() -> None:
    lines = [json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries()]
    write_whole(SAMPLE, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
