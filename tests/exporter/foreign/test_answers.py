"""What a module's numbers are is found out from the numbers, and from what was said about them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exporter.errors import ForeignError
from exporter.foreign import trial
from exporter.foreign.answers import Answers, Probabilities, Said, answers, kind_of
from exporter.foreign.bounded import Bounds, nature
from exporter.foreign.scaling import MinMax, Standard
from exporter.foreign.source import Foreign, foreign_source
from exporter.options import Options
from models.manifest import Inputs
from tests.exporter.foreign import modules
from tests.exporter.foreign.cases import ABOUT, Case, trained

FEATURES, TOKENS = Inputs(kind="features", features=3), Inputs(kind="tokens", vocabulary=7)
LOGITS = torch.from_numpy(np.random.default_rng(0).normal(scale=2, size=(40, 3)))


def meaning(said: Said, shape: tuple[int, ...], grows: bool = False, inputs: Inputs = FEATURES) -> Answers:
    sample = np.random.default_rng(0).normal(size=(20, *shape))
    return answers(said, shape, grows, "logit", sample, inputs)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (LOGITS, "logits"),
        (torch.softmax(LOGITS, 1), "probabilities"),
        (torch.log_softmax(LOGITS, 1), "log-probabilities"),
    ],
)
def test_logits_and_both_kinds_of_probabilities_end_in_the_same_probabilities(values: torch.Tensor, kind: str) -> None:
    assert kind_of(values.numpy(), "unknown") == kind
    torch.testing.assert_close(Probabilities(kind)(values), torch.softmax(LOGITS, 1))


def test_one_sigmoid_becomes_two_classes() -> None:
    one = LOGITS[:, :1]
    assert kind_of(torch.sigmoid(one).numpy(), "probability") == "one probability"
    assert kind_of(one.numpy(), "unknown") == "one logit"
    for kind, values in (("one probability", torch.sigmoid(one)), ("one logit", one)):
        both = Probabilities(kind)(values)
        torch.testing.assert_close(both, torch.cat([1 - torch.sigmoid(one), torch.sigmoid(one)], 1))


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (1, r"one answer always lay between 0 and 1, .* return the logit, .* If it is a logit, return two: torch\.cat"),
        (3, "3 answers always lay between 0 and 1, .* do not add up to 1; return logits"),
    ],
)
def test_what_may_be_a_probability_or_a_logit_is_taken_for_neither(count: int, problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        kind_of(np.full((30, count), 0.4), "unknown")


def test_what_a_linear_layer_made_is_a_logit_wherever_it_lies() -> None:
    assert kind_of(np.full((30, 1), 0.4), "logit") == "one logit"
    assert kind_of(np.full((30, 3), 0.4), "logit") == "logits"


@pytest.mark.parametrize(
    ("ending", "found"),
    [
        (lambda z: z, "logit"),
        (lambda z: (z / 3 + 0.5).squeeze(-1), "logit"),
        (nn.BatchNorm1d(1).eval(), "logit"),
        (lambda z: z.split(1)[0], "logit"),
        (lambda z: z.sigmoid() * 0.9 + 0.05, "unknown"),
        (lambda z: z.sigmoid_(), "probability"),
        (lambda z: z.clamp_(min=0), "unknown"),
        (lambda z: z.exp_(), "unknown"),
    ],
)
def test_what_keeps_a_logit_one(ending: Callable[[Tensor], Tensor], found: str) -> None:
    with torch.no_grad(), Bounds():
        assert nature(ending(nn.Linear(3, 1)(torch.ones(5, 3)))) == found


@pytest.mark.parametrize(
    "ending",
    [
        torch.sigmoid,
        torch.special.expit,
        nn.Hardsigmoid(),
        nn.Hardsigmoid(inplace=True),
        lambda z: z.clone().sigmoid_(),
        lambda z: torch.sigmoid(z).clamp(1e-7, 1 - 1e-7),
        lambda z: torch.clip(torch.sigmoid(z), max=0.999),
        lambda z: torch.sigmoid(z).clamp_(min=1e-7),
        lambda z: 1 - torch.sigmoid(z),
        lambda z: 1.0 - (1 - torch.sigmoid(z)),
        lambda z: torch.rsub(torch.sigmoid(z), 1).squeeze(-1),
        lambda z: torch.clamp(0.25 * z + 0.5, 0, 1),
        lambda z: torch.tanh(z).relu(),
        lambda z: torch.sigmoid(z) * torch.sigmoid(z),
    ],
)
def test_what_keeps_a_probability_one(ending: Callable[[Tensor], Tensor]) -> None:
    with Bounds():
        assert nature(ending(torch.linspace(-5, 5, 9)[:, None])) == "probability"


@pytest.mark.parametrize(
    "ending",
    [
        torch.tanh,
        lambda z: z,
        lambda z: -torch.sigmoid(z),
        lambda z: 2 - torch.sigmoid(z),
        lambda z: 1 - torch.tanh(z),
        lambda z: torch.sigmoid(z).clamp(0, 5) * 2,
        lambda z: torch.sigmoid(z).clamp(min=2),
        lambda z: torch.sigmoid(z).clamp(max=-0.5),
        lambda z: z.clamp(min=0),
        lambda z: z.clamp(-1, 1),
        lambda z: torch.clamp(z, torch.tensor(0.0), torch.tensor(1.0)),
        lambda z: torch.sigmoid(z).add_(1),
    ],
)
def test_what_is_none_or_may_be_none(ending: Callable[[Tensor], Tensor]) -> None:
    with Bounds():
        assert nature(ending(torch.linspace(-5, 5, 9)[:, None])) == "unknown"


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (lambda z: torch.sigmoid(z).clamp(1e-7, 1 - 1e-7), "one probability"),
        (lambda z: 1 - torch.sigmoid(z), "one probability"),
        (nn.Hardsigmoid(), "one probability"),
        (lambda z: 0.98 * torch.sigmoid(z) + 0.01, None),
        (lambda z: z, "one logit"),
    ],
)
def test_a_module_that_does_more_behind_its_sigmoid_is_understood_or_refused(
    ending: Callable[[Tensor], Tensor], kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_problem_in_onnx", lambda *_: None)
    module = trained(Case(lambda: modules.EndsIn(ending), Said("classification")))
    given = Foreign(module, ABOUT, Said("classification"))
    if kind is None:
        with pytest.raises(ForeignError, match="one answer always lay between 0 and 1"):
            foreign_source(given, Options())
        return
    source = foreign_source(given, Options())
    assert source.provenance.endswith(f"found to be {kind}.")
    rows = source.examples(5)
    with torch.no_grad():
        own = np.array([module(torch.from_numpy(row)[None]).item() for row in rows])
    wanted = own if kind == "one probability" else 1 / (1 + np.exp(-own))
    np.testing.assert_allclose(np.stack(source.reference(rows))[:, 1], wanted, atol=1e-6)


def test_independent_labels_are_refused() -> None:
    with pytest.raises(ForeignError, match="do not add up to 1, so more than one label may be true"):
        kind_of(torch.sigmoid(LOGITS).numpy(), "probability")


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


@pytest.mark.parametrize(
    ("said", "shape", "problem"),
    [
        (Said("regression", target=Standard(kind="standard", mean=(0, 5), scale=(1, 2))), (1,), "2 numbers, .* is 1"),
        (Said("regression", target=Standard(kind="standard", mean=(0,), scale=(1, 2))), (3,), "2 numbers, .* are 3"),
        (Said("tagging", target=MinMax(kind="minmax", minimum=(0, 0), maximum=(1, 2))), (3,), "2 numbers, .* are 3"),
        (
            Said("quantile", quantiles=(0.1, 0.5, 0.9), target=Standard(kind="standard", mean=(0,) * 3, scale=(1,))),
            (3,),
            'target" has 3 numbers, but every quantile is of the same unit; give one',
        ),
    ],
)
def test_a_target_scaler_of_another_size_is_refused(said: Said, shape: tuple[int, ...], problem: str) -> None:
    with pytest.raises(ForeignError, match=problem):
        meaning(said, shape, grows=said.task == "tagging")


@pytest.mark.parametrize("count", [1, 3])
def test_a_target_scaler_has_one_number_or_one_for_each(count: int) -> None:
    target = Standard(kind="standard", mean=(1,) * count, scale=(2,))
    assert meaning(Said("regression", target=target), (3,)).readout(torch.zeros(1, 3)).tolist() == [[1, 1, 1]]
