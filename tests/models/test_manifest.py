"""The manifest says what a server needs, and refuses what contradicts itself."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.manifest import Manifest, StateSlice

EXACT = {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0, "sequences": 9}
FILE = {
    "bytes": 10,
    "operators": {"LSTM": 1},
    "devices": ["cpu"],
    "parity": 1e-7,
    "invariance": EXACT,
    "validation": {"accuracy": 0.9},
    "test": {"accuracy": 0.9},
    "milliseconds": {"1": 0.1},
}
DIGEST = "0" * 64
DOCUMENT: dict[str, Any] = {
    "schema_version": 2,
    "name": "sentiment",
    "version": 3,
    "task": "text-classification",
    "title": "A title",
    "description": "A description",
    "created": "2026-01-02T03:04:05Z",
    "machine": "a processor",
    "versions": {"onnx": "1"},
    "parameters": 12,
    "chunkable": True,
    "session": "state",
    "inputs": {"kind": "tokens", "vocabulary": 100},
    "outputs": {"shape": [2], "labels": ["negative", "positive"]},
    "steps": {"largest": 100},
    "typical_steps": 20,
    "state": [
        {"name": "lstm", "size": 6, "initial": [[2, 0.0], [1, 1.0], [3, -20.0]]},
        {"name": "maximum", "size": 2, "initial": [[2, -3.4028234663852886e38]]},
    ],
    "pinned": [2, 3],
    "tokenizer": "tokenizer.model",
    "precisions": {"fp32": FILE | {"file": "fp32.onnx"}, "int8": FILE | {"file": "int8.onnx"}},
    "preference": {"cpu": ["int8", "fp32"]},
    "gate": {"metric": "accuracy", "higher_is_better": True, "allowed_loss": 0.005, "relative": False},
    "figures": {"accuracy": 0.9},
    "baselines": {"accuracy": 0.8},
    "statistics": {"length_quantiles": {"0.5": 20}},
    "licence": "MIT",
    "files": {"fp32.onnx": DIGEST, "int8.onnx": DIGEST, "tokenizer.model": DIGEST},
}


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate(DOCUMENT | changes)


def test_it_survives_json() -> None:
    once = manifest()
    assert Manifest.model_validate(json.loads(once.model_dump_json())) == once


def test_the_initial_state_is_unrolled() -> None:
    state = manifest().initial_state()
    lowest = np.finfo(np.float32).min
    assert state.dtype == np.float32
    assert state.tolist() == [0, 0, 1, -20, -20, -20, lowest, lowest]
    assert manifest().state_size == 8


def test_a_slice_is_found_by_its_name() -> None:
    assert manifest().columns("maximum") == slice(6, 8)
    assert manifest().columns("clipped") is None


@given(st.lists(st.tuples(st.integers(1, 5), st.floats(-100, 100, width=32)), min_size=1, max_size=6))
def test_runs_of_values_add_up(runs: list[tuple[int, float]]) -> None:
    size = sum(count for count, _ in runs)
    part = StateSlice(name="some", size=size, initial=tuple(runs))
    expected = [value for count, value in runs for _ in range(count)]
    assert manifest(state=[part], pinned=[]).initial_state().tolist() == expected


LABELS = {"shape": [2], "labels": ["negative", "positive"]}
FEATURES = {"kind": "features", "features": 3}
SERIES = {"inputs": FEATURES, "tokenizer": None}
WHOLE = {"chunkable": False, "state": [], "pinned": [], "session": "window"}

KINDS: list[dict[str, Any]] = [
    {"task": "classification", "tokenizer": None},
    {"task": "classification", **SERIES, **WHOLE},
    {"outputs": {"shape": [1], "labels": ["no", "yes"], "scores": "logits"}},
    {"task": "tagging", "outputs": LABELS | {"when": "per_step"}},
    {"task": "tagging", **SERIES, "outputs": {"shape": [2], "names": ["x", "y"], "when": "per_step"}},
    {"task": "regression", **SERIES, "outputs": {"shape": [4]}},
    {"task": "regression", "outputs": {"shape": [1], "names": ["price"]}},
    {"task": "language-model", "outputs": {"shape": [100], "scores": "logits"}},
    {"task": "forecast", **SERIES, "outputs": {"shape": [7, 3], "quantiles": [0.1, 0.5, 0.9]}},
    {**WHOLE, "padding": False, "reasons": {"padding": "it averages over time"}},
    {"gate": None, "figures": {}, "baselines": {}, "statistics": None},
    {
        "precisions": {"fp32": FILE | {"file": "fp32.onnx", "parity": None, "invariance": None, "milliseconds": {}}},
        "preference": {"cpu": ["fp32"]},
    },
]


@pytest.mark.parametrize("changes", KINDS)
def test_every_kind_of_model_can_be_described(changes: dict[str, Any]) -> None:
    found = manifest(**changes)
    assert Manifest.model_validate(json.loads(found.model_dump_json())) == found
    state = found.initial_state()
    assert (state.dtype, state.shape) == (np.float32, (found.state_size,))


CONTRADICTIONS = [
    ({"state": [{"name": "lstm", "size": 3, "initial": [[2, 0.0]]}]}, "do not add up to 3 columns"),
    ({"files": {"fp32.onnx": DIGEST, "tokenizer.model": DIGEST}}, r"no sha256 for int8\.onnx"),
    ({"preference": {"cuda": ["int8"]}}, "int8 is not offered for cuda"),
    ({"preference": {"cpu": ["fp16"]}}, "fp16 is not offered for cpu"),
    (
        {"preference": {"cuda": ["fp32"]}, "precisions": {"fp32": FILE | {"file": "fp32.onnx", "devices": ["cuda"]}}},
        "no pre",
    ),
    ({"tokenizer": None}, "without it is classification"),
    ({"inputs": {"kind": "tokens"}}, "token ids have a vocabulary"),
    ({"inputs": {"kind": "features", "vocabulary": 3}}, "features have a number of features"),
    ({"outputs": {"shape": [3], "labels": ["a", "b"]}}, "2 names for a last axis"),
    ({"outputs": {"shape": [5, 2], "quantiles": [0.1, 0.5, 0.9]}}, "3 names for a last axis"),
    ({"outputs": {"shape": [1], "labels": ["a", "b", "c"]}}, "3 names for a last axis"),
    ({"outputs": LABELS | {"labels": ["same", "same"]}}, "the same name twice"),
    ({"outputs": LABELS | {"names": ["a", "b"]}}, "only one of labels, quantiles and names"),
    ({"steps": {"smallest": 5, "largest": 4}}, "smallest 5 is above largest 4"),
    ({"chunkable": False}, "a network that is not chunkable has none"),
    (WHOLE | {"session": "state"}, "cannot keep one for a session"),
    ({"padding": False}, "a chunkable network has to allow it"),
    ({"pinned": [8]}, "there are only 8 columns"),
    ({"inputs": FEATURES}, "only a network that reads token ids can have one"),
    ({"outputs": {"shape": [2]}}, "a classification needs labels"),
    ({"task": "classification", "outputs": {"shape": [2]}}, "a classification needs labels"),
    ({"outputs": LABELS | {"when": "per_step"}}, "tagging answers per step, every other task once"),
    ({"task": "tagging"}, "tagging answers per step, every other task once"),
    ({"task": "regression"}, "a regression has names, not labels"),
    ({"task": "regression", "outputs": {"shape": [2, 3]}}, "an axis for the horizon"),
    ({"task": "language-model", "outputs": {"shape": [99]}}, "one number for each token of its vocabulary"),
    ({"task": "forecast", "outputs": {"shape": [7, 1], "quantiles": [0.5]}}, "a forecast of features"),
    ({"task": "forecast", **SERIES, "outputs": {"shape": [7, 2], "quantiles": [0.1, 0.9]}}, "with 0.5 among"),
    ({"task": "forecast", **SERIES, "outputs": {"shape": [1], "quantiles": [0.5]}}, r"has the shape \[horizon"),
    ({"version": 0}, "greater than or equal to 1"),
    ({"name": "../etc"}, "should match pattern"),
    ({"files": {"../x": DIGEST}}, "should match pattern"),
    ({"schema_version": 1}, "Input should be 2"),
    ({"surprise": 1}, "Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("changes", "message"), CONTRADICTIONS)
def test_contradictions_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        manifest(**changes)


def test_it_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        manifest().version = 2  # type: ignore[misc]
