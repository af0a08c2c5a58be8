"""Where an ONNX file's data lie: what the format's own parser finds is found here as well, in broken files too."""

from collections.abc import Iterator

import onnx
import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as some

from models import external
from models.external import NotOnnx
from tests.models.networks import PLACES, external_model, model, tensor
from tests.processes import ROOT

DAMAGED = [place(tensor("../../etc/passwd")).SerializeToString() for place in PLACES.values()]


def reported(message: Message) -> Iterator[str]:
    """The same, by the parser of the package `onnx`."""
    if isinstance(message, onnx.TensorProto):
        yield from (text(entry.value) for entry in message.external_data if text(entry.key) == "location")
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in [value] if isinstance(value, Message) else value:
                yield from reported(part)


def text(value: str | bytes) -> str:
    """What is not UTF-8 comes out of that parser as bytes."""
    return value if isinstance(value, str) else value.decode(errors="backslashreplace")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", ["weights.bin", "../up.bin", "/etc/passwd", "重量", "", "*/_ORT_MEM_ADDR_/*"])
def test_data_are_found_wherever_a_tensor_may_be(place: str, path: str) -> None:
    assert external.locations(PLACES[place](tensor(path)).SerializeToString()) == {path}


def test_data_that_a_tensor_says_are_inside_are_reported_as_well() -> None:
    one = tensor("a.bin", "b.bin")
    one.data_location = onnx.TensorProto.DEFAULT
    assert external.locations(model(initializer=[one]).SerializeToString()) == {"a.bin", "b.bin"}


def test_a_message_in_two_parts_is_found() -> None:
    """A parser merges the two graphs of this file."""
    assert external.locations(model().SerializeToString() + external_model("a.bin")) == {"a.bin"}


def test_the_shipped_networks_lie_in_one_file() -> None:
    files = list(ROOT.glob("models/*/*/*.onnx"))
    assert files
    assert not any(external.locations(file.read_bytes()) for file in files)


@given(some.sampled_from(DAMAGED), some.data())
def test_in_a_damaged_file_nothing_is_missed_that_a_parser_would_find(whole: bytes, data: some.DataObject) -> None:
    at = data.draw(some.integers(0, len(whole)))
    broken = whole[:at] + data.draw(some.binary(max_size=8)) + whole[at + data.draw(some.integers(0, 8)) :]
    compare(broken)


@given(some.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    compare(data)


def compare(data: bytes) -> None:
    try:
        found = external.locations(data)
    except NotOnnx:
        return
    try:
        parsed = onnx.load_from_string(data)
    except DecodeError:
        return
    assert found >= set(reported(parsed))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there is no graph"),
        (b"\x08\x0a", "there is no graph"),
        (b":\x05\x00", "it ends within a field"),
        (b":\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "it ends within a field"),
        (b"\x80" * 11, "a number does not end"),
        (b"\x3b\x3c", "no field begins with 59"),
        (b"\x00", "no field begins with 0"),
        (b"\xba\x80\x80\x80\x10\x00", "no field begins with 4294967354"),
        (b"\x39\x00", "it ends within a field"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, reason: str) -> None:
    with pytest.raises(NotOnnx, match=reason):
        external.locations(data)


def test_a_deep_file_is_read_in_little_time_and_stack() -> None:
    """Branches in branches, 5,000 deep: attributes (5) with graphs (6) of nodes (1), written from the inside."""
    deep = b""
    for _ in range(5_000):
        for tag in (b"\x0a", b"\x32", b"\x2a"):
            deep = tag + varint(len(deep)) + deep
    assert external.locations(b":" + varint(len(deep)) + deep) == set()


def varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(high) if high else bytes([low])
