"""`python -m models` tells the figures of any bundle, with or without a gate, and of one that has none."""

import subprocess
import sys
from pathlib import Path

import pytest

from models.__main__ import table
from tests.models.test_bundle import bundle_at
from tests.processes import ROOT

LOWER = {"metric": "mae", "higher_is_better": False, "allowed_loss": 0.01, "relative": True}
FIGURES = {
    "figures": {"mae_a": 2.0, "mae b": 3.0},
    "baselines": {"mae_a, ridge": 2.5, "mae_a, mean": 9.0, "mae b, mean": 2.75},
}


def rows(root: Path) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(root).splitlines()[2:]]


def test_with_a_gate_the_better_one_is_bold(tmp_path):
    bundle_at(tmp_path / "prices" / "1", gate=LOWER, **FIGURES)
    assert rows(tmp_path) == [
        ["prices/1", "mae a", "**2**", "2.5 (ridge)"],
        ["prices/1", "mae b", "3", "**2.75** (mean)"],
    ]


def test_without_a_gate_nobody_says_which_is_better(tmp_path):
    bundle_at(tmp_path / "prices" / "1", gate=None, **FIGURES)
    assert rows(tmp_path) == [
        ["prices/1", "mae a", "2", "2.5 (ridge), 9 (mean)"],
        ["prices/1", "mae b", "3", "2.75 (mean)"],
    ]


def test_figures_without_a_method_to_beat_stand_alone(tmp_path):
    bundle_at(tmp_path / "prices" / "1", gate=LOWER, figures={"mae": 2.0})
    assert rows(tmp_path) == [["prices/1", "mae", "**2**", "–"]]


@pytest.mark.parametrize("gate", [None, LOWER])
def test_a_bundle_without_figures_says_why(tmp_path, gate):
    bundle_at(tmp_path / "prices" / "1", gate=gate, reasons={"gate": "there were no labelled rows"})
    bundle_at(tmp_path / "prices" / "2", gate=gate)
    assert [row[1] for row in rows(tmp_path)] == [
        "nothing: there were no labelled rows",
        "nothing: the bundle has no figures",
    ]


def test_a_broken_bundle_is_one_sentence(tmp_path):
    folder = bundle_at(tmp_path / "prices" / "1")
    (folder / "manifest.json").write_text("{}")
    command = [sys.executable, "-m", "models", str(tmp_path)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1
    assert "schema_version is None" in found.stderr
    assert found.stderr.count("\n") == 1


def test_the_command_prints_the_shipped_models():
    command = [sys.executable, "-m", "models"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {line.split("|")[1].strip() for line in found.splitlines()[2:]} == {
        "sentiment/1",
        "forecast-hourly/1",
        "forecast-stock/1",
    }
