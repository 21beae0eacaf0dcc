"""The wire format of protobuf by hand: what a well-behaved library would refuse to write.

Fields appended to a serialized message win over those before them, or are added to them where they repeat, and a message field is merged; so
a hostile field is put anywhere in a sensible message by appending it, wrapped in the fields that lead to it.
"""

from __future__ import annotations

import struct

VARINT, FIXED64, BYTES, START_GROUP, END_GROUP, FIXED32 = range(6)


def varint(number: int) -> bytes:
    """Encode an integer of 64 bits, negative ones as two's complement."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def tag(number: int, wire_type: int) -> bytes:
    """Encode the tag of a field."""
    return varint(number << 3 | wire_type)


def integer(number: int, value: int) -> bytes:
    """Encode a field that is a varint: every integer, enum and boolean of our contracts."""
    return tag(number, VARINT) + varint(value)


def real(number: int, value: float) -> bytes:
    """Encode a field that is a double."""
    return tag(number, FIXED64) + struct.pack("<d", value)


def content(number: int, value: bytes) -> bytes:
    """Encode a field with a length: text, bytes, a message."""
    return tag(number, BYTES) + varint(len(value)) + value


def nested_groups(depth: int) -> bytes:
    """Encode groups inside each other, which no parser may follow without a limit."""
    return tag(1000, START_GROUP) * depth + tag(1000, END_GROUP) * depth
