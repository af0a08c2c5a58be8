import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation import Gate, batches_by_length, pad, predict
from training.networks.sentiment import SentimentNetwork


@pytest.mark.parametrize(
    ("gate", "reference", "candidate", "accepted"),
    [
        (Gate("accuracy", True, 0.005), 0.85, 0.846, True),
        (Gate("accuracy", True, 0.005), 0.85, 0.844, False),
        (Gate("mae", False, 0.01, relative=True), 80.0, 80.7, True),
        (Gate("mae", False, 0.01, relative=True), 80.0, 81.0, False),
        (Gate("mae", False, 0.01, relative=True), 80.0, 70.0, True),
    ],
)
def test_gate(gate: Gate, reference: float, candidate: float, accepted: bool) -> None:
    assert gate.accepts(reference, candidate) is accepted


def test_padding_keeps_dtype_and_trailing_axes() -> None:
    padded, lengths = pad([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)])
    assert padded.shape == (2, 4, 3)
    assert padded.dtype == torch.float32
    assert lengths.tolist() == [2, 4]
    assert not padded[0, 2:].any()


@given(lengths=st.lists(st.integers(1, 99), min_size=1, max_size=50), size=st.integers(1, 8))
def test_batches_hold_every_row_once_from_short_to_long(lengths: list[int], size: int) -> None:
    batches = list(batches_by_length(lengths, size))
    order = [row for batch in batches for row in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[row] for row in order] == sorted(lengths)
    assert max(map(len, batches)) <= size


def test_predictions_come_in_the_order_of_the_rows() -> None:
    network = SentimentNetwork(20, embedding_size=4, hidden_size=5, buckets=8).eval()
    torch.nn.init.normal_(network.head.weight)
    rows = [np.array(ids) for ids in ([1, 2, 3], [4], [5, 6], [7, 8, 9, 10])]
    together = predict(network, rows, batch_size=2)
    alone = np.concatenate([predict(network, [row]) for row in rows])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together.shape == (4, 2)
