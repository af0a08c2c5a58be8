"""What the server finds out about the processor, and what it makes of it."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from exporter.kernels import saturates
from models import bundle
from models.bundle import BundleError
from server import registry
from server.backend import int8_saturates
from server.registry import choose_precision, load
from server.settings import MODELS, Settings
from tests.processes import ROOT

QEMU = shutil.which("qemu-x86_64")


@pytest.fixture(scope="module")
def sentiment() -> bundle.Bundle:
    return bundle.read(MODELS / "sentiment" / "1")


def test_server_and_exporter_see_the_same_processor():
    assert int8_saturates() == saturates()


@pytest.mark.skipif(QEMU is None and "CI" not in os.environ, reason="needs qemu-user")
def test_a_processor_without_vnni_is_recognized():
    assert QEMU, "install qemu-user"
    program = "from server.backend import int8_saturates; print(int8_saturates())"
    command = [QEMU, "-cpu", "Haswell", sys.executable, "-c", program]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "True"


def test_int8_is_not_preferred_where_it_is_no_faster(sentiment, monkeypatch):
    monkeypatch.setattr(registry, "int8_saturates", lambda: False)
    assert choose_precision(sentiment, None, "cpu") == ("int8", "cpu")
    monkeypatch.setattr(registry, "int8_saturates", lambda: True)
    other, _ = choose_precision(sentiment, None, "cpu")
    assert other == sentiment.manifest.preference["cpu"][1] != "int8"
    assert choose_precision(sentiment, "int8", "cpu") == ("int8", "cpu")


def test_pins_that_move_are_refused(sentiment):
    restless = sentiment.manifest.model_copy(update={"pinned": (*sentiment.manifest.pinned, 0)})
    with pytest.raises(BundleError, match=r"pins .* move on this processor; serve another precision"):
        load(replace(sentiment, manifest=restless), Settings(), "cpu")
