"""The OpenAPI entry of `POST /predict`, made from the types that its body is really parsed with."""

from typing import Any

import msgspec

from server.predict import PredictRequest
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
    "404": "No such model or version.",
    "413": "More bytes than the limit.",
    "415": "The body is not said to be JSON.",
    "422": "The body is not valid JSON, or something in it is wrong: `field` says where.",
    "503": "The queue is full, or the server is stopping; `Retry-After` says when to come back.",
    "504": "The answer was not ready in time.",
}


def operation(service: Service, template: str = "#/components/schemas/{name}") -> tuple[dict[str, Any], dict[str, Any]]:
    """(the operation of `POST /predict`, the schemas it refers to)."""
    (body,), schemas = msgspec.json.schema_components([PredictRequest], ref_template=template)
    schemas |= {"Prediction": PREDICTION, "Error": ERROR}
    failed = {"application/json": {"schema": {"$ref": template.format(name="Error")}}}
    shown = {title: {"value": answer} for title, answer in ANSWERS.items()}
    answered = {"application/json": {"schema": {"$ref": template.format(name="Prediction")}, "examples": shown}}
    return {
        "tags": ["predict"],
        "operationId": "predict",
        "summary": "Predict",
        "description": DESCRIPTION,
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "examples": examples(service)}},
        },
        "responses": {
            "200": {"description": "One output for each input, in the same shape.", "content": answered},
            **{status: {"description": text, "content": failed} for status, text in ERRORS.items()},
        },
    }, schemas


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
