"""The rows whose decision two precisions change, and those on which they differ most, as people can read them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from exporter.differences import row_differences, scales
from exporter.page.parts import Answer, Example, Examples, Lines
from exporter.sessions import Rows
from models.manifest import Outputs, Task

SHOWN = 10
ALIKE_SHOWN = 4
"""So many of the rows with one decision at least, however many decisions change."""
ANSWERS_SHOWN = 3
LONGEST_TEXT = 60
SHORTEST_PAST, LONGEST_PAST = 30, 96
CHOOSES: tuple[Task, ...] = ("text-classification", "classification", "language-model")


@dataclass(frozen=True)
class Reader:
    """What a person needs to read inputs and outputs: names of the outputs, and the text of token ids."""

    task: Task
    outputs: Outputs
    pieces: Callable[[Sequence[int]], list[str]] | None = None

    @property
    def decides(self) -> bool:
        """Whether the largest output is the answer, so that an answer can flip."""
        return self.task in CHOOSES or (self.task == "tagging" and self.outputs.labels is not None)

    def decisions(self, outputs: np.ndarray) -> np.ndarray:
        """[N, ..., classes] -> the chosen class [N, ...]; a single output scores the second of two."""
        middle = 0.0 if self.outputs.scores == "logits" else 0.5
        return (outputs[..., 0] > middle).astype(int) if outputs.shape[-1] == 1 else outputs.argmax(-1)

    def class_name(self, choice: int) -> str:
        """The name of a decision."""
        labels = self.outputs.labels
        if labels is not None and 0 <= choice < len(labels):
            return labels[choice]
        return self.token(choice) if self.task == "language-model" else f"class {choice}"

    def token(self, number: int) -> str:
        """A token's text, if there is one."""
        text = self.pieces([number])[0] if self.pieces is not None else ""
        return text or f"token {number}"

    def last_name(self, place: int) -> str:
        """The name of a place on the outputs' last axis."""
        names = self.outputs.labels or self.outputs.names
        if names is not None:
            return names[-1] if self.outputs.shape[-1:] == (1,) else names[place]
        if self.outputs.quantiles is not None:
            return f"quantile {self.outputs.quantiles[place]:g}"
        if self.task == "language-model":
            return self.token(place)
        return f"output {place + 1}"

    def name(self, place: tuple[int, ...]) -> str:
        """The name of one output of a row; all axes but the last are steps."""
        steps = [f"step {number + 1}" for number in place[:-1]]
        return ", ".join([*steps, self.last_name(place[-1])])


@dataclass(frozen=True)
class Pair:
    """What two precisions answered to the same rows: float32 [N, ...] each."""

    reference_name: str
    compared_name: str
    reference: np.ndarray
    compared: np.ndarray


def examples(
    pair: Pair, rows: Rows, reader: Reader, source: str, truth: np.ndarray | None, groups: Sequence[str] | None
) -> Examples:
    """The worst rows, and how many decisions flip. `truth` is the right class [N], or what came [N, horizon]."""
    differences = row_differences(pair.reference, pair.compared, scales(pair.reference))
    flips = _flips(pair, reader)
    worst = _worst(differences, flips)
    gained, lost = _changes(pair, reader, truth)
    return Examples(
        reference=pair.reference_name,
        compared=pair.compared_name,
        rows=len(rows),
        source=source,
        flipped=None if flips is None else int(flips.sum()),
        gained=gained,
        lost=lost,
        worst=tuple(
            Example(
                row=place,
                group=groups[place] if groups else None,
                steps=len(rows[place]),
                difference=float(differences[place]),
                flips=None if flips is None else bool(flips[place]),
                truth=_truth(truth, place, reader),
                **_what_it_is(rows[place], reader),
                **_what_came_out(place, pair, reader, rows[place], truth),
            )
            for place in worst
        ),
    )


def _worst(differences: np.ndarray, flips: np.ndarray | None) -> list[int]:
    """Rows whose decision changes, then others; of both those that differ most come first."""
    order = [int(place) for place in np.argsort(-differences, kind="stable") if differences[place] > 0]
    changed = [place for place in order if flips is not None and flips[place]][:SHOWN]
    alike = [place for place in order if flips is None or not flips[place]]
    return changed + alike[: max(ALIKE_SHOWN, SHOWN - len(changed))]


def _what_it_is(row: np.ndarray, reader: Reader) -> dict:
    if row.ndim != 1:
        return {"pieces": None, "pieces_left_out": 0}
    ids = row[:LONGEST_TEXT].tolist()
    pieces = tuple(map(str, ids) if reader.pieces is None else reader.pieces(ids))
    return {"pieces": pieces, "pieces_left_out": max(0, len(row) - LONGEST_TEXT)}


def _what_came_out(place: int, pair: Pair, reader: Reader, row: np.ndarray, truth: np.ndarray | None) -> dict:
    one, other = pair.reference[place], pair.compared[place]
    decided = [reader.decisions(outputs[None])[0] for outputs in (one, other)] if reader.decides else []
    single = bool(decided) and np.ndim(decided[0]) == 0
    return {
        "answers": _answers(one, other, reader),
        "decisions": tuple(reader.class_name(int(choice)) for choice in decided) if single else None,
        "lines": _lines(row, one, other, reader, None if truth is None else truth[place]),
    }


def _flips(pair: Pair, reader: Reader) -> np.ndarray | None:
    """bool [N]: whether any decision of the row is another one."""
    if not reader.decides:
        return None
    changed = reader.decisions(pair.reference) != reader.decisions(pair.compared)
    return changed.reshape(len(changed), -1).any(1)


def _changes(pair: Pair, reader: Reader, truth: np.ndarray | None) -> tuple[int | None, int | None]:
    """How many decisions became right, and how many wrong."""
    if not reader.decides or truth is None:
        return None, None
    before, after = reader.decisions(pair.reference), reader.decisions(pair.compared)
    if before.shape != np.shape(truth):
        return None, None
    was, now = before == truth, after == truth
    return int((~was & now).sum()), int((was & ~now).sum())


def _truth(truth: np.ndarray | None, row: int, reader: Reader) -> str | None:
    known = truth is not None and np.ndim(truth) == 1 and reader.decides
    return reader.class_name(int(truth[row])) if known else None


def _lines(
    row: np.ndarray, reference: np.ndarray, compared: np.ndarray, reader: Reader, came: np.ndarray | None
) -> Lines | None:
    """The series, by its first feature; of a forecast, the medians and what came."""
    if row.ndim != 2:
        return None
    if reader.outputs.quantiles is None or reference.ndim != 2:
        return Lines(past=_short(row[-LONGEST_PAST:, 0]))
    median = reader.outputs.quantiles.index(0.5)
    known = came is not None and np.shape(came) == reference.shape[:1]
    return Lines(
        past=_short(row[-min(LONGEST_PAST, max(SHORTEST_PAST, 2 * len(reference))) :, 0]),
        came=_short(came) if known else (),
        reference=_short(reference[:, median]),
        compared=_short(compared[:, median]),
    )


def _short(values: np.ndarray) -> tuple[float, ...]:
    """Six digits are enough for a picture."""
    return tuple(float(f"{value:.6g}") for value in values)


def _answers(reference: np.ndarray, compared: np.ndarray, reader: Reader) -> tuple[Answer, ...]:
    """Those outputs of a row that differ most; of two classes the second says it all."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(reference, np.float64) - compared)
    apart = np.where(np.isnan(apart), np.inf, apart)
    order = np.argsort(-apart, axis=None, kind="stable")[:ANSWERS_SHOWN]
    places = [tuple(map(int, np.unravel_index(place, apart.shape))) for place in order]
    if reader.decides and apart.shape == (2,):
        places = [(1,)]
    return tuple(
        Answer(name=reader.name(place), reference=float(reference[place]), compared=float(compared[place]))
        for place in places
    )
