from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from loadtests import slo
from loadtests.sample import read as read_sample
from loadtests.slo import Figures, Limits, Objectives, evaluate

LIMITS = Limits(p50_ms=10, p99_ms=50, failure_rate=0.1, min_requests=100)
OBJECTIVES = Objectives(differing_answers=0, lines={"text": LIMITS, "hourly": LIMITS})
GOOD = Figures(requests=100, failures=10, per_second=10, p50_ms=10, p95_ms=40, p99_ms=50, max_ms=900)


def test_figures_on_the_limit_are_within_it() -> None:
    assert evaluate(OBJECTIVES, {"text": GOOD}, ["text"], differing=0) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"p50_ms": 10.5}, "text: p50_ms is 10.5, and has to be at most 10"),
        ({"p99_ms": 812}, "text: p99_ms is 812, and has to be at most 50"),
        ({"failures": 11}, "text: failure_rate is 0.11, and has to be at most 0.1"),
        ({"requests": 99, "failures": 0}, "text: min_requests is 99, and has to be at least 100"),
    ],
)
def test_each_limit_is_named_with_what_was_measured(change: dict[str, float], told: str) -> None:
    violations = evaluate(OBJECTIVES, {"text": replace(GOOD, **change)}, ["text"], differing=0)
    assert list(map(str, violations)) == [told]


def test_several_violated_limits_are_all_named() -> None:
    bad = Figures(requests=2, failures=2, per_second=1, p50_ms=11, p95_ms=60, p99_ms=60, max_ms=60)
    violations = evaluate(OBJECTIVES, {"text": bad}, ["text"], differing=3)
    names = [violation.limit for violation in violations]
    assert names == ["min_requests", "p50_ms", "p99_ms", "failure_rate", "differing_answers"]


def test_a_line_without_a_single_request_is_a_violation() -> None:
    violations = evaluate(OBJECTIVES, {"text": GOOD}, ["text", "hourly"], differing=0)
    assert [str(violation) for violation in violations] == ["hourly: min_requests is 0, and has to be at least 100"]


def test_lines_that_the_run_does_not_have_are_not_missed() -> None:
    assert evaluate(OBJECTIVES, {"hourly": GOOD}, ["hourly"], differing=0) == []


def test_a_line_without_limits_is_an_error_of_the_file() -> None:
    with pytest.raises(ValueError, match=r"no limits for stock; add a table \[lines\.stock\]"):
        evaluate(OBJECTIVES, {"stock": GOOD}, [], differing=0)


def test_figures_of_no_requests_have_no_failure_rate() -> None:
    assert replace(GOOD, requests=0, failures=0).failure_rate == 0


figures = st.builds(
    Figures,
    requests=st.integers(0, 1000),
    failures=st.integers(0, 1000),
    per_second=st.floats(0, 1000),
    p50_ms=st.floats(0, 100),
    p95_ms=st.floats(0, 100),
    p99_ms=st.floats(0, 100),
    max_ms=st.floats(0, 100),
)


@given(figures, st.sampled_from(["p50_ms", "p99_ms", "failure_rate"]), st.floats(0.001, 1))
def test_a_wider_limit_never_adds_a_violation(measured: Figures, name: str, more: float) -> None:
    wide = LIMITS.model_copy(update={name: getattr(LIMITS, name) + more})

    def violated(limits: Limits) -> set[str]:
        objectives = Objectives(differing_answers=0, lines={"text": limits})
        return {violation.limit for violation in evaluate(objectives, {"text": measured}, ["text"], differing=0)}

    assert violated(wide) <= violated(LIMITS)


@given(figures, st.integers(0, 5), st.integers(0, 5))
def test_passing_means_that_every_limit_holds(measured: Figures, differing: int, accepted: int) -> None:
    objectives = Objectives(differing_answers=accepted, lines={"text": LIMITS})
    within = (
        measured.requests >= LIMITS.min_requests
        and measured.p50_ms <= LIMITS.p50_ms
        and measured.p99_ms <= LIMITS.p99_ms
        and measured.failure_rate <= LIMITS.failure_rate
        and differing <= accepted
    )
    assert (evaluate(objectives, {"text": measured}, ["text"], differing) == []) is within


def test_the_default_file_has_limits_for_every_kind_of_request_and_takes_no_wrong_answer() -> None:
    objectives = slo.read()
    assert set(objectives.lines) == set(read_sample())
    assert objectives.differing_answers == 0
    assert all(limits.failure_rate == 0 for limits in objectives.lines.values())


def test_a_misspelt_limit_is_refused_by_name(tmp_path) -> None:
    file = tmp_path / "slo.toml"
    file.write_text(slo.DEFAULT.read_text().replace("p99_ms", "p99_seconds", 1))
    with pytest.raises(ValidationError, match=r"lines\.text\.p99_seconds"):
        slo.read(file)
