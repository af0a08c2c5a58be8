"""Which other files an ONNX file reads, found in its bytes: a server needs no package `onnx` to know.

A tensor of an ONNX file may lie in another file, `TensorProto.external_data`, whose path a runtime follows. Tensors are
looked for wherever onnx.proto allows them, subgraphs and functions included, by the wire format of Protocol Buffers
(protobuf.dev/programming-guides/encoding). What that parser would merge or overrule is reported as well, so nothing
that a runtime might open is missed.
"""

from collections.abc import Iterator
from enum import IntEnum


class Wire(IntEnum):
    """How a field's value is written; groups (3 and 4) are not used in ONNX."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


WIRES = frozenset(Wire)
FIXED_SIZES = {Wire.FIXED64: 8, Wire.FIXED32: 4}
LONGEST_VARINT = 10
LARGEST_TAG = 2**32 - 1
"""Parsers in C++ keep 32 bits of a tag, and would see another field than we do beyond."""

INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse tensor"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse tensor", 23: "sparse tensor"},
    "sparse tensor": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""Message -> field number -> the message in it, of those that can hold a tensor or say where its data are."""
KEY, VALUE = 1, 2
GRAPH = 7


class NotOnnx(ValueError):
    """The bytes are no ONNX model, said in a few words."""


def locations(model: bytes) -> set[str]:
    """The paths of all external data of an ONNX model, as they are written there. Raises NotOnnx."""
    found: set[str] = set()
    waiting = [("model", memoryview(model))]
    if not any(number == GRAPH and wire == Wire.BYTES for number, wire, _ in fields(waiting[0][1])):
        raise NotOnnx("there is no graph in it")
    while waiting:
        kind, message = waiting.pop()
        if kind == "entry":
            found.update(_paths(message))
        else:
            parts = ((INSIDE[kind].get(number), wire, value) for number, wire, value in fields(message))
            waiting += [(part, value) for part, wire, value in parts if part and wire == Wire.BYTES]
    return found


def _paths(entry: memoryview) -> Iterator[str]:
    """The values of a key-value pair whose key is `location`; one without a value means the empty path."""
    pairs = [(number, bytes(value)) for number, wire, value in fields(entry) if wire == Wire.BYTES]
    if (KEY, b"location") in pairs:
        values = [value.decode(errors="backslashreplace") for number, value in pairs if number == VALUE]
        yield from values or [""]


def fields(message: memoryview) -> Iterator[tuple[int, Wire, memoryview]]:
    """(field number, wire type, the bytes of its value) in the order of the message. Raises NotOnnx."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if not 8 <= tag <= LARGEST_TAG or tag & 7 not in WIRES:
            raise NotOnnx(f"no field begins with {tag}")
        wire, start = Wire(tag & 7), at
        if wire == Wire.VARINT:
            at = _varint(message, at)[1]
        elif wire == Wire.BYTES:
            size, start = _varint(message, at)
            at = start + size
        else:
            at += FIXED_SIZES[wire]
        if at > len(message):
            raise NotOnnx("it ends within a field")
        yield tag >> 3, wire, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and the place after it."""
    number = 0
    for shift, byte in enumerate(message[at : at + LONGEST_VARINT]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number, at + shift + 1
    raise NotOnnx("a number does not end")
