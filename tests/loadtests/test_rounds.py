from loadtests.rounds import alternate, median_ratio, table


def test_rounds_alternate():
    calls = []
    results = alternate({"a": lambda: calls.append("a") or 1, "b": lambda: calls.append("b") or 2}, 3)
    assert calls == ["a", "b"] * 3
    assert results == {"a": [1, 1, 1], "b": [2, 2, 2]}


def test_ratios_are_taken_within_a_round():
    assert median_ratio([2, 20, 200], [1, 10, 50]) == 2


def test_a_table_is_markdown():
    text = table(["name", "rate"], [["a", 12345.6], ["b", 0.12345], ["c", None], ["d", 5]])
    assert text.splitlines() == [
        "| name | rate   |",
        "|------|--------|",
        "| a    | 12,346 |",
        "| b    | 0.123  |",
        "| c    | –      |",
        "| d    | 5      |",
    ]
