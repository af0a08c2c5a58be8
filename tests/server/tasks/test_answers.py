"""Outputs to answers: what is most probable, of how much, in which order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays

from models.manifest import Outputs
from server.errors import InvalidRequest
from server.tasks import PLAIN, Parameters
from server.tasks.answers import Labels, NextTokens, StepLabels, Targets, most_probable, softmax

logits = arrays.arrays(
    np.float32,
    arrays.array_shapes(min_dims=1, max_dims=2),
    elements=some.floats(-500, 500, width=32) | some.floats(-(2.0**100), 2.0**100, width=32),
)
IDS = np.arange(4)


@given(logits)
def test_a_softmax_is_a_distribution_in_the_order_of_its_logits(given_logits):
    found = softmax(given_logits)
    assert found.dtype == np.float32
    assert found.sum(-1) == pytest.approx(1, abs=1e-5)
    order = np.argsort(given_logits, -1, kind="stable")
    assert (np.diff(np.take_along_axis(found, order, -1)) >= 0).all()


@given(some.floats(-200, 200, width=32))
def test_one_logit_for_two_labels_is_the_second_ones_sigmoid(logit):
    answer = Labels(Outputs(shape=(1,), labels=("no", "yes"), scores="logits"))
    found = answer.write(np.array([logit], np.float32), PLAIN, IDS)
    yes = 1 / (1 + np.exp(-np.float64(logit)))
    assert found["probabilities"]["yes"] == pytest.approx(yes, rel=1e-6, abs=1e-38)
    assert found["probabilities"]["no"] == pytest.approx(1 / (1 + np.exp(np.float64(logit))), rel=1e-6, abs=1e-38)
    assert found["label"] == ("yes" if logit > 0 else "no") or abs(logit) < 1e-6


def test_one_probability_for_two_labels_is_the_second_ones():
    found = Labels(Outputs(shape=(1,), labels=("no", "yes"))).write(np.array([0.25], np.float32), PLAIN, IDS)
    assert found == {"label": "no", "score": 0.75, "probabilities": {"no": 0.75, "yes": 0.25}}


@given(arrays.arrays(np.float32, some.integers(1, 60), elements=some.sampled_from([0.0, 0.25, 0.5, 1.0])), some.data())
def test_the_most_probable_come_first_and_of_equal_ones_the_earlier(probabilities, data):
    top = data.draw(some.integers(1, len(probabilities)))
    every = sorted(range(len(probabilities)), key=lambda place: (-probabilities[place], place))
    found = most_probable(probabilities, top)
    assert [probabilities[place] for place in found] == [probabilities[place] for place in every[:top]]
    assert found == sorted(found, key=lambda place: (-probabilities[place], place))


def test_only_the_first_labels_are_given_when_that_is_asked_for():
    answer = Labels(Outputs(shape=(4,), labels=("a", "b", "c", "d")))
    found = answer.write(np.array([0.1, 0.2, 0.6, 0.1], np.float32), answer.check(Parameters(top=2)), IDS)
    assert list(found["probabilities"]) == ["c", "b"]
    assert found["label"] == "c"


@pytest.mark.parametrize("top", [0, -1, 5])
def test_there_are_only_so_many_labels_and_tokens(top):
    with pytest.raises(InvalidRequest, match="out of range") as refused:
        Labels(Outputs(shape=(4,), labels=("a", "b", "c", "d"))).check(Parameters(top=top))
    assert refused.value.accepted == "1 to 4"
    with pytest.raises(InvalidRequest, match="out of range"):
        NextTokens(Outputs(shape=(4,)), None).check(Parameters(top=top))


def test_a_small_vocabulary_has_fewer_next_tokens_than_are_given_by_default():
    answer = NextTokens(Outputs(shape=(2,), scores="logits"), None)
    found = answer.write(np.array([0.0, 0.0], np.float32), answer.check(PLAIN), IDS)
    assert found == {"next": [{"token": 0, "probability": 0.5}, {"token": 1, "probability": 0.5}]}


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (Outputs(shape=(1,)), ["value"]),
        (Outputs(shape=(2,)), ["value_1", "value_2"]),
        (Outputs(shape=(2,), names=("high", "low")), ["high", "low"]),
    ],
)
def test_targets_have_their_names_once_and_per_step(outputs, names):
    once = np.arange(outputs.shape[0], dtype=np.float32)
    assert Targets(outputs).write(once, PLAIN, IDS) == {"values": dict(zip(names, once, strict=True))}
    found = Targets(outputs).write(np.stack([once, once + 10, once + 20]), PLAIN, IDS)["values"]
    assert {name: values.tolist() for name, values in found.items()} == {
        name: [place, place + 10, place + 20] for place, name in enumerate(names)
    }
    assert all(values.flags.c_contiguous for values in found.values())


def test_every_step_gets_its_label():
    answer = StepLabels(Outputs(shape=(2,), labels=("O", "CITY"), when="per_step", scores="logits"))
    found = answer.write(np.array([[3, 0], [0, 0], [-1, 4]], np.float32), PLAIN, IDS)
    assert found["labels"] == ["O", "O", "CITY"]
    assert found["scores"] == pytest.approx([1 / (1 + np.exp(-3)), 0.5, 1 / (1 + np.exp(-5))])
