"""What is wrong with a body, said for people: in which place, what came, what is accepted and what to do."""

import codecs
import difflib
import json
import re
from typing import Any

import msgspec

from server.errors import InvalidRequest
from server.tasks import ONE_OF_THEM, Numbers, Parameters, PredictRequest

OBJECT = 'an object such as {"inputs": "a text"}'
ONE_INPUT = 'a text, {"values": [...]} or {"tokens": [...]}'
INPUTS = 'a text, {"values": [...]}, {"tokens": [...]}, or a list of one of them'

TYPES = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "null",
    "object": "an object",
    "array": "a list",
    "float | array": "a number, or a list of numbers for each time step",
    "str | object": ONE_INPUT,
    "str | object | array": INPUTS,
}
"""msgspec's names of types."""

LISTS = {"values": "a list of numbers", "quantiles": "a list of numbers", "tokens": "a list of whole numbers"}
OBJECTS = {None: OBJECT, "parameters": 'an object such as {"timeout_ms": 1000}'}

LONGEST_SEARCHED = 64 * 1024
"""Bytes of a body that is parsed by Python where msgspec cannot."""

BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UNKNOWN = re.compile(r"Object contains unknown field `(.*?)`(?: - at `\$([\w.\[\]]*)`)?", re.DOTALL)
UNPAIRED = re.compile(rb"(?<!\\)(?:\\\\)*(\\u[dD][89abAB][0-9a-fA-F]{2})(?!\\u[dD][c-fC-F])")
SURROGATE = re.compile(rb"(\\u[dD][89a-fA-F][0-9a-fA-F]{2})")
NO_NUMBER = re.compile(r"-?(nan|inf(inity)?)\b", re.IGNORECASE)


def no_json(body: bytes, problem: Exception) -> InvalidRequest:
    """`problem` is msgspec's, or a RecursionError."""
    said = str(problem).removeprefix("JSON is malformed: ")
    if not body.strip():
        return InvalidRequest("the body is empty; send a JSON object", None, "", OBJECT)
    if body.startswith(BYTE_ORDER_MARKS):
        return InvalidRequest("the body begins with a byte order mark; send UTF-8 without one", None, None, "UTF-8")
    position = re.search(r"\(byte (\d+)\)", said)
    start = int(position[1]) if position else 0
    unpaired = None
    if "truncated" in said:
        unpaired, said = UNPAIRED.search(body), "it ends too early; close all its brackets and quotation marks"
    elif "surrogate" in said:
        unpaired = UNPAIRED.search(body, max(0, start - 12), start) or SURROGATE.search(body, max(0, start - 6), start)
    elif "invalid character" in said and body[start : start + 1] >= b" ":  # else it is a control character of a string
        near = body[max(0, start - 4) : start + 10].decode("ascii", "replace")
        if found := NO_NUMBER.search(near):
            message = f"{found[0]} is not JSON (byte {start}); leave out what is missing, or send a number in its place"
            return InvalidRequest(message, None, found[0], "a finite number")
    if unpaired:
        message = "half a character: this surrogate has no partner; send characters as UTF-8, or both their halves"
        return InvalidRequest(f"a string has {message}", None, unpaired[1].decode(), "whole characters")
    return InvalidRequest(f"the body is not valid JSON: {said}", None, None, OBJECT)


def no_request(body: bytes, message: str) -> InvalidRequest:
    """msgspec's ``Expected `X`, got `Y` - at `$.place` `` about JSON that is no request."""
    document = _document(body)
    if unknown := UNKNOWN.fullmatch(message):
        return _unknown(document, _field(unknown[2]), unknown[1])
    problem, _, place = message.partition(" - at `$")
    field = _field(place.rstrip("`"))
    if problem == ONE_OF_THEM:
        return InvalidRequest(
            f"{problem}; send one of them", field, _given(document, field), list(Numbers.__struct_fields__)
        )
    if types := re.match(r"Expected `(.*?)`, got `(.*?)`", problem):
        return _wrong_type(document, field, types[1], types[2])
    if missing := re.match(r"Object missing required field `(.*)`", problem):
        return InvalidRequest(f'"{missing[1]}" is missing: what the model is to read', missing[1], None, INPUTS)
    if "out of range" in problem:
        whole = problem.startswith("Integer")
        accepted = "a whole number of at most 64 bits" if whole else "a number between -1e308 and 1e308"
        return InvalidRequest(f"the number is too large; send {accepted}", field, _given(document, field), accepted)
    return InvalidRequest(problem.replace("`", "'"), field)


def _field(place: str | None) -> str | None:
    return (place or "").lstrip(".") or None


def _wrong_type(document: Any, field: str | None, expected: str, got: str) -> InvalidRequest:
    given = _given(document, field)
    if isinstance(_given(document, "inputs[0]"), int | float | list) and expected == "str | object":
        message = 'numbers are sent in an object: {"values": [...]} for a series, {"tokens": [...]} for token ids'
        return InvalidRequest(message, "inputs", _given(document, "inputs"), ONE_INPUT)
    optional = expected.removesuffix(" | null")
    name = (field or "").rpartition(".")[2]
    accepted = TYPES.get(optional, optional)
    if optional == "array":
        accepted = LISTS.get(name, accepted)
    elif optional == "object":
        accepted = OBJECTS.get(field, accepted)
    came = "a fraction" if (optional, got) == ("int", "float") else TYPES.get(got, got)
    message = f"{field or 'the body'} has to be {accepted}, not {came}"
    return InvalidRequest(message, field, given, accepted if optional == expected else f"{accepted}, or null")


def _unknown(document: Any, field: str | None, name: str) -> InvalidRequest:
    """A field that nothing is called, and the one that was probably meant."""
    where = {None: PredictRequest, "parameters": Parameters}.get(field, Numbers)
    names = list(where.__struct_fields__)
    close = difflib.get_close_matches(name[:100].lower(), names, 1)
    if close:
        advice = f"did you mean {close[0]!r}?"
    elif where is PredictRequest and name in Parameters.__struct_fields__:
        advice = "it belongs in 'parameters'"
    elif where is PredictRequest and isinstance(document, dict) and "inputs" not in document:
        advice = "did you mean 'inputs'?"
    elif where is Numbers:
        advice = "an input is " + ONE_INPUT
    else:
        advice = "leave it out, or take one of the accepted ones"
    place = _given(document, field)
    given = place.get(name) if isinstance(place, dict) else None
    return InvalidRequest(f"there is no field {name!r}; {advice}", f"{field}.{name}" if field else name, given, names)


def _given(document: Any, field: str | None) -> Any:
    """What stands at `field` of the parsed body; None if that cannot be told."""
    place = document
    for key in re.findall(r"[^.\[\]]+", field or ""):
        try:
            place = place[int(key) if isinstance(place, list) else key]
        except (LookupError, TypeError, ValueError):
            return None
    return place


def _document(body: bytes) -> Any:
    """The parsed body; numbers that are too large for any type are texts. None if the rest of it is broken.

    Only a short body is searched for such numbers: Python is called for each one, while everybody else waits.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(body) > LONGEST_SEARCHED:
            return None
    try:
        return json.loads(body, parse_float=_finite, parse_int=_short)
    except (ValueError, RecursionError):
        return None


def _finite(text: str) -> float | str:
    return text if abs(number := float(text)) == float("inf") else number


def _short(text: str) -> int | str:
    return text if len(text) > 30 else int(text)
