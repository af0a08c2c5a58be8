from collections.abc import Iterator

import pytest

from exporter import measure


@pytest.fixture(autouse=True, scope="session")
def hurry() -> Iterator[None]:
    """Times are not looked at here, so they need not be precise."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "SECONDS", 0.02)
        yield
