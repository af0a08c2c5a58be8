import pytest

from loadtests.bench import phases

MAIN = "main (/app/server/__main__.py:3)"
STEP = f"{MAIN};Engine._step (/app/server/engine/engine.py:9)"
ENDPOINT = f"{MAIN};PredictEndpoint._predict (/app/server/predict.py:130)"
UVICORN = "HttpToolsProtocol.data_received (/lib/uvicorn/protocols/http/httptools_impl.py:1)"
SAMPLES = f"""\
{STEP};OnnxBackend.run (/app/server/backend.py:4);Session.run (/lib/onnxruntime/capi/x.py:1) 30
{STEP};LaneMetrics.observe (/app/server/metrics.py:4) 5
{ENDPOINT};TextReader.encode (/app/server/tasks/readers.py:9);Tokenizer.encode (/app/models/text.py:30) 20
{ENDPOINT};Labels.answer (/app/server/tasks/answers.py:9) 5
{ENDPOINT} 10
{MAIN};Runner.run (/lib/asyncio/runners.py:118) 10
{MAIN};{UVICORN} 20
Thread._bootstrap (/lib/threading.py:1);_worker (/lib/concurrent/futures/thread.py:81) 1000
"""


def test_samples_are_sorted_by_the_innermost_frame_that_has_a_phase():
    assert phases.shares(SAMPLES) == pytest.approx(
        {
            "network": 0.3,
            "tokenizing": 0.2,
            "HTTP: uvicorn, httptools, sending": 0.2,
            "endpoint": 0.1,
            phases.REST: 0.1,
            "metrics": 0.05,
            "answer": 0.05,
        }
    )


def test_without_py_spy_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(phases, "py_spy", lambda: None)
    assert phases.record(1, 1, tmp_path / "samples") == "py-spy is not installed; pip install py-spy"
