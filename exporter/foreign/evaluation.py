"""Labelled rows from a JSON Lines file, split into validation and test, and the metric of each task."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from exporter.errors import ForeignError
from exporter.sessions import Rows
from exporter.source import Limits, Source
from models.manifest import Inputs
from models.text import TextEncoder
from training.evaluation import Evaluation, Gate, Split

SMALLEST_FILE = 4
LONGEST_HINT = 80
LONGEST_SHOWN = 60
ACCURACY = Gate("accuracy", higher_is_better=True, allowed_loss=0.005)
ERROR = Gate("mae", higher_is_better=False, allowed_loss=0.01, relative=True)
PINBALL = Gate("pinball", higher_is_better=False, allowed_loss=0.01, relative=True)
PERPLEXITY = Gate("perplexity", higher_is_better=False, allowed_loss=0.01, relative=True)
EXPECTED = '{"inputs": "a text" | {"values": [[...], ...]} | {"tokens": [...]}, "target": ...}'


@dataclass(frozen=True)
class Labelled:
    """Rows of a file: each input is int64 [T] or float32 [T, F]; the targets are as they stand in the file."""

    path: Path
    inputs: list[np.ndarray]
    targets: list[Any]
    lines: list[int]
    """Where each row stands, from 1 on."""

    def refuse(self, row: int, problem: str) -> ForeignError:
        return ForeignError(f"--eval {self.path}: line {self.lines[row]}: {problem}")


def read(path: Path, tokenizer: TextEncoder | None) -> Labelled:
    """Raises ForeignError that names the line and the field."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        save = "save it as UTF-8, or " if isinstance(error, UnicodeDecodeError) else ""
        wanted = f"{save}give a JSON Lines file of {EXPECTED}"
        raise ForeignError(f"--eval {path}: cannot be read ({error}); {wanted}") from error
    found = Labelled(path, [], [], [])
    for number, line in enumerate(lines, 1):
        if line.strip():
            found.lines.append(number)
            document = _document(found, line)
            found.inputs.append(_encoded(found, document["inputs"], tokenizer))
            found.targets.append(document.get("target"))
    if len(found.inputs) < SMALLEST_FILE:
        raise ForeignError(
            f"--eval {path}: {len(found.inputs)} rows; at least {SMALLEST_FILE} are needed, half of them for the gate "
            "and half for the figures"
        )
    return found


def _document(found: Labelled, line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError as error:
        raise found.refuse(-1, f"not valid JSON ({error}); expected is {EXPECTED}") from error
    if not isinstance(document, dict) or "inputs" not in document:
        raise found.refuse(-1, f"no field 'inputs'; expected is {EXPECTED}")
    return document


def _encoded(found: Labelled, inputs: Any, tokenizer: TextEncoder | None) -> np.ndarray:
    """int64 [T] or float32 [T, F]."""
    if isinstance(inputs, str):
        if tokenizer is None:
            raise found.refuse(-1, "inputs: a text was given; name its tokenizer with --tokenizer, or give token ids")
        row = tokenizer.encode(inputs)
    elif isinstance(inputs, dict) and isinstance(inputs.get("tokens"), list):
        row = _numbers(found, inputs["tokens"], np.int64, "tokens")
    elif isinstance(inputs, dict) and isinstance(inputs.get("values"), list):
        row = _numbers(found, inputs["values"], np.float32, "values")
        row = row[:, None] if row.ndim == 1 else row
    else:
        raise found.refuse(-1, f"inputs: {_shown(inputs)} was given; expected is {EXPECTED}")
    if not len(row):
        raise found.refuse(-1, "inputs: nothing is left to read; leave such rows out")
    return row


def _shown(given: Any) -> str:
    return json.dumps(given, ensure_ascii=False)[:LONGEST_SHOWN]


def _numbers(found: Labelled, given: list[Any], dtype: type, field: str) -> np.ndarray:
    try:
        row = np.array(given, None if given else dtype)
        if row.dtype.kind not in ("i" if dtype is np.int64 else "if") or row.ndim not in (1, 1 + (field == "values")):
            raise ValueError(f"shape {row.shape} of {row.dtype}")
        with np.errstate(over="ignore"):
            row = row.astype(dtype)
        if not np.isfinite(row).all():
            raise ValueError("not all are finite")
    except ValueError as error:
        wanted = "whole numbers" if field == "tokens" else "numbers, or of lists of as many numbers for each step"
        raise found.refuse(-1, f"inputs.{field}: a list of {wanted} is expected ({error})") from error
    return row


def next_tokens(found: Labelled) -> Labelled:
    """For a language model: where no target is given, it is the last token of the row, which is then not read."""
    pairs = list(zip(found.inputs, found.targets, strict=True))
    inputs = [row[:-1] if target is None else row for row, target in pairs]
    targets = [int(row[-1]) if target is None else target for row, target in pairs]
    for place, row in enumerate(inputs):
        if not len(row):
            raise found.refuse(place, "inputs: one token has no next one; give at least two, or a target")
    return Labelled(found.path, inputs, targets, found.lines)


def check_rows(found: Labelled, inputs: Inputs, limits: Limits, padding_id: int | None = None) -> None:
    """Raises ForeignError for a row that the network does not read, or read otherwise in training."""
    for place, row in enumerate(found.inputs):
        if not limits.smallest <= len(row) <= limits.largest:
            raise found.refuse(place, f"inputs: {len(row)} steps; {_readable(len(row), limits)}")
        if inputs.vocabulary is not None and row.ndim != 1:
            raise found.refuse(place, "inputs: features; the module reads token ids")
        if inputs.vocabulary is not None and not (row.min() >= 0 and row.max() < inputs.vocabulary):
            wrong = row.min() if row.min() < 0 else row.max()
            raise found.refuse(place, f"inputs: token id {wrong}; ids from 0 to {inputs.vocabulary - 1} are known")
        if inputs.vocabulary is not None and padding_id is not None and (row == padding_id).any():
            raise found.refuse(
                place,
                f"inputs: token id {padding_id} is padding, which Keras skips (mask_zero); leave it out: rows may have "
                "any length",
            )
        if inputs.features is not None and row.shape[1:] != (inputs.features,):
            came = f"{row.shape[1]} features" if row.ndim == 2 else "token ids"
            raise found.refuse(place, f"inputs: {came}; the module reads {inputs.features} features a step")


def _readable(steps: int, limits: Limits) -> str:
    if limits.smallest == limits.largest:
        return f"the module reads exactly {limits.largest} steps; give rows of that length"
    sets = " (--max-steps sets the limit)" if steps > limits.largest else "; leave the row out"
    return f"{limits.smallest} to {limits.largest} are read{sets}"


def evaluation(found: Labelled, source: Source, seed: int = 0) -> Callable[[Split], Evaluation]:
    """Half of the rows each, drawn by the seed. Raises ForeignError for a target that does not fit the task."""
    check_rows(found, source.inputs, source.limits)
    count = _numbers_of_an_answer(found, source)
    targets = [_target(found, place, source, count) for place in range(len(found.inputs))]
    order = np.random.default_rng(seed).permutation(len(targets))
    half = len(order) // 2
    places = {"validation": order[:half].tolist(), "test": order[half:].tolist()}

    def of(split: Split) -> Evaluation:
        chosen = places[split]
        return _evaluation(source, [found.inputs[place] for place in chosen], [targets[place] for place in chosen])

    return of


def _numbers_of_an_answer(found: Labelled, source: Source) -> int | None:
    """How many a target must have: those of an answer, or of one step of it; of a forecast, its steps. None: classes,
    or one token."""
    if source.labels is not None or source.task == "language-model":
        return None
    shape = source.reference(found.inputs[:1])[0].shape
    return shape[0] if source.task == "forecast" else math.prod(shape[1:] if source.task == "tagging" else shape)


def _target(found: Labelled, place: int, source: Source, count: int | None) -> np.ndarray:
    """What an answer is held against: classes, or numbers, in the shape of the task."""
    given = found.targets[place]
    try:
        if source.task == "tagging":
            steps = given if isinstance(given, list) else []
            if len(steps) != len(found.inputs[place]):
                raise ValueError(f"a list of {len(found.inputs[place])}, one for each step, is expected")
            return np.stack([_one(step, source, count) for step in steps])
        return _one(given, source, count)
    except (ValueError, TypeError) as error:
        hint = _labels_wanted(found) if source.labels == tuple(map(str, range(len(source.labels or ())))) else ""
        raise found.refuse(place, f"target: {_shown(given)} was given; {error}{hint}") from error


def _labels_wanted(found: Labelled) -> str:
    """For names of classes that nobody has given: what is in the file."""
    targets = (each for target in found.targets for each in (target if isinstance(target, list) else [target]))
    names = ",".join(sorted({each for each in targets if isinstance(each, str)}))
    return f"; name them with --labels, in the module's order: --labels {names[:LONGEST_HINT]}" if names else ""


def _one(given: Any, source: Source, count: int | None) -> np.ndarray:
    """One class, as a number [], or numbers [O] or [H]. Raises ValueError that says what is expected."""
    if source.labels is not None:
        names = [*source.labels]
        if given in names or (isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(names)):
            return np.array(names.index(given) if given in names else given)
        raise ValueError(f"one of {', '.join(names)} is expected")
    if source.task == "language-model":
        if isinstance(given, int) and 0 <= given < (source.vocabulary or 0):
            return np.array(given)
        raise ValueError(f"a token id below {source.vocabulary} is expected")
    numbers = np.atleast_1d(np.array(given, np.float64))
    if numbers.ndim != 1 or not np.isfinite(numbers).all():
        raise ValueError("a number, or a list of numbers, is expected")
    if len(numbers) != count:
        labels = "; or name the classes with --labels" if source.task == "tagging" else ""
        raise ValueError(f"{len(numbers)} of the {count} numbers that the module answers{labels}")
    return numbers


def _evaluation(source: Source, inputs: Rows, targets: Sequence[np.ndarray]) -> Evaluation:
    scores = _row_scores(source, inputs, targets)
    gate = GATES["classes" if source.labels is not None else source.task]

    def metrics(outputs: np.ndarray) -> dict[str, float]:
        mean = float(scores(outputs).mean())
        return {gate.metric: float(np.exp(mean)) if gate is PERPLEXITY else mean}

    told = None if source.task in ("tagging", "language-model") else np.stack(targets)
    return Evaluation(list(inputs), metrics, gate, told, None, None if gate is PERPLEXITY else scores)


GATES = {"classes": ACCURACY, "regression": ERROR, "tagging": ERROR, "forecast": PINBALL, "language-model": PERPLEXITY}


def _row_scores(source: Source, inputs: Rows, targets: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Outputs [N, ...], or per step [N, longest, ...], -> one score a row, float64 [N]; the metric is their mean."""

    def scores(outputs: np.ndarray) -> np.ndarray:
        answers = list(outputs)
        if source.task == "tagging":
            answers = [one[: len(row)] for one, row in zip(outputs, inputs, strict=True)]
        pairs = zip(answers, targets, strict=True)
        return np.array([_score(source, one.astype(np.float64), wanted) for one, wanted in pairs])

    return scores


def _score(source: Source, answer: np.ndarray, wanted: np.ndarray) -> float:
    if source.labels is not None:
        return float((answer.argmax(-1) == wanted).mean())
    if source.task == "language-model":
        if source.scores == "probabilities":
            return float(-np.log(max(answer[wanted], np.finfo(np.float64).tiny)))
        return float(np.logaddexp.reduce(answer) - answer[wanted])
    if source.task == "forecast":
        levels, missed = np.array(source.quantiles), wanted[:, None] - answer
        return float(np.maximum(levels * missed, (levels - 1) * missed).mean())
    return float(np.abs(answer - wanted.reshape(answer.shape)).mean())
