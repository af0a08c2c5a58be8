"""From a network's outputs to what the caller gets for one item."""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import numpy as np

from models.manifest import Manifest, Outputs
from models.text import TextEncoder
from server.errors import InvalidRequest
from server.tasks.items import Parameters

NEXT_TOKENS = 5
"""How many a language model answers with by default."""


class Answer(Protocol):
    takes: frozenset[str]
    """The parameters that change the answer."""

    def example(self) -> dict[str, Any]:
        """Parameters worth showing."""

    def check(self, parameters: Parameters) -> Parameters:
        """Refuses values that this model cannot honour, and fills in its defaults."""

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        """outputs float32 [*shape], or [T, *shape] per step; `encoded` is the item as the network has read it."""


class Labels:
    """Classification: the most probable label, and the probabilities of all labels or of the first `top`."""

    takes = frozenset({"top"})

    def __init__(self, outputs: Outputs) -> None:
        assert outputs.labels
        self._labels = outputs.labels
        self._probabilities = _conversion(outputs)

    def example(self) -> dict[str, Any]:
        return {"top": 3} if len(self._labels) > 3 else {}

    def check(self, parameters: Parameters) -> Parameters:
        _check_top(parameters.top, len(self._labels))
        return parameters

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        if self._probabilities is not None:
            outputs = self._probabilities(outputs)
        best = int(outputs.argmax())
        if parameters.top is None:
            probabilities = dict(zip(self._labels, outputs, strict=True))
        else:
            probabilities = {self._labels[place]: outputs[place] for place in most_probable(outputs, parameters.top)}
        return {"label": self._labels[best], "score": outputs[best], "probabilities": probabilities}


class Quantiles:
    """Forecast: the median and the quantiles of the next steps."""

    takes = frozenset({"horizon", "quantiles"})

    def __init__(self, outputs: Outputs) -> None:
        assert outputs.quantiles
        self._horizon = outputs.shape[0]
        self._default_horizon = outputs.default_horizon or self._horizon
        self._levels = {level: column for column, level in enumerate(outputs.quantiles)}
        self._median = self._levels[0.5]

    def example(self) -> dict[str, Any]:
        return {"horizon": self._default_horizon, "quantiles": sorted(self._levels)}

    def check(self, parameters: Parameters) -> Parameters:
        horizon = self._default_horizon if parameters.horizon is None else parameters.horizon
        if not 1 <= horizon <= self._horizon:
            accepted = f"1 to {self._horizon}"
            raise InvalidRequest(f"horizon {horizon} was not trained", "parameters.horizon", horizon, accepted)
        quantiles = list(self._levels) if parameters.quantiles is None else parameters.quantiles
        for index, level in enumerate(quantiles):
            if level not in self._levels:
                place = f"parameters.quantiles[{index}]"
                raise InvalidRequest(f"quantile {level} was not trained", place, level, list(self._levels))
        return msgspec.structs.replace(parameters, horizon=horizon, quantiles=quantiles)

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        path = np.ascontiguousarray(outputs[: parameters.horizon].T)
        quantiles = {str(level): path[self._levels[level]] for level in parameters.quantiles or ()}
        return {"median": path[self._median], "quantiles": quantiles}


class Plain:
    """An answer that no parameter changes."""

    takes: frozenset[str] = frozenset()

    def example(self) -> dict[str, Any]:
        return {}

    def check(self, parameters: Parameters) -> Parameters:
        return parameters


class Targets(Plain):
    """Regression: one number for each target; per step, a list of numbers for each."""

    def __init__(self, outputs: Outputs) -> None:
        (width,) = outputs.shape
        unnamed = ("value",) if width == 1 else tuple(f"value_{number}" for number in range(1, width + 1))
        self._names = outputs.names or unnamed

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        return {"values": dict(zip(self._names, np.ascontiguousarray(outputs.T), strict=True))}


class StepLabels(Plain):
    """Tagging: the most probable label of each step, and its probability."""

    def __init__(self, outputs: Outputs) -> None:
        assert outputs.labels
        self._labels = outputs.labels
        self._probabilities = _conversion(outputs)

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        if self._probabilities is not None:
            outputs = self._probabilities(outputs)
        labels = [self._labels[best] for best in outputs.argmax(1).tolist()]
        return {"labels": labels, "scores": outputs.max(1)}


class WithTokens(Plain):
    """Another answer per step, and the token that each step has read."""

    def __init__(self, answer: Answer, tokenizer: TextEncoder) -> None:
        self._answer, self._tokenizer = answer, tokenizer

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        tokens = [self._tokenizer.piece(token) for token in encoded.tolist()]
        return {"tokens": tokens, **self._answer.write(outputs, parameters, encoded)}


class NextTokens:
    """Language model: the most probable next tokens."""

    takes = frozenset({"top"})

    def __init__(self, outputs: Outputs, tokenizer: TextEncoder | None) -> None:
        (self._vocabulary,) = outputs.shape
        self._probabilities, self._tokenizer = _conversion(outputs), tokenizer

    def example(self) -> dict[str, Any]:
        return {"top": min(3, self._vocabulary)}

    def check(self, parameters: Parameters) -> Parameters:
        _check_top(parameters.top, self._vocabulary)
        top = parameters.top or min(NEXT_TOKENS, self._vocabulary)
        return msgspec.structs.replace(parameters, top=top)

    def write(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray) -> dict[str, Any]:
        if self._probabilities is not None:
            outputs = self._probabilities(outputs)
        best = most_probable(outputs, parameters.top or NEXT_TOKENS)
        return {"next": [self._token(token) | {"probability": outputs[token]} for token in best]}

    def _token(self, token: int) -> dict[str, Any]:
        return {"token": token} | ({} if self._tokenizer is None else {"text": self._tokenizer.piece(token)})


def most_probable(probabilities: np.ndarray, top: int) -> list[int]:
    """The places of the `top` largest of [L], the largest first; of equal ones the earlier first."""
    some = np.argpartition(-probabilities, top - 1)[:top]
    return some[np.lexsort((some, -probabilities[some]))].tolist()


def _check_top(top: int | None, most: int) -> None:
    if top is not None and not 1 <= top <= most:
        raise InvalidRequest(f"top {top} is out of range", "parameters.top", top, f"1 to {most}")


def _conversion(outputs: Outputs) -> Callable[[np.ndarray], np.ndarray] | None:
    """What makes [..., L] probabilities of [..., L] or [..., 1] outputs; None if they are that already."""
    one_for_two = outputs.labels is not None and outputs.shape == (1,) and len(outputs.labels) == 2
    if outputs.scores == "probabilities":
        return _both if one_for_two else None
    return _softmax_against_zero if one_for_two else softmax


def _both(second: np.ndarray) -> np.ndarray:
    return np.concatenate([1 - second, second], -1)


def _softmax_against_zero(second: np.ndarray) -> np.ndarray:
    """sigma(x) and 1 - sigma(x), both to the last digit."""
    return softmax(np.concatenate([np.zeros_like(second), second], -1))


def softmax(logits: np.ndarray) -> np.ndarray:
    """float32 [..., L] -> float32 [..., L], summed in float64."""
    exponentials = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return (exponentials / exponentials.sum(-1, keepdims=True)).astype(np.float32)


def make_answer(manifest: Manifest, tokenizer: TextEncoder | None) -> Answer:
    outputs = manifest.outputs
    if manifest.task == "forecast":
        return Quantiles(outputs)
    if manifest.task == "language-model":
        return NextTokens(outputs, tokenizer)
    if manifest.task == "tagging":
        answer = StepLabels(outputs) if outputs.labels else Targets(outputs)
        return answer if tokenizer is None else WithTokens(answer, tokenizer)
    return Labels(outputs) if outputs.labels else Targets(outputs)
