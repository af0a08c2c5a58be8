"""Everything that a caller can be told, and the status that goes with it.

ServiceError
├── InvalidRequest          the body is not JSON, or something in it is wrong
│   └── UnsupportedMedia    the body is not said to be JSON
├── BodyTooLarge            more bytes than the limit
├── BodyTimeout             the body did not arrive in time
├── NotHttp                 what came is no HTTP request
├── AddressNotFound         nothing is at this address
├── MethodNotAllowed        something is, but not for this method
├── ModelNotFound           no such model or version
├── Overloaded              the queue is full
│   ├── NotReady            no model is loaded yet
│   └── Draining            the server is about to stop
├── DeadlineExceeded        the answer was not ready in time
├── InferenceFailed         the runtime refused a batch, or the network answered with what is no number
└── InternalError           a defect
"""

from http import HTTPStatus
from typing import Any, Self

import orjson

LONGEST_MESSAGE, LONGEST_FIELD, LONGEST_GIVEN = 500, 120, 100
"""Characters; the last is of JSON."""


class ServiceError(Exception):
    """`field` is the place in the body, `given` what stood there, `accepted` what may stand there.

    What callers send is cut to a readable length here, before it gets into an answer or the log.
    """

    model = ""
    """The lane that the request went to, for the metrics; empty where it got to none."""

    def __init__(self, message: str, field: str | None = None, given: Any = None, accepted: Any = None) -> None:
        super().__init__(_cut(message, LONGEST_MESSAGE))
        self.field = None if field is None else _cut(field, LONGEST_FIELD)
        self.given, self.accepted = _readable(given), accepted


class InvalidRequest(ServiceError): ...


class UnsupportedMedia(InvalidRequest): ...


class BodyTooLarge(ServiceError): ...


class BodyTimeout(ServiceError): ...


class NotHttp(ServiceError): ...


class AddressNotFound(ServiceError): ...


class MethodNotAllowed(ServiceError): ...


class ModelNotFound(ServiceError): ...


class Overloaded(ServiceError): ...


class NotReady(Overloaded): ...


class Draining(Overloaded): ...


class DeadlineExceeded(ServiceError): ...


class InferenceFailed(ServiceError): ...


class InternalError(ServiceError):
    """A defect."""

    @classmethod
    def logged(cls, request_id: str) -> Self:
        return cls(f"the server failed on this request; its log says why, under {request_id}")


STATUS: dict[type[ServiceError], tuple[HTTPStatus, str]] = {
    InvalidRequest: (HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"),
    UnsupportedMedia: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"),
    BodyTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large"),
    BodyTimeout: (HTTPStatus.REQUEST_TIMEOUT, "body_timeout"),
    NotHttp: (HTTPStatus.BAD_REQUEST, "bad_request"),
    AddressNotFound: (HTTPStatus.NOT_FOUND, "not_found"),
    MethodNotAllowed: (HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"),
    ModelNotFound: (HTTPStatus.NOT_FOUND, "model_not_found"),
    Overloaded: (HTTPStatus.SERVICE_UNAVAILABLE, "overloaded"),
    NotReady: (HTTPStatus.SERVICE_UNAVAILABLE, "not_ready"),
    Draining: (HTTPStatus.SERVICE_UNAVAILABLE, "draining"),
    DeadlineExceeded: (HTTPStatus.GATEWAY_TIMEOUT, "deadline_exceeded"),
    InferenceFailed: (HTTPStatus.INTERNAL_SERVER_ERROR, "inference_failed"),
    InternalError: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"),
}

RETRY_AFTER_SECONDS = 1


def status_of(error: ServiceError) -> tuple[HTTPStatus, str]:
    """The HTTP status and the machine-readable code of an error."""
    return STATUS[type(error)]


def body_of(error: ServiceError) -> dict[str, Any]:
    """The one shape that every error of the service has on the wire."""
    details = {"field": error.field, "given": error.given, "accepted": error.accepted}
    return {"error": {"code": status_of(error)[1], "message": str(error), **details}}


def _cut(text: str, most: int) -> str:
    """Without its middle if it is too long: the end of a message says what to do."""
    end = most // 3
    return text if len(text) <= most else f"{text[: most - end]}…{text[-end:]}"


def _readable(given: Any) -> Any:
    """As it is; or as text that is cut if it is long, or if an integer in it has more than 64 bits."""
    if isinstance(given, str):
        text = given = given.encode(errors="backslashreplace").decode()  # half a character has no UTF-8
    else:
        try:
            text = orjson.dumps(given).decode()
        except TypeError:
            text = given = str(given)
    return given if len(text) <= LONGEST_GIVEN else text[:LONGEST_GIVEN] + "…"
