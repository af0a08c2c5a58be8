"""Reading, verifying and publishing bundles: `<root>/<name>/<version>/manifest.json` and the files it lists."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from models.manifest import SCHEMA_VERSION, Manifest

MANIFEST = "manifest.json"


class BundleError(Exception):
    """A bundle that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class Bundle:
    """One folder whose manifest is valid. Call `verify` before its files are trusted."""

    folder: Path
    manifest: Manifest

    def path(self, file: str) -> Path:
        return self.folder / file

    def verify(self) -> None:
        """Raises BundleError unless every listed file is there, inside the folder, with the listed sha256."""
        for file, expected in self.manifest.files.items():
            path = self.path(file)
            if not path.is_file() or not path.resolve().is_relative_to(self.folder.resolve()):
                raise BundleError(f"{path}: listed in {MANIFEST} but not in the bundle; export the model again")
            if (actual := sha256(path)) != expected:
                difference = f"its sha256 is {actual[:12]}…, {MANIFEST} says {expected[:12]}…"
                raise BundleError(f"{path}: {difference}; restore the file or export again")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path) -> Bundle:
    """The bundle in `folder`, its manifest checked, its files not yet."""
    path = folder / MANIFEST
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error})") from error
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version is {found!r}, this program reads {SCHEMA_VERSION}; export the model again"
        )
    try:
        manifest = Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "manifest"
        raise BundleError(f"{path}: {place}: {first['msg']}") from error
    if (folder.parent.name, folder.name) != (manifest.name, str(manifest.version)):
        raise BundleError(
            f"{path}: says {manifest.name}/{manifest.version}, but lies in {folder.parent.name}/{folder.name}"
        )
    return Bundle(folder, manifest)


def find(root: Path) -> Iterator[Path]:
    """The folders `<root>/<name>/<integer>` that hold a manifest, by name, then by version."""
    found = (path.parent for path in root.glob(f"*/*/{MANIFEST}") if path.parent.name.isdecimal())
    yield from sorted(found, key=lambda folder: (folder.parent.name, int(folder.name)))


def publish(staged: Path, target: Path) -> Bundle:
    """Moves a complete folder to `target` at once, so that nobody ever sees half a bundle.

    `staged` must lie on the same file system. A bundle that stands at `target` is replaced.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    staged.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    bundle = read(target)
    bundle.verify()
    return bundle
