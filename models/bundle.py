"""Reading, verifying and publishing bundles: `<root>/<name>/<version>/manifest.json` and the files it lists."""

import hashlib
import re
import reprlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from models import external, integrity, signature
from models.errors import BundleError as BundleError
from models.manifest import SCHEMA_VERSION, Manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST = "manifest.json"
MAY_READ = "give the user who runs this program the right to read it"
MODEL = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What a model's folder may be called; lost+found and the like are others."""


@dataclass(frozen=True)
class Bundle:
    """One folder whose manifest is valid. Call `verify` before its files are trusted."""

    folder: Path
    manifest: Manifest

    def path(self, file: str) -> Path:
        return self.folder / file

    def verify(self) -> None:
        """Raises BundleError unless every listed file is there, inside the folder, with the listed sha256.

        The ONNX files may read only such files. What is not listed is never opened, so it may lie there.
        """
        try:
            self._check_files()
        except OSError as error:
            place = error.filename or self.folder
            raise BundleError(f"{place}: cannot be read ({error.strerror or error}); {MAY_READ}") from error

    def _check_files(self) -> None:
        for file, expected in self.manifest.files.items():
            path = self.path(file)
            if not path.is_file() or not path.resolve().is_relative_to(self.folder.resolve()):
                raise BundleError(f"{path}: listed in {MANIFEST} but not in the bundle; export the model again")
            if (actual := sha256(path)) != expected:
                difference = f"its sha256 is {actual[:12]}…, {MANIFEST} says {expected[:12]}…"
                raise BundleError(f"{path}: {difference}; restore the file or export again")
        for part in self.manifest.precisions.values():
            self._check_external_data(self.path(part.file))

    def _check_external_data(self, path: Path) -> None:
        try:
            foreign = sorted(external.locations(path.read_bytes()) - self.manifest.files.keys())
        except external.NotOnnx as error:
            raise BundleError(f"{path}: not an ONNX file ({error}); export the model again") from error
        if foreign:
            raise BundleError(
                f"{path}: has data in {foreign[0]!r}, which is not among the files that {MANIFEST} lists; "
                "save the network in one file and export it again"
            )

    def unlisted(self) -> list[str]:
        """Names in the folder that neither the manifest nor its signature accounts for."""
        known = {MANIFEST, signature.FILE, *self.manifest.files}
        return sorted(path.name for path in self.folder.iterdir() if path.name not in known)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path, trusted: Sequence["Ed25519PublicKey"] | None = None) -> Bundle:
    """The bundle in `folder`, its manifest checked, its files not yet.

    With `trusted` keys, one of them must have signed the manifest. Raises BundleError.
    """
    return _at(folder, _opened(folder, trusted))


def _opened(folder: Path, trusted: Sequence["Ed25519PublicKey"] | None = None) -> Bundle:
    """`read`, wherever the folder lies."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        advice = "name the folder of one version, models/NAME/VERSION"
        raise BundleError(f"{path}: there is no such file; {advice}") from error
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); {MAY_READ}") from error
    if trusted is not None:
        signature.check(folder, data, trusted)
    document = _document(path, data)
    try:
        return Bundle(folder, Manifest.model_validate(document))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "manifest"
        raise BundleError(f"{path}: {place}: {first['msg']}") from error


def _document(path: Path, data: bytes) -> dict[str, Any]:
    """A manifest of this schema that nobody has edited; its fields are not checked yet."""
    try:
        document = integrity.parse(data)
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON ({error})") from error
    found = document.get("schema_version") if isinstance(document, dict) else None
    if found != SCHEMA_VERSION:
        raise BundleError(
            f"{path}: schema_version is {reprlib.repr(found)}, this program reads {SCHEMA_VERSION}; "
            "export the model again"
        )
    if (given := document.get(integrity.FIELD)) != (actual := integrity.digest(document)):
        said = "it has no digest" if given is None else f"its digest is {reprlib.repr(given)}"
        raise BundleError(
            f"{path}: {said}, but that of its content is {actual[:12]}…: it was edited; restore it or export again"
        )
    return document


def _at(folder: Path, found: Bundle) -> Bundle:
    """The bundle, if `folder` is the place for its name and version."""
    name, version = found.manifest.name, found.manifest.version
    if (folder.parent.name, folder.name) != (name, str(version)):
        place = f"{folder.parent.name}/{folder.name}"
        raise BundleError(f"{folder / MANIFEST}: says {name}/{version}, but lies in {place}")
    return found


def find(root: Path) -> Iterator[Path]:
    """The folders `<root>/<name>/<integer>` that hold a manifest, by name, then by version.

    Nothing if `root` cannot be read. Raises BundleError for a model's folder that cannot be: else its models would be
    missing without a word.
    """
    try:
        names = _folders(root)
    except OSError:
        return
    for name in names:
        try:
            versions = _versions(name)
        except OSError as error:
            if not MODEL.fullmatch(name.name):
                continue
            raise BundleError(f"{name}: cannot be read ({error.strerror or error}); {MAY_READ}") from error
        yield from sorted(versions, key=lambda folder: int(folder.name))


def ignored(root: Path) -> Iterator[tuple[Path, str]]:
    """(folder, why) of what `find` passes over, though it was probably meant to be a bundle."""
    for name in _folders(root):
        wrong = []
        try:
            for folder in _folders(name):
                if not folder.name.isdecimal() and _has_manifest(folder):
                    wrong.append((folder, "a version's folder has a whole number for a name"))
                elif folder.name.isdecimal() and not _has_manifest(folder):
                    wrong.append((folder, f"it has no {MANIFEST}"))
            if not wrong and not _versions(name):
                deep = "lies one level too high" if _has_manifest(name) else "is nowhere in it"
                wrong.append((name, f"{name.name}/<version>/{MANIFEST} is expected, but the manifest {deep}"))
        except OSError as error:
            wrong.append((name, f"it cannot be read ({error.strerror})"))
        yield from wrong


def why_none(root: Path) -> str:
    """Why `find` finds nothing there."""
    try:
        if _has_manifest(root):
            return f"this is one bundle; the folder of bundles is {root.resolve().parent.parent}"
        if _versions(root):
            return f"these are the versions of one model; the folder of bundles is {root.resolve().parent}"
        wrong = [f"{folder.relative_to(root)} is ignored: {why}" for folder, why in ignored(root)]
    except FileNotFoundError:
        return "there is no such folder"
    except NotADirectoryError:
        return "this is a file, not a folder of bundles"
    except OSError as error:
        return f"the folder cannot be read ({error.strerror}); {MAY_READ}"
    return "; ".join([f"there are no bundles (<name>/<version>/{MANIFEST}) in it", *wrong[:3]])


def _folders(root: Path) -> list[Path]:
    """By name, without those that nobody means: hidden ones, caches. Raises OSError."""
    return sorted(path for path in root.iterdir() if path.name[0] not in "._" and path.is_dir())


def _versions(name: Path) -> list[Path]:
    """Raises OSError."""
    return [folder for folder in _folders(name) if folder.name.isdecimal() and _has_manifest(folder)]


def _has_manifest(folder: Path) -> bool:
    """Also if it cannot be seen: then `read` says why."""
    try:
        (folder / MANIFEST).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def publish(staged: Path, target: Path, overwrite: bool = False) -> Bundle:
    """Moves a complete folder to `target` at once, so that nobody ever sees half a bundle.

    `staged` must lie on the same file system. A bundle that stands at `target` is replaced if `overwrite` says so.
    Raises BundleError if it does not, or if the new one is wrong; then, and if it cannot be moved, nothing has changed.
    What replacing has put aside and could not put back, for it was killed, comes back first.
    """
    found = _at(target, _opened(staged))
    found.verify()
    old = target.with_name(f".{target.name}.old")
    if _has_manifest(old) and not target.exists():
        old.rename(target)
    replaces = target.exists()
    if replaces and not overwrite:
        raise BundleError(f"{target}: there is already a bundle; take another version, or give --overwrite")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(old, ignore_errors=True)
    try:
        if replaces:
            target.rename(old)
        staged.rename(target)
    except BaseException:  # Ctrl-C, too, must not leave the place empty
        if old.exists() and not target.exists():
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)
    return Bundle(target, found.manifest)
