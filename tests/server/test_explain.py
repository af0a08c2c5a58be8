"""What is wrong with a body is said in words that help: the place, what came, what is accepted, what to do."""

import json
import re

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from server.errors import InvalidRequest, body_of
from server.explain import LONGEST_SEARCHED
from server.request import parse


def refusal(body: bytes) -> dict:
    with pytest.raises(InvalidRequest) as refused:
        parse(body)
    answer = body_of(refused.value)
    orjson.dumps(answer)
    return answer["error"]


NO_JSON = [
    (b"", "the body is empty", ""),
    (b" \n", "the body is empty", ""),
    (b'{"inputs": "a"', "ends too early", None),
    (b'{"inputs": "\\ud800"}', "surrogate", "\\ud800"),
    (b'{"inputs": "\\\\ud800', "ends too early", None),
    (b'{"inputs": "\\ud83d\\ude42 a \\udc00 b"}', "surrogate", "\\udc00"),
    (b'{"inputs": "\\ud800\\u0041"}', "surrogate", "\\ud800"),
    (b'{"inputs": {"values": [NaN]}}', r"^NaN is not JSON \(byte 23\)", "NaN"),
    (b'{"inputs": {"values": [1, -Infinity]}}', "^-Infinity is not JSON", "-Infinity"),
    (b'{"inputs": {"values": [nan, 1]}}', "^nan is not JSON", "nan"),
    (b'{"inputs": "inf\n"}', "invalid character", None),
    (b'\xef\xbb\xbf{"inputs": "a"}', "byte order mark", None),
    ('{"inputs": "a"}'.encode("utf-16"), "byte order mark", None),
    (b"inputs=a", r"not valid JSON: invalid character \(byte 0\)", None),
]


@pytest.mark.parametrize(("body", "said", "came"), NO_JSON)
def test_what_is_no_json_is_said_truly(body, said, came):
    error = refusal(body)
    assert re.search(said, error["message"])
    assert (error["field"], error["given"]) == (None, came)
    assert error["accepted"]


NUMBERS_IN_AN_OBJECT = '{"values": [...]} for a series, {"tokens": [...]}'
NO_REQUEST = [
    (b"{}", "inputs", '"inputs" is missing', None, "a list of one of them"),
    (b'{"input": "a"}', "input", "did you mean 'inputs'?", "a", "inputs"),
    (b'{"text": "a"}', "text", "did you mean 'inputs'?", "a", "inputs"),
    (b'{"inputs": "a", "text": "b"}', "text", "leave it out", "b", "inputs"),
    (b'{"inputs": "a", "modle": "b"}', "modle", "did you mean 'model'?", "b", "model"),
    (b'{"inputs": "a", "horizon": 3}', "horizon", "it belongs in 'parameters'", 3, "parameters"),
    (b'{"inputs": "a", "parameters": {"horizn": 3}}', "parameters.horizn", "did you mean 'horizon'?", 3, "horizon"),
    (b'{"inputs": {"text": "a"}}', "inputs.text", "an input is a text, ", "a", "values"),
    (b'{"inputs": [{"value": [1]}]}', "inputs[0].value", "did you mean 'values'?", [1], "values"),
    (b'{"inputs": [1, 2, 3], "model": "x"}', "inputs", NUMBERS_IN_AN_OBJECT, [1, 2, 3], "values"),
    (b'{"inputs": [[1, 2], [3, 4]]}', "inputs", NUMBERS_IN_AN_OBJECT, [[1, 2], [3, 4]], "values"),
    (b'{"inputs": [{"values": [1]}, 3]}', "inputs[1]", "not a whole number", 3, "values"),
    (b'{"inputs": {"values": [1e999]}}', "inputs.values[0]", "too large", "1e999", "a number between"),
    (b'{"inputs": {"tokens": [%s]}}' % (b"9" * 5000), "inputs.tokens[0]", "too large", "9" * 100 + "…", "whole number"),
    (b'{"inputs": {"values": ["1"]}}', "inputs.values[0]", "not a text", "1", "a number, or a list of numbers"),
    (b'{"inputs": {"values": 3}}', "inputs.values", "has to be a list of numbers", 3, "a list of numbers"),
    (b'{"inputs": {"tokens": [1.5]}}', "inputs.tokens[0]", "not a fraction", 1.5, "a whole number"),
    (b'{"inputs": {"tokens": "a"}}', "inputs.tokens", "not a text", "a", "a list of whole numbers"),
    (b'{"inputs": "a", "parameters": {"top": "a"}}', "parameters.top", "not a text", "a", "a whole number, or null"),
    (b'{"inputs": "a", "parameters": {"truncate": 1}}', "parameters.truncate", "true or false", 1, "true or false"),
    (b'{"inputs": "a", "parameters": 3}', "parameters", "has to be an object", 3, "an object such as"),
    (b'{"inputs": "a", "parameters": {"quantiles": 1}}', "parameters.quantiles", "", 1, "a list of numbers, or null"),
    (b'{"inputs": "a", "model": 3}', "model", "has to be a text", 3, "a text, or null"),
    (b'{"x": "\\ud800"}', "x", "there is no field", "\\ud800", "inputs"),
    (b'{"inputs": {"x": "\\ud800"}}', "inputs.x", "there is no field", "\\ud800", "values"),
    (b"[1]", None, "the body has to be an object such as", [1], "an object such as"),
    (b'{"a\\nb - at `$.model`": 1}', "a\nb - at `$.model`", "there is no field", 1, "inputs"),
]


@pytest.mark.parametrize(("body", "field", "said", "came", "accepted"), NO_REQUEST)
def test_what_is_no_request_is_named_and_corrected(body, field, said, came, accepted):
    error = refusal(body)
    assert (error["field"], error["given"]) == (field, came)
    assert said in error["message"]
    assert accepted in error["accepted"]


@given(some.text(max_size=20), some.sampled_from(["%s", "inputs", "parameters"]))
def test_no_name_of_a_field_breaks_the_explanation(name, place):
    body = {name: {}} if place == "%s" else {"inputs": "a", place: {name: {}}}
    assert refusal(json.dumps(body).encode())["message"]


def test_a_refused_body_is_parsed_once_more(monkeypatch):
    """Everybody waits for it."""
    bodies = []
    decode = msgspec.json.decode
    monkeypatch.setattr(msgspec.json, "decode", lambda body: bodies.append(body) or decode(body))
    refused = b'{"inputs": [1, 2, 3]}', b'{"inputs": "a", "text": "b"}', b'{"inputs": {"values": ["1"]}}'
    for body in refused:
        refusal(body)
    assert bodies == list(refused)


def test_a_long_body_is_not_searched_for_the_number_that_is_too_large():
    many = b"1," * LONGEST_SEARCHED
    error = refusal(b'{"inputs": {"values": [%s1e999]}}' % many)
    assert (error["field"], error["given"]) == (f"inputs.values[{LONGEST_SEARCHED}]", None)
    assert "too large" in error["message"]
    error = refusal(b'{"inputs": [%s1], "z": 1e999}' % many)
    assert (error["field"], error["given"]) == ("inputs[0]", None)
    error = refusal(b'{"z": 1e999, "inputs": [%s1]}' % many)
    assert (error["field"], error["given"]) == ("z", None)
    assert "leave it out" in error["message"]
