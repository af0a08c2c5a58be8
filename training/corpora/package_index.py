"""Where pip is configured to look for packages, and the link of one pinned file there."""

import ast
import os
import ssl
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

from unearth import PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers.sync import PyPIClient

PYPI = "https://pypi.org/simple"


@dataclass(frozen=True)
class PipSettings:
    """The part of pip's configuration that decides where a file comes from."""

    index_urls: tuple[str, ...]
    find_links: tuple[str, ...]
    trusted_hosts: tuple[str, ...]
    certificates: str | None
    timeout_s: float


def parse_pip_config(listing: str) -> dict[str, str]:
    """The output of `pip config list` as options; sections that do not concern a download are left out.

    A later source overrides an earlier one as in pip: `[global]`, then `[download]`, then `PIP_*` variables.
    """
    order = {"global": 0, "download": 1, ":env:": 2}
    found: list[tuple[int, str, str]] = []
    for line in listing.splitlines():
        key, separator, value = line.partition("=")
        section, _, option = key.partition(".")
        if separator and section in order:
            found.append((order[section], option, ast.literal_eval(value)))
    return {option: value for _, option, value in sorted(found, key=lambda entry: entry[0])}


def pip_options() -> dict[str, str]:
    """pip's own view of its configuration, or the `PIP_*` variables alone where pip is not installed."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    if listing.returncode == 0:
        return parse_pip_config(listing.stdout)
    variables = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {name.removeprefix("PIP_").lower().replace("_", "-"): value for name, value in variables.items()}


@cache
def pip_settings() -> PipSettings:
    options = pip_options()
    offline = options.get("no-index", "").lower() in {"1", "true", "yes", "on"}
    indexes = () if offline else (options.get("index-url", PYPI), *options.get("extra-index-url", "").split())
    return PipSettings(
        index_urls=indexes,
        find_links=tuple(options.get("find-links", "").split()),
        trusted_hosts=tuple(options.get("trusted-host", "").split()),
        certificates=options.get("cert"),
        timeout_s=float(options.get("timeout", options.get("default-timeout", "15"))),
    )


@cache
def client() -> PyPIClient:
    """The HTTP client for index pages and files; it reads `file://` addresses as well."""
    settings = pip_settings()
    session = PyPIClient(
        trusted_hosts=settings.trusted_hosts,
        verify=ssl.create_default_context(cafile=settings.certificates),
        timeout=settings.timeout_s,
        follow_redirects=True,
    )
    session.auth = MultiDomainBasicAuth(index_urls=list(settings.index_urls))
    return session


def find_file(package: str, version: str, filename: str) -> str | None:
    """The address of one file of a release, or None when no configured index or folder has it."""
    settings = pip_settings()
    sources = {"index_urls": settings.index_urls, "find_links": settings.find_links}
    if not any(sources.values()):
        return None
    finder = PackageFinder(session=client(), ignore_compatibility=True, trusted_hosts=settings.trusted_hosts, **sources)
    links = (match.link for match in finder.find_matches(f"{package}=={version}", allow_yanked=True))
    return next((link.url_without_fragment for link in links if link.filename == filename), None)
