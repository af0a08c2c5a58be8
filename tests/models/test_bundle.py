"""Bundles are read whole or not at all, and every reason is one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from models import bundle
from models.bundle import BundleError

EXACT = {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0, "sequences": 9}


def document(folder: Path, **changes: Any) -> dict[str, Any]:
    """A small valid manifest for the files that lie in `folder`."""
    file = {
        "file": "fp32.onnx",
        "bytes": 4,
        "operators": {},
        "devices": ["cpu"],
        "parity": 0.0,
        "invariance": EXACT,
        "validation": {},
        "test": {},
        "milliseconds": {},
    }
    return {
        "name": folder.parent.name,
        "version": int(folder.name),
        "schema_version": 1,
        "task": "forecast",
        "title": "t",
        "description": "d",
        "created": "2026-01-02T03:04:05Z",
        "machine": "m",
        "versions": {},
        "parameters": 1,
        "chunkable": True,
        "session": "state",
        "inputs": {"kind": "features", "features": 1},
        "outputs": {"shape": [5, 3], "quantiles": [0.1, 0.5, 0.9]},
        "steps": {"largest": 9},
        "typical_steps": 3,
        "state": [{"name": "h", "size": 1, "initial": [[1, 0.0]]}],
        "precisions": {"fp32": file},
        "preference": {"cpu": ["fp32"]},
        "gate": {"metric": "mae", "higher_is_better": False, "allowed_loss": 0.01, "relative": True},
        "figures": {},
        "baselines": {},
        "statistics": {"length_quantiles": {}},
        "licence": "MIT",
        "files": {"fp32.onnx": bundle.sha256(folder / "fp32.onnx")},
    } | changes


def bundle_at(folder: Path, content: bytes = b"onnx", **changes: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "fp32.onnx").write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(document(folder, **changes)))
    return folder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = bundle.read(bundle_at(tmp_path / "prices" / "1"))
    found.verify()
    assert (found.manifest.name, found.manifest.version) == ("prices", 1)


def test_only_numbered_folders_are_bundles(tmp_path: Path) -> None:
    for place in ("b/10", "b/9", "a/1"):
        bundle_at(tmp_path / place)
    for place in ("a/.1.old", "a/__pycache__", "c"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "manifest.json").write_text("{}")
    assert [str(folder.relative_to(tmp_path)) for folder in bundle.find(tmp_path)] == ["a/1", "b/9", "b/10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "schema_version is None, this program reads 1"),
        ('{"schema_version": 7}', "schema_version is 7, this program reads 1; export the model again"),
        ('{"schema_version": 1}', "Field required"),
    ],
)
def test_a_bad_manifest_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    folder = bundle_at(tmp_path / "prices" / "1")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=message) as raised:
        bundle.read(folder)
    assert "\n" not in str(raised.value)


def test_a_bundle_in_the_wrong_place_is_refused(tmp_path: Path) -> None:
    folder = bundle_at(tmp_path / "prices" / "1", version=2)
    with pytest.raises(BundleError, match="says prices/2, but lies in prices/1"):
        bundle.read(folder)


def test_missing_changed_and_foreign_files_are_found(tmp_path: Path) -> None:
    found = bundle.read(bundle_at(tmp_path / "prices" / "1"))
    file = found.path("fp32.onnx")
    file.write_bytes(b"other")
    with pytest.raises(BundleError, match="its sha256 is"):
        found.verify()
    file.unlink()
    with pytest.raises(BundleError, match="not in the bundle"):
        found.verify()
    outside = tmp_path / "outside.onnx"
    outside.write_bytes(b"onnx")
    file.symlink_to(outside)
    with pytest.raises(BundleError, match="not in the bundle"):
        found.verify()


def test_publishing_replaces_what_is_there(tmp_path: Path) -> None:
    target = bundle_at(tmp_path / "models" / "prices" / "1", b"old")
    staged = bundle_at(tmp_path / "prices" / "1", b"new")
    published = bundle.publish(staged, target)
    assert published.path("fp32.onnx").read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == ["1"]
    assert not staged.exists()
