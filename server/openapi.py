"""The OpenAPI entry of `POST /predict`, made from the types that its body is really parsed with."""

from typing import Any

import msgspec

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
from server.request import PredictRequest
from server.service import Service

ABOUT = "Recurrent networks in ONNX Runtime, in continuous batches."

DESCRIPTION = """
Runs one input, or a list of them, through a model.

* **Text** (`"inputs": "..."`) is answered with `label`, `score` and `probabilities`.
* **A series** (`"inputs": {"values": [...]}`, oldest value first) is answered with `median` and `quantiles` of what
  comes next.

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
    Overloaded: "The queue is full, or the server is stopping; `Retry-After` says when to come back.",
    DeadlineExceeded: "The answer was not ready in time.",
}
REQUEST_ID = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "maxLength": 128},
    "description": "Comes back with the answer, and stands in the log. Made up if it is left out.",
}


def operation(service: Service, template: str = "#/components/schemas/{name}") -> tuple[dict[str, Any], dict[str, Any]]:
    """(the operation of `POST /predict`, the schemas it refers to)."""
    (body,), schemas = msgspec.json.schema_components([PredictRequest], ref_template=template)
    schemas |= {"Prediction": PREDICTION, "Error": ERROR}
    refusals = {
        str(int(status_of(kind(""))[0])): {"description": text, "content": _failed(kind, text, template)}
        for kind, text in ERRORS.items()
    }
    shown = {title: {"value": answer} for title, answer in ANSWERS.items()}
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


def _failed(kind: type[ServiceError], text: str, template: str) -> dict[str, Any]:
    schema = {"$ref": template.format(name="Error")}
    return {"application/json": {"schema": schema, "example": body_of(kind(text, "inputs"))}}


def examples(service: Service) -> dict[str, Any]:
    """Bodies that work when pasted, for the models that are loaded."""
    found: dict[str, Any] = {}
    for model in sorted(service.registry.latest(), key=lambda model: model.task.accepts is not str):
        for title, inputs, parameters in model.task.examples():
            body = {"model": model.name, "inputs": inputs} | ({"parameters": parameters} if parameters else {})
            found[f"{model.name}: {title}"] = {"value": body}
    return found


ANSWERS = {
    "a text": {
        "model": "sentiment",
        "version": 1,
        "outputs": {"label": "positive", "score": 0.9, "probabilities": {"negative": 0.1, "positive": 0.9}},
    },
    "a series": {
        "model": "forecast-stock",
        "version": 1,
        "outputs": {"median": [10.1, 10.2], "quantiles": {"0.1": [9.8, 9.7], "0.5": [10.1, 10.2], "0.9": [10.4, 10.7]}},
    },
}

_NUMBERS = {"type": "array", "items": {"type": "number"}}

PREDICTION = {
    "type": "object",
    "required": ["model", "version", "outputs"],
    "properties": {
        "model": {"type": "string"},
        "version": {"type": "integer"},
        "outputs": {
            "description": "One output, or a list of them if a list was sent.",
            "anyOf": [
                {
                    "title": "Label",
                    "type": "object",
                    "properties": {
                        "label": {"type": "string"},
                        "score": {"type": "number"},
                        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
                    },
                },
                {
                    "title": "Forecast",
                    "type": "object",
                    "properties": {
                        "median": _NUMBERS,
                        "quantiles": {"type": "object", "additionalProperties": _NUMBERS},
                    },
                },
                {"type": "array", "items": {"type": "object"}},
            ],
        },
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
