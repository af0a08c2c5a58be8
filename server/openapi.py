"""The OpenAPI entry of `POST /predict`, made from the types that its body is really parsed with."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from server.engine.engine import queue_is_full, stopping
from server.errors import (
    BodyTimeout,
    BodyTooLarge,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ServiceError,
    UnsupportedMedia,
    body_of,
    status_of,
)
from server.request import check_headers, parse, too_large, too_slow
from server.service import Service
from server.tasks import PredictRequest
from server.tasks.shapes import EXAMPLES, SHAPES
from server.watch import too_late

ABOUT = """
Recurrent networks in ONNX Runtime, in continuous batches.

Every answer has the header `X-Request-ID`: the caller's own, if it sent 1 to 128 visible ASCII characters, or one that
is made up. Every error has the shape of `Error`, also those of an unknown address (404) or another method (405).
"""

DESCRIPTION = """
Runs one input, or a list of them, through a model.

An input is a text (`"inputs": "..."`), a series (`{"values": [...]}`, oldest value first; of several features
`{"values": [[...], ...]}`, a list for each time step) or token ids (`{"tokens": [...]}`). `GET /models` says which of
them a model `accepts`.

* **Classification** is answered with `label`, `score` and `probabilities`.
* **A forecast** is answered with the `median` and the `quantiles` of what comes next.
* **A regression** is answered with `values`: a number for each target.
* **Tagging** is answered with `labels` and `scores`, or `values`, of every step.
* **A language model** answers with the most probable `next` tokens.

The answer to an input does not depend on what else is being asked, in this request or in others: not by one bit.
The header `Server-Timing` says how long the request waited and computed; `X-Request-ID` is sent back, or made up.
"""

ERRORS = {
    ModelNotFound: "No such model or version.",
    BodyTimeout: "The body did not arrive in time.",
    BodyTooLarge: "More bytes than the limit.",
    UnsupportedMedia: "The body is not said to be JSON.",
    InvalidRequest: "The body is not valid JSON, or something in it is wrong: `field` says where.",
    InternalError: "A defect: the log has it under the request's id.",
    Overloaded: "The queue is full, or the server is starting or stopping; `Retry-After` says when to come back.",
    DeadlineExceeded: "The answer was not ready in time.",
}
BAD_BODIES = (b'{"input": "a text"}', b'{"inputs": [1, 2, 3]}', b'{"inputs": {"values": [1.5, NaN]}}')
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
    "description": "Comes back with the answer, and stands in the log. Made up if it is left out.",
}
ANSWERED_ID = {
    "required": True,
    "schema": {"type": "string", "maxLength": 128},
    "description": "The request's own, or one that is made up.",
}


def operation(service: Service, template: str = "#/components/schemas/{name}") -> tuple[dict[str, Any], dict[str, Any]]:
    """(the operation of `POST /predict`, the schemas it refers to)."""
    (body,), schemas = msgspec.json.schema_components([PredictRequest], ref_template=template)
    shapes, answer_schemas = msgspec.json.schema_components(SHAPES, ref_template=template)
    schemas |= answer_schemas | {"Prediction": _prediction(list(shapes)), "Error": ERROR}
    schemas["Numbers"] |= {"minProperties": 1, "maxProperties": 1}
    refusals = {
        str(int(status_of(kind(""))[0])): {"description": text, "content": _refused(list(shown), template)}
        for (kind, text), shown in zip(ERRORS.items(), refused(service), strict=True)
    }
    shown = {title: {"value": _shown(answer)} for title, answer in EXAMPLES.items()}
    answered = {"application/json": {"schema": {"$ref": template.format(name="Prediction")}, "examples": shown}}
    return {
        "tags": ["predict"],
        "operationId": "predict",
        "summary": "Predict",
        "description": DESCRIPTION,
        "parameters": [REQUEST_ID],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples(service)}},
        },
        "responses": {
            "200": {"description": "One output for each input, in the same shape.", "content": answered},
            **refusals,
        },
    }, schemas


def add_request_id(document: dict[str, Any]) -> None:
    """Every answer has the header."""
    for path in document["paths"].values():
        for described in path.values():
            for answer in described["responses"].values():
                answer["headers"] = {"X-Request-ID": ANSWERED_ID}


def refused(service: Service) -> Iterator[Iterator[ServiceError]]:
    """For each of ERRORS some that really come, most of them from where they come."""
    most, limit = service.settings.max_body_bytes, service.settings.queue_limit
    models = list(service.registry)[:1]
    yield _raised(*(partial(service.registry.find, f"{model.name}s", None, "a text") for model in models))
    yield iter([too_slow()])
    yield iter([too_large(most + 1, most)])
    yield _raised(partial(check_headers, {b"content-type": b"text/plain"}, most))
    yield _raised(*(partial(parse, body) for body in BAD_BODIES))
    yield iter([InternalError.logged("5f0c9a1e-2a")])
    lane = models[0].lane.name if models else "a-model/1"
    yield iter([queue_is_full(lane, 4, limit), stopping()])
    yield iter([too_late(50)])


def _raised(*calls: Callable[[], object]) -> Iterator[ServiceError]:
    for call in calls:
        try:
            call()
        except ServiceError as error:
            yield error


def _refused(errors: list[ServiceError], template: str) -> dict[str, Any]:
    shown = {str(error): {"value": body_of(error)} for error in errors}
    return {"application/json": {"schema": {"$ref": template.format(name="Error")}, "examples": shown}}


def _shown(outputs: msgspec.Struct) -> dict[str, Any]:
    return {"model": "a-model", "version": 1, "outputs": msgspec.to_builtins(outputs)}


def examples(service: Service) -> dict[str, Any]:
    """Bodies that work when pasted, for the models that are loaded."""
    found: dict[str, Any] = {}
    for model in sorted(service.registry.latest(), key=lambda model: "text" not in model.task.accepts):
        for title, inputs, parameters in model.task.examples():
            body = {"model": model.name, "inputs": inputs} | ({"parameters": parameters} if parameters else {})
            found[f"{model.name}: {title}"] = {"value": body}
    return found


def _prediction(shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """The schema of an answer whose outputs have one of the shapes."""
    one_or_many = [*shapes, {"type": "array", "items": {"anyOf": shapes}}]
    return {
        "type": "object",
        "required": ["model", "version", "outputs"],
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "integer"},
            "outputs": {"description": "One output, or a list of them if a list was sent.", "anyOf": one_or_many},
        },
    }


ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string"},
                "message": {"type": "string"},
                "field": {"type": ["string", "null"], "description": "The place in the body."},
                "given": {"description": "What stood there."},
                "accepted": {"description": "What may stand there."},
            },
        }
    },
}
