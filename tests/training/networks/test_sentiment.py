"""The sentiment network as a step function, in eager float32."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from training.networks.sentiment import LOWEST, SentimentNetwork, pair_bucket
from training.sentiment.fit import lstm_logits
from training.sentiment.linear import Evidence, token_features

VOCABULARY, BUCKETS = 50, 64
TOKENS = st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=20)


@pytest.fixture(scope="module", params=[1, 2])
def network(request: pytest.FixtureRequest) -> SentimentNetwork:
    torch.manual_seed(0)
    network = SentimentNetwork(VOCABULARY, embedding_size=6, hidden_size=10, buckets=BUCKETS, layers=request.param)
    network.token_evidence.normal_()
    network.pair_evidence.normal_()
    return network.eval()


def run(network: SentimentNetwork, ids: list[int], state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        start = network.initial_state(1) if state is None else state
        return network(torch.tensor([ids]), torch.tensor([len(ids)], dtype=torch.int32), start)


@given(texts=st.lists(TOKENS, min_size=2, max_size=5), padding=st.integers(0, VOCABULARY - 1))
def test_neighbours_and_padding_change_nothing(network: SentimentNetwork, texts: list[list[int]], padding: int) -> None:
    longest = max(map(len, texts))
    batch = torch.tensor([ids + [padding] * (longest - len(ids)) for ids in texts])
    with torch.inference_mode():
        lengths = torch.tensor([len(ids) for ids in texts], dtype=torch.int32)
        outputs, states = network(batch, lengths, network.initial_state(len(texts)))
    for ids, output, state in zip(texts, outputs, states, strict=True):
        alone, after = run(network, ids)
        torch.testing.assert_close(output, alone[0], rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(state, after[0], rtol=1e-6, atol=1e-6)


@given(ids=TOKENS, cuts=st.sets(st.integers(1, 19)))
def test_a_text_in_pieces_is_the_text_in_one(network: SentimentNetwork, ids: list[int], cuts: set[int]) -> None:
    whole, end = run(network, ids)
    edges = [0, *sorted(cut for cut in cuts if cut < len(ids)), len(ids)]
    output, state = None, None
    for start, stop in pairwise(edges):
        output, state = run(network, ids[start:stop], state)
    torch.testing.assert_close(output, whole, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(state, end, rtol=1e-6, atol=1e-6)


def test_probabilities_add_up_and_temperature_only_changes_how_sure_they_are(network: SentimentNetwork) -> None:
    before, _ = run(network, [3, 4, 5])
    network.set_temperature(4.0)
    after, _ = run(network, [3, 4, 5])
    network.set_temperature(1.0)
    assert before.sum().item() == pytest.approx(1)
    assert before.argmax() == after.argmax()
    assert after.max() < before.max()


def test_the_state_starts_before_any_token(network: SentimentNetwork) -> None:
    parts = network.split(network.initial_state(2))
    assert (parts["maximum"] == LOWEST).all()
    assert not any(parts[name].any() for name in ("lstm", "sum", "count", "evidence", "previous"))


@given(ids=TOKENS)
def test_evidence_in_the_graph_is_the_linear_model(network: SentimentNetwork, ids: list[int]) -> None:
    _, state = run(network, ids)
    summed = network.split(state)["evidence"].item() / len(ids) ** 0.5
    weights = np.concatenate([network.token_evidence[:, 0], network.pair_evidence[:, 0]])
    assert summed == pytest.approx(float((token_features([np.array(ids)], VOCABULARY, BUCKETS) @ weights)[0]), abs=1e-5)


@settings(max_examples=20)
@given(texts=st.lists(TOKENS, min_size=1, max_size=4))
def test_the_fast_training_path_is_the_same_maths(network: SentimentNetwork, texts: list[list[int]]) -> None:
    silent = Evidence(np.zeros(VOCABULARY), np.zeros(BUCKETS), 0.0)
    assert not silent.logits([np.array(ids) for ids in texts]).any()
    longest = max(map(len, texts))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in texts])
    lengths = torch.tensor([len(row) for row in texts], dtype=torch.int32)
    with torch.inference_mode():
        probabilities, state = network(ids, lengths, network.initial_state(len(texts)))
        evidence = network.split(state)["evidence"][:, 0] / lengths.sqrt() * network.head.weight[0, -1]
        expected = torch.sigmoid(lstm_logits(network, ids, lengths) + evidence)
    torch.testing.assert_close(probabilities[:, 1], expected, rtol=1e-6, atol=1e-6)


def test_pairs_are_ordered_and_fill_the_buckets() -> None:
    first, second = torch.randint(0, 30_000, (2, 5000), generator=torch.Generator().manual_seed(0))
    buckets = pair_bucket(first, second, BUCKETS)
    assert 0 <= buckets.min() <= buckets.max() < BUCKETS
    assert len(buckets.unique()) == BUCKETS
    assert not torch.equal(buckets, pair_bucket(second, first, BUCKETS))
