import json
from typing import Any

import pytest

from loadtests.answers import DifferentAnswer, Reference, WrongAnswer, connect, outputs_of
from loadtests.sample import Request, read
from tests.processes import ServerProcess

TEXT = Request("text", "sentiment", "Good.")
TEXTS = Request("texts", "sentiment", ["Good.", "Bad."])
HOURLY = Request("hourly", "forecast-hourly", {"values": [1.0] * 200})

GOOD = {"label": "positive", "score": 0.75, "probabilities": {"negative": 0.25, "positive": 0.75}}
BAD = {"label": "negative", "score": 0.75, "probabilities": {"negative": 0.75, "positive": 0.25}}
PATHS = {"median": [1.0, 2.0], "quantiles": {"0.1": [0.0, 1.0], "0.5": [1.0, 2.0], "0.9": [2.0, 3.0]}}


def body(request: Request, outputs: Any, **changes: Any) -> bytes:
    return json.dumps({"model": request.model, "version": 1, "outputs": outputs} | changes).encode()


@pytest.mark.parametrize(("request_", "outputs"), [(TEXT, GOOD), (TEXTS, [GOOD, BAD]), (HOURLY, PATHS)])
def test_right_answers_are_taken(request_: Request, outputs: Any) -> None:
    assert outputs_of(request_, 200, body(request_, outputs)) == outputs


@pytest.mark.parametrize(
    ("request_", "outputs", "told"),
    [
        (TEXT, [GOOD], "not shaped as inputs"),
        (TEXTS, GOOD, "not shaped as inputs"),
        (TEXTS, [GOOD], "not shaped as inputs"),
        (TEXT, GOOD | {"label": "negative"}, "not the most probable"),
        (TEXT, GOOD | {"score": 0.7500001}, "not the most probable"),
        (TEXT, GOOD | {"probabilities": {"negative": 0.2501, "positive": 0.75}}, "do not add up to 1"),
        (TEXT, GOOD | {"probabilities": {"negative": -0.1, "positive": 1.1}}, "outside of 0 to 1"),
        (TEXT, {"label": "positive"}, "KeyError 'probabilities'"),
        (TEXT, None, "TypeError"),
        (HOURLY, PATHS | {"median": [1.0]}, "different numbers of steps"),
        (HOURLY, PATHS | {"median": []}, "different numbers of steps"),
        (HOURLY, PATHS | {"median": [1.0, 2.5]}, "is not the median"),
        (HOURLY, {"median": [float("nan")], "quantiles": {"0.5": [1.0]}}, "not a finite number"),
        (HOURLY, PATHS | {"quantiles": {"0.1": [0.0, 1.0]}}, "KeyError '0.5'"),
    ],
)
def test_wrong_answers_are_told_apart(request_: Request, outputs: Any, told: str) -> None:
    with pytest.raises(WrongAnswer, match=told):
        outputs_of(request_, 200, body(request_, outputs))


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (503, b'{"error": {}}', "status 503: "),
        (200, b"{", "JSONDecodeError"),
        (200, b"\xff", "UnicodeDecodeError"),
        (200, body(TEXT, GOOD, model="other"), "model 'other'"),
        (200, body(TEXT, GOOD, version="1"), "version '1'"),
    ],
)
def test_what_is_no_answer_is_told_too(status: int, content: bytes, told: str) -> None:
    with pytest.raises(WrongAnswer, match=told):
        outputs_of(TEXT, status, content)


def test_every_answer_of_a_list_is_compared_with_its_own_answer_alone() -> None:
    reference = Reference({single.key: output for single, output in zip(TEXTS.alone, [GOOD, BAD], strict=True)})
    reference.check(TEXTS, 200, body(TEXTS, [GOOD, BAD]))
    assert (reference.compared, reference.differing) == (2, 0)
    moved = BAD | {"score": 0.7500001, "probabilities": {"negative": 0.7500001, "positive": 0.2499999}}
    with pytest.raises(DifferentAnswer):
        reference.check(TEXTS, 200, body(TEXTS, [GOOD, moved]))
    assert (reference.compared, reference.differing) == (4, 1)


def test_a_malformed_answer_is_wrong_but_not_counted_as_different() -> None:
    reference = Reference({TEXT.key: GOOD})
    with pytest.raises(WrongAnswer):
        reference.check(TEXT, 500, b"")
    assert (reference.compared, reference.differing) == (0, 0)


def test_the_reference_holds_every_input_once(server: ServerProcess) -> None:
    requests, reference = read(), Reference()
    some = [*requests["text"][::20], *requests["texts"][:2], requests["hourly"][0], requests["stock"][0]]
    reference.ask(server.url, some)
    assert set(reference.outputs) == {single.key for request in some for single in request.alone}


def test_a_question_that_is_not_answered_alone_ends_the_asking() -> None:
    reference = Reference()
    reference.ask("http://127.0.0.1:1", [TEXT], timeout=1)
    assert reference.problem is not None
    assert reference.problem.startswith("http://127.0.0.1:1: sentiment: ")
    with pytest.raises(DifferentAnswer):
        reference.check(TEXT, 200, body(TEXT, GOOD))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://"])
def test_a_host_that_is_no_url_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="is not a URL; give one like"):
        connect(host, timeout=1)
