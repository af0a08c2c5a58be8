"""A plain module as a `Source`: understood, tried in three ways, bounded."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from exporter.errors import ForeignError
from exporter.foreign.answers import Answers, Said, Wanted, answers
from exporter.foreign.body import Body
from exporter.foreign.bounds import Unbounded, bounds
from exporter.foreign.choose import Numbers, Way
from exporter.foreign.rows import generated, stretched
from exporter.foreign.scaling import Affine, ScalerFile
from exporter.foreign.trial import chosen, network
from exporter.foreign.understand import MODULE_FAILURES, Understood, understand
from exporter.options import Options
from exporter.sessions import Rows
from exporter.source import About, Limits, Source
from models.manifest import Inputs

TRIED_ROWS = 40
PER_STEP: tuple[Wanted, ...] = ("tagging", "language-model")
"""Tasks of which an answer for each step is expected."""
NOT_TRIED = "it has not been tried yet"


@dataclass(frozen=True)
class Foreign:
    """A plain module with its trained weights, and what a person has said about it."""

    module: nn.Module
    about: About
    said: Said
    rows: Rows | None = None
    """Some real raw inputs."""
    vocabulary: int | None = None
    """Of the tokenizer."""
    tokenizer: Path | None = None
    scaler: ScalerFile | None = None
    clip: float | None = None
    max_steps: int | None = None
    provenance: str = ""
    check: Callable[[Inputs, Limits], None] = lambda inputs, limits: None
    """Raises ForeignError if one of the rows is not for a module that reads these inputs."""


@dataclass(frozen=True)
class Truth:
    """The module's own answers to raw rows, as they are served: one row at a time, unpadded."""

    found: Understood
    answers: Answers
    before: Affine

    def __call__(self, rows: Rows) -> list[np.ndarray]:
        """Float32 [*shape], or per step [T, *shape], for each row."""
        return [self._one(row).astype(np.float32) for row in rows]

    def exact(self, rows: Rows) -> list[np.ndarray]:
        """The same in float64, as far as the module's own precision goes."""
        return [self._one(row) for row in rows]

    def numbers(self, row: np.ndarray) -> np.ndarray:
        """What the answer is made from: the module's own numbers, float64 [*shape], or per step [T, *shape]."""
        raw = self.found.alone(scaled(self.before, row))
        if self.found.grows and not self.answers.per_step:
            raw = raw[-1]
        leading = raw.shape[:1] if self.answers.per_step else ()
        return raw.reshape(*leading, *self.answers.shape)

    def _one(self, row: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self.answers.readout(torch.from_numpy(self.numbers(row))).numpy()

    def within(self, precision: torch.dtype) -> "Truth | None":
        """The same of a copy of the module in another precision; None if its code insists on one."""
        copied = copy.deepcopy(self.found.module).to(precision)
        found = replace(self.found, module=copied, convention=self.found.convention.of(precision), precision=precision)
        other = replace(self, found=found)
        try:
            other(generated(found.inputs, found.smallest, found.largest, None, None, 1))
        except MODULE_FAILURES:
            return None
        return other


def numbers(truth: Truth, double: Truth | None, rows: Rows) -> Numbers:
    """The module's own for these rows, in every precision that a way of running it is judged by."""

    def of(one: Truth | None) -> list[np.ndarray] | None:
        return None if one is None else [one.numbers(row) for row in rows]

    is_double = any(parameter.dtype == torch.float64 for parameter in truth.found.module.parameters())
    return Numbers(
        [truth.numbers(row) for row in rows], of(truth.within(torch.float32) if is_double else None), of(double)
    )


def scaled(before: Affine, row: np.ndarray) -> np.ndarray:
    """Token ids as they are; features scaled in float64, as a scaler outside would."""
    return before(torch.from_numpy(row).double()).numpy() if row.ndim == 2 else row


def foreign_source(given: Foreign, options: Options) -> Source:
    """Raises ForeignError that says what to change, if none of the three ways gives the module's own answers."""
    before = Affine(given.scaler.inputs if given.scaler else None, clip=given.clip)
    if given.rows:
        _check_scaler(before, given.rows[0].shape[1] if given.rows[0].ndim == 2 else None)
    real = [scaled(before, row) for row in given.rows] if given.rows else None
    found = understand(given.module, real, given.vocabulary, given.max_steps, per_step=given.said.task in PER_STEP)
    _check_scaler(before, found.inputs.features)
    given.check(found.inputs, Limits(smallest=found.smallest, largest=found.largest))
    meaning = _meaning(given, found, before)
    rows = _examples(given, found)(TRIED_ROWS)
    truth = Truth(found, meaning, before)
    body = _body(found, meaning, before)
    double = truth.within(torch.float64)
    source = _draft(given, found, meaning, truth, double)
    source, way = chosen(source, found, body, rows, numbers(truth, double, rows), options)
    return _with_bounds(source, way, found, real, given.clip)


def _with_bounds(source: Source, way: Way, found: Understood, real: Rows | None, clip: float | None) -> Source:
    """With pinned int8, if the inputs of all recurrent layers are bounded."""
    try:
        largest = bounds(found, real, clip)
    except Unbounded as reason:
        return replace(source, without_int8=str(reason))
    return replace(
        source,
        without_int8=None,
        exportable=lambda pinned: network(way, largest, pinned),
        int8_bounds={name: bound.largest for name, bound in largest.items() if bound.likely},
    )


def _check_scaler(before: Affine, features: int | None) -> None:
    width = before.width
    if before.changes and features is None:
        raise ForeignError("--scaler: the module reads token ids, which are not scaled; leave it out")
    if before.changes and width not in (1, features):
        raise ForeignError(f"--scaler: it has {width} numbers, but there are {features} features; give one for each")


def _meaning(given: Foreign, found: Understood, before: Affine) -> Answers:
    rows = _examples(given, found)(TRIED_ROWS)
    raw = [found.alone(scaled(before, row)) for row in rows]
    sample = np.concatenate(raw) if found.grows else np.stack(raw)
    inputs = torch.from_numpy(np.ascontiguousarray(scaled(before, rows[0])))[None]
    _, nature = found.watched(inputs)
    return answers(given.said, found.shape, found.grows, nature, sample, found.inputs)


def _body(found: Understood, meaning: Answers, before: Affine) -> Body:
    return Body(
        module=found.module,
        convention=found.convention,
        shape=meaning.shape,
        grows=found.grows,
        per_step=meaning.per_step,
        before=before,
        readout=meaning.readout,
        fixed_steps=found.largest if found.smallest == found.largest else None,
    )


def _draft(given: Foreign, found: Understood, meaning: Answers, truth: Truth, double: Truth | None) -> Source:
    return Source(
        task=meaning.task,
        reference=truth,
        exportable=lambda pinned: (_ for _ in ()).throw(ForeignError(NOT_TRIED)),
        without_int8=NOT_TRIED,
        inputs=found.inputs,
        limits=Limits(smallest=found.smallest, largest=found.largest),
        parameters=sum(parameter.numel() for parameter in found.module.parameters()),
        provenance=f"{given.provenance} Its answers were found to be {meaning.found}.",
        labels=meaning.labels,
        scores=meaning.scores,
        quantiles=meaning.quantiles,
        names=meaning.names,
        tokenizer=given.tokenizer,
        clip=given.clip,
        beyond=None if found.inputs.features is None else _beyond(truth, double),
        about=given.about,
        float64=None if double is None else double.exact,
        examples=_examples(given, found),
    )


def _examples(given: Foreign, found: Understood) -> Callable[[int], list[np.ndarray]]:
    """Number of rows -> raw inputs that the module has an answer to: its own at first, if there are any."""
    own, before = list(given.rows or []), Affine(given.scaler.inputs if given.scaler else None, clip=given.clip)

    def rows(count: int) -> list[np.ndarray]:
        made = generated(found.inputs, found.smallest, found.largest, given.scaler, given.clip, count)
        made = [row for row in made if np.isfinite(found.alone(scaled(before, row))).all()]
        real = own[: max(count // 2, count - len(made))]
        return real + made[: count - len(real)]

    return rows


def _beyond(truth: Truth, double: Truth | None) -> Callable[[Rows], list[np.ndarray]]:
    """Rows -> the same far outside of their range, without those that the module itself cannot answer."""
    own = [truth] if double is None else [truth, double.exact]

    def answers_to(row: np.ndarray) -> bool:
        try:
            return all(np.isfinite(one([row])[0]).all() for one in own)
        except MODULE_FAILURES:
            return False

    return lambda rows: [row for row in stretched(rows, truth.before) if answers_to(row)]
