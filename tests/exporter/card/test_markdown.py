"""Figures that a person can read, and foreign text that breaks nothing."""

import pytest

from exporter.card.markdown import code, digits, quote, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.01234, "0.0123"),
        (0.5, "0.5"),
        (1.234, "1.23"),
        (96.49, "96.5"),
        (2197.4, "2,197"),
        (-3.14159, "-3.14"),
    ],
)
def test_figures_have_three_digits(value: float, shown: str) -> None:
    assert digits(value) == shown


def test_foreign_text_cannot_break_a_table() -> None:
    assert quote("a | b\nwith `code` and <b>") == "`a \\| b with 'code' and <b>`"
    assert len(quote("long " * 100)) == 122


def test_a_table_has_a_line_a_row_and_its_numbers_to_the_right() -> None:
    rows = [["x", "1", "**2.5**", "3"], ["y", "–", "-1", "none"]]
    lines = table(["a", "b", "c", "d"], rows).splitlines()
    assert lines == [
        "| a | b | c | d |",
        "| --- | ---: | ---: | --- |",
        "| x | 1 | **2.5** | 3 |",
        "| y | – | -1 | none |",
    ]


def test_options_of_commands_are_code_once() -> None:
    assert code("give --eval, or --max-steps; a well-known one") == "give `--eval`, or `--max-steps`; a well-known one"
    assert code("`--clip`") == "`--clip`"
