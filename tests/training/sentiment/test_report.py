"""What the headline counts, row by row."""

import numpy as np

from training.sentiment.data import Row
from training.sentiment.report import headline, headline_by_row


def test_the_scores_of_rows_have_the_headlines_accuracy_as_their_mean() -> None:
    languages = ["en"] * 7 + ["zh"] * 3
    rows = [Row(str(number), float(number % 2), language, "films") for number, language in enumerate(languages)]
    positive = np.random.default_rng(0).random(len(rows))
    scores = headline_by_row(rows, positive)
    assert np.isclose(scores.mean(), headline(rows, positive)["accuracy"])
    right = (positive > 0.5) == np.array([row.label for row in rows])
    assert ((scores > 0) == right).all()
