"""A server starts with whole bundles only, and says in one sentence what is wrong with any other."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter import sign
from models import integrity
from models.bundle import BundleError, sha256
from server.registry import load_all
from server.settings import Settings
from server.supervisor import STARTUP_FAILED
from tests.models.networks import external_model
from tests.processes import ROOT, serving

Damage = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle that may be changed, in a folder of models of its own."""
    return Path(shutil.copytree(ROOT / "models" / "forecast-stock" / "1", tmp_path / "models" / "forecast-stock" / "1"))


def said(folder: Path, **chosen: object) -> str:
    """Why nothing is loaded from this bundle's folder of models, in one sentence."""
    with pytest.raises(BundleError) as refused:
        load_all(Settings(models=folder.parent.parent, **chosen), "cpu")
    message = str(refused.value)
    assert "\n" not in message
    assert message.startswith(str(folder)) or chosen
    return message


def edited(folder: Path, **changes: object) -> dict:
    path = folder / "manifest.json"
    document = json.loads(path.read_bytes()) | changes
    path.write_text(json.dumps(document))
    return document


def reseal(folder: Path, **changes: object) -> None:
    """As somebody does who knows how the digest is made."""
    edited(folder, digest=integrity.digest(edited(folder, **changes)))


def with_network(folder: Path, data: bytes) -> None:
    (folder / "fp32.onnx").write_bytes(data)
    listed = json.loads((folder / "manifest.json").read_bytes())["files"]
    reseal(folder, files=listed | {"fp32.onnx": sha256(folder / "fp32.onnx")})


def change_a_byte(folder: Path) -> None:
    data = bytearray((folder / "int8.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "int8.onnx").write_bytes(data)


def move_out(folder: Path) -> None:
    (folder / "fp32.onnx").rename(folder.parent / "fp32.onnx")
    (folder / "fp32.onnx").symlink_to(folder.parent / "fp32.onnx")


REFUSALS: dict[str, tuple[Damage, str]] = {
    "a changed byte": (change_a_byte, "int8.onnx: its sha256 is "),
    "a missing file": (lambda folder: (folder / "card.md").unlink(), "card.md: listed in manifest.json but not in the"),
    "a link that leaves": (move_out, "fp32.onnx: listed in manifest.json but not in the bundle"),
    "an older schema": (lambda folder: reseal(folder, schema_version=1), "schema_version is 1, this program reads "),
    "an edited manifest": (lambda folder: edited(folder, title="Better"), "it was edited"),
    "a broken manifest": (lambda folder: (folder / "manifest.json").write_text("{"), "not valid JSON"),
    "data that leave": (
        lambda folder: with_network(folder, external_model("../../w.bin")),
        "has data in '../../w.bin'",
    ),
    "data not listed": (
        lambda folder: with_network(folder, external_model("w.bin")),
        "has data in 'w.bin', which is not",
    ),
    "no network": (lambda folder: with_network(folder, b"<html>"), "fp32.onnx: not an ONNX file ("),
}


@pytest.mark.parametrize("damage", REFUSALS)
def test_a_damaged_bundle_is_refused(folder: Path, damage: str) -> None:
    act, reason = REFUSALS[damage]
    act(folder)
    assert reason in said(folder)


def test_a_refusal_ends_the_program_with_one_error(folder: Path) -> None:
    change_a_byte(folder)
    command = [sys.executable, "-m", "server", "--port", "0", "--models", str(folder.parent.parent)]
    result = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == STARTUP_FAILED
    assert "Traceback" not in result.stderr
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert next(line["message"] for line in lines if line["level"] == "error") == said(folder)


def test_with_trusted_keys_only_signed_bundles_are_served(folder: Path, tmp_path: Path) -> None:
    ours, theirs = (sign.new_key(tmp_path / f"{name}.pem") for name in ("ours", "theirs"))
    assert "not signed" in said(folder, trusted_keys=ours)
    sign.sign(folder, tmp_path / "theirs.pem")
    assert "no trusted key made this signature" in said(folder, trusted_keys=ours)
    assert "there is no file *.pem" in said(folder, trusted_keys=folder)
    (folder / "notes.txt").write_text("a file that nobody listed is never opened, so it does no harm")
    with serving("--models", str(folder.parent.parent), environment={"LSTM_TRUSTED_KEYS": str(theirs)}) as server:
        assert len(server.logged("loaded")) == 1
