"""Scores of a language model."""

import numpy as np
from scipy.special import log_softmax


def perplexity(targets: np.ndarray, logits: np.ndarray) -> float:
    """How many tokens the model hesitates between: exp of the mean negative log-likelihood of the true next tokens.

    targets are ids int [N], logits [N, vocabulary]. 1 is a prophet, and the vocabulary's size is knowing nothing.
    """
    chosen = np.take_along_axis(log_softmax(logits.astype(np.float64), axis=1), targets[:, None], 1)
    return float(np.exp(-chosen.mean()))
