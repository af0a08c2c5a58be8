"""Whole runs: Locust, a real server, a report."""

import itertools
import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from loadtests import slo
from loadtests.__main__ import arguments
from loadtests.target import TargetFailed, running_server, stop
from tests.processes import ROOT


def run(out: Path, *flags: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "loadtests", "--out", str(out), *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def limits(folder: Path, **others: float) -> str:
    """An SLO file: the default one with `others` in every line of it."""
    text = slo.DEFAULT.read_text()
    for name, value in others.items():
        text = re.sub(rf"{name} = \d+", f"{name} = {value}", text)
    path = folder / "slo.toml"
    path.write_text(text)
    return str(path)


def test_a_run_starts_a_server_loads_it_and_leaves_a_report(tmp_path: Path) -> None:
    any_speed = limits(tmp_path, p50_ms=60_000, p99_ms=60_000, min_requests=1)
    done = run(tmp_path, "--seconds", "5", "--users", "24", "--shape", "step", "--slo", any_speed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every SLO holds" in done.stdout

    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["lines"]) == {"text", "texts", "hourly", "stock"}
    assert summary["compared_answers"] >= sum(line["requests"] for line in summary["lines"].values())
    assert summary["differing_answers"] == 0

    report = (tmp_path / "report.html").read_text()
    assert "hourly" in report
    assert not re.search(r'(src|href)="https?:', report)
    assert (tmp_path / "stats_stats.csv").read_text().startswith("Type,Name,Request Count")
    assert "Application shutdown complete" in (tmp_path / "server.log").read_text()


def test_a_server_that_does_not_start_is_said_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LSTM_MODELS", str(tmp_path))
    with pytest.raises(TargetFailed, match="no bundles"), running_server(tmp_path / "server.log"):
        pass


def test_a_server_that_does_not_end_with_0_is_said(tmp_path: Path) -> None:
    code = (
        "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(3)); "
        "print('up', flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(TargetFailed, match="ended with 3 after SIGTERM"):
            stop(process, tmp_path / "server.log")


class Moody(BaseHTTPRequestHandler):
    """A server whose every answer is right in form, and different from the one before."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    calls = itertools.count()

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        outputs = [self.answer() for _ in question["inputs"]] if isinstance(question["inputs"], list) else self.answer()
        data = json.dumps({"model": question["model"], "version": 1, "outputs": outputs}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self) -> dict:
        probability = 0.6 + next(self.calls) % 1000 / 1e9
        return {"label": "a", "score": probability, "probabilities": {"a": probability, "b": 1 - probability}}

    def log_message(self, format: str, *args: object) -> None: ...


def test_violated_limits_are_said_by_name_and_end_with_1(tmp_path: Path) -> None:
    strict = limits(tmp_path, p99_ms=0.001)
    with ThreadingHTTPServer(("127.0.0.1", 0), Moody) as moody:
        threading.Thread(target=moody.serve_forever).start()
        host = ["--host", f"http://127.0.0.1:{moody.server_port}"]
        done = run(tmp_path, *host, "--scenario", "text", "--seconds", "2", "--slo", strict)
        moody.shutdown()
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"SLO violated: text: p99_ms is [\d.]+, and has to be at most 0.001", done.stdout)
    differing = json.loads((tmp_path / "summary.json").read_text())["differing_answers"]
    assert differing > 0
    assert f"SLO violated: all: differing_answers is {differing}, and has to be at most 0" in done.stdout
    assert not (tmp_path / "server.log").exists()


def test_a_host_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    done = run(tmp_path, "--host", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "not answered alone: http://127.0.0.1:1: " in done.stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--users", "0"], "--users: 0 is too few; give 1 or more"),
        (["--host", "127.0.0.1:8000"], "host: '127.0.0.1:8000' is not a URL"),
        (["--slo", "no/such/file"], "No such file or directory: 'no/such/file'"),
    ],
)
def test_wrong_flags_are_refused_by_name(capsys: pytest.CaptureFixture, flags: list[str], told: str) -> None:
    with pytest.raises(SystemExit):
        arguments(flags)
    assert told in capsys.readouterr().err
