"""`report.html`: one file without any assets of others, drawn from the findings alone."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from exporter.page import figures, glance, plots, verdict
from exporter.page.findings import Findings, Metric, Parity
from exporter.page.parts import Answer, Values

FOLDER = Path(__file__).parent / "templates"
SYMBOLS = {"passed": "✓", "not run": "–", "not offered": "·", "failed": "✗"}
QUOTED = re.compile(r"`([^`]+)`")
FLAG = re.compile(r"(?<![\w>-])(--[a-z][a-z-]*)")
SPACE = "▁"
"""What a tokenizer writes for the space before a word."""


def render(findings: Findings) -> str:
    """The page. Whatever stands in the findings is escaped: texts of examples may be hostile."""
    page = environment().get_template("report.html")
    return page.render(
        found=findings,
        headline=verdict.headline(findings.checks),
        outcome=verdict.outcome(findings.checks),
        tiles=tuple(glance.tiles(findings)),
    )


def environment() -> Environment:
    """Templates, and the functions that they call."""
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    numbers = (figures.plain, figures.exact, figures.fixed, figures.signed, figures.percent, figures.size)
    filters = (*numbers, figures.listed, digits, style, word, highest, magnitude, prose)
    made.filters.update({function.__name__: function for function in filters})
    css = Markup((FOLDER / "style.css").read_text(encoding="utf-8"))
    functions = (figures.decimals_for, cell, limit)
    made.globals.update({function.__name__: function for function in functions})
    made.globals.update(plots=plots, symbols=SYMBOLS, css=css)
    return made


def style(implementation: str) -> str:
    """The class that gives an implementation its colour: that of its last word, `int8` of `ONNX int8`."""
    return "p-unpinned" if "unpinned" in implementation else f"p-{implementation.split()[-1]}"


def word(piece: str) -> str:
    """A token as text: the tokenizer's mark for a space becomes one."""
    return piece.replace(SPACE, " ")


def prose(text: str) -> Markup:
    """A text with what stands in backticks as code, and options of commands, such as `--clip`, in one piece."""
    coded = QUOTED.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(FLAG.sub(r'<code class="flag">\1</code>', coded))


def digits(answers: Sequence[Answer]) -> int:
    """How many decimals a table of answers needs, for all of its rows alike."""
    return max(figures.decimals_for(one.reference, one.compared) for one in answers)


def highest(numbers: Mapping[int, float]) -> float:
    return max(numbers.values(), default=0.0)


def magnitude(values: Values) -> float:
    """The end of a scale around zero that shows all of them."""
    return max((abs(end) for end in (values.minimum, values.maximum) if math.isfinite(end)), default=0.0)


def cell(parity: Parity, row: str, column: str) -> str:
    """Above the diagonal the largest difference, below it the median."""
    names = parity.implementations
    pair = next(one for one in parity.differences if {one.one, one.other} == {row, column})
    return figures.plain(pair.largest if names.index(row) < names.index(column) else pair.median)


def limit(metric: Metric, split: str) -> float:
    """The largest change that the gate accepts, signed, in the metric's unit."""
    scores = {one.precision: one.value.value for one in metric.scores if one.split == split}
    reference = scores.get("fp32", 1.0)
    allowed = metric.allowed_loss * (abs(reference) if metric.relative else 1.0)
    return -allowed if metric.higher_is_better else allowed
