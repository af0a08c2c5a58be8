"""A virtual environment for each peer, made on demand: their dependencies would not get along with ours."""

import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from loadtests.bench.servers import ROOT

FOLDER = ROOT / ".venv-peers"
SHARED = ("sentencepiece>=0.2.3", "numpy>=2.2", "pydantic>=2.14")
"""What the tokenizer and the manifest need; the runtime's version is the project's own."""


class InstallFailed(Exception):
    """pip could not make the environment."""


@dataclass(frozen=True)
class Environment:
    name: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        return FOLDER / self.name / "bin" / "python"

    def ensure(self) -> None:
        """Makes it, unless it was made of the same requirements before. Raises InstallFailed."""
        wanted = "\n".join([*self.requirements, *SHARED, runtime()])
        stamp = FOLDER / self.name / "requirements.txt"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        _run(sys.executable, "-m", "venv", "--clear", str(FOLDER / self.name))
        _run(str(self.python), "-m", "pip", "install", "--quiet", *wanted.splitlines())
        stamp.write_text(wanted)


def runtime() -> str:
    """The requirement of ONNX Runtime for the CPU in pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project["optional-dependencies"]["cpu"][0]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise InstallFailed(f"{' '.join(command[:5])} … failed:\n{done.stderr.strip()[-1000:]}")
