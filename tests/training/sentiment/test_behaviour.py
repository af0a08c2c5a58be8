import numpy as np

from training.sentiment.behaviour import CASES, cases, results
from training.sentiment.data import LABELS


def test_the_suite_is_broad_and_balanced() -> None:
    labels = [case.expected for case in cases()]
    assert len(cases()) >= 60
    assert len({case.text for case in cases()}) == len(cases())
    assert set(labels) == set(LABELS)
    assert 0.4 < labels.count("positive") / len(labels) < 0.6


def test_failures_are_listed_with_their_score() -> None:
    always_positive = np.tile([0.25, 0.75], (len(cases()), 1))
    report = results(LABELS, always_positive)
    assert report.keys() == CASES.keys()
    for category, entry in report.items():
        assert entry["passed"] + len(entry["failed"]) == entry["cases"] == len(CASES[category])
        assert all(failure["expected"] == "negative" and failure["score"] == 0.75 for failure in entry["failed"])
