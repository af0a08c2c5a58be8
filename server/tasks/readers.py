"""From a caller's item to the array that a network runs on, or to an error that says what is wrong where."""

from typing import Any, Protocol

import numpy as np

from models.manifest import Manifest, Steps
from models.text import TextEncoder
from server.errors import InvalidRequest
from server.tasks.items import Kind, Numbers, Parameters, kind_of

CHARACTERS_A_TOKEN = 16
LARGEST_VALUE = 1e30
"""Of a series: beyond it the network's own arithmetic leaves the range of float32."""

SENTENCES = ("The plot is thin, but I loved every minute of it.", "What a waste of time.", "房间很干净，服务也很好。")


class Reader(Protocol):
    """One kind of item that a model takes."""

    kind: Kind
    wants: str
    """What it accepts, in words."""
    takes: frozenset[str]
    """The parameters that change how an item is read."""

    def examples(self) -> list[tuple[str, Any]]:
        """(title, inputs) of requests that work."""

    def encode(self, item: Any, parameters: Parameters, field: str) -> np.ndarray:
        """int64 ids [T] or float32 features [T, F]. Raises InvalidRequest."""


class TextReader:
    """A text, by the bundle's tokenizer."""

    kind: Kind = "text"
    wants = "a text"
    takes = frozenset({"truncate"})

    def __init__(self, steps: Steps, tokenizer: TextEncoder) -> None:
        self._tokenizer = tokenizer
        self._smallest, self._largest = steps.smallest, steps.largest

    def examples(self) -> list[tuple[str, Any]]:
        texts = [text for text in map(self._fitted, SENTENCES) if self._fits(text)]
        one, many = [("one text", text) for text in texts[:1]], [("a list", texts[1:])]
        return one + many if len(texts) > 1 else one

    def _fitted(self, text: str) -> str:
        """The text, or as much or as often of it as the network's limits ask for."""
        words = text.split()
        while 0 < self._length(words) < self._smallest:
            words += text.split()
        while len(words) > 1 and self._length(words) > self._largest:
            words.pop()
        return " ".join(words)

    def _fits(self, text: str) -> bool:
        return self._smallest <= self._length([text]) <= self._largest

    def _length(self, words: list[str]) -> int:
        return len(self._tokenizer.encode(" ".join(words)))

    def encode(self, item: str, parameters: Parameters, field: str) -> np.ndarray:
        if len(item) > (limit := CHARACTERS_A_TOKEN * self._largest):
            if not parameters.truncate:
                raise _too_long("text", f"{len(item)} characters", f"at most {limit} characters", field)
            item = item[:limit]
        ids = self._tokenizer.encode(item)
        if self._smallest <= len(ids) <= self._largest:
            return ids
        if not len(ids):
            raise self._nothing_to_read(item, field)
        return _within_limits(ids, self._smallest, self._largest, "text", parameters, field)

    @staticmethod
    def _nothing_to_read(item: str, field: str) -> InvalidRequest:
        if item.strip():
            accepted = "a text with words of the vocabulary"
            return InvalidRequest("no word of the text is in the model's vocabulary", field, item[:100], accepted)
        return InvalidRequest("the text is empty", field, item[:100], "a text with at least one visible character")


class TokenReader:
    """Token ids, as the network's vocabulary numbers them."""

    kind: Kind = "tokens"
    wants = '{"tokens": [...]}'
    takes = frozenset({"truncate"})

    def __init__(self, steps: Steps, vocabulary: int, tokenizer: TextEncoder | None) -> None:
        self._smallest, self._largest, self._vocabulary = steps.smallest, steps.largest, vocabulary
        self._tokenizer = tokenizer

    def examples(self) -> list[tuple[str, Any]]:
        count = max(self._smallest, min(8, self._largest))
        ids = 7 * np.arange(1, count + 1) % self._vocabulary
        if self._tokenizer is not None and len(text := self._tokenizer.encode(SENTENCES[0])):
            ids = np.resize(text, count)
        return [("token ids", {"tokens": ids.tolist()})]

    def encode(self, item: Numbers, parameters: Parameters, field: str) -> np.ndarray:
        tokens, field = _field(item, self, field)
        if len(tokens) and not 0 <= min(tokens) <= max(tokens) < self._vocabulary:
            place, token = next((p, t) for p, t in enumerate(tokens) if not 0 <= t < self._vocabulary)
            message = f"the model has no token {token}, its vocabulary has {self._vocabulary}"
            raise InvalidRequest(message, f"{field}[{place}]", token, f"0 to {self._vocabulary - 1}")
        ids = np.array(tokens, np.int64)
        return _within_limits(ids, self._smallest, self._largest, "sequence", parameters, field)


def _within_limits(
    ids: np.ndarray, smallest: int, largest: int, what: str, parameters: Parameters, field: str
) -> np.ndarray:
    """The ids, cut if that was asked for. Raises InvalidRequest if there are too few or too many."""
    count = len(ids)
    if count < smallest:
        needed = f"{_least(smallest, largest)} {smallest}"
        raise InvalidRequest(
            f"the {what} has {count} tokens, the model needs {needed}", field, count, f"{needed} tokens"
        )
    if count > largest and not parameters.truncate:
        raise _too_long(what, f"{count} tokens", f"{_most(smallest, largest)} {largest} tokens", field)
    return ids[:largest]


def _least(smallest: int, largest: int) -> str:
    return "exactly" if smallest == largest else "at least"


def _most(smallest: int, largest: int) -> str:
    return "exactly" if smallest == largest else "at most"


def _too_long(what: str, given: str, accepted: str, field: str) -> InvalidRequest:
    advice = 'shorten it, or send "parameters": {"truncate": true}'
    return InvalidRequest(f"the {what} has {given}, the model takes {accepted}; {advice}", field, given, accepted)


class SeriesReader:
    """A series of numbers, oldest first; of several features, a list of them for each time step."""

    kind: Kind = "values"
    wants = '{"values": [...]}'
    takes: frozenset[str] = frozenset()

    def __init__(self, manifest: Manifest) -> None:
        assert manifest.inputs.features
        self._features, self._above, self._steps = manifest.inputs.features, manifest.inputs.above, manifest.steps
        self._usual = manifest.statistics.value_quantiles if manifest.statistics else None

    def examples(self) -> list[tuple[str, Any]]:
        count = max(self._steps.smallest, self._steps.default or min(24, self._steps.largest))
        low, high = (self._usual["0.05"], self._usual["0.95"]) if self._usual else (80.0, 120.0)
        if self._above is not None and low <= self._above:
            low, high = self._above + 1.0, max(high, self._above + 2.0)
        waves = np.sin(2 * np.pi * (np.arange(count)[:, None] / 24 + np.arange(self._features) / self._features))
        values = [[float(f"{value:.4g}") for value in row] for row in (low + (high - low) * (0.5 + 0.4 * waves))]
        return [("a series", {"values": [row[0] for row in values] if self._features == 1 else values})]

    def encode(self, item: Numbers, parameters: Parameters, field: str) -> np.ndarray:
        given, field = _field(item, self, field)
        values = self._numbers(given, field)
        smallest, largest = self._steps.smallest, self._steps.largest
        if len(values) < smallest:
            needed = f"{_least(smallest, largest)} {smallest}"
            message = f"the series has {len(values)} points, the model needs {needed}"
            raise InvalidRequest(message, field, len(values), f"{needed} points")
        if len(values) > largest:
            accepted = f"{_most(smallest, largest)} {largest} points"
            message = f"the series has {len(values)} points, the model takes {accepted}; send the last ones"
            raise InvalidRequest(message, field, len(values), accepted)
        return values

    def _numbers(self, values: list, field: str) -> np.ndarray:
        try:
            with np.errstate(over="ignore"):
                numbers = np.array(values, np.float64).astype(np.float32)
            numbers = numbers.reshape(len(values), self._features)
        except ValueError:
            raise self._wrong_step(values, field) from None
        accepted = f"between {-LARGEST_VALUE:g} and {LARGEST_VALUE:g}"
        self._check(np.abs(numbers) < LARGEST_VALUE, "too far from 0", accepted, values, field)
        if self._above is not None:
            self._check(numbers > self._above, "too small", f"above {self._above:g}", values, field)
        return numbers

    def _wrong_step(self, values: list, field: str) -> InvalidRequest:
        """The first time step that is not as wide as the network's."""
        width = self._features
        plain = width == 1 and not all(isinstance(step, list) for step in values)

        def fits(step: Any) -> bool:
            return not isinstance(step, list) if plain else isinstance(step, list) and len(step) == width

        row, step = next((row, step) for row, step in enumerate(values) if not fits(step))
        came = f"a list of {len(step)} numbers" if isinstance(step, list) else "one number"
        accepted = "one number" if width == 1 else f"a list of {width} numbers"
        message = f"time step {row} is {came}; the model takes {accepted} for each time step"
        return InvalidRequest(message, f"{field}[{row}]", step, accepted)

    @staticmethod
    def _check(fine: np.ndarray, problem: str, accepted: str, values: list, field: str) -> None:
        """Raises InvalidRequest for the first time step that is not `fine` [T, F]."""
        if not fine.all():
            row = int(np.flatnonzero(~fine.all(1))[0])
            raise InvalidRequest(f"the value is {problem}", f"{field}[{row}]", values[row], accepted)


def _field(item: Numbers, reader: Reader, field: str) -> tuple[Any, str]:
    """(the numbers, the place where they stand). Raises InvalidRequest if the item has others than the reader wants."""
    if (given := kind_of(item)) != reader.kind:
        raise InvalidRequest(f"the model takes {reader.wants}, not {given}", field, given, reader.wants)
    return getattr(item, reader.kind), f"{field}.{reader.kind}"


def make_readers(manifest: Manifest, tokenizer: TextEncoder | None) -> dict[type, Reader]:
    """The readers of a model by the type of the item; a model with a tokenizer takes texts and their token ids."""
    if manifest.inputs.vocabulary is None:
        return {Numbers: SeriesReader(manifest)}
    ids = TokenReader(manifest.steps, manifest.inputs.vocabulary, tokenizer)
    return {Numbers: ids} if tokenizer is None else {str: TextReader(manifest.steps, tokenizer), Numbers: ids}
