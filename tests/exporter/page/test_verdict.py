"""The verdict says what passed, what was not run, and what is not offered and why."""

import pytest

from exporter.page.findings import Check
from exporter.page.verdict import checks, headline, outcome
from tests.exporter.page.samples import findings, invariance, speed

FOUND = findings()
SPEEDS = tuple(map(speed, ("fp32", "int8", "int8-weights", "fp16")))
PAIRS = FOUND.parity.differences
OFFERED = tuple(invariance(one.precision, 0.0) for one in SPEEDS)


def states(found: tuple[Check, ...]) -> dict[str, str]:
    return {check.name: check.state for check in found}


def test_all_checks_passed() -> None:
    found = checks(FOUND.parity, OFFERED, FOUND.metric, SPEEDS, {})
    assert states(found) == {"parity": "passed", "invariance": "passed", "metric gate": "passed"}
    assert headline(found) == "All checks passed"
    assert outcome(found) == "good"


def test_without_labelled_rows_the_gate_was_not_run() -> None:
    found = checks(FOUND.parity, OFFERED, None, SPEEDS, {})
    assert states(found)["metric gate"] == "not run"
    assert headline(found) == "Every check that was run passed; not run: metric gate"
    assert outcome(found) == "partial"


def test_only_fp32_is_said_to_agree_far_outside() -> None:
    far = FOUND.parity.model_copy(update={"far_rows": 16})
    told = checks(far, OFFERED, FOUND.metric, SPEEDS, {})[0].text
    assert told.endswith("fp32 also agrees on 16 rows far outside their range.")


def test_what_is_not_offered_has_its_reason() -> None:
    reasons = {"int8": "ONNX Runtime has no int8 kernel for GRU", "chunks": "the network reads all at once"}
    others = (OFFERED[0], *OFFERED[2:])
    found = checks(FOUND.parity, others, FOUND.metric, (SPEEDS[0], *SPEEDS[2:]), reasons)
    assert states(found)["int8"] == states(found)["chunks"] == "not offered"
    assert {check.text for check in found} >= {"ONNX Runtime has no int8 kernel for GRU."}
    assert headline(found) == "All checks passed; not offered: int8, chunks"
    assert outcome(found) == "good"


def test_a_precision_that_was_left_out_is_named_without_a_reason() -> None:
    found = checks(FOUND.parity, OFFERED[:2], FOUND.metric, SPEEDS[:2], {"fp16": "cuDNN has no such layer"})
    texts = {check.name: check.text for check in found if check.state == "not offered"}
    assert texts == {"int8-weights": "Left out when the bundle was exported.", "fp16": "CuDNN has no such layer."}


def test_a_file_that_nothing_here_can_run_was_not_run_whatever_the_reasons_say() -> None:
    shipped = (*SPEEDS[:3], speed("fp16", devices=("cuda",), milliseconds={}, sequences_per_second={}))
    found = checks(FOUND.parity, OFFERED[:3], FOUND.metric, shipped, {"fp16": "there is no GPU here"})
    assert states(found)["fp16"] == "not run"
    assert outcome(found) == "partial"


@pytest.mark.parametrize("moved", [1e-45, 0.25, float("nan"), float("inf")])
def test_what_moves_has_failed(moved: float) -> None:
    worse = invariance("int8", 0.0).model_copy(update={"threads": moved})
    found = checks(FOUND.parity, (OFFERED[0], worse), FOUND.metric, SPEEDS, {})
    assert states(found)["invariance"] == "failed"
    assert headline(found) == "Not to be published: invariance failed"
    assert outcome(found) == "bad"


def test_an_error_of_quantization_is_no_failure_of_parity() -> None:
    far = [one.model_copy(update={"largest": 5.0 if one.other == "ONNX int8" else one.largest}) for one in PAIRS]
    found = checks(FOUND.parity.model_copy(update={"differences": tuple(far)}), OFFERED, None, SPEEDS, {})
    assert states(found)["parity"] == "passed"


def test_a_comparison_may_move() -> None:
    found = checks(FOUND.parity, (*OFFERED, invariance("unpinned int8", 0.4)), FOUND.metric, SPEEDS, {})
    assert states(found)["invariance"] == "passed"


def test_a_lost_parity_and_a_refused_precision_have_failed() -> None:
    far = FOUND.parity.model_copy(update={"tolerance": 1e-12})
    refused = FOUND.metric.decisions[1].model_copy(update={"accepted": False})
    metric = FOUND.metric.model_copy(update={"decisions": (FOUND.metric.decisions[0], refused)})
    found = checks(far, OFFERED, metric, SPEEDS, {})
    assert [check.name for check in found if check.state == "failed"] == ["parity", "metric gate"]


def test_nothing_was_run_at_all() -> None:
    found = states(checks(None, (), None, (), {}))
    assert {found[name] for name in ("parity", "invariance", "metric gate")} == {"not run"}


def test_no_way_is_named_that_was_not_tried() -> None:
    whole = tuple(one.model_copy(update={"padding": None, "chunks": None}) for one in OFFERED)
    text = checks(FOUND.parity, whole, None, SPEEDS, {})[1].text
    assert text.startswith("Batch-mates, order and number of threads change the results of 96 sequences by not one bit")
