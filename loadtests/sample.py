"""The requests that are sent: bodies for `POST /predict`, made of the texts and series in `sample.jsonl`."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent / "sample.jsonl"
MODELS = {"text": "sentiment", "hourly": "forecast-hourly", "stock": "forecast-stock"}
LIST_SIZES = (2, 3, 4, 8, 16, 32)


@dataclass(frozen=True)
class Request:
    """One `POST /predict`. `name` is its line in the report: text, texts (a list of them), hourly or stock."""

    name: str
    model: str
    inputs: Any
    parameters: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def body(self) -> bytes:
        document = {"model": self.model, "inputs": self.inputs, "parameters": self.parameters}
        return json.dumps(document, ensure_ascii=False).encode()

    @cached_property
    def key(self) -> str:
        """Equal for requests that have to get equal answers."""
        return json.dumps([self.model, self.inputs, self.parameters])

    @cached_property
    def alone(self) -> tuple["Request", ...]:
        """The same inputs, each in a request of its own."""
        items = self.inputs if isinstance(self.inputs, list) else [self.inputs]
        return tuple(Request(self.name, self.model, item, self.parameters) for item in items)


def read(path: Path = SAMPLE) -> dict[str, list[Request]]:
    """All requests of the sample, by name."""
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    requests: dict[str, list[Request]] = {kind: [] for kind in MODELS}
    for entry in entries:
        inputs = entry["text"] if entry["kind"] == "text" else {"values": entry["values"]}
        requests[entry["kind"]].append(Request(entry["kind"], MODELS[entry["kind"]], inputs))
    return requests | {"texts": list(lists(request.inputs for request in requests["text"]))}


def lists(texts: Iterable[str]) -> Iterator[Request]:
    """Requests of several texts each: the sample once through, in lists of LIST_SIZES in turn.

    Every list takes texts from all over the sample, so that both languages and all lengths share it.
    """
    ordered = list(texts)
    mixed = iter([text for start in range(17) for text in ordered[start::17]])
    for size in cycle(LIST_SIZES):
        if not (some := list(islice(mixed, size))):
            return
        yield Request("texts", MODELS["text"], some)
