"""One model's way of reading items and of writing answers: a reader for each type of item, and an answer."""

from typing import Any

import numpy as np

from models.bundle import Bundle, BundleError
from models.text import open_tokenizer
from server.errors import InferenceFailed, InvalidRequest
from server.tasks.answers import Answer, make_answer
from server.tasks.items import PLAIN, Item, Kind, Parameters
from server.tasks.readers import Reader, make_readers

REASONS = {
    "truncate": "only texts and token ids can be cut; of a series, send the last values",
    "horizon": "only a model that forecasts takes it",
    "quantiles": "only a model that forecasts takes it",
    "top": "only a model that chooses among labels or tokens takes it",
}
"""Why a parameter is refused by a model that does not take it."""


class Task:
    """`accepts` are the kinds of items that the model takes, and `wants` says so in words."""

    def __init__(self, readers: dict[type, Reader], answer: Answer, logits: bool) -> None:
        self._readers, self._answer, self._logits = readers, answer, logits
        self.accepts: tuple[Kind, ...] = tuple(reader.kind for reader in readers.values())
        self.wants = " or ".join(reader.wants for reader in readers.values())
        takes = answer.takes.union(*(reader.takes for reader in readers.values()))
        self._not_taken = [name for name in REASONS if name not in takes]
        self._plain = answer.check(PLAIN)

    def examples(self) -> list[tuple[str, Any, dict[str, Any]]]:
        """(title, inputs, parameters) of requests that work."""
        found = [example for reader in self._readers.values() for example in reader.examples()]
        return [(title, inputs, self._answer.example()) for title, inputs in found]

    def check(self, parameters: Parameters) -> Parameters:
        """Refuses parameters that this model cannot honour, and fills in its defaults."""
        if parameters is PLAIN:
            return self._plain
        for name in self._not_taken:
            if (given := getattr(parameters, name)) != (accepted := getattr(PLAIN, name)):
                message = f"{name} does not apply to this model: {REASONS[name]}"
                raise InvalidRequest(message, f"parameters.{name}", given, accepted)
        return self._answer.check(parameters)

    def encode(self, item: Item, parameters: Parameters, field: str) -> np.ndarray:
        """int64 ids [T] or float32 features [T, F]. Raises InvalidRequest."""
        return self._readers[type(item)].encode(item, parameters, field)

    def answer(self, outputs: np.ndarray, parameters: Parameters, encoded: np.ndarray, field: str) -> dict[str, Any]:
        """What the caller gets for the item at `field`, of which the network has read `encoded`.

        Raises InvalidRequest for values that are too large for the network, InferenceFailed for a network that answers
        tokens with what is no number.
        """
        # A logit of -inf is a probability of 0.
        numbers = outputs < np.inf if self._logits else np.isfinite(outputs)
        if not numbers.all():
            if encoded.ndim > 1:
                accepted = "values of a smaller range, in another unit"
                raise InvalidRequest("the answer leaves the range of float32", f"{field}.values", None, accepted)
            raise InferenceFailed(
                "the network's answer is no number; its weights are to blame, so export it again", field
            )
        return self._answer.write(outputs, parameters, encoded)


def make_task(bundle: Bundle) -> Task:
    """Raises BundleError for a tokenizer that does not fit the network."""
    manifest = bundle.manifest
    tokenizer = open_tokenizer(bundle.path(manifest.tokenizer)) if manifest.tokenizer else None
    if tokenizer is not None and tokenizer.vocabulary_size > (rows := manifest.inputs.vocabulary or 0):
        raise BundleError(
            f"{bundle.folder}: the tokenizer has {tokenizer.vocabulary_size} tokens, the network only {rows}"
        )
    logits = manifest.outputs.scores == "logits"
    return Task(make_readers(manifest, tokenizer), make_answer(manifest, tokenizer), logits)
