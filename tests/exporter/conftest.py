from collections.abc import Iterator
from functools import cache

import pytest
from torch.onnx._internal.exporter._registration import ONNXRegistry

from exporter import measure
from tests.exporter import once


@pytest.fixture(autouse=True, scope="session")
def hurry(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """What costs time and is not looked at: precise times, and PyTorch's table of operators, made anew every time."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "graphs"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS", 0.02)
        patch.setattr(once, "folder", folder)
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield
