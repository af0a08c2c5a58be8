"""Tables and quotations in Markdown."""

import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose columns of numbers are aligned to the right."""
    rows = list(rows)
    marks = ["---:" if all(NUMBER.match(row[column]) for row in rows) else "---" for column in range(len(head))]
    lines = [head, marks, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


NUMBER = re.compile(r"(\*\*)?-?[\d–]")

OPTION = re.compile(r"(?<![\w`-])(--[a-z][a-z-]*)")
LONGEST_QUOTE = 120


def quote(text: str) -> str:
    """Foreign text, shortened, that must not be read as Markdown or HTML, nor break a table."""
    visible = " ".join(text.replace("`", "'").split())
    shown = visible if len(visible) <= LONGEST_QUOTE else f"{visible[: LONGEST_QUOTE - 1]}…"
    return f"`{shown}`".replace("|", "\\|")


def code(text: str) -> str:
    """With options of a command, such as `--clip`, marked as code."""
    return OPTION.sub(r"`\1`", text)


def bold(text: str) -> str:
    return f"**{text}**"


def digits(value: float) -> str:
    """Three significant digits, without an exponent where that is readable."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def picture(file: str, description: str) -> str:
    return f"![{description}]({file})"
