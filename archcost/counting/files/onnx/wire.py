"""An ONNX file before it is parsed: its fields and nodes are counted in place.

The wire format is protobuf's (protobuf.dev/programming-guides/encoding): a field is a key, number << 3 | kind, and a
varint (0), 8 bytes (1), a length and so many bytes (2), or 4 bytes (5). Field numbers are those of onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from typing import Final, NamedTuple

from archcost.errors import InputError

MOST_NODES: Final = 200_000
"""Nodes of all graphs and functions of a file together."""
MOST_FIELDS: Final = 5_000_000
MOST_NESTED: Final = 16
"""How deep graphs may stand in nodes of other graphs."""

_PARSED: Final = 150  # bytes that a small message takes when it is parsed, at least
# messages by name: which of their fields are messages that are looked into
_INSIDE: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 8: "opset", 14: "pair", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "value", 12: "value", 13: "value", 15: "sparse", 16: "pair"},
    "node": {5: "attribute", 9: "pair"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "function": {7: "node", 9: "opset", 11: "attribute", 12: "value", 14: "pair"},
    "sparse": {1: "tensor", 2: "tensor"},
    "value": {2: "type", 4: "pair"},
    "type": {1: "of tensors", 4: "type", 8: "of tensors", 9: "type"},
    "of tensors": {2: "shape"},
    "shape": {1: "axis"},
    "tensor": {13: "pair", 16: "pair"},
}
# numbers that may be packed, a byte or more each, and take 8 bytes when they are parsed
_PACKED: Final[Mapping[str, frozenset[int]]] = {
    "tensor": frozenset({1, 5, 7, 11}),
    "attribute": frozenset({8}),
    "sparse": frozenset({3}),
}

# texts, which have to be UTF-8: names above all
_TEXTS: Final[Mapping[str, frozenset[int]]] = {
    "node": frozenset({1, 2, 3, 4, 6, 7, 8}),
    "attribute": frozenset({1, 13, 21}),
    "graph": frozenset({2, 10}),
    "function": frozenset({1, 4, 5, 6, 8, 10, 13}),
    "tensor": frozenset({8, 12}),
    "value": frozenset({1, 3}),
    "axis": frozenset({2, 3}),
    "opset": frozenset({1}),
    "pair": frozenset({1, 2}),
}


class Size(NamedTuple):
    """What a file holds: nodes, fields, and the bytes that it takes when it is parsed, at least."""

    nodes: int
    fields: int
    parsed_bytes: int


class NoProtobufError(ValueError):
    """The bytes are no protobuf message."""


def measured(data: mmap.mmap | bytes) -> Size:
    """Return what a file holds; raises InputError beyond the limits, NoProtobufError where it cannot be such a file."""
    nodes = fields = packed = 0
    waiting = [(0, len(data), "model", 0)]
    while waiting:
        at, end, kind, depth = waiting.pop()
        inside, numbers, texts = _INSIDE.get(kind, {}), _PACKED.get(kind, ()), _TEXTS.get(kind, ())
        while at < end:
            key, at = _varint(data, at, end)
            start, at = _value(data, key & 7, at, end)
            fields += 1
            if key & 7 != 2:
                continue
            if (below := inside.get(key >> 3)) is not None:
                deeper = depth + (below == "graph")
                nodes += below == "node"
                waiting.append((start, at, below, deeper))
                _refuse(nodes, fields, deeper)
            elif key >> 3 in numbers:
                packed += at - start
            elif key >> 3 in texts:
                _refuse_bytes(data[start:at])
        _refuse(nodes, fields, depth)
    return Size(nodes, fields, len(data) + 7 * packed + _PARSED * fields)


def _refuse_bytes(text: bytes) -> None:
    try:
        text.decode()
    except UnicodeDecodeError:
        raise NoProtobufError from None


def _refuse(nodes: int, fields: int, depth: int) -> None:
    if nodes > MOST_NODES:
        raise InputError(f"it has more than {MOST_NODES:,} nodes, the most that are read")
    if fields > MOST_FIELDS:
        raise InputError(f"it has more than {MOST_FIELDS:,} fields, the most that are read")
    if depth > MOST_NESTED:
        raise InputError(f"its graphs are nested deeper than {MOST_NESTED}, the most that is read")


def _varint(data: mmap.mmap | bytes, at: int, end: int) -> tuple[int, int]:
    """Return the number that begins at a byte, and where it ends: 7 bits a byte, the lowest first."""
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise NoProtobufError


def _value(data: mmap.mmap | bytes, kind: int, at: int, end: int) -> tuple[int, int]:
    """Return where a field's value begins and ends."""
    match kind:
        case 0:
            return at, _varint(data, at, end)[1]
        case 1:
            after = at + 8
        case 5:
            after = at + 4
        case 2:
            length, at = _varint(data, at, end)
            after = at + length
        case _:
            raise NoProtobufError
    if after > end:
        raise NoProtobufError
    return at, after
