"""`python -m exporter gallery`: every architecture in every precision, and whether anything changed on the way.

A cell is green if its answers do not depend on batch-mates, order, padding, chunks or threads, to the bit, and if fp32
differs from eager PyTorch by rounding only. What quantization costs is shown, and not judged: with random weights, that
would mean nothing.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from exporter import check, describe, measure, verify
from exporter.build import build
from exporter.errors import CheckFailed
from exporter.exhibits import EXHIBITS, Exhibit
from exporter.options import STRICT
from exporter.report import Built
from exporter.sessions import Rows, by_length, together
from exporter.source import Source
from models.files import write_whole
from models.manifest import Precision

ROWS = 32
BATCH = 32
STEPS = 64
SECONDS = 0.15
"""For the time of each cell."""
GREEN, RED, PLAIN = "\033[32m", "\033[31m", "\033[0m"
HEADINGS = ("architecture", "precision", "parity", "batch", "padding", "chunk", "threads", "bytes", "ms")


@dataclass(frozen=True)
class Cell:
    """One architecture in one precision: the largest differences, bytes, and ms for 32 rows of 64 steps in one thread.

    `chunk` is None for a network that is not chunkable. With a `reason`, the precision is not offered, or could not run
    here, and everything else is None.
    """

    architecture: str
    precision: Precision
    parity: float | None = None
    batch: float | None = None
    padding: float | None = None
    chunk: float | None = None
    threads: float | None = None
    size: int | None = None
    milliseconds: float | None = None
    reason: str | None = None

    @property
    def good(self) -> bool:
        """Nothing moved, and the network is still the same. What is not offered cannot be wrong."""
        same = self.precision != "fp32" or (self.parity is not None and self.parity <= STRICT.parity)
        return same and not any((self.batch, self.padding, self.chunk, self.threads))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(exhibit.name for exhibit in EXHIBITS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table to a file, too")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help=f"these architectures, of: {names}")


def run(options: argparse.Namespace) -> None:
    """Prints the table, a line as soon as it is known. Exits with 1 if a cell is not green."""
    cells: list[Cell] = []
    for text in table(examined(chosen(options.only), cells), colour=sys.stdout.isatty()):
        tqdm.write(text)
    if options.json is not None:
        write(cells, options.json)
    bad = [cell for cell in cells if not cell.good]
    if bad:
        where = ", ".join(f"{cell.architecture} in {cell.precision}" for cell in bad)
        raise SystemExit(f"error: {len(bad)} of {len(cells)} cells are not exact: {where}")


def examined(exhibits: Sequence[Exhibit], cells: list[Cell]) -> Iterator[Cell]:
    """The cells one by one, with a progress bar on a terminal; they are kept in `cells`, too."""
    for exhibit in tqdm(exhibits, desc="gallery", unit="network", leave=False, disable=None):
        for cell in examine(exhibit):
            cells.append(cell)
            yield cell


def chosen(names: Sequence[str]) -> list[Exhibit]:
    """The architectures of these names, in whatever case; all of them for no names."""
    known = {exhibit.name.lower(): exhibit for exhibit in EXHIBITS}
    if unknown := [name for name in names if name.lower() not in known]:
        accepted = ", ".join(exhibit.name for exhibit in EXHIBITS)
        raise SystemExit(f"error: --only: there is no {unknown[0]!r} in the gallery, but {accepted}")
    return [known[name.lower()] for name in names] or list(EXHIBITS)


def examine(exhibit: Exhibit) -> Iterator[Cell]:
    """One cell for each precision that there is."""
    source, rows = exhibit.source(), exhibit.rows(ROWS)
    built = build(source, rows, STRICT)
    subjects = {precision: describe.subject(source, built, precision) for precision in built.runnable}
    sessions = {precision: subject.session() for precision, subject in subjects.items()}
    times = measure.milliseconds(sessions, rows, STEPS, (BATCH,), SECONDS)
    for precision in get_args(Precision):
        if precision in subjects:
            yield measured(exhibit.name, precision, source, subjects[precision], rows, times[precision][BATCH])
        else:
            yield Cell(exhibit.name, precision, reason=why_not(built, precision))


def measured(
    name: str, precision: Precision, source: Source, subject: verify.Subject, rows: Rows, milliseconds: float
) -> Cell:
    """All checks of one graph. A pin that moves is a difference between chunks, as large as can be."""
    reference = check.as_array(source.reference(rows), subject.per_step)
    outputs = together(subject.session(), by_length(rows, BATCH), rows).outputs
    found = verify.invariance(subject, rows)
    try:
        verify.check_pins(subject, rows)
    except CheckFailed:
        found = found.model_copy(update={"chunks": sys.float_info.max})
    return Cell(
        architecture=name,
        precision=precision,
        parity=verify.parity(reference, outputs),
        batch=found.batch,
        padding=found.padding,
        chunk=found.chunks,
        threads=found.threads,
        size=len(subject.model),
        milliseconds=milliseconds,
    )


def why_not(built: Built, precision: Precision) -> str:
    return built.reasons.get(precision, "the exporter does not make it")


def table(cells: Iterable[Cell], colour: bool) -> Iterator[str]:
    """The lines of the table, with the reasons for gaps below it."""
    reasons: list[str] = []
    yield line(HEADINGS)
    previous = None
    for cell in cells:
        name = cell.architecture if cell.architecture != previous else ""
        previous = cell.architecture
        text = line([name, cell.precision, *values(cell, reasons)])
        yield f"{GREEN if cell.good else RED}{text}{PLAIN}" if colour else text
    for number, reason in enumerate(reasons, 1):
        yield f"[{number}] {reason}"


def values(cell: Cell, reasons: list[str]) -> list[str]:
    """The text of a row's cells. A reason becomes the number of its note in `reasons`."""
    if cell.reason is not None:
        if cell.reason not in reasons:
            reasons.append(cell.reason)
        return [f"not offered [{reasons.index(cell.reason) + 1}]"]
    differences = [exactness(value) for value in (cell.batch, cell.padding, cell.chunk, cell.threads)]
    return [f"{cell.parity:.1e}", *differences, f"{cell.size:,}", f"{cell.milliseconds:.2f}"]


def exactness(difference: float | None) -> str:
    if difference is None:
        return "-"
    return f"{difference:.1e}" if difference else "exact"


def line(texts: Sequence[str]) -> str:
    """Columns of a fixed width; names to the left, numbers to the right."""
    widths = (26, 14, 9, 9, 9, 9, 9, 12, 9)
    left, right = texts[:2], texts[2:]
    names = "".join(text.ljust(width) for text, width in zip(left, widths, strict=False))
    return names + "".join(text.rjust(width) for text, width in zip(right, widths[2:], strict=False))


def write(cells: Iterable[Cell], path: Path) -> None:
    """A list of objects with the names of Cell's fields."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
