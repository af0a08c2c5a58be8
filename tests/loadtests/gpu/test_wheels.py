"""What was cut arrives whole, or not at all."""

import subprocess
import sys
import zipfile

import pytest

from loadtests.gpu import wheels
from tests.processes import ROOT


@pytest.fixture
def wheel(tmp_path):
    """A real wheel of one module, padded so that it takes several parts."""
    path = tmp_path / "tiny_example-1.0-py3-none-any.whl"
    information = {
        "METADATA": "Metadata-Version: 2.1\nName: tiny-example\nVersion: 1.0\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": "",
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_example.py", "answer = 42\n" + "#" * 5000)
        for name, content in information.items():
            archive.writestr(f"tiny_example-1.0.dist-info/{name}", content)
    return path


def test_parts_are_small_and_give_the_same_wheel(wheel, tmp_path):
    parts = wheels.split([wheel], tmp_path / "parts", part_bytes=1000)
    assert len(parts) == -(-wheel.stat().st_size // 1000)
    assert max(part.stat().st_size for part in parts) <= 1000
    (tmp_path / "whole").mkdir()
    (joined,) = wheels.join(tmp_path / "parts", tmp_path / "whole")
    assert joined.read_bytes() == wheel.read_bytes()


def test_a_missing_part_is_named(wheel, tmp_path):
    parts = wheels.split([wheel], tmp_path / "parts", part_bytes=1000)
    parts[2].unlink()
    with pytest.raises(wheels.Damaged, match=parts[2].name):
        wheels.join(tmp_path / "parts", tmp_path)


def test_a_changed_byte_is_found_and_leaves_nothing_behind(wheel, tmp_path):
    parts = wheels.split([wheel], tmp_path / "parts", part_bytes=1000)
    parts[1].write_bytes(b"x" + parts[1].read_bytes()[1:])
    (tmp_path / "whole").mkdir()
    with pytest.raises(wheels.Damaged, match=r"tiny_example.*carry them again"):
        wheels.join(tmp_path / "parts", tmp_path / "whole")
    assert not list((tmp_path / "whole").iterdir())


def test_the_command_installs_without_a_network(wheel, tmp_path):
    def command(*arguments: object) -> None:
        subprocess.run([python, "-m", "loadtests.gpu.wheels", *map(str, arguments)], cwd=ROOT, check=True)

    python = sys.executable
    command("split", tmp_path / "parts", wheel)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    command("install", tmp_path / "parts")
    program = "import tiny_example; print(tiny_example.answer)"
    found = subprocess.run([python, "-c", program], capture_output=True, text=True)
    assert found.stdout == "42\n"
