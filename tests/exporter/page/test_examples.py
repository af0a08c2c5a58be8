"""The rows whose decision changes, then those that differ most, for every kind of input and output."""

import numpy as np
import pytest

from exporter.page.examples import ALIKE_SHOWN, LONGEST_TEXT, SHOWN, Pair, Reader, examples
from models.manifest import Outputs

BINARY = Reader("text-classification", Outputs(shape=(2,), labels=("bad", "good")), lambda ids: [f"p{i}" for i in ids])
TEXTS = [np.arange(length + 1) for length in range(100)]


def binary(positive: list[float]) -> np.ndarray:
    column = np.array(positive, np.float32)
    return np.stack([1 - column, column], 1)


def test_the_worst_come_first_and_no_more_than_ten() -> None:
    random = np.random.default_rng(0)
    before = random.uniform(size=100)
    pair = Pair("fp32", "int8", binary(before), binary(before + random.normal(scale=0.1, size=100)))
    regression = Reader("regression", Outputs(shape=(2,)))
    found = examples(pair, TEXTS, regression, "rows", None, None)
    differences = [one.difference for one in found.worst]
    assert len(differences) == SHOWN
    assert differences == sorted(differences, reverse=True)
    assert differences[0] == pytest.approx(np.abs(pair.reference - pair.compared).max())


def test_changed_decisions_come_before_larger_differences() -> None:
    pair = Pair("fp32", "int8", binary([0.9, 0.49, 0.2, 0.5]), binary([0.6, 0.51, 0.2, 0.45]))
    found = examples(pair, TEXTS[:4], BINARY, "rows", None, None)
    assert [(one.row, one.flips) for one in found.worst] == [(1, True), (0, False), (3, False)]


def test_however_many_decisions_change_some_others_are_shown() -> None:
    before = [0.4] * 20 + [0.8] * 20
    found = examples(
        Pair("a", "b", binary(before), binary([one + 0.15 for one in before])), TEXTS[:40], BINARY, "", None, None
    )
    assert [one.flips for one in found.worst] == [True] * SHOWN + [False] * ALIKE_SHOWN


def test_flips_are_counted_and_named() -> None:
    pair = Pair("fp32", "int8", binary([0.4, 0.6, 0.9, 0.1]), binary([0.6, 0.4, 0.8, 0.1]))
    found = examples(pair, TEXTS[:4], BINARY, "rows", np.array([1, 1, 1, 0]), ["en", "zh", "en", "zh"])
    assert (found.flipped, found.gained, found.lost) == (2, 1, 1)
    assert [(one.row, one.group, one.decisions) for one in found.worst[:2]] == [
        (0, "en", ("bad", "good")),
        (1, "zh", ("good", "bad")),
    ]
    assert [one.truth for one in found.worst] == ["good", "good", "good"]
    assert found.worst[0].answers[0].name == "good"


def test_equal_outputs_have_no_examples() -> None:
    same = binary([0.3, 0.7])
    found = examples(Pair("fp32", "int8", same, same.copy()), TEXTS[:2], BINARY, "rows", None, None)
    assert (found.worst, found.flipped, found.gained) == ((), 0, None)


def test_long_texts_are_cut() -> None:
    long = [np.arange(LONGEST_TEXT + 25)]
    found = examples(Pair("a", "b", binary([0.1]), binary([0.2])), long, BINARY, "rows", None, None).worst[0]
    assert (len(found.pieces), found.pieces_left_out, found.steps) == (LONGEST_TEXT, 25, LONGEST_TEXT + 25)
    assert found.pieces[3] == "p3"


def test_ids_stand_for_tokens_without_a_tokenizer() -> None:
    reader = Reader("classification", Outputs(shape=(2,), labels=("bad", "good")))
    found = examples(Pair("a", "b", binary([0.1]), binary([0.2])), [np.array([7, 9])], reader, "rows", None, None)
    assert found.worst[0].pieces == ("7", "9")


@pytest.mark.parametrize(("scores", "flips"), [("probabilities", False), ("logits", True)])
def test_one_output_is_the_score_of_the_second_label(scores: str, flips: bool) -> None:
    reader = Reader("classification", Outputs(shape=(1,), labels=("bad", "good"), scores=scores))
    pair = Pair("a", "b", np.array([[-0.1]], np.float32), np.array([[0.2]], np.float32))
    found = examples(pair, [np.zeros((4, 2))], reader, "rows", None, None).worst[0]
    assert found.flips is flips
    assert found.answers[0].name == "good"


def test_a_forecast_shows_its_lines_and_decides_nothing() -> None:
    reader = Reader("forecast", Outputs(shape=(5, 3), quantiles=(0.1, 0.5, 0.9)))
    before = np.arange(15, dtype=np.float32).reshape(1, 5, 3)
    after = before.copy()
    after[0, 3, 2] += 2
    came = np.arange(5.0)[None]
    found = examples(Pair("a", "b", before, after), [np.ones((200, 1), np.float32)], reader, "rows", came, None)
    worst = found.worst[0]
    assert (found.flipped, worst.flips, worst.decisions, worst.truth) == (None, None, None, None)
    assert worst.answers[0].name == "step 4, quantile 0.9"
    assert (worst.answers[0].reference, worst.answers[0].compared) == (11.0, 13.0)
    assert worst.lines.reference == tuple(before[0, :, 1])
    assert worst.lines.came == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert len(worst.lines.past) < 100


def test_the_median_need_not_be_in_the_middle() -> None:
    reader = Reader("forecast", Outputs(shape=(5, 2), quantiles=(0.5, 0.9)))
    before = np.arange(10, dtype=np.float32).reshape(1, 5, 2)
    found = examples(Pair("a", "b", before, before + 1), [np.ones((9, 1), np.float32)], reader, "rows", None, None)
    lines = found.worst[0].lines
    assert lines.reference == tuple(before[0, :, 0])
    assert lines.compared == tuple(before[0, :, 0] + 1)


def test_tagging_flips_where_any_step_does() -> None:
    reader = Reader("tagging", Outputs(when="per_step", shape=(2,), labels=("off", "on")))
    before = np.tile(binary([0.1]), (2, 6, 1))
    after = before.copy()
    after[1, 4] = after[1, 4, ::-1]
    found = examples(Pair("a", "b", before, after), [np.zeros((6, 3))] * 2, reader, "rows", None, None)
    assert found.flipped == 1
    assert found.worst[0].answers[0].name.startswith("step 5, ")
    assert found.worst[0].decisions is None


def test_a_language_model_names_its_tokens() -> None:
    reader = Reader("language-model", Outputs(shape=(50,), scores="logits"), lambda ids: [f"p{i}" for i in ids])
    before = np.zeros((1, 50), np.float32)
    before[0, 7] = 1
    after = before.copy()
    after[0, 8] = 2
    found = examples(Pair("a", "b", before, after), [np.array([1, 2])], reader, "rows", None, None).worst[0]
    assert found.decisions == ("p7", "p8")
    assert found.answers[0].name == "p8"


def test_without_a_tokenizer_it_names_their_ids() -> None:
    reader = Reader("language-model", Outputs(shape=(50,), scores="logits"))
    before, after = np.eye(50, dtype=np.float32)[[7]], np.eye(50, dtype=np.float32)[[8]]
    found = examples(Pair("a", "b", before, after), [np.array([1, 2])], reader, "rows", None, None).worst[0]
    assert found.decisions == ("token 7", "token 8")
    assert found.answers[0].name == "token 7"


def test_regression_targets_have_names_and_broken_outputs_come_first() -> None:
    reader = Reader("regression", Outputs(shape=(2,), names=("width", "height")))
    before = np.zeros((3, 2), np.float32)
    after = before + np.array([[0, 0.5], [np.nan, 0], [0, 0]], np.float32)
    found = examples(Pair("a", "b", before, after), [np.zeros((4, 1))] * 3, reader, "rows", None, None)
    assert [one.row for one in found.worst] == [1, 0]
    assert [one.answers[0].name for one in found.worst] == ["width", "height"]
    assert found.worst[0].difference == np.inf
