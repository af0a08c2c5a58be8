import numpy as np
import pytest
from scipy import sparse

from training.sentiment import linear
from training.sentiment.data import Row

ENGLISH = [Row(f"{word} thing {n}", float(word == "good"), "en", "test") for n in range(20) for word in ("good", "bad")]
CHINESE = [Row(f"很{word}{n}", float(word == "好"), "zh", "test") for n in range(20) for word in "好差"]


def test_the_ratio_is_large_for_what_only_positive_rows_have() -> None:
    features = sparse.csr_matrix([[3.0, 1, 0], [1, 1, 0], [0, 1, 1], [0, 1, 2]])
    positive, both, negative = linear.log_count_ratio(features, np.array([1.0, 1, 0, 0]), np.ones(4))
    assert positive == pytest.approx(np.log(3))
    assert both == pytest.approx(0)
    assert negative == pytest.approx(-np.log(3))


def test_a_row_of_weight_zero_is_not_there() -> None:
    features, targets = sparse.csr_matrix(np.eye(4)[[0, 1, 0, 1, 2]]), np.array([1.0, 0, 1, 0, 1])
    weighted = linear.fit(features, targets, np.array([1.0, 1, 1, 1, 0]))
    without = linear.fit(features[:4], targets[:4], np.ones(4))
    np.testing.assert_allclose(weighted.logits(features), without.logits(features), atol=1e-4)


def test_soft_targets_give_soft_answers() -> None:
    features = sparse.csr_matrix(np.eye(2)[[0, 1] * 50])
    model = linear.fit(features, np.array([0.8, 0.3] * 50), np.ones(100))
    np.testing.assert_allclose(1 / (1 + np.exp(-model.logits(features)))[:2], [0.8, 0.3], atol=0.05)


def test_token_features_count_tokens_and_pairs_within_texts() -> None:
    features = linear.token_features([np.array([1, 2, 2, 2]), np.array([3])], vocabulary_size=4, buckets=1000).toarray()
    assert features.shape == (2, 1004)
    np.testing.assert_allclose(features[0, :4] * 2, [0, 1, 3, 0])
    assert sorted(features[0, 4:][features[0, 4:] > 0] * 2) == [1, 1, 2]
    assert features[1].sum() == pytest.approx(2), "one token, and its pair with the start"


def test_evidence_is_the_linear_model_in_two_tables() -> None:
    texts = [np.array([1, 2]), np.array([3, 2]), np.array([2, 1])] * 10
    targets = np.array([1.0, 0.0, 1.0] * 10)
    evidence = linear.fit_evidence(texts, targets, np.ones(30), vocabulary_size=5, buckets=64)
    assert (evidence.tokens.shape, evidence.pairs.shape) == ((5,), (64,))
    assert ((evidence.logits(texts) > 0) == targets).all()


@pytest.mark.parametrize("baseline", [linear.tf_idf_baseline, linear.nb_lr_baseline])
@pytest.mark.parametrize("rows", [ENGLISH, CHINESE])
def test_baselines_learn_a_word(baseline: callable, rows: list[Row]) -> None:
    logits = baseline(rows[0].language, rows[:30], rows[30:])
    assert ((logits > 0) == np.array([row.label for row in rows[30:]])).all()
