import json
import os
import shutil

import pytest

from loadtests.bench import __main__ as bench
from loadtests.bench import wrk
from loadtests.bench.servers import ceiling, running

FIGURES = '{"requests": 10, "seconds": 2.0, "p50_ms": 1, "p99_ms": 2, "bad_status": 1, "broken": 2}'


def test_figures_are_the_last_line():
    load = wrk.read(f"Running 2s test\n  10 requests\n{FIGURES}\n")
    assert load.per_second == 5
    assert load.failures == 3


@pytest.mark.parametrize("output", ["", "unable to connect", "{}", "[1]"])
def test_wrk_without_figures(output):
    with pytest.raises(wrk.WrkFailed, match="wrk ended without figures"):
        wrk.read(output)


def test_missing_wrk_is_said_in_one_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bench.main(["--quick", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        "wrk is not installed, and the load comes from it: apt-get install wrk, then run this again\n"
    )


@pytest.mark.skipif(shutil.which("wrk") is None and not os.environ.get("CI"), reason="wrk is not installed")
def test_the_script_sends_the_bodies(tmp_path):
    server = ceiling(1)
    bodies = server.write_bodies(["a", "好 \"quoted\" 'text'"], tmp_path)
    halves = []
    with running(server, tmp_path) as found:
        load = wrk.run(found.url, bodies, 2, 1, lambda: halves.append(1))
    assert halves == [1]
    assert load.requests > 100
    assert load.failures == 0
    assert [json.loads(line)["inputs"] for line in bodies.read_text().splitlines()] == ["a", "好 \"quoted\" 'text'"]
