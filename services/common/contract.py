"""Reads messages of other processes: what is none, or holds what no field of the contracts may hold, is refused before anybody works with it.

Checked here is what holds for every message: it can be parsed; no text has a NUL character (PostgreSQL stores none), but for words that may quote
what a source holds; names, ids and keys are at
most `NAME_BYTES_MAX` long (an index of PostgreSQL takes no more); times lie in the years 1 to 9999, numbers are finite. What a single field means
is checked by whoever reads it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from services.common.errors import InvalidRequestError, MalformedMessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import Descriptor

M = TypeVar("M", bound=Message)

NAME_BYTES_MAX: Final = 2_000
"""Longest name, id, key or token in bytes of UTF-8. PostgreSQL's B-tree takes 2704 bytes an entry (known), the migration's id included."""

_NAMES: Final = frozenset(
    {
        *("key", "keys", "digest", "entity", "entities", "connector", "connection", "actor", "holder", "day", "reason", "state", "kind", "group"),
        *("resolution", "candidate", "conflict_policy", "request_id", "trace_parent"),
    }
)
_WORDS: Final = frozenset({"message", "edited_fields"})
"""What people read may quote hostile values; the ledger takes NULs out of it."""
_NAME_ENDS: Final = ("_id", "_ids", "_key", "_keys", "_digest", "_token", "_entity", "_connection")
_SECONDS: Final = {
    "google.protobuf.Timestamp": (-62_135_596_800, 253_402_300_799),
    "google.protobuf.Duration": (-315_576_000_000, 315_576_000_000),
}
_MIGRATION_ID: Final = re.compile(r"[a-z0-9-]{1,63}")
_DIGITS_MAX: Final = 18
"""Numbers of so many digits fit into 64 bits."""
_NANOS_MAX: Final = 999_999_999


@dataclass(frozen=True, slots=True)
class _Checked:
    """A field that can hold something wrong."""

    name: str
    is_repeated: bool
    is_name: bool
    kind: str
    """`text`, `number`, `time` or `message`."""


def read(parse: Callable[[bytes], Any], raw: bytes) -> Any:
    """Parses and checks the request of an RPC.

    Raises:
        InvalidRequestError: it is no message of this RPC, or a field holds what none may hold; the message names it.
    """
    try:
        message = parse(raw)
    except DecodeError:
        # The parser's own words name its classes.
        raise InvalidRequestError("the request cannot be read: it is no message of this RPC") from None
    check(message)
    return message


def read_queued(kind: type[M], raw: bytes) -> M:
    """Parses and checks a message of a stream.

    Raises:
        MalformedMessageError: it is no message of this stream; it will never be one.
    """
    try:
        message = kind.FromString(raw)
    except DecodeError:
        raise MalformedMessageError(f"a message of {len(raw)} bytes is no {kind.DESCRIPTOR.name}") from None
    try:
        check(message)
    except InvalidRequestError as error:
        raise MalformedMessageError(f"a {kind.DESCRIPTOR.name}: {error.message}") from None
    return message


def page_position(token: str) -> int:
    """Answers the place a page token of ours stands for, 0 for none.

    Raises:
        InvalidRequestError: it was never answered.
    """
    if token and not (token.isascii() and token.isdecimal() and len(token) <= _DIGITS_MAX):
        raise InvalidRequestError("page_token: not one that was answered before")
    return int(token or "0")


def check_migration_id(migration_id: str, field: str = "migration_id") -> str:
    """Answers an id that may stand in a file's name and in a subject.

    Raises:
        InvalidRequestError: no migration can have it.
    """
    if not _MIGRATION_ID.fullmatch(migration_id):
        raise InvalidRequestError(f"{field}: {migration_id[:100]!r} is not 1 to 63 characters of [a-z0-9-]")
    return migration_id


def check(message: Message) -> None:
    """Looks through all fields that are set.

    Raises:
        InvalidRequestError: the message names the field.
    """
    for path, problem in _problems(message):
        raise InvalidRequestError(f"{path}: {problem}")


def _problems(message: Message) -> Iterator[tuple[str, str]]:
    for one in _checked(message.DESCRIPTOR):
        value = getattr(message, one.name)
        if one.kind in {"time", "message"} and not one.is_repeated:
            if not message.HasField(one.name):
                continue
        elif not value:
            continue
        for item in value if one.is_repeated else (value,):
            if one.kind == "message":
                yield from ((f"{one.name}.{path}", problem) for path, problem in _problems(item))
            elif problem := _problem(one, item):
                yield one.name, problem


def _problem(one: _Checked, value: Any) -> str:
    """Says what is wrong with a value, nothing when it may stand there."""
    if one.kind == "text":
        if "\0" in value and one.name not in _WORDS:
            return "must not hold a NUL character"
        if one.is_name and len(value) * 4 > NAME_BYTES_MAX and len(value.encode()) > NAME_BYTES_MAX:
            return f"must not be longer than {NAME_BYTES_MAX} bytes"
        return ""
    if one.kind == "number":
        return "" if math.isfinite(value) else "must be a finite number"
    first, last = _SECONDS[value.DESCRIPTOR.full_name]
    is_right = first <= value.seconds <= last and abs(value.nanos) <= _NANOS_MAX
    if value.DESCRIPTOR.name == "Timestamp":
        return "" if is_right and value.nanos >= 0 else "must be a time from year 1 to 9999"
    return "" if is_right and value.seconds * value.nanos >= 0 else "must be a span of at most 10000 years"


@cache
def _checked(descriptor: Descriptor) -> tuple[_Checked, ...]:
    """Answers the fields of a message that have to be looked at; those of messages without any are not entered."""
    found = []
    for field in descriptor.fields:
        kind = _kind(field)
        if kind:
            is_name = field.name in _NAMES or field.name.endswith(_NAME_ENDS)
            found.append(_Checked(field.name, field.is_repeated, is_name, kind))
    return tuple(found)


def _kind(field: FieldDescriptor) -> str:
    if field.type == FieldDescriptor.TYPE_STRING:
        return "text"
    if field.type in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        return "number"
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return ""
    if field.message_type.full_name in _SECONDS:
        return "time"
    return "message" if _checked(field.message_type) else ""
