"""Bundles are read whole or not at all, and every reason is one sentence."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as some

from models import bundle, integrity
from models.bundle import BundleError
from tests.models.networks import external_model
from tests.processes import ROOT

EMPTY_GRAPH = b":\0"
"""The smallest ONNX file: a model whose graph is empty."""
EXACT = {"batch": 0.0, "padding": 0.0, "chunks": 0.0, "threads": 0.0, "sequences": 9}


def document(folder: Path, **changes: Any) -> dict[str, Any]:
    """A small valid manifest, sealed, for the files that lie in `folder`."""
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
    made = {
        "name": folder.parent.name,
        "version": int(folder.name),
        "schema_version": 2,
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
    return {"digest": integrity.digest(made)} | made


def bundle_at(folder: Path, content: bytes = EMPTY_GRAPH, **changes: Any) -> Path:
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


MANIFEST_NOWHERE = "d/<version>/manifest.json is expected, but the manifest is nowhere in it"
MANIFEST_TOO_HIGH = "c/<version>/manifest.json is expected, but the manifest lies one level too high"


def test_what_was_probably_meant_to_be_a_bundle_is_named(tmp_path: Path) -> None:
    bundle_at(tmp_path / "a" / "1")
    for place in ("a/v2", "a/2", "a/.3.old", "a/notes", "c", "d/notes", "__pycache__", ".git/objects"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
    for place in ("a/v2", "c"):
        (tmp_path / place / "manifest.json").write_text("{}")
    (tmp_path / "a.py").write_text("")
    found = {str(folder.relative_to(tmp_path)): why for folder, why in bundle.ignored(tmp_path)}
    assert found == {
        "a/2": "it has no manifest.json",
        "a/v2": "a version's folder has a whole number for a name",
        "c": MANIFEST_TOO_HIGH,
        "d": MANIFEST_NOWHERE,
    }
    assert list(bundle.ignored(ROOT / "models")) == []


def test_why_there_is_no_bundle_is_said(tmp_path: Path) -> None:
    bundle_at(tmp_path / "models" / "a" / "1")
    (tmp_path / "other" / "d").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    said = {
        place: bundle.why_none(tmp_path / place)
        for place in ("models/a", "models/a/1", "none", "file", "other/d", "other")
    }
    assert said == {
        "models/a": f"these are the versions of one model; the folder of bundles is {tmp_path / 'models'}",
        "models/a/1": f"this is one bundle; the folder of bundles is {tmp_path / 'models'}",
        "none": "there is no such folder",
        "file": "this is a file, not a folder of bundles",
        "other/d": "there are no bundles (<name>/<version>/manifest.json) in it",
        "other": f"there are no bundles (<name>/<version>/manifest.json) in it; d is ignored: {MANIFEST_NOWHERE}",
    }
    for place in said:
        assert list(bundle.find(tmp_path / place)) == []


@pytest.mark.parametrize("problem", [(13, "Permission denied"), (5, "Input/output error")])
def test_a_folder_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: tuple[int, str]
) -> None:
    """A model's is not passed over: all its versions would be missing."""
    folders = [bundle_at(tmp_path / place) for place in ("a/1", "closed/1", "z/1")]
    (tmp_path / "lost+found").mkdir()
    listed = Path.iterdir

    def iterdir(folder: Path) -> Iterator[Path]:
        if folder.name in shut:
            raise OSError(*problem, str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    shut = {"lost+found"}
    assert list(bundle.find(tmp_path)) == folders
    assert list(bundle.ignored(tmp_path)) == [(tmp_path / "lost+found", f"it cannot be read ({problem[1]})")]
    shut = {"closed"}
    with pytest.raises(BundleError, match=rf"closed: cannot be read \({problem[1]}\); give the user"):
        list(bundle.find(tmp_path))
    shut = {tmp_path.name}
    assert list(bundle.find(tmp_path)) == []
    assert bundle.why_none(tmp_path).startswith(f"the folder cannot be read ({problem[1]}); give the user")


def test_a_version_whose_manifest_may_not_be_seen_is_no_missing_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an older version would be served without a word."""
    folder = bundle_at(tmp_path / "a" / "2")
    looked_at = Path.stat

    def stat(path: Path, **how: Any) -> Any:
        if path.name == "manifest.json":
            raise PermissionError(13, "Permission denied", str(path))
        return looked_at(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    assert list(bundle.find(tmp_path)) == [folder]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "schema_version is None, this program reads 2"),
        ('{"schema_version": 7}', "schema_version is 7, this program reads 2; export the model again"),
        ('{"schema_version": 2}', "it has no digest, but that of its content is"),
        ('{"schema_version": 2, "digest": 5}', "its digest is 5, but that of its content is"),
        (json.dumps({"schema_version": 2, "digest": integrity.digest({"schema_version": 2})}), "Field required"),
        ('{"figure": NaN}', "not valid JSON"),
        ('{"figure": 1e999}', "not valid JSON"),
        ('{"name": "\\ud800"}', "not valid JSON"),
        ("[" * 100_000, "nested too deeply"),
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
    outside.write_bytes(EMPTY_GRAPH)
    file.symlink_to(outside)
    with pytest.raises(BundleError, match="not in the bundle"):
        found.verify()


@pytest.mark.parametrize("shipped", sorted(path.parent for path in ROOT.glob("models/*/*/manifest.json")), ids=str)
def test_no_field_of_a_shipped_manifest_can_be_edited(tmp_path: Path, shipped: Path) -> None:
    """Every field in turn, at every depth, is left out, emptied and changed."""
    folder = tmp_path / shipped.parent.name / shipped.name
    folder.mkdir(parents=True)
    intact = json.loads((shipped / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(intact, indent=4, sort_keys=True))
    assert bundle.read(folder).manifest == bundle.read(shipped).manifest, "spaces and order are no edit"
    for edited in edits(intact):
        (folder / "manifest.json").write_text(json.dumps(edited))
        with pytest.raises(BundleError, match=r"it was edited|schema_version is"):
            bundle.read(folder)


def edits(value: Any) -> Iterator[Any]:
    """Copies of a document, each with one difference."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            yield from (value | {key: edited} for edited in edits(inner))
    elif isinstance(value, list) and value:
        yield value[1:]
        yield from ([edited, *value[1:]] for edited in edits(value[0]))
    else:
        yield "other"


@given(some.binary(max_size=300), some.integers(0, 1500), some.integers(0, 40))
@example(b"\xff", 0, 0)
@example(b'{"a\nb": 1}', 0, 10_000)
def test_a_damaged_manifest_is_read_or_refused_in_one_line(written: bytes, at: int, removed: int) -> None:
    with TemporaryDirectory() as place:
        folder = bundle_at(Path(place) / "prices" / "1")
        data = (folder / "manifest.json").read_bytes()
        damaged = data[:at] + written + data[at + removed :]
        (folder / "manifest.json").write_bytes(damaged)
        reason = why_refused(folder)
        assert "\n" not in reason
        assert len(reason) < 400
        assert reason or json.loads(damaged) == json.loads(data)


def why_refused(folder: Path) -> str:
    """Empty if it is read."""
    try:
        bundle.read(folder)
    except BundleError as error:
        return str(error)
    return ""


def test_a_network_that_reads_other_files_is_refused_unless_they_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "prices" / "1"
    reads = external_model("weights.bin")
    found = bundle.read(bundle_at(folder, reads))
    with pytest.raises(BundleError, match=r"has data in 'weights\.bin', which is not among the files"):
        found.verify()
    (folder / "weights.bin").write_bytes(b"1234")
    listed = {name: bundle.sha256(folder / name) for name in ("fp32.onnx", "weights.bin")}
    (folder / "manifest.json").write_text(json.dumps(document(folder, files=listed)))
    bundle.read(folder).verify()
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(BundleError, match="not in the bundle"):
        bundle.read(folder).verify()


def test_bytes_that_are_no_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"fp32\.onnx: not an ONNX file \(.*\); export the model again"):
        bundle.read(bundle_at(tmp_path / "prices" / "1", b"<html>")).verify()


def test_files_that_nobody_listed_are_named_and_harmless(tmp_path: Path) -> None:
    folder = bundle_at(tmp_path / "prices" / "1")
    (folder / "notes.txt").write_text("mine")
    (folder / "manifest.sig").write_bytes(b"")
    found = bundle.read(folder)
    found.verify()
    assert found.unlisted() == ["notes.txt"]


def test_publishing_replaces_what_is_there_on_demand(tmp_path: Path) -> None:
    target = bundle_at(tmp_path / "models" / "prices" / "1", title="old")
    staged = bundle_at(tmp_path / "prices" / "1", title="new")
    with pytest.raises(BundleError, match=r"prices/1: there is already a bundle; take .*, or give --overwrite$"):
        bundle.publish(staged, target)
    assert bundle.read(target).manifest.title == "old"
    published = bundle.publish(staged, target, overwrite=True)
    assert published == bundle.read(target)
    assert published.manifest.title == "new"
    assert [path.name for path in target.parent.iterdir()] == ["1"]
    assert not staged.exists()


@pytest.mark.parametrize("fault", [OSError(18, "Invalid cross-device link"), KeyboardInterrupt()])
@pytest.mark.parametrize("moved_aside", [True, False])
def test_a_bundle_that_cannot_be_moved_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: BaseException, moved_aside: bool
) -> None:
    def refuse(self: Path, target: Path) -> Path:
        if moved_aside and self == staged:
            raise fault
        found = rename(self, target)
        if not moved_aside and target.name == ".1.old":
            raise fault
        return found

    target = bundle_at(tmp_path / "models" / "prices" / "1", title="old")
    staged = bundle_at(tmp_path / "prices" / "1", title="new")
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(type(fault)):
        bundle.publish(staged, target, overwrite=True)
    assert bundle.read(target).manifest.title == "old"
    assert [path.name for path in target.parent.iterdir()] == ["1"]


def test_what_a_killed_export_put_aside_comes_back(tmp_path: Path) -> None:
    target = bundle_at(tmp_path / "models" / "prices" / "1", title="old")
    target.rename(target.with_name(".1.old"))
    staged = bundle_at(tmp_path / "prices" / "1", title="new")
    with pytest.raises(BundleError, match="there is already a bundle"):
        bundle.publish(staged, target)
    assert bundle.read(target).manifest.title == "old"


@pytest.mark.parametrize("place", ["none/1", "prices", "prices/1/fp32.onnx"])
def test_what_is_no_bundle_is_not_called_unreadable(tmp_path: Path, place: str) -> None:
    bundle_at(tmp_path / "prices" / "1")
    with pytest.raises(BundleError, match=r"there is no such file; name the folder of one version, models/NAME/VERS"):
        bundle.read(tmp_path / place)


@pytest.mark.parametrize("fault", [{"version": 2}, {"files": {"fp32.onnx": "0" * 64}}, {"digest": "0" * 64}])
def test_a_wrong_bundle_is_not_published(tmp_path: Path, fault: dict[str, Any]) -> None:
    target = bundle_at(tmp_path / "models" / "prices" / "1", title="old")
    staged = bundle_at(tmp_path / "prices" / "1", **fault)
    with pytest.raises(BundleError):
        bundle.publish(staged, target, overwrite=True)
    assert bundle.read(target).manifest.title == "old"
    assert [path.name for path in target.parent.iterdir()] == ["1"]


@pytest.mark.parametrize("reads", ["sha256", "external.locations"])
def test_a_file_that_may_not_be_read_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "fp32.onnx")

    found = bundle.read(bundle_at(tmp_path / "prices" / "1"))
    monkeypatch.setattr(f"models.bundle.{reads}", refuse)
    with pytest.raises(BundleError, match=r"fp32\.onnx: cannot be read \(Permission denied\); give the user"):
        found.verify()
