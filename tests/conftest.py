from collections.abc import Iterator

import httpx
import hypothesis
import pytest

from tests.processes import ServerProcess, serving

# How long an example takes says more about the neighbours of this machine than about the code.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")


@pytest.fixture(scope="session")
def server() -> Iterator[ServerProcess]:
    """One server with the shipped models, for all tests that leave it as it was."""
    with serving() as process:
        yield process


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield client
