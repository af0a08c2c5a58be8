"""What the numbers of a module mean: found out from what they are, and from what was said about them."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from exporter.errors import ForeignError
from exporter.foreign.bounded import Nature
from exporter.foreign.scaling import Affine, MinMax, Standard
from models.manifest import Inputs, Task

Wanted = Literal["classification", "regression", "quantile", "tagging", "language-model"]
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Said:
    """What a person has said about the answers."""

    task: Wanted
    labels: tuple[str, ...] | None = None
    quantiles: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None
    text: bool = False
    """Whether there is a tokenizer."""
    target: Standard | MinMax | None = None


@dataclass(frozen=True)
class Answers:
    """The answers as they are served; `readout` makes them from the module's numbers [..., *shape]."""

    task: Task
    shape: tuple[int, ...]
    """Of the module's numbers for one row, or one step, as `readout` takes them."""
    per_step: bool
    readout: nn.Module
    found: str
    """What the module's numbers are, for people: logits, one probability, quantiles, ..."""
    labels: tuple[str, ...] | None = None
    scores: Literal["probabilities", "logits"] = "probabilities"
    quantiles: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None


class Probabilities(nn.Module):
    """Numbers [..., C] of one of the `KINDS` -> probabilities [..., C]; of one number two classes are made."""

    KINDS = ("probabilities", "log-probabilities", "logits", "one probability", "one logit")

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, values: Tensor) -> Tensor:
        if self.kind == "log-probabilities":
            return values.exp()
        if self.kind == "logits":
            return torch.softmax(values, -1)
        if self.kind == "one logit":
            values = torch.sigmoid(values)
        return torch.cat([1 - values, values], -1) if self.kind.startswith("one ") else values


def answers(
    said: Said, shape: tuple[int, ...], grows: bool, nature: Nature, sample: np.ndarray, inputs: Inputs
) -> Answers:
    """`shape` and `grows`: of the module's answers, of which `sample` [N, *shape] are some; `nature`: what they are by
    construction. Raises ForeignError."""
    per_step = said.task == "tagging"
    if per_step and not grows:
        raise ForeignError(
            f"--task tagging: the module answers once for a sequence, with {shape}; let it return an answer for every "
            "step, or choose classification or regression"
        )
    if said.target is not None and said.task not in ("regression", "quantile", "tagging"):
        raise ForeignError(f'--scaler: "target" is for numbers, not for --task {said.task}; leave it out')
    if said.task == "quantile":
        return _quantiles(said, shape)
    if len(shape) > 1 and said.task != "regression":
        raise ForeignError(f"--task {said.task}: the module's answers have the shape {shape}; one axis is expected")
    if said.task == "language-model":
        return _next_token(shape, nature, sample, inputs)
    if said.task == "regression" or (per_step and said.labels is None):
        return _values(said, shape, per_step)
    return _classes(said, shape, per_step, kind_of(sample, nature))


def kind_of(sample: np.ndarray, nature: Nature) -> str:
    """Which of `Probabilities.KINDS` some numbers [N, C] are. Raises ForeignError for independent probabilities, and
    where nobody can tell.

    `nature`: whether the module ends in something like a sigmoid, or a linear layer. Values between 0 and 1 alone do
    not tell, and whoever takes a probability for a logit, or a logit for a probability, gives wrong answers.
    """
    between = bool((sample >= 0).all() and (sample <= 1).all())
    if sample.shape[-1] == 1:
        if between and nature == "unknown":
            raise ForeignError(
                "--task: the module's one answer always lay between 0 and 1, as a probability does, but does not come "
                "from a sigmoid that is the last operation; return the logit, without a sigmoid. If it is a logit, "
                "return two: torch.cat([torch.zeros_like(z), z], -1)"
            )
        return "one probability" if nature == "probability" else "one logit"
    if (sample >= 0).all() and np.allclose(sample.sum(-1), 1, atol=TOLERANCE):
        return "probabilities"
    if (sample <= TOLERANCE).all() and np.allclose(np.exp(sample).sum(-1), 1, atol=TOLERANCE):
        return "log-probabilities"
    if between and nature == "probability":
        raise ForeignError(
            f"--task classification: the module's {sample.shape[-1]} answers are probabilities that do not add up to "
            "1, so more than one label may be true; choose --task regression and --names to get them as they are"
        )
    if between and nature == "unknown":
        raise ForeignError(
            f"--task: the module's {sample.shape[-1]} answers always lay between 0 and 1, as probabilities do, but do "
            "not add up to 1; return logits, without a sigmoid or clamp behind them"
        )
    return "logits"


def _classes(said: Said, shape: tuple[int, ...], per_step: bool, kind: str) -> Answers:
    count = 2 if kind.startswith("one ") else shape[-1]
    labels = said.labels or tuple(str(number) for number in range(count))
    if len(labels) != count:
        raise ForeignError(f"--labels: {_given(labels)} for {count} classes; {_wanted(labels, count)}")
    task: Task = "tagging" if per_step else "text-classification" if said.text else "classification"
    return Answers(task, shape, per_step, Probabilities(kind), kind, labels=labels)


def _values(said: Said, shape: tuple[int, ...], per_step: bool) -> Answers:
    count = math.prod(shape)
    if said.names is not None and len(said.names) != count:
        raise ForeignError(f"--names: {_given(said.names)} for {count} numbers; {_wanted(said.names, count)}")
    readout = Affine(said.target, inverted=True)
    if readout.width not in (1, count):
        amount = "is 1 answer" if count == 1 else f"are {count} answers"
        raise ForeignError(f'--scaler: "target" has {readout.width} numbers, but there {amount}; give one for each')
    task: Task = "tagging" if per_step else "regression"
    return Answers(task, (count,), per_step, readout, "numbers", names=said.names)


def _given(names: tuple[str, ...]) -> str:
    return f"1 name ({names[0]!r})" if len(names) == 1 else f"{len(names)} names"


def _wanted(names: tuple[str, ...], count: int) -> str:
    """Where there is one name, other commas may stand in it."""
    return f"separate {count} of them with ','" if len(names) == 1 else f"give {count} of them"


def _quantiles(said: Said, shape: tuple[int, ...]) -> Answers:
    """[Q], [H, Q] or [H * Q] as [H, Q]."""
    levels, count = said.quantiles or (), math.prod(shape)
    if 0.5 not in levels or list(levels) != sorted(set(levels)) or not 0 < levels[0] <= levels[-1] < 1:
        raise ForeignError(
            f"--quantiles: {', '.join(map(str, levels)) or 'nothing'} was given; levels between 0 and 1 are expected, "
            "in ascending order, with 0.5 among them: --quantiles 0.1,0.5,0.9"
        )
    if count % len(levels):
        raise ForeignError(f"--quantiles: {len(levels)} levels do not divide the module's {count} numbers")
    shape, readout = (count // len(levels), len(levels)), Affine(said.target, inverted=True)
    if readout.width > 1:
        raise ForeignError(
            f'--scaler: "target" has {readout.width} numbers, but every quantile is of the same unit; give one'
        )
    return Answers("forecast", shape, False, readout, "quantiles", quantiles=levels)


def _next_token(shape: tuple[int, ...], nature: Nature, sample: np.ndarray, inputs: Inputs) -> Answers:
    if shape != (inputs.vocabulary,):
        expected = "token ids" if inputs.vocabulary is None else f"{inputs.vocabulary} numbers, one for each token id"
        raise ForeignError(f"--task language-model: the module answers with {shape}; {expected} are expected")
    kind = kind_of(sample, nature)
    scores: Literal["probabilities", "logits"] = "probabilities" if kind == "probabilities" else "logits"
    return Answers("language-model", shape, False, nn.Identity(), kind, scores=scores)
