"""The digest of a manifest: whoever edits a published manifest, or loses a part of it, is told so.

The digest is the sha256 of the manifest's canonical JSON without the field `digest`: UTF-8, keys sorted by code point,
no white space between tokens, characters beyond ASCII as they are, control characters, `"` and `\\` escaped as
Python's `json` does, integers in decimal, floats as the shortest text that reads back as the same double (`repr`), no
NaN and no infinity. How the file itself is indented or ordered does not matter.
"""

import hashlib
import json
from typing import Any

from models.manifest import Manifest

FIELD = "digest"


def parse(data: bytes) -> Any:
    """A JSON document. Raises ValueError for everything that has no canonical form: NaN, lone surrogates, depth."""
    try:
        document = json.loads(data)
        canonical(document)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return document


def canonical(document: Any) -> bytes:
    """The one way to write a parsed document. Raises ValueError."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def digest(document: dict[str, Any]) -> str:
    """Of a parsed manifest: 64 hexadecimal digits."""
    rest = {key: value for key, value in document.items() if key != FIELD}
    return hashlib.sha256(canonical(rest)).hexdigest()


def sealed(manifest: Manifest) -> Manifest:
    """The manifest with its digest, as it must be written to be read again."""
    return manifest.model_copy(update={FIELD: digest(json.loads(manifest.model_dump_json()))})
