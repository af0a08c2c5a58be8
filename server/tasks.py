"""What a task means on the wire: a caller's item -> encoded array, and the network's outputs -> an answer."""

from typing import Annotated, Any, Protocol

import msgspec
import numpy as np
from msgspec import Meta

from models.bundle import Bundle, BundleError
from models.manifest import Manifest
from models.text import Tokenizer
from server.errors import InvalidRequest

CHARACTERS_A_TOKEN = 16
LARGEST_VALUE = 1e30
"""Of a series: beyond it the network's own arithmetic leaves the range of float32."""


class Series(msgspec.Struct, forbid_unknown_fields=True):
    """A series of numbers, oldest first; for a network of several features, a list of them for each time step."""

    values: list[float | list[float]]


class Parameters(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be asked of a prediction. Leave out what you do not need."""

    truncate: Annotated[
        bool,
        Meta(description="Text: keep the beginning of a text that is longer than the limit, instead of refusing it."),
    ] = False
    horizon: Annotated[int, Meta(description="Series: how many steps to forecast.")] | None = None
    quantiles: Annotated[list[float], Meta(description="Series: which quantiles to return.")] | None = None
    timeout_ms: (
        Annotated[float, Meta(description="Give up, with status 504, when the answer takes longer, in milliseconds.")]
        | None
    ) = None


Item = str | Series


class Task(Protocol):
    """One model's way of reading items and of writing answers."""

    accepts: type
    wants: str
    """What it accepts, in words."""

    def examples(self) -> list[tuple[str, Any, dict[str, Any]]]:
        """(title, inputs, parameters) of requests that work."""

    def check(self, parameters: Parameters) -> Parameters:
        """Refuses parameters that this model cannot honour, and fills in its defaults."""

    def encode(self, item: Any, parameters: Parameters, field: str) -> np.ndarray:
        """int64 ids [T] or float32 features [T, F]. Raises InvalidRequest."""

    def answer(self, outputs: np.ndarray, parameters: Parameters) -> dict[str, Any]:
        """What the caller gets for one item."""


class TextClassification:
    """Text in; label, score and the probabilities of all labels out."""

    accepts: type = str
    wants = "a text"

    def __init__(self, bundle: Bundle) -> None:
        assert bundle.manifest.tokenizer
        assert bundle.manifest.outputs.labels
        self._tokenizer = Tokenizer(bundle.path(bundle.manifest.tokenizer))
        self._labels = bundle.manifest.outputs.labels
        self._limit = bundle.manifest.steps.largest

    def examples(self) -> list[tuple[str, Any, dict[str, Any]]]:
        return [
            ("one text", "The plot is thin, but I loved every minute of it.", {}),
            ("a list", ["What a waste of time.", "房间很干净，服务也很好。"], {}),
        ]

    def check(self, parameters: Parameters) -> Parameters:
        _refuse(parameters, "horizon", "quantiles", reason="only a model that forecasts takes it")
        return parameters

    def encode(self, item: str, parameters: Parameters, field: str) -> np.ndarray:
        if len(item) > (limit := CHARACTERS_A_TOKEN * self._limit):
            if not parameters.truncate:
                raise self._too_long(field, f"{len(item)} characters", f"at most {limit} characters")
            item = item[:limit]
        ids = self._tokenizer.encode(item)
        if not len(ids):
            raise InvalidRequest("the text is empty", field, item, "a text with at least one visible character")
        if len(ids) > self._limit and not parameters.truncate:
            raise self._too_long(field, f"{len(ids)} tokens", f"at most {self._limit} tokens")
        return ids[: self._limit]

    @staticmethod
    def _too_long(field: str, given: str, accepted: str) -> InvalidRequest:
        message = (
            f'the text has {given}, the model takes {accepted}; shorten it, or send "parameters": {{"truncate": true}}'
        )
        return InvalidRequest(message, field, given, accepted)

    def answer(self, outputs: np.ndarray, parameters: Parameters) -> dict[str, Any]:
        best = int(outputs.argmax())
        return {
            "label": self._labels[best],
            "score": outputs[best],
            "probabilities": dict(zip(self._labels, outputs, strict=True)),
        }


class Forecast:
    """A series in; the median and the quantiles of the next steps out."""

    accepts: type = Series
    wants = '{"values": [...]}'

    def __init__(self, bundle: Bundle) -> None:
        manifest: Manifest = bundle.manifest
        assert manifest.outputs.quantiles
        assert manifest.inputs.features
        self._features, self._steps, self._above = manifest.inputs.features, manifest.steps, manifest.inputs.above
        self._horizon = manifest.outputs.shape[0]
        self._default_horizon = manifest.outputs.default_horizon or self._horizon
        self._quantiles = {level: column for column, level in enumerate(manifest.outputs.quantiles)}
        self._median = self._quantiles[0.5]

    def examples(self) -> list[tuple[str, Any, dict[str, Any]]]:
        steps = np.arange(max(self._steps.smallest, self._steps.default or 0))
        values = np.round(100 + steps / 10 + 20 * np.sin(2 * np.pi * steps / 24), 1)
        body = {"values": values.tolist() if self._features == 1 else [[v] * self._features for v in values.tolist()]}
        levels = sorted(self._quantiles)
        return [("the next steps", body, {"horizon": self._default_horizon, "quantiles": levels})]

    def check(self, parameters: Parameters) -> Parameters:
        if parameters.truncate:
            raise InvalidRequest(
                "truncate is for texts; of a series, send the last values", "parameters.truncate", True, False
            )
        horizon = self._default_horizon if parameters.horizon is None else parameters.horizon
        if not 1 <= horizon <= self._horizon:
            accepted = f"1 to {self._horizon}"
            raise InvalidRequest(f"horizon {horizon} was not trained", "parameters.horizon", horizon, accepted)
        quantiles = list(self._quantiles) if parameters.quantiles is None else parameters.quantiles
        for index, level in enumerate(quantiles):
            if level not in self._quantiles:
                place = f"parameters.quantiles[{index}]"
                raise InvalidRequest(f"quantile {level} was not trained", place, level, list(self._quantiles))
        return msgspec.structs.replace(parameters, horizon=horizon, quantiles=quantiles)

    def encode(self, item: Series, parameters: Parameters, field: str) -> np.ndarray:
        field = f"{field}.values"
        values = self._numbers(item.values, field)
        if len(values) < self._steps.smallest:
            message = f"the series has {len(values)} points, the model needs at least {self._steps.smallest}"
            raise InvalidRequest(message, field, len(values), f"at least {self._steps.smallest} points")
        if len(values) > self._steps.largest:
            accepted = f"at most {self._steps.largest} points"
            message = f"the series has {len(values)} points, the model takes {accepted}; send the last ones"
            raise InvalidRequest(message, field, len(values), accepted)
        return values

    def _numbers(self, values: list, field: str) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, np.float64).astype(np.float32)
            numbers = numbers.reshape(len(values), self._features)
        except ValueError:
            accepted = "numbers" if self._features == 1 else f"lists of {self._features} numbers"
            raise InvalidRequest("the time steps have different or wrong shapes", field, None, accepted) from None
        self._check(np.abs(numbers) < LARGEST_VALUE, "too large", f"below {LARGEST_VALUE:g}", values, field)
        if self._above is not None:
            self._check(numbers > self._above, "too small", f"above {self._above:g}", values, field)
        return numbers

    @staticmethod
    def _check(fine: np.ndarray, problem: str, accepted: str, values: list, field: str) -> None:
        """Raises InvalidRequest for the first time step that is not `fine` [T, F]."""
        if not fine.all():
            row = int(np.flatnonzero(~fine.all(1))[0])
            raise InvalidRequest(f"the value is {problem}", f"{field}[{row}]", values[row], accepted)

    def answer(self, outputs: np.ndarray, parameters: Parameters) -> dict[str, Any]:
        if not np.isfinite(outputs).all():
            accepted = "values of a smaller range, in another unit"
            raise InvalidRequest("the forecast leaves the range of float32", "inputs.values", None, accepted)
        path = np.ascontiguousarray(outputs[: parameters.horizon].T)
        quantiles = {str(level): path[self._quantiles[level]] for level in parameters.quantiles or ()}
        return {"median": path[self._median], "quantiles": quantiles}


def _refuse(parameters: Parameters, *names: str, reason: str) -> None:
    for name in names:
        if (given := getattr(parameters, name)) is not None:
            raise InvalidRequest(f"{name} does not apply to this model: {reason}", f"parameters.{name}", given)


def make_task(bundle: Bundle) -> Task:
    """Raises BundleError for a task that this server does not know."""
    kinds: dict[str, type[TextClassification] | type[Forecast]] = {
        "text-classification": TextClassification,
        "forecast": Forecast,
    }
    task = bundle.manifest.task
    if task not in kinds:
        raise BundleError(f"{bundle.folder}: task {task!r} is not served; {', '.join(kinds)} are")
    return kinds[task](bundle)
