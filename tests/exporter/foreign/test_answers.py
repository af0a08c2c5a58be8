"""What a module's numbers are is found out from the numbers, and from what was said about them."""

import numpy as np
import pytest
import torch

from exporter.errors import ForeignError
from exporter.foreign.answers import Answers, Probabilities, Said, answers, kind_of
from models.manifest import Inputs

FEATURES, TOKENS = Inputs(kind="features", features=3), Inputs(kind="tokens", vocabulary=7)
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(scale=2, size=(40, 3)))


def meaning(said: Said, shape: tuple[int, ...], grows: bool = False, inputs: Inputs = FEATURES) -> Answers:
    sample = np.random.default_rng(0).normal(size=(20, *shape))
    return answers(said, shape, grows, False, sample, inputs)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LOGITS, "logits"),
        (torch.softmax(LOGITS, 1), "probabilities"),
        (torch.log_softmax(LOGITS, 1), "log-probabilities"),
    ],
)
def test_logits_and_both_kinds_of_probabilities_end_in_the_same_probabilities(values: torch.Tensor, kind: str) -> None:
    assert kind_of(values.numpy(), within_one=False) == kind
    torch.testing.assert_close(Probabilities(kind)(values), torch.softmax(LOGITS, 1))


def test_one_sigmoid_becomes_two_classes() -> None:
    one = LOGITS[:, :1]
    assert kind_of(torch.sigmoid(one).numpy(), within_one=True) == "one probability"
    assert kind_of(one.numpy(), within_one=False) == "one logit"
    for kind, values in (("one probability", torch.sigmoid(one)), ("one logit", one)):
        both = Probabilities(kind)(values)
        torch.testing.assert_close(both, torch.cat([1 - torch.sigmoid(one), torch.sigmoid(one)], 1))


def test_a_logit_between_0_and_1_is_not_taken_for_a_probability() -> None:
    assert kind_of(np.full((30, 1), 0.4), within_one=False) == "one logit"


def test_independent_labels_are_refused() -> None:
    with pytest.raises(ForeignError, match="do not add up to 1, so more than one label may be true"):
        kind_of(torch.sigmoid(LOGITS).numpy(), within_one=True)


@pytest.mark.parametrize(
    ("said", "shape", "task", "served"),
    [
        (Said("classification", labels=("a", "b")), (1,), "classification", (1,)),
        (Said("classification", text=True), (4,), "text-classification", (4,)),
        (Said("regression"), (2, 3), "regression", (6,)),
        (Said("quantile", quantiles=(0.1, 0.5, 0.9)), (12,), "forecast", (4, 3)),
        (Said("quantile", quantiles=(0.1, 0.5, 0.9)), (3,), "forecast", (1, 3)),
    ],
)
def test_each_task_has_its_shape(said: Said, shape: tuple[int, ...], task: str, served: tuple[int, ...]) -> None:
    found = meaning(said, shape)
    assert (found.task, found.shape, found.per_step) == (task, served, False)


def test_answers_per_step_are_tags_or_values() -> None:
    assert meaning(Said("tagging", labels=("a", "b", "c")), (3,), grows=True).labels == ("a", "b", "c")
    assert meaning(Said("tagging", names=("speed",)), (1,), grows=True).names == ("speed",)


def test_a_language_model_scores_its_whole_vocabulary() -> None:
    assert meaning(Said("language-model"), (7,), inputs=TOKENS).scores == "logits"


@pytest.mark.parametrize(
    ("said", "shape", "problem"),
    [
        (Said("classification", labels=("a", "b")), (3,), "--labels: 2 names for 3 classes; give 3 of them"),
        (Said("regression", names=("a", "b")), (3,), "--names: 2 names for 3 numbers"),
        (
            Said("classification", labels=("差评，中评，好评",)),
            (3,),
            r"--labels: 1 name \('差评，中评，好评'\) for 3 classes; separate 3 of them with ','$",
        ),
        (Said("quantile", quantiles=(0.1, 0.9)), (2,), "with 0.5 among them"),
        (Said("quantile"), (2,), "nothing was given"),
        (Said("quantile", quantiles=(0.1, 0.5, 0.9)), (4,), "3 levels do not divide the module's 4 numbers"),
        (Said("tagging"), (4,), "the module answers once for a sequence"),
        (Said("language-model"), (4,), "language-model: the module answers with .*token ids are expected"),
        (Said("classification"), (4, 2), "one axis is expected"),
    ],
)
def test_what_does_not_fit_is_said(said: Said, shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        meaning(said, shape)
