"""`python -m loadtests.gpu.wheels`: packages for a machine without internet, in parts that small carriers take.

`fetch FOLDER` downloads what the server and the check need beside CUDA itself, and splits it; `split FOLDER WHEEL...`
takes any wheels. A list beside the parts has the sha256 of each whole; the parts may travel in any order, in several
journeys. `install FOLDER` on the other side puts them together, compares, and installs with pip, offline. Needs nothing
but Python's own library.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

MEBIBYTE = 2**20
PART_BYTES = 60 * MEBIBYTE
LIST = "wheels.json"
ROOT = Path(__file__).parent.parent.parent
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


class Damaged(Exception):
    """Parts are missing, or the whole is not what was split."""


def fetch(folder: Path, python: str) -> list[Path]:
    """Downloads the wheels for that Python on Linux, and splits them. CUDA's own libraries are left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    gpu = [name.replace("[cuda,cudnn]", "") for name in project["optional-dependencies"]["gpu"]]
    with tempfile.TemporaryDirectory() as whole:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", whole, "--only-binary=:all:"]
        command += ["--constraint", str(ROOT / "constraints.txt"), "--python-version", python]
        command += [f"--platform={platform}" for platform in PLATFORMS]
        subprocess.run([*command, *project["dependencies"], *gpu, "onnx"], check=True)
        return split(sorted(Path(whole).glob("*.whl")), folder)


def split(wheels: Iterable[Path], folder: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Writes `NAME.whl.000`, `.001`, ... of at most `part_bytes` each, and adds the wheels to the list."""
    folder.mkdir(parents=True, exist_ok=True)
    known = _read(folder) if (folder / LIST).exists() else {}
    parts: list[Path] = []
    for wheel in wheels:
        digest, count = hashlib.sha256(), 0
        for count, piece in enumerate(_pieces(wheel, part_bytes), 1):
            digest.update(piece)
            parts.append(folder / f"{wheel.name}.{count - 1:03}")
            parts[-1].write_bytes(piece)
        known[wheel.name] = {"sha256": digest.hexdigest(), "parts": count}
    (folder / LIST).write_text(json.dumps(known, indent=1) + "\n")
    return parts


def join(folder: Path, target: Path) -> list[Path]:
    """The whole wheels, written to `target`. Raises Damaged."""
    return [_join(folder, target, name, **entry) for name, entry in _read(folder).items()]


def _join(folder: Path, target: Path, name: str, sha256: str, parts: int) -> Path:
    pieces = [folder / f"{name}.{number:03}" for number in range(parts)]
    if missing := [piece.name for piece in pieces if not piece.is_file()]:
        raise Damaged(f"{folder}: {', '.join(missing)} did not arrive; carry them again")
    digest = hashlib.sha256()
    with (target / name).open("wb") as wheel:
        for piece in pieces:
            content = piece.read_bytes()
            digest.update(content)
            wheel.write(content)
    if digest.hexdigest() != sha256:
        (target / name).unlink()
        raise Damaged(f"{folder}: the parts of {name} do not give the wheel that was split; carry them again")
    return target / name


def install(folder: Path, python: str = sys.executable) -> None:
    """Raises Damaged, or CalledProcessError if pip fails."""
    with tempfile.TemporaryDirectory() as whole:
        wheels = map(str, join(folder, Path(whole)))
        subprocess.run([python, "-m", "pip", "install", "--no-index", "--no-deps", *wheels], check=True)


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(size):
            yield piece


def _read(folder: Path) -> dict[str, dict]:
    try:
        return json.loads((folder / LIST).read_text())
    except (OSError, ValueError) as problem:
        raise Damaged(f"{folder / LIST}: cannot be read ({problem}); carry it again") from None


def main(given: list[str]) -> int:
    parser = argparse.ArgumentParser("python -m loadtests.gpu.wheels", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    get = verbs.add_parser("fetch", help="download what is needed, and cut it into parts")
    get.add_argument("folder", type=Path)
    get.add_argument("--python", default="3.12", help="of the other machine (default: 3.12)")
    cut = verbs.add_parser("split", help="cut wheels into parts")
    cut.add_argument("folder", type=Path)
    cut.add_argument("wheels", type=Path, nargs="+")
    cut.add_argument("--mebibytes", type=int, default=PART_BYTES // MEBIBYTE, help="of one part (default: 60)")
    verbs.add_parser("install", help="put them together, compare, and install").add_argument("folder", type=Path)
    options = parser.parse_args(given)
    try:
        if options.verb == "fetch":
            print(*fetch(options.folder, options.python), sep="\n")
        elif options.verb == "split":
            print(*split(options.wheels, options.folder, options.mebibytes * MEBIBYTE), sep="\n")
        else:
            install(options.folder)
    except (Damaged, OSError, subprocess.CalledProcessError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
