from pathlib import Path

import pytest

from training.corpora import package_index

LISTING = """\
global.index-url='https://mirror.example/simple'
global.extra-index-url='https://a.example/simple https://b.example/simple'
download.index-url='https://download.example/simple'
install.find-links='/not/for/downloads'
:env:.find-links='/opt/wheels'
:env:.cert='/etc/ca.pem'
"""


@pytest.fixture(autouse=True)
def _fresh_settings() -> None:
    package_index.pip_settings.cache_clear()
    package_index.client.cache_clear()


def with_options(monkeypatch: pytest.MonkeyPatch, options: dict[str, str]) -> package_index.PipSettings:
    monkeypatch.setattr(package_index, "pip_options", lambda: options)
    return package_index.pip_settings()


def test_the_more_specific_source_of_pips_configuration_wins() -> None:
    options = package_index.parse_pip_config(LISTING)
    assert options == {
        "index-url": "https://download.example/simple",
        "extra-index-url": "https://a.example/simple https://b.example/simple",
        "find-links": "/opt/wheels",
        "cert": "/etc/ca.pem",
    }


def test_settings_of_a_configured_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_options(monkeypatch, package_index.parse_pip_config(LISTING))
    assert settings.index_urls == (
        "https://download.example/simple",
        "https://a.example/simple",
        "https://b.example/simple",
    )
    assert settings.find_links == ("/opt/wheels",)


def test_pypi_is_the_default_and_no_index_leaves_only_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_options(monkeypatch, {}).index_urls == (package_index.PYPI,)
    package_index.pip_settings.cache_clear()
    settings = with_options(monkeypatch, {"no-index": "true", "find-links": "/wheels"})
    assert (settings.index_urls, settings.find_links) == ((), ("/wheels",))


def test_without_pip_its_variables_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index.sys, "executable", "/bin/false")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    assert package_index.pip_options()["index-url"] == "https://mirror.example/simple"


def test_a_file_is_found_in_a_folder_of_links(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("thing-1.0.tar.gz", "thing-1.0-py3-none-any.whl", "thing-2.0.tar.gz"):
        (tmp_path / name).touch()
    with_options(monkeypatch, {"no-index": "1", "find-links": str(tmp_path)})
    assert package_index.find_file("thing", "1.0", "thing-1.0.tar.gz") == (tmp_path / "thing-1.0.tar.gz").as_uri()
    assert package_index.find_file("thing", "3.0", "thing-3.0.tar.gz") is None


def test_nowhere_to_look_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with_options(monkeypatch, {"no-index": "1"})
    assert package_index.find_file("thing", "1.0", "thing-1.0.tar.gz") is None
