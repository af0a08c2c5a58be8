from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench import tails


def test_percentiles_are_those_of_all_rounds_together():
    rounds = [[1.0] * 600, [1.0] * 585 + [100.0] * 15]
    found = tails.pooled(rounds)
    assert found["requests"] == 1200
    assert (found["p50_ms"], found["p90_ms"], found["p99_ms"], found["max_ms"]) == (1, 1, 100, 100)
    assert found["p99_rounds_ms"] == [1, 100]


@given(st.lists(st.lists(st.floats(0, 1e3), min_size=1), min_size=1), st.integers(1, 100))
def test_a_percentile_is_the_least_latency_that_so_many_do_not_exceed(rounds, level):
    together = list(chain.from_iterable(rounds))
    found = tails.percentile(together, level)
    assert found in together
    assert 100 * sum(each <= found for each in together) >= level * len(together)
    assert 100 * sum(each < found for each in together) < level * len(together)
    own = [tails.percentile(some, level) for some in rounds]
    assert min(own) <= found <= max(own)


def test_a_p99_needs_a_thousand_answers():
    assert tails.pooled([[1.0] * 999])["p99_ms"] is None
    assert tails.pooled([[1.0] * 999, [1.0]])["p99_ms"] == 1
    assert tails.pooled([[], []]) == {
        **{"requests": 0, "p50_ms": None, "p90_ms": None, "p99_ms": None, "max_ms": None},
        "p99_rounds_ms": [None, None],
    }


def test_a_ratio_is_the_median_of_the_rounds_own():
    one, other = ({"p99_ms": 1.0, "p99_rounds_ms": rounds} for rounds in ([2.0, 20.0, 9.0], [1.0, 5.0, 3.0]))
    assert tails.ratio(one, other) == 3
    assert tails.ratio(one, other | {"p99_ms": None}) is None
