from collections.abc import Iterator

import pytest

from exporter import measure
from tests.exporter import once


@pytest.fixture(autouse=True, scope="session")
def hurry(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[None]:
    """What costs time and is not looked at: precise times, and what is made anew every time."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "graphs"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS", 0.02)
        patch.setattr(once, "folder", folder)
        once.operators_once(patch)
        yield
