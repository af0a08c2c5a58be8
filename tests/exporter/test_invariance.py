"""The first promise: an answer does not depend on neighbours, padding, chunks, threads or order, to the bit."""

import pytest

from exporter.errors import CheckFailed
from exporter.sessions import alone
from exporter.verify import check_invariance, invariance, parity
from tests.exporter.networks import prepared
from training.evaluation import predict

EXACT = {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0}


@pytest.mark.parametrize("int8", [False, True], ids=["fp32", "int8"])
@pytest.mark.parametrize("name", ["text", "series"])
def test_pinned_networks_are_exact(name: str, int8: bool) -> None:
    one = prepared(name, True, int8)
    assert invariance(one.subject, one.rows).model_dump(exclude={"sequences"}) == EXACT


@pytest.mark.parametrize("name", ["series, gru", "series, rnn", "series, no clip", "text, gru"])
def test_what_cannot_be_pinned_is_exact_in_fp32(name: str) -> None:
    one = prepared(name, False)
    assert invariance(one.subject, one.rows).model_dump(exclude={"sequences"}) == EXACT


def test_plain_int8_depends_on_its_neighbours_and_the_check_says_so() -> None:
    plain = prepared("text", False, True)
    found = invariance(plain.subject, plain.rows)
    assert min(found.batch, found.padding, found.chunks or 0) > 1e-4
    with pytest.raises(CheckFailed, match=r"invariance: int8 results change with batch by 0\.\d+.*DynamicQuantizeLSTM"):
        check_invariance(found, "int8", plain.subject, plain.rows)


@pytest.mark.parametrize("name", ["text", "series"])
def test_int8_is_close_to_pytorch(name: str) -> None:
    one = prepared(name, True, True)
    found = alone(one.subject.session(), one.rows).outputs
    assert 0 < parity(predict(one.network, one.rows), found) < 0.2
