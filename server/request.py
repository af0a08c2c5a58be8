"""From the headers and bytes of a request to a `PredictRequest`, or to an error that says what is wrong where."""

import itertools
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from server import explain
from server.errors import BodyTimeout, BodyTooLarge, InvalidRequest, UnsupportedMedia
from server.tasks import PredictRequest

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")


class RequestIds:
    """The caller's own X-Request-ID if it is a valid one, else one that no other request has."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(4).encode()
        self._numbers = itertools.count(1)

    def choose(self, headers: dict[bytes, bytes]) -> bytes:
        given = headers.get(b"x-request-id")
        if given is not None and REQUEST_ID.fullmatch(given):
            return given
        return b"%s-%x" % (self._prefix, next(self._numbers))


class ClientLeft(Exception):
    """Nobody is left to answer. `model` is the lane that the request went to, as in a ServiceError."""

    model = ""


decode = msgspec.json.Decoder(PredictRequest).decode


def check_headers(headers: dict[bytes, bytes], most: int) -> None:
    """Refuses what is not JSON, and a body that says it is too large before a byte of it is read."""
    media = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if media != b"application/json":
        given = media.decode("latin-1") or None
        message = "the body has to be JSON; send the header Content-Type: application/json"
        raise UnsupportedMedia(message, "Content-Type", given, "application/json")
    if coding := headers.get(b"content-encoding"):
        given = coding.decode("latin-1")
        raise UnsupportedMedia("the body has to be sent as it is, not compressed", "Content-Encoding", given, None)
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > most:
        raise too_large(int(length), most)


async def read_body(receive: Receive, most: int) -> bytes:
    """The whole body, or BodyTooLarge as soon as it is longer than `most` bytes."""
    message = await receive()
    body = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > most:
                raise too_large(size, most)
        body = b"".join(parts)
    if message["type"] == "http.disconnect":
        raise ClientLeft
    if len(body) > most:
        raise too_large(len(body), most)
    return body


def too_large(given: int, most: int) -> BodyTooLarge:
    accepted = f"at most {most} bytes"
    return BodyTooLarge(f"the body has {given} bytes or more; send less in one request", None, given, accepted)


def too_slow() -> BodyTimeout:
    return BodyTimeout("the body did not arrive in time; send it faster, or in smaller requests")


def parse(body: bytes) -> PredictRequest:
    """Raises InvalidRequest with the place in the body, what stood there and what may stand there."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        raise explain.no_request(body, str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 (byte {error.start} of a string)", None, None, "UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise explain.no_json(body, error) from None
