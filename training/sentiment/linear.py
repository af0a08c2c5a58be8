"""Linear models of n-grams: the baselines of the report, and the evidence that is built into the network.

All are logistic regressions on binary or counted n-grams, weighted by the log-count ratio of the classes (Wang and
Manning 2012, "NB-LR"). Targets may be soft.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import normalize

from training.networks.sentiment import NO_TOKEN, PAIR_MULTIPLIER
from training.sentiment.data import Language, Row


def unchanged(features: sparse.csr_matrix) -> sparse.csr_matrix:
    return features


@dataclass(frozen=True)
class NbLr:
    """logit = rescale(features * ratio) @ coefficients + bias; `ratio` and `coefficients` are [F]."""

    ratio: np.ndarray
    coefficients: np.ndarray
    bias: float
    rescale: Callable[[sparse.csr_matrix], sparse.csr_matrix]

    def logits(self, features: sparse.csr_matrix) -> np.ndarray:
        """[N]"""
        return self.rescale(features @ sparse.diags(self.ratio)) @ self.coefficients + self.bias


def log_count_ratio(features: sparse.csr_matrix, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[F]: how much more often a feature occurs in positive rows, smoothed by one row of each class."""
    present = (features > 0).astype(np.float64)
    positive, negative = 1 + present.T @ (weights * targets), 1 + present.T @ (weights * (1 - targets))
    return np.log(positive / positive.sum()) - np.log(negative / negative.sum())


def fit(
    features: sparse.csr_matrix,
    targets: np.ndarray,
    weights: np.ndarray,
    strength: float = 10.0,
    rescale: Callable = unchanged,
) -> NbLr:
    """Logistic regression by L-BFGS on `features` [N, F] times their ratios; `targets` [N] lie in [0, 1].

    `strength` is the inverse of the L2 penalty.
    """
    ratio = log_count_ratio(features, targets, weights)
    scaled = rescale(features @ sparse.diags(ratio)).tocsr()

    def loss_and_gradient(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients, bias = parameters[:-1], parameters[-1]
        logits = scaled @ coefficients + bias
        loss = strength * weights @ (np.logaddexp(0, logits) - targets * logits) + 0.5 * coefficients @ coefficients
        error = strength * weights * (expit(logits) - targets)
        return loss, np.append(scaled.T @ error + coefficients, error.sum())

    start = np.zeros(scaled.shape[1] + 1)
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options={"maxiter": 200, "ftol": 1e-6}).x
    return NbLr(ratio, found[:-1], found[-1], rescale)


@dataclass(frozen=True)
class Evidence:
    """Weights of tokens [V] and of hashed token pairs [buckets], to be summed and divided by the root of the length."""

    tokens: np.ndarray
    pairs: np.ndarray
    bias: float

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """[N], for encoded texts."""
        features = token_features(texts, len(self.tokens), len(self.pairs))
        return features @ np.concatenate([self.tokens, self.pairs]) + self.bias


def token_features(texts: Sequence[np.ndarray], vocabulary_size: int, buckets: int) -> sparse.csr_matrix:
    """Counts of tokens, then of hashed pairs, divided by the root of the length: [N, V + buckets]."""
    lengths = np.array([len(ids) for ids in texts])
    current = np.concatenate(texts)
    previous = np.concatenate([[NO_TOKEN], current[:-1]])
    previous[np.cumsum(lengths)[:-1]] = NO_TOKEN
    pairs = vocabulary_size + (previous * PAIR_MULTIPLIER + current) % buckets
    rows = np.repeat(np.arange(len(texts)), lengths)
    values = np.repeat(1 / np.sqrt(lengths), lengths)
    shape = (len(texts), vocabulary_size + buckets)
    coordinates = (np.tile(rows, 2), np.concatenate([current, pairs]))
    return sparse.csr_matrix((np.tile(values, 2), coordinates), shape=shape)


def fit_evidence(
    texts: Sequence[np.ndarray], targets: np.ndarray, weights: np.ndarray, vocabulary_size: int, buckets: int
) -> Evidence:
    model = fit(token_features(texts, vocabulary_size, buckets), targets, weights)
    learnt = model.ratio * model.coefficients
    return Evidence(learnt[:vocabulary_size], learnt[vocabulary_size:], model.bias)


def n_grams(language: Language) -> FeatureUnion:
    """English: words 1-2 and characters 2-5 within words; Chinese: characters 1-3."""
    if language == "zh":
        return FeatureUnion(
            [("characters", CountVectorizer(ngram_range=(1, 3), analyzer="char", binary=True, min_df=2))]
        )
    words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", binary=True)
    characters = CountVectorizer(ngram_range=(2, 5), analyzer="char_wb", binary=True, min_df=2)
    return FeatureUnion([("words", words), ("characters", characters)])


def nb_lr_baseline(language: Language, known: Sequence[Row], rated: Sequence[Row]) -> np.ndarray:
    """Logits [N] of `rated` by the strongest linear model known for these data; all rows of `known` help."""
    vectorizer = n_grams(language)
    features = vectorizer.fit_transform([row.text for row in known]).astype(np.float64)
    targets, weights = zip(*((row.positive, 1.0 if row.scored else 0.1) for row in known), strict=True)
    model = fit(features, np.array(targets), np.array(weights), strength=5.0, rescale=normalize)
    return model.logits(vectorizer.transform([row.text for row in rated]))


def tf_idf_baseline(language: Language, known: Sequence[Row], rated: Sequence[Row]) -> np.ndarray:
    """Logits [N] of `rated` by what most people try first, on the clean rows of `known`."""
    clean = [row for row in known if row.scored]
    pattern = {"analyzer": "char", "ngram_range": (1, 2)} if language == "zh" else {"ngram_range": (1, 2)}
    model = make_pipeline(TfidfVectorizer(**pattern, sublinear_tf=True), LogisticRegression(C=10, max_iter=300))
    model.fit([row.text for row in clean], [row.label for row in clean])
    return model.decision_function([row.text for row in rated])
