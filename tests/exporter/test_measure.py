"""Speed decides which precision is loaded, but a tie goes to the exact one."""

import pytest

from exporter.measure import preference, throughput


@pytest.mark.parametrize(
    ("int8", "first"),
    [({1: 0.5, 8: 1.0}, "int8"), ({1: 1.0, 8: 2.0}, "fp32"), ({1: 0.97, 8: 1.93}, "fp32"), ({1: 1.2, 8: 1.1}, "int8")],
)
def test_the_faster_precision_comes_first(int8: dict[int, float], first: str) -> None:
    assert preference({"fp32": {1: 1.0, 8: 2.0}, "int8": int8})[0] == first


def test_throughput_counts_sequences() -> None:
    assert throughput({1: 0.5, 32: 4.0}) == {1: 2000.0, 32: 8000.0}
