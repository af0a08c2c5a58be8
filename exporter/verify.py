"""The checks that a step function must pass: pins that stay, and results that depend on nothing but the sequence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.errors import CheckFailed
from exporter.sessions import Results, Rows, StepSession, alone, in_chunks, together
from exporter.suspect import suspect
from models.bundle import Bundle
from models.manifest import Invariance, Manifest, Precision

CHUNKS = (1, 7, 16, 32)
BATCH = 16
SLOTS = 8
SMALL_CHUNK_ROWS = 16
"""Rows that chunks of one step are tried with: every step of every row is a call."""


@dataclass(frozen=True)
class Subject:
    """A model under test: its file, and what the manifest says (or will say) about its steps and state."""

    model: bytes
    initial_state: np.ndarray
    pinned: tuple[int, ...]
    vocabulary: int | None
    first_chunk: int

    def session(self, threads: int = 1) -> StepSession:
        return StepSession(self.model, self.initial_state, threads)


def bundle_invariance(bundle: Bundle, sequences: int = 64) -> Iterator[tuple[Precision, Invariance]]:
    """Checks every precision of a published bundle again. Raises CheckFailed."""
    manifest = bundle.manifest
    rows = generated_rows(manifest, sequences)
    for precision, file in manifest.precisions.items():
        model = bundle.path(file.file).read_bytes()
        first_chunk, vocabulary = manifest.steps.first_chunk, manifest.inputs.vocabulary
        one = Subject(model, manifest.initial_state(), manifest.pinned, vocabulary, first_chunk)
        check_pins(one, rows)
        found = invariance(one, rows)
        check_invariance(found, precision, one, rows)
        yield precision, found


def check_pins(subject: Subject, rows: Rows) -> None:
    """The pinned columns of the state are, to the bit, what they were before the first step."""
    columns = list(subject.pinned)
    states = in_chunks(subject.session(), rows, 16, subject.first_chunk, SLOTS).states[:, columns]
    moved = np.abs(states - subject.initial_state[columns])
    if moved.any() or np.isnan(moved).any():
        raise CheckFailed(
            f"pins: a column of the state that must never change moved by {moved.max():.3g}, 0 is accepted"
        )


def parity(reference: np.ndarray, outputs: np.ndarray) -> float:
    """The largest difference of outputs [N, ...] to the reference, by a row's largest output where that is above 1."""
    scale = np.abs(reference.reshape(len(reference), -1)).max(1)
    differences = np.abs(outputs - reference).reshape(len(reference), -1).max(1)
    return float((differences / np.maximum(1.0, scale)).max())


def invariance(subject: Subject, rows: Rows, seed: int = 0) -> Invariance:
    """How far outputs and final states move when the same rows run in other company, padding, pieces and threads."""
    session, random = subject.session(), np.random.default_rng(seed)
    expected = alone(session, rows)
    mixed, shuffled = (_batches(random.permutation(len(rows))) for _ in range(2))
    sideways = [together(session, batches, rows) for batches in (mixed, shuffled)]
    padded = [together(session, mixed, rows, fill, extra) for extra, fill in enumerate(fills(subject, random))]
    threaded = [together(subject.session(threads), mixed, rows) for threads in (2, 3)]
    return Invariance(
        batch=_largest(expected, sideways),
        padding=_largest(expected, padded),
        chunks=max(_chunk_deviations(subject, session, rows, expected)),
        threads=_largest(expected, threaded),
        sequences=len(rows),
    )


def check_invariance(found: Invariance, precision: Precision, subject: Subject, rows: Rows) -> None:
    moved = {name: value for name, value in found.model_dump(exclude={"sequences"}).items() if value}
    if moved:
        by = ", ".join(f"{name} by {value:.3g}" for name, value in moved.items())
        shortest = min(len(row) for row in rows)
        culprit = suspect(subject.model, subject.initial_state, [row[:shortest] for row in rows[:BATCH]])
        hint = f"; the first node whose value depends on the batch is {culprit}" if culprit else ""
        raise CheckFailed(f"invariance: {precision} results change with {by}, exactly 0 is accepted{hint}")


def fills(subject: Subject, random: np.random.Generator) -> list:
    """What may stand past a sequence's length: random token ids, or values that no series has."""
    if subject.vocabulary is not None:
        return [_random_ids(random, subject.vocabulary)] * 2
    return [_constant(value) for value in (1e30, -1e30, np.inf, np.nan)]


def generated_rows(manifest: Manifest, count: int, seed: int = 0) -> list[np.ndarray]:
    """Sequences to try a bundle with when its data are not at hand: random tokens, or random walks."""
    random = np.random.default_rng(seed)
    shortest, longest = manifest.steps.smallest, min(manifest.steps.largest, manifest.steps.smallest + 8 * BATCH)
    lengths = random.integers(shortest, longest + 1, count)
    if manifest.inputs.vocabulary is not None:
        return [random.integers(0, manifest.inputs.vocabulary, length) for length in lengths]
    steps = (random.normal(scale=random.lognormal(0, 3), size=(length, manifest.inputs.features)) for length in lengths)
    return [np.cumsum(walk, 0).astype(np.float32) for walk in steps]


def _chunk_deviations(subject: Subject, session: StepSession, rows: Rows, expected: Results) -> Iterator[float]:
    for chunk in CHUNKS:
        some = slice(SMALL_CHUNK_ROWS if chunk == 1 else None)
        found = in_chunks(session, rows[some], chunk, subject.first_chunk, SLOTS)
        yield found.deviation(Results(expected.outputs[some], expected.states[some]))


def _batches(order: np.ndarray) -> list[list[int]]:
    return [order[start : start + BATCH].tolist() for start in range(0, len(order), BATCH)]


def _largest(expected: Results, others: Sequence[Results]) -> float:
    return max(expected.deviation(other) for other in others)


def _random_ids(random: np.random.Generator, vocabulary: int):
    def fill(padding: np.ndarray) -> None:
        padding[...] = random.integers(0, vocabulary, padding.shape)

    return fill


def _constant(value: float):
    def fill(padding: np.ndarray) -> None:
        padding[...] = value

    return fill
