from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import ServerProcess, serving
from tests.server.bundles import zoo


@pytest.fixture(scope="session")
def zoo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="session")
def zoo_server(zoo_folder: Path) -> Iterator[ServerProcess]:
    """One server with a model of every task, for all tests that leave it as it was."""
    with serving("--models", str(zoo_folder)) as process:
        yield process


@pytest.fixture(scope="session")
def visitor(zoo_server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=zoo_server.url, timeout=30) as client:
        yield client
