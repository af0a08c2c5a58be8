"""Is an answer right? Its form is checked, and that it is, to the bit, the answer that the input got alone."""

import http.client
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from loadtests.sample import MODELS, Request

JSON_HEADERS = {"Content-Type": "application/json"}
PROBABILITY_TOLERANCE = 1e-5


class WrongAnswer(Exception):
    """The server answered, but not what it should have."""


class DifferentAnswer(WrongAnswer):
    """Well-formed, but not the answer that the same input got alone."""


@dataclass
class Reference:
    """What every input was answered when nobody else asked, and how many later answers were compared with it."""

    outputs: dict[str, Any] = field(default_factory=dict)
    complete: bool = False
    problem: str | None = None
    """Why it never will be complete."""
    compared: int = 0
    differing: int = 0

    def ask(self, host: str, requests: Iterable[Request], timeout: float = 30.0) -> None:
        """Asks for every input, one after the other, until one is not answered. `host` is a URL."""
        connection = connect(host, timeout)
        try:
            for request in (single for several in requests for single in several.alone):
                if request.key not in self.outputs:
                    connection.request("POST", "/predict", request.body, JSON_HEADERS)
                    response = connection.getresponse()
                    self.outputs[request.key] = outputs_of(request, response.status, response.read())
            self.complete = True
        except (OSError, http.client.HTTPException, WrongAnswer) as error:
            self.problem = f"{host}: {request.model}: {error or type(error).__name__}"
        finally:
            connection.close()

    def check(self, request: Request, status: int, body: bytes) -> None:
        """Raises WrongAnswer, or DifferentAnswer, which is counted."""
        outputs = outputs_of(request, status, body)
        answers = outputs if isinstance(outputs, list) else [outputs]
        self.compared += len(answers)
        pairs = zip(request.alone, answers, strict=True)
        if differing := sum(self.outputs.get(single.key) != answer for single, answer in pairs):
            self.differing += differing
            raise DifferentAnswer("another answer than alone")


def connect(host: str, timeout: float) -> http.client.HTTPConnection:
    """A connection to the host of a URL, http or https."""
    url = urlsplit(host)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError(f"host: {host!r} is not a URL; give one like http://127.0.0.1:8000")
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    return kind(url.hostname, url.port, timeout=timeout)


def outputs_of(request: Request, status: int, body: bytes) -> Any:
    """The checked `outputs` of an answer. Raises WrongAnswer."""
    if status != http.client.OK:
        raise WrongAnswer(f"status {status}: {_excerpt(body)}")
    try:
        answer = json.loads(body)
        outputs = answer["outputs"]
        if answer["model"] != request.model or type(answer["version"]) is not int:
            raise WrongAnswer(f"model {answer['model']!r}, version {answer['version']!r}")
        answers = outputs if isinstance(outputs, list) else [outputs]
        if isinstance(outputs, list) != isinstance(request.inputs, list) or len(answers) != len(request.alone):
            raise WrongAnswer("outputs are not shaped as inputs are")
        for single in answers:
            (check_label if request.model == MODELS["text"] else check_forecast)(single)
    except (ValueError, KeyError, TypeError) as error:
        raise WrongAnswer(f"{type(error).__name__} {error} in {_excerpt(body)}") from error
    return outputs


def check_label(output: dict[str, Any]) -> None:
    """{"label", "score", "probabilities"}: probabilities of a sum of 1, the label being the most probable."""
    probabilities = output["probabilities"]
    if not all(0 <= value <= 1 for value in probabilities.values()):
        raise WrongAnswer(f"a probability outside of 0 to 1: {probabilities}")
    if abs(sum(probabilities.values()) - 1) > PROBABILITY_TOLERANCE:
        raise WrongAnswer(f"probabilities do not add up to 1: {probabilities}")
    if not output["score"] == probabilities[output["label"]] == max(probabilities.values()):
        raise WrongAnswer(f"the label is not the most probable: {output}")


def check_forecast(output: dict[str, Any]) -> None:
    """{"median", "quantiles"}: finite numbers, as many steps for each quantile, the middle one being the median."""
    median, quantiles = output["median"], output["quantiles"]
    if not median or any(len(path) != len(median) for path in quantiles.values()):
        raise WrongAnswer("the quantiles have different numbers of steps")
    if not all(math.isfinite(value) for path in (median, *quantiles.values()) for value in path):
        raise WrongAnswer("a forecast is not a finite number")
    if quantiles["0.5"] != median:
        raise WrongAnswer("the quantile 0.5 is not the median")


def _excerpt(body: bytes) -> str:
    return body[:200].decode(errors="replace")
