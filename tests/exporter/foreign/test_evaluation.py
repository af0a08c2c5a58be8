"""Labelled rows from a file, their split, and each task's metric."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter.errors import ForeignError
from exporter.foreign import evaluation
from exporter.source import Limits, Source
from models.manifest import Inputs


class Letters:
    """A tokenizer of one id for each letter."""

    vocabulary_size, unknown_id = 26, -1

    def encode(self, text: str) -> np.ndarray:
        return np.array([ord(letter) - ord("a") for letter in text if letter.isalpha()], np.int64)

    def pieces(self, text: str) -> list[str]:
        return list(text)

    def piece(self, token: int) -> str:
        return chr(ord("a") + token)


def source(answer: tuple[int, ...] = (1,), **about: Any) -> Source:
    """With answers of that shape, per step for tagging."""
    given = {"task": "classification", "labels": ("low", "high"), "inputs": Inputs(kind="tokens", vocabulary=26)}
    return Source(
        **{**given, **about},
        reference=lambda rows: [
            np.zeros((len(row), *answer) if about.get("task") == "tagging" else answer) for row in rows
        ],
        exportable=lambda pinned: None,
        without_int8="not here",
        limits=Limits(largest=9),
        parameters=1,
        provenance="",
    )


SERIES = {"labels": None, "inputs": Inputs(kind="features", features=1)}


def written(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n\n")
    return path


def tokens(*targets: Any) -> list[dict[str, Any]]:
    return [{"inputs": {"tokens": [number, 3]}, "target": target} for number, target in enumerate(targets)]


def values(*targets: Any) -> list[dict[str, Any]]:
    return [{"inputs": {"values": [[number], [3.5]]}, "target": target} for number, target in enumerate(targets)]


def test_texts_tokens_and_values_are_read(tmp_path: Path) -> None:
    rows = [{"inputs": "abc"}, {"inputs": {"tokens": [1, 2]}}, {"inputs": {"values": [1, 2.5]}}, {"inputs": "z"}]
    found = evaluation.read(written(tmp_path, *rows), Letters())
    assert [row.tolist() for row in found.inputs] == [[0, 1, 2], [1, 2], [[1.0], [2.5]], [25]]
    assert [row.dtype for row in found.inputs] == [np.int64, np.int64, np.float32, np.int64]


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085"])
def test_only_a_line_feed_ends_a_line(tmp_path: Path, character: str) -> None:
    path = tmp_path / "rows.jsonl"
    text = json.dumps({"inputs": f"ab{character}c", "target": 0}, ensure_ascii=False)
    path.write_text("\r\n".join([text] * 4), encoding="utf-8", newline="")
    found = evaluation.read(path, Letters())
    assert [row.tolist() for row in found.inputs] == [[0, 1, 2]] * 4
    assert found.lines == [1, 2, 3, 4]


def test_half_of_the_rows_each_whatever_their_order(tmp_path: Path) -> None:
    labelled = evaluation.read(written(tmp_path, *tokens(*["low"] * 9)), None)
    of = evaluation.evaluation(labelled, source())
    parts = [{row[0] for row in of(split).inputs} for split in ("validation", "test")]
    assert [len(part) for part in parts] == [4, 5]
    assert parts[0] | parts[1] == set(range(9))
    assert parts[0] != set(range(4))


def test_accuracy_takes_names_and_numbers(tmp_path: Path) -> None:
    labelled = evaluation.read(written(tmp_path, *tokens("low", 0, "high", 1)), None)
    for split in ("validation", "test"):
        found = evaluation.evaluation(labelled, source())(split)
        certain = np.eye(2)[found.targets]
        assert found.metrics(certain) == {"accuracy": 1.0}
        assert found.metrics(1 - certain) == {"accuracy": 0.0}
        assert found.row_scores(certain).tolist() == [1.0, 1.0]


def test_mean_absolute_error(tmp_path: Path) -> None:
    labelled = evaluation.read(written(tmp_path, *values([1, 2], [3, 4], [5, 6], [7, 8])), None)
    found = evaluation.evaluation(labelled, source((2,), task="regression", **SERIES))("test")
    off = found.targets + np.array([1.0, -3.0])
    assert found.metrics(off) == {"mae": 2.0}
    assert found.gate.relative


def test_pinball_loss(tmp_path: Path) -> None:
    labelled = evaluation.read(written(tmp_path, *values(10, 10, 10, 10)), None)
    about = source((1, 3), task="forecast", quantiles=(0.1, 0.5, 0.9), **SERIES)
    found = evaluation.evaluation(labelled, about)("validation")
    outputs = np.tile(np.array([[[8.0, 11.0, 10.0]]]), (2, 1, 1))
    assert found.metrics(outputs)["pinball"] == pytest.approx((0.1 * 2 + 0.5 * 1 + 0) / 3)


def test_perplexity_of_the_next_token(tmp_path: Path) -> None:
    rows = [{"inputs": {"tokens": [1, 2, 3]}}, {"inputs": {"tokens": [4, 5]}, "target": 3}] * 2
    labelled = evaluation.next_tokens(evaluation.read(written(tmp_path, *rows), None))
    assert [row.tolist() for row in labelled.inputs[:2]] == [[1, 2], [4, 5]]
    assert labelled.targets[:2] == [3, 3]
    about = source(task="language-model", labels=None, scores="logits")
    found = evaluation.evaluation(labelled, about)("test")
    assert found.metrics(np.zeros((2, 26)))["perplexity"] == pytest.approx(26)
    likely = np.zeros((2, 26))
    likely[:, 3] = math.log(25)
    assert found.metrics(likely)["perplexity"] == pytest.approx(2)
    certain = dataclasses.replace(about, scores="probabilities")
    assert evaluation.evaluation(labelled, certain)("test").metrics(np.full((2, 26), 0.5))["perplexity"] == 2


def test_tags_count_step_by_step_without_padding(tmp_path: Path) -> None:
    rows = [{"inputs": {"tokens": [1] * steps}, "target": ["high"] * steps} for steps in (1, 2, 4, 4)]
    labelled = evaluation.read(written(tmp_path, *rows), None)
    found = evaluation.evaluation(labelled, source(task="tagging"))("test")
    outputs = np.zeros((2, 4, 2))
    for place, row in enumerate(found.inputs):
        outputs[place, : len(row), 1] = 1
    assert found.metrics(outputs) == {"accuracy": 1.0}
    outputs[:, 0] = [1, 0]
    assert found.metrics(outputs)["accuracy"] == pytest.approx(np.mean([1 - 1 / len(row) for row in found.inputs]))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["{"], "line 1: not valid JSON"),
        ([{"target": 1}], "line 1: no field 'inputs'; expected is"),
        ([*tokens(0), {"inputs": {"tokens": [1.5]}}], r"line 2: inputs\.tokens: a list of whole numbers is expected"),
        ([{"inputs": {"values": [[1], [1, 2]]}}], r"line 1: inputs\.values: a list of numbers, or of lists"),
        ([{"inputs": {"values": [1, float("nan")]}}], r"line 1: inputs\.values: .* \(not all are finite\)"),
        ([{"inputs": {"values": [[1, 2], [1, 1e39]]}}], r"line 1: inputs\.values: .* \(not all are finite\)"),
        ([{"inputs": "ab"}], "a text was given; name its tokenizer with --tokenizer"),
        ([{"inputs": {"tokens": []}}], "nothing is left to read"),
        ([{"inputs": 3}], "inputs: 3 was given; expected is"),
        (tokens(0, 1), "2 rows; at least 4 are needed"),
    ],
)
def test_a_row_that_cannot_be_read_names_its_line(tmp_path: Path, rows: list[Any], problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        evaluation.read(written(tmp_path, *rows), None)


@pytest.mark.parametrize(
    ("rows", "about", "problem"),
    [
        (tokens(0, 1, 0, "middle"), {}, 'line 4: target: "middle" was given; one of low, high is expected'),
        (
            tokens("up", "down", "up", 0),
            {"labels": ("0", "1")},
            'line 1: target: "up" was given; one of 0, 1 is expected; name them with --labels, .*: --labels down,up$',
        ),
        (values(1, 2, 3, [1, 2]), {"task": "regression", **SERIES}, "line 4: target: .* 2 of the 1 numbers that the"),
        (values([1, 2], 1, 2, 3), {"task": "regression", "answer": (2,), **SERIES}, "line 2: .*; 1 of the 2 numbers"),
        (values([1] * 6, *[[1]] * 3), {"task": "regression", "answer": (2, 3), **SERIES}, "line 2: .* 1 of the 6 num"),
        (
            values([1, 2], [1, 2], [1, 2, 3], [1, 2]),
            {"task": "forecast", "answer": (2, 3), "quantiles": (0.1, 0.5, 0.9), **SERIES},
            r"line 3: target: \[1, 2, 3\] was given; 3 of the 2 numbers that the module answers",
        ),
        (
            tokens([0, 1], [0, 1], [0, 1], [0, 1]),
            {"task": "tagging", "labels": None, "answer": (3,)},
            r"line 1: .* 1 of the 3 numbers that the module answers; or name the classes with --labels",
        ),
        (
            [*tokens(0, 0, 0), {"inputs": {"tokens": [1, 2, -5, 3]}, "target": 0}],
            {},
            "line 4: inputs: token id -5; ids",
        ),
        (tokens(0, 1, 0, 2), {}, "target: 2 was given; one of low, high"),
        (tokens(0, 1, 0, None), {}, "target: null was given"),
        (values(1, 2, 3, "x"), {"task": "regression", **SERIES}, 'target: "x" was given'),
        (tokens(0, 1, 0, [1]), {"task": "tagging"}, "line 1: target: 0 was given; a list of 2, one for each step"),
        (tokens(1, 2, 3, 99), {"task": "language-model", "labels": None}, "a token id below 26 is expected"),
        ([*tokens(0, 0, 0), {"inputs": {"tokens": [99]}, "target": 0}], {}, "line 4: inputs: token id 99; ids from 0"),
        (
            [*tokens(0, 0, 0), {"inputs": {"tokens": [1] * 10}, "target": 0}],
            {},
            r"10 steps; 1 to 9 are read \(--max-steps sets the limit\)$",
        ),
        (
            [{"inputs": {"values": [[1, 2]]}, "target": 1}] * 4,
            {"task": "regression", **SERIES},
            "2 features; the module reads 1 features a step",
        ),
    ],
)
def test_a_row_that_does_not_fit_names_its_line(tmp_path: Path, rows: Any, about: Any, problem: str) -> None:
    labelled = evaluation.read(written(tmp_path, *rows), None)
    with pytest.raises(ForeignError, match=problem):
        evaluation.evaluation(labelled, source(**about))


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    path = written(tmp_path, *tokens(0, 1, 0, 1))
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert evaluation.read(path, None).targets == [0, 1, 0, 1]


def test_rows_in_another_encoding_are_to_be_saved_as_utf8(tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text('{"inputs": "房间很脏"}', encoding="gbk")
    with pytest.raises(ForeignError, match=r"cannot be read \('utf-8' codec .*\); save it as UTF-8, or give a JSON"):
        evaluation.read(path, Letters())


def test_what_was_given_is_shown_in_its_own_writing(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r'inputs: {"text": "很差"} was given'):
        evaluation.read(written(tmp_path, {"inputs": {"text": "很差"}}), None)
    labelled = evaluation.read(written(tmp_path, *tokens(0, 1, 0, "很差")), None)
    with pytest.raises(ForeignError, match='target: "很差" was given; one of 差评, 好评 is expected'):
        evaluation.evaluation(labelled, source(labels=("差评", "好评")))


@pytest.mark.parametrize(
    ("smallest", "largest", "problem"),
    [
        (24, 24, "2 steps; the module reads exactly 24 steps; give rows of that length$"),
        (3, 24, "2 steps; 3 to 24 are read; leave the row out$"),
    ],
)
def test_the_next_step_for_a_row_of_another_length(tmp_path: Path, smallest: int, largest: int, problem: str) -> None:
    labelled = evaluation.read(written(tmp_path, *tokens(0, 0, 0, 0)), None)
    with pytest.raises(ForeignError, match=problem):
        evaluation.check_rows(
            labelled, Inputs(kind="tokens", vocabulary=26), Limits(smallest=smallest, largest=largest)
        )


def test_a_missing_file_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match=r"cannot be read .*JSON Lines file"):
        evaluation.read(tmp_path / "none.jsonl", None)
