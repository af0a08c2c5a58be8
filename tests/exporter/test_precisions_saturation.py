"""What int8 sums that are clipped to 16 bits do, and the session entry that prevents it."""

import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest

from exporter.kernels import saturates
from exporter.quantize import quantized
from exporter.saturation import compared
from exporter.saturation import main as study
from exporter.sessions import StepSession, alone
from tests.exporter.precision_cases import case

BUNDLE = "models/forecast-stock/1"
QEMU = shutil.which("qemu-x86_64")


def digests(table: str) -> dict[str, str]:
    """Variant -> the digest of its answers."""
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("| int8")]
    return {cells[0].strip(): cells[-1].strip(" `") for cells in rows}


@pytest.mark.parametrize("name", ["text", "peepholes", "both ways"])
def test_other_kernels_add_the_same_integers(name: str) -> None:
    """Weights as uint8 about 128 instead of int8 about 0: not a bit may change, where nothing is clipped."""
    one = case(name)
    model = one.models["int8"].SerializeToString()
    plain, exact = (
        alone(StepSession(model, one.initial_state, exact_sums=exact_sums), one.rows) for exact_sums in (None, True)
    )
    assert plain.deviation(exact) == 0


def test_weights_of_7_bits_cannot_be_clipped() -> None:
    """They are 64 at most, so two products are 255 * 64 * 2 = 32,640 at most."""
    one = case("stacked")
    reduced = quantized(one.models["fp32"], reduce_range=True)
    weights = [onnx.numpy_helper.to_array(tensor) for tensor in reduced.graph.initializer if tensor.data_type == 3]
    assert max(np.abs(array.astype(int)).max() for array in weights) == 64


def test_the_study_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    study([BUNDLE, "--rows", "2"])
    printed = capsys.readouterr().out
    found = digests(printed)
    assert list(found) == ["int8", "int8, exact sums", "int8, 7-bit weights"]
    assert found["int8, 7-bit weights"] != found["int8, exact sums"]
    assert (found["int8"] == found["int8, exact sums"]) == (not saturates())


def test_differences_are_told_by_a_rows_largest_output() -> None:
    expected, found = np.array([[100.0, 1.0], [0.2, 0.8]]), np.array([[101.0, 1.0], [0.6, 0.4]])
    one = compared("one", expected, found, ["no", "yes"])
    assert one.largest == pytest.approx(0.4)
    assert one.mean == pytest.approx((0.01 + 0.8) / 4)
    assert one.changed == 0.5


@pytest.mark.skipif(QEMU is None and "CI" not in os.environ, reason="needs qemu-user")
def test_a_processor_without_vnni_gives_the_same_bits_with_exact_sums(capsys: pytest.CaptureFixture[str]) -> None:
    command = [QEMU, "-cpu", "Haswell", sys.executable, "-m", "exporter.saturation", BUNDLE, "--rows", "2"]
    emulated = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout
    assert "clips sums" in emulated
    study([BUNDLE, "--rows", "2"])
    here, there = digests(capsys.readouterr().out), digests(emulated)
    assert there["int8, exact sums"] == here["int8, exact sums"]
    assert there["int8"] != there["int8, exact sums"]
