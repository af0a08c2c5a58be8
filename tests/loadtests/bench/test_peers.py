import json

import pytest

from loadtests.bench.peers import environments
from loadtests.bench.peers.__main__ import BENTOML, MOSEC, bentoml, mosec
from loadtests.bench.peers.environments import Environment, InstallFailed


def test_environments_run_the_runtime_that_the_server_runs():
    assert environments.runtime().startswith("onnxruntime==")


def test_an_environment_is_made_once(monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(environments, "_run", lambda *command: commands.append(command))
    (tmp_path / "peer").mkdir()
    environment = Environment("peer", ("mosec==0.9.8",))
    environment.ensure()
    assert len(commands) == 2
    assert "mosec==0.9.8" in commands[1]
    environment.ensure()
    assert len(commands) == 2
    Environment("peer", ("mosec==0.9.9",)).ensure()
    assert len(commands) == 4


def test_what_keeps_pip_from_it_is_told():
    with pytest.raises(InstallFailed, match="no module named nothing"):
        environments._run("sh", "-c", "echo no module named nothing >&2; exit 1")


def test_servers_run_in_their_own_environments():
    assert mosec(32).environment == {"MOSEC_BATCH": "32"}
    assert mosec(8).command[0] == str(MOSEC.python)
    assert bentoml().command[0] == str(BENTOML.python)
    assert json.loads(bentoml().body("好")) == {"inputs": ["好"]}
