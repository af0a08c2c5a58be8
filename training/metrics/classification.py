"""Scores of a two-class classifier, from its probability of the positive class."""

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

CALIBRATION_BINS = 15


def classification(labels: np.ndarray, positive: np.ndarray) -> dict[str, float]:
    """Accuracy, macro F1, area under the ROC curve, calibration error and log-loss; both arrays are [N]."""
    predicted = positive > 0.5
    return {
        "rows": len(labels),
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": float(f1_score(labels, predicted, average="macro")),
        "auc": float(roc_auc_score(labels, positive)),
        "ece": expected_calibration_error(labels, positive),
        "log_loss": log_loss(labels, logit(positive)),
    }


def expected_calibration_error(labels: np.ndarray, positive: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Mean distance between confidence and accuracy over bins of equal width (Guo et al. 2017)."""
    confidence = np.maximum(positive, 1 - positive)
    correct = (positive > 0.5) == labels
    of_bin = np.minimum(((confidence - 0.5) * 2 * bins).astype(int), bins - 1)
    gaps = [abs((confidence - correct)[of_bin == number].sum()) for number in range(bins)]
    return float(sum(gaps) / len(labels))


def log_loss(targets: np.ndarray, logits: np.ndarray) -> float:
    """Mean cross-entropy in nats; targets may be soft."""
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(clipped) - np.log1p(-clipped)


def best_temperature(labels: np.ndarray, logits: np.ndarray) -> float:
    """What to divide the logits by for the lowest log-loss (temperature scaling)."""
    found = minimize_scalar(lambda log_t: log_loss(labels, logits / np.exp(log_t)), bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))
