"""The checks that a graph must pass: pins that stay, and results that depend on nothing but the sequence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from exporter.differences import row_differences, scales
from exporter.errors import CheckFailed
from exporter.sessions import Results, Rows, StepSession, alone, in_chunks, together
from exporter.suspect import suspect
from models.bundle import Bundle
from models.manifest import Inputs, Invariance, Precision, Steps

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
    chunkable: bool = True
    per_step: bool = False
    padding: bool = True
    largest: int | None = None
    """Time steps beyond which no batch is ever padded."""

    def session(self, threads: int = 1) -> StepSession:
        return StepSession(self.model, self.initial_state, threads, self.per_step, self.padding)


def bundle_invariance(bundle: Bundle, sequences: int = 64) -> Iterator[tuple[Precision, Invariance]]:
    """Checks every precision of a published bundle that a CPU can run again. Raises CheckFailed."""
    manifest = bundle.manifest
    rows = generated_rows(manifest.inputs, manifest.steps, sequences)
    for precision, file in manifest.precisions.items():
        if "cpu" not in file.devices:
            continue
        one = Subject(
            model=bundle.path(file.file).read_bytes(),
            initial_state=manifest.initial_state(),
            pinned=manifest.pinned,
            vocabulary=manifest.inputs.vocabulary,
            first_chunk=manifest.steps.first_chunk,
            chunkable=manifest.chunkable,
            per_step=manifest.outputs.when == "per_step",
            padding=manifest.padding,
            largest=manifest.steps.largest,
        )
        check_pins(one, rows)
        found = invariance(one, rows)
        check_invariance(found, precision, one, rows)
        yield precision, found


def check_pins(subject: Subject, rows: Rows) -> None:
    """The pinned columns of the state are, to the bit, what they were before the first step."""
    if not subject.pinned:
        return
    columns = list(subject.pinned)
    states = in_chunks(subject.session(), rows, 16, subject.first_chunk, SLOTS).states[:, columns]
    moved = np.abs(states - subject.initial_state[columns])
    if moved.any() or np.isnan(moved).any():
        raise CheckFailed(
            f"pins: a column of the state that must never change moved by {moved.max():.3g}, 0 is accepted"
        )


def parity(reference: np.ndarray, outputs: np.ndarray) -> float:
    """The largest difference of outputs [N, ...] to the reference, by a row's largest output where that is above 1."""
    return float(row_parities(reference, outputs).max())


def row_parities(reference: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """The same for each row: [N]."""
    return row_differences(reference, outputs, scales(reference))


@dataclass(frozen=True)
class Runs:
    """The same rows alone, and by the ways that must not matter. Where there is no such way, its list is empty."""

    alone: Results
    batch: list[Results]
    """In mixed batches, in two orders."""
    padding: list[Results]
    chunks: list[Results]
    """Small ones of the first rows only."""
    threads: list[Results]

    def moved(self, view: Callable[[Results], Results] = lambda found: found) -> Invariance:
        """How far what `view` shows of the results moves."""

        def largest(others: list[Results]) -> float:
            return max(view(self.alone.first(len(other.states))).deviation(view(other)) for other in others)

        return Invariance(
            batch=largest(self.batch),
            padding=largest(self.padding) if self.padding else None,
            chunks=largest(self.chunks) if self.chunks else None,
            threads=largest(self.threads),
            sequences=len(self.alone.states),
        )


def runs(subject: Subject, rows: Rows, seed: int = 0) -> Runs:
    """The same rows in other company, padding, pieces and threads.

    Where rows of different lengths must not share a batch, they are cut so that many do.
    """
    session, random = subject.session(), np.random.default_rng(seed)
    rows = rows if subject.padding else of_few_lengths(rows)
    mixed, shuffled = (_batches(random.permutation(len(rows))) for _ in range(2))
    padding = list(enumerate(fills(subject, random))) if subject.padding else []
    longest = max(map(len, rows))
    most = max(0, (subject.largest or longest + len(padding)) - longest)
    return Runs(
        alone=alone(session, rows),
        batch=[together(session, batches, rows) for batches in (mixed, shuffled)],
        padding=[together(session, mixed, rows, fill, min(extra, most)) for extra, fill in padding],
        chunks=list(_chunked(subject, session, rows)) if subject.chunkable else [],
        threads=[together(subject.session(threads), mixed, rows) for threads in (2, 3)],
    )


def invariance(subject: Subject, rows: Rows, seed: int = 0) -> Invariance:
    """How far outputs and final states move when the same rows run in other company, padding, pieces and threads."""
    return runs(subject, rows, seed).moved()


def check_invariance(found: Invariance, precision: Precision, subject: Subject, rows: Rows) -> None:
    """Raises CheckFailed, which names the first node that is to blame, if anything moved."""
    values = found.model_dump(exclude={"sequences"})
    moved = {name: value for name, value in values.items() if value is not None and not value <= 0}
    if moved:
        by = ", ".join(f"{name} by {value:.3g}" for name, value in moved.items())
        shortest = min(len(row) for row in rows)
        culprit = suspect(subject.model, subject.initial_state, [row[:shortest] for row in rows[:BATCH]])
        hint = f"; the first node whose value depends on the batch is {culprit}" if culprit else ""
        raise CheckFailed(f"invariance: {precision} results change with {by}, exactly 0 is accepted{hint}")


def of_few_lengths(rows: Rows) -> list[np.ndarray]:
    """The same rows, each cut to the shortest of those that are about as long: a quarter of them share one length."""
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    size = -(-len(rows) // 4)
    shortest = {place: len(rows[order[rank // size * size]]) for rank, place in enumerate(order)}
    return [row[: shortest[place]] for place, row in enumerate(rows)]


def fills(subject: Subject, random: np.random.Generator) -> list:
    """What may stand past a sequence's length: random token ids, or values that no series has."""
    if subject.vocabulary is not None:
        return [_random_ids(random, subject.vocabulary)] * 2
    return [_constant(value) for value in (1e30, -1e30, np.inf, np.nan)]


def generated_rows(inputs: Inputs, steps: Steps, count: int, spread: float = 3.0, seed: int = 0) -> list[np.ndarray]:
    """Sequences to try a network with when its data are not at hand: random tokens, or random walks.

    The walks' scales are log-normal: `spread` is the standard deviation of their logarithm.
    """
    random = np.random.default_rng(seed)
    shortest, longest = steps.smallest, min(steps.largest, steps.smallest + 8 * BATCH)
    lengths = random.integers(shortest, longest + 1, count)
    if inputs.vocabulary is not None:
        return [random.integers(0, inputs.vocabulary, length) for length in lengths]
    moves = (random.normal(scale=random.lognormal(0, spread), size=(length, inputs.features)) for length in lengths)
    walks = (np.cumsum(move, 0).astype(np.float32) for move in moves)
    return [walk if inputs.above is None else np.abs(walk) + np.float32(inputs.above + 1) for walk in walks]


def _chunked(subject: Subject, session: StepSession, rows: Rows) -> Iterator[Results]:
    for chunk in CHUNKS:
        some = SMALL_CHUNK_ROWS if chunk == 1 else None
        yield in_chunks(session, rows[:some], chunk, subject.first_chunk, SLOTS)


def _batches(order: np.ndarray) -> list[list[int]]:
    return [order[start : start + BATCH].tolist() for start in range(0, len(order), BATCH)]


def _random_ids(random: np.random.Generator, vocabulary: int):
    def fill(padding: np.ndarray) -> None:
        padding[...] = random.integers(0, vocabulary, padding.shape)

    return fill


def _constant(value: float):
    def fill(padding: np.ndarray) -> None:
        padding[...] = value

    return fill
