import json

import pytest

from loadtests.bench import __main__ as bench
from loadtests.bench import failures, goals, report
from loadtests.bench.page import page


def server(rate: float, p99: float, cpu: float, acceptors: int = 1) -> dict:
    at = {"per_second": rate, "p50_ms": p99 / 2, "p99_ms": p99, "cpu_microseconds": cpu, "splits": [[20, 12]]}
    at["rounds"] = [{"p99_ms": p99 * factor} for factor in (0.5, 1, 3)]
    return {
        **{"acceptors": acceptors, "best_per_second": rate, "of_floor": rate / 1000, "cpu_microseconds": cpu},
        **{"pss_bytes": 100 * 2**20, "ready_seconds": 0.7, "failures": 0, "compared": 50, "differing": 0},
        "connections": {1: at | {"per_second": rate / 2}, 32: at},
    }


@pytest.fixture
def result() -> dict:
    rates = {"per_second": 1000.0, "of_floor": 1.0, "cpu_microseconds": 1000.0}
    point = {"share": 0.5, "offered": 100.0, "p50_ms": 1.0, "p90_ms": 1.5, "p99_ms": 1.9, "late_p99_ms": 0.1}
    point |= {"p99_rounds_ms": [1.8, 7.5, 1.2], "failed": 0, "unanswered": 12}
    few = point | {"share": 0.1, "p99_ms": None, "late_p99_ms": None}
    beside = {"per_second": 95.0, "in_process_per_second": 100.0, "ratio": 0.95, "failures": 0}
    beside |= {"cpu_microseconds": 10.0, "in_process_microseconds": 9.0}
    ours = {goals.OURS_1: server(2500, 5, 100), goals.OURS_2: server(4000, 7, 105, 2)}
    return {
        "machine": {
            **{"processor": "A", "cores": 2, "flags": ["avx2"], "kernel": "6", "python": "3.11"},
            **{"packages": {"onnxruntime": "1"}, "date": "2026-01-02T03:04:05+00:00"},
        },
        **{"floor": rates, "engine": rates | {"of_floor": 2.9}, "servers": ours},
        "curves": {goals.OURS_2: [few, point]},
        "mixture": {
            **{"offered": 10.0, "short_p99_ms": {"with_long": 2.0, "without": 1.0, "equal_load": 1.5}},
            "short_p99_rounds_ms": {"with_long": [1.9, 2.1], "without": [0.9, 1.1], "equal_load": [1.4, 1.6]},
            **{"short_ratio": 2.0, "long_p99_ms": None, "long_p99_rounds_ms": [8.0, 9.5], "long_alone_ms": 2.0},
            **{"long_ratio": None, "late_p99_ms": 0.2, "failed": 0, "unanswered": 3},
        },
        "lists": beside,
        "hourly": beside,
        "phases": {"cpu_microseconds": 100.0, "shares": {"network": 0.6, "HTTP": 0.4}},
    }


def test_goals_say_what_holds(result):
    found = {goal.what: goal for goal in goals.goals(result)}
    assert found["one text a request, 2 workers, of the floor"].holds
    assert not found["p99 at 32 connections, saturated, 2 workers, ms"].holds
    assert found["p99 at half load, open loop, 2 workers, ms"].measured == 1.9
    assert found["CPU time a request, 2 workers of 1"].measured == 1.05
    assert not found["short texts beside 5 % long ones, p99 of without"].holds
    assert "the same, 2 workers, of the best mosec" not in found
    assert "long texts there, p99 of the time alone" not in found


def row(text: str, start: str) -> list[str]:
    """The cells of the one row that starts so."""
    (found,) = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_a_p99_stands_beside_the_range_of_the_rounds_or_is_left_out_of_too_few_answers(result):
    text = report.text(result)
    assert row(text, "ours, 2 workers | 50%")[3:] == ["1", "1.5", "1.9", "1.2–7.5", "0.1", "0", "12"]
    assert row(text, "ours, 2 workers | 10%")[3:] == ["1", "1.5", "–", "–", "–", "0", "12"]
    assert row(text, "short texts, p99 beside")[1:] == ["2", "1.9–2.1"]
    assert row(text, "long texts, p99")[1:] == ["–", "–"]


def test_failures_of_ours_are_said_and_end_with_1(result, capsys):
    result["servers"]["tutorial"] = server(1, 1, 1) | {"failures": 5}
    result["curves"]["tutorial"] = [result["curves"][goals.OURS_2][0] | {"failed": 5}]
    assert bench.exit_code(result) == 0
    result["servers"][goals.OURS_1] |= {"failures": 1, "differing": 2}
    result["curves"][goals.OURS_2][1]["failed"] = result["mixture"]["failed"] = 1300
    assert bench.exit_code(result) == 1
    assert capsys.readouterr().err.splitlines() == [
        "1 request to 'ours, 1 worker' failed in the closed loop",
        "2 of 50 answers of 'ours, 1 worker' under load differ from alone",
        "1,300 requests to 'ours, 2 workers' failed in the open loop at 50% load",
        "1,300 requests failed in the part 'mixture'",
    ]
    text = report.text(result)
    assert row(text, "ours, 2 workers | 50%")[-2:] == ["1,300", "12"]
    assert row(text, "failed")[1] == "1,300"
    assert not list(failures.of({"servers": {}}))


def test_peers_join_the_report_and_the_goals(result):
    result["peers"] = {key: result[key] for key in ("machine", "floor", "engine")}
    result["peers"]["servers"] = {"mosec, batches of 8": server(2000, 8, 200), goals.OURS_2: server(4200, 5, 100, 2)}
    found = {goal.what: goal for goal in goals.goals(result)}
    assert found["the same, 2 workers, of the best mosec"].measured == 2.1
    assert "mosec, batches of 8" in report.text(result)


def test_the_report_is_the_same_after_json(result):
    assert report.text(json.loads(json.dumps(result))) == report.text(result)
    assert "| network" in report.text(result)
    assert "20 (20–20)" in report.text(result)


def test_the_closed_loops_p99_stands_beside_the_range_of_its_rounds(result):
    assert "3.5 / 7 (3.5–21)" in report.text(result)


def test_the_page_has_its_pictures_inside(result):
    document = page(result)
    assert document.count("<svg") == 3
    assert "<script" not in document
    assert 'src="http' not in document
    result["phases"] = {"problem": "py-spy is not installed"}
    assert page(result).count("<svg") == 2
    assert "was not measured: py-spy" in page(result)
