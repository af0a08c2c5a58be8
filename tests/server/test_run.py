"""The process: how it starts, what it refuses, how it stops."""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from urllib.parse import urlsplit

import httpx
import pytest

from tests.processes import ROOT, ServerProcess, serving
from tests.server.test_app import value as figure


async def under_load_until_it_stops(server: ServerProcess) -> tuple[list[httpx.Response], list[int]]:
    """(all answers, what readiness said) while SIGTERM comes in the middle, and callers stay away once it is off."""
    answers: list[httpx.Response] = []
    readiness: list[int] = []
    body = {"inputs": ["good " * 60] * 16}

    async def ask(client: httpx.AsyncClient) -> None:
        while 503 not in readiness:
            answers.append(await client.post("/predict", json=body))

    async def look(client: httpx.AsyncClient) -> None:
        while 503 not in readiness:
            readiness.append((await client.get("/health/ready")).status_code)
            await asyncio.sleep(0.02)

    async with httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        tasks = [asyncio.create_task(ask(client)) for _ in range(8)] + [asyncio.create_task(look(client))]
        while len(answers) < 8 or not readiness:
            await asyncio.sleep(0.01)
        server.terminate()
        await asyncio.gather(*tasks)
    return answers, readiness


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_turns_readiness_off_and_everybody_is_answered_until_callers_stay_away(workers):
    """They stay away as soon as they see it; a second signal then says that nobody needs to be waited for."""
    with serving("--workers", workers, "--drain-seconds", "250") as server:
        answers, readiness = asyncio.run(under_load_until_it_stops(server))
        server.terminate()
        assert server.wait() == 0
        assert {answer.status_code for answer in answers} == {200}
        assert len(answers) > 8
        assert readiness[0] == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/health/live")


def takes_connections(host: str, port: int) -> bool:
    with suppress(ConnectionError), socket.create_connection((host, port), timeout=10):
        return True
    return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_request_that_is_half_sent_when_the_sockets_close_is_answered(workers):
    body = b'{"inputs": "good"}'
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    patient = ("--shutdown-seconds", "120", "--timeout-ms", "120000")
    with serving("--workers", workers, "--drain-seconds", "0.2", *patient) as server:
        place = urlsplit(server.url)
        with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
            connection.sendall(head + b"expect: 100-continue\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # so that a worker has the head
            connection.sendall(body[:5])
            server.terminate()
            while takes_connections(place.hostname, place.port):
                time.sleep(0.05)
            connection.sendall(body[5:])
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert server.wait() == 0


def test_a_second_signal_stops_without_waiting():
    with serving("--drain-seconds", "60") as server:
        server.terminate()
        while httpx.get(f"{server.url}/health/ready").status_code != 503:
            time.sleep(0.02)
        server.terminate()
        assert server.wait() == 0


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("milliseconds", [0, 50, 300])
def test_sigterm_during_start_up_ends_it_with_0(workers, milliseconds):
    server = ServerProcess("--workers", workers, "--drain-seconds", "0")
    try:
        while not server.logged("starting"):
            time.sleep(0.001)
        time.sleep(milliseconds / 1000)
        server.terminate()
        assert server.wait() == 0, server.raw
    finally:
        server.close()


def test_a_worker_that_dies_gets_a_successor():
    with serving("--workers", "2") as server:
        wait_for_started(server, 2)
        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_for_started(server, 3)
        assert server.logged("a worker died, another takes its place")[0]["pid"] == victim
        with httpx.Client(base_url=server.url, headers={"connection": "close"}, timeout=30) as client:
            for _ in range(10):
                assert client.post("/predict", json={"inputs": "good"}).status_code == 200
            assert figure(client.get("/metrics").text, "lstm_model_workers", model="sentiment/1") == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_says_that_it_is_ready_once_and_after_the_models(workers):
    with serving("--workers", workers, "--host", "::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/health/live").status_code == 200
        wait_for_started(server, int(workers))
        said = [line["message"] for line in server.log]
        (place,) = [place for place, message in enumerate(said) if message.startswith("ready")]
        assert said[place] == f"ready: 3 models, open {server.url}/docs"
        assert said[: said.index("listening")].count("loaded") >= 3
        assert said.count("listening") == 1


def wait_for_started(server: ServerProcess, workers: int) -> None:
    """Until so many workers have ever started."""
    deadline = time.monotonic() + 120
    while len(server.logged("Application startup complete.")) < workers:
        assert time.monotonic() < deadline, server.raw
        time.sleep(0.05)


def refusal(*flags: str, **environment: str) -> str:
    """What a server says that does not start."""
    command = [sys.executable, "-m", "server", "--port", "0", *flags]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    assert "listening" not in result.stderr
    return result.stderr


def test_cuda_without_cuda_is_refused_in_one_sentence():
    lines = [json.loads(line) for line in refusal("--device", "cuda").splitlines() if line.startswith("{")]
    first = next(line for line in lines if line["level"] == "error")
    assert first["message"].startswith("device is 'cuda', but ")


def test_without_a_temporary_folder_it_refuses_in_one_sentence():
    program = (
        "import tempfile, sys; tempfile.tempdir = '/proc/none'; from server.__main__ import main; sys.exit(main([]))"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("no temporary folder")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_defect_while_models_are_loaded_ends_the_program(workers):
    """It would live on without models otherwise, and never be ready."""
    program = (
        "import os, sys; os.environ['PROMETHEUS_MULTIPROC_DIR'] = sys.argv[1]; from server import run, service\n"
        "from server.settings import Settings\n"
        "def load(*_): raise RuntimeError('boom')\n"
        "service.load_all = load; sys.exit(run.run(Settings(port=0, workers=int(sys.argv[2]))))"
    )
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", program, folder, workers]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 3
    said = [json.loads(line) for line in result.stderr.splitlines()]
    (defect,) = [line for line in said if "RuntimeError: boom" in line.get("exception", "")][:1]
    assert defect["level"] == "error"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_folder_without_bundles_is_refused(tmp_path, workers):
    assert "no bundles" in refusal("--models", str(tmp_path), "--workers", workers)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--port", "70000"), "--port"),
        (("--slots", "many"), "--slots"),
        (("--device", "tpu"), "--device"),
        (("--nonsense", "1"), "nonsense"),
    ],
)
def test_a_wrong_flag_is_named(flags, said):
    assert said in refusal(*flags)


def test_a_changed_byte_is_refused_by_the_name_of_its_file(tmp_path):
    folder = tmp_path / "sentiment" / "1"
    shutil.copytree(ROOT / "models" / "sentiment" / "1", folder)
    file = next(folder.glob("*int8*"))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    said = refusal("--models", str(tmp_path))
    assert file.name in said
    assert "sha256" in said


def test_an_occupied_port_is_refused_in_one_sentence(server):
    said = refusal("--port", server.url.rsplit(":", 1)[1])
    assert "in use" in said


def test_settings_come_from_flags_before_environment_before_file(tmp_path):
    (tmp_path / "server.toml").write_text('slots = 5\nchunk_ms = 0.5\nlog_level = "warning"\n')
    program = "import sys; from server import settings as s; c = s.load(sys.argv[1:]); "
    program += "print(c.slots, c.chunk_ms, c.log_level)"
    command = [sys.executable, "-c", program, "--slots", "7"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "LSTM_CHUNK_MS": "0.25", "LSTM_SLOTS": "9"}
    result = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["7", "0.25", "warning"]


def test_a_list_that_never_fits_into_the_queue_is_refused_at_the_start():
    assert "max_items 256" in refusal("--queue-limit", "4")


def test_a_file_of_settings_that_cannot_be_read_is_named(tmp_path):
    assert "no such file" in refusal(LSTM_CONFIG=str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_text("port = ")
    assert "broken.toml: " in refusal(LSTM_CONFIG=str(broken))
    broken.write_text("slots = 3\nworker = 4")
    assert refusal(LSTM_CONFIG=str(broken)) == f"{broken}: worker is no setting; did you mean workers?\n"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["--slots", "many"], {"LSTM_SLOTS": "few"}, "--slots: "),
        (["--slots=many"], {}, "--slots: "),
        ([], {"LSTM_SLOTS": "few"}, "LSTM_SLOTS: "),
        ([], {}, "slots in {file}: "),
        ([], {"LSTM_PORT": "tcp://10.0.0.1:8000"}, "port in {file}: "),
    ],
)
def test_a_wrong_value_is_said_to_come_from_where_it_came(monkeypatch, tmp_path, capsys, arguments, environment, said):
    from server.__main__ import main

    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_: None)  # this process is to keep its own
    file = tmp_path / "server.toml"
    file.write_text('slots = "some"\nport = "some"\n' if "LSTM_PORT" in environment else 'slots = "some"\n')
    for name, value in {"LSTM_CONFIG": str(file), **environment}.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(said.format(file=file))


def test_what_looks_like_a_setting_is_warned_of_in_the_log():
    link = "tcp://10.0.0.1:8000"  # of a Service called lstm, put there by Kubernetes
    lines = refusal("--models", "/none", LSTM_WORKER="2", LSTM_PORT=link).splitlines()
    warnings = [line["message"] for line in map(json.loads, lines) if line["level"] == "warning"]
    assert warnings[0].startswith(f"LSTM_PORT is {link}: Kubernetes")
    assert "enableServiceLinks: false" in warnings[0]
    assert warnings[1] == "LSTM_WORKER is no setting; did you mean LSTM_WORKERS?"


def test_a_port_from_kubernetes_leaves_the_one_that_was_chosen(monkeypatch, tmp_path):
    from server import settings

    monkeypatch.setenv("LSTM_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("LSTM_SLOTS", "5")
    monkeypatch.setenv("LSTM_CONFIG", str(tmp_path / "server.toml"))
    (tmp_path / "server.toml").write_text("port = 81\n")
    assert (settings.load([]).port, settings.load([]).slots) == (81, 5)
    assert settings.load(["--port", "82"]).port == 82
    monkeypatch.setenv("LSTM_PORT", "83")
    assert settings.load([]).port == 83


def test_no_name_for_the_file_of_settings_means_the_default_one(monkeypatch, tmp_path):
    from server import settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LSTM_CONFIG", "")
    (tmp_path / "server.toml").write_text("slots = 5\n")
    assert settings.load([]).slots == 5
    assert settings.source("slots", []) == "slots in server.toml"


def test_help_shows_every_setting_with_its_default():
    from server.settings import Settings

    command = [sys.executable, "-m", "server", "--help"]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in Settings.model_fields:
        assert f"--{name.replace('_', '-')}" in text
    assert "--port NUMBER" in text
    assert "--models PATH" in text
    assert not re.search(r" (int|str|float|Path)\b| null|None|^    Flags", text, re.M)


def test_the_server_never_imports_torch_or_onnx():
    program = "import sys, server.run, server.app; print({'torch', 'onnx', 'training', 'exporter'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"
