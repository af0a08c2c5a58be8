"""What `make` would do, without doing it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import ROOT


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def steps(folder: Path, *words: str) -> str:
    return subprocess.run(["make", "-n", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_another_runtime_is_installed_into_an_environment_made_anew(copy):
    installed = steps(copy, "serve")
    assert "'.[cpu]'" in installed
    stamp = copy / ".venv-serve" / ".installed-cpu"
    stamp.parent.mkdir()
    stamp.touch()
    assert "pip" not in steps(copy, "serve")
    changed = steps(copy, "serve", "RUNTIME=gpu")
    assert "venv --clear .venv-serve" in changed
    assert "'.[gpu]'" in changed
