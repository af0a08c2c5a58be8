"""The canonical form is what its definition says, and does not depend on how a file was written."""

import hashlib
import json
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from models import bundle, integrity
from tests.processes import ROOT

VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats().filter(isfinite) | some.text(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def test_the_canonical_form_by_hand() -> None:
    document = {"b": [1, 2.50, 1e-7, -0.0, True, None], "ä": '語\n"', "a": {}, "digest": "ignored"}
    written = '{"a":{},"b":[1,2.5,1e-07,-0.0,true,null],"ä":"語\\n\\""}'
    assert integrity.digest(document) == hashlib.sha256(written.encode()).hexdigest()


@given(some.dictionaries(some.text(max_size=5), VALUES, max_size=4), some.integers(0, 4) | some.none(), some.booleans())
def test_spaces_order_and_escapes_do_not_matter(document: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    turned = dict(reversed(document.items()))
    again = integrity.parse(json.dumps(turned, indent=indent, ensure_ascii=ascii_only).encode())
    assert integrity.digest(again) == integrity.digest(document)


@given(VALUES, VALUES)
def test_other_values_have_other_digests(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (integrity.digest({"value": one}) == integrity.digest({"value": other})) == same


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "1e999", '"\\udc00"', "[" * 10**5, "", "{", b"\xff"])
def test_what_has_no_canonical_form_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        integrity.parse(text if isinstance(text, bytes) else text.encode())


def test_a_sealed_manifest_is_read_as_it_was(tmp_path: Path) -> None:
    folder = next(ROOT.glob("models/*/1"))
    manifest = integrity.sealed(bundle.read(folder).manifest)
    written = tmp_path / folder.parent.name / folder.name
    written.mkdir(parents=True)
    (written / bundle.MANIFEST).write_text(manifest.model_dump_json(indent=1))
    assert bundle.read(written).manifest == manifest == integrity.sealed(manifest)
    edited = integrity.sealed(manifest.model_copy(update={"title": "another"}))
    assert edited.digest not in (manifest.digest, None)
