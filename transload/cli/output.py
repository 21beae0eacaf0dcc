"""What the command prints: tables for people, JSON for programs. Results go to stdout; progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TextIO

from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.message import Message

# Without a terminal there is no width to keep to; 80 columns would break every name in a table.
_WIDTH_WITHOUT_TERMINAL = 160


def _console(stream: TextIO, *, is_error: bool) -> Console:
    return Console(stderr=is_error, highlight=False, soft_wrap=True, width=None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL)


stdout = _console(sys.stdout, is_error=False)
stderr = _console(sys.stderr, is_error=True)


def enum_word(message: Message, field_name: str) -> str:
    """The enum value of a field as a lower-case word: `MIGRATION_STATE_SAMPLED` → `sampled`."""
    return _enum_word(message.DESCRIPTOR.fields_by_name[field_name].enum_type, getattr(message, field_name))


def _enum_word(enum: Any, number: int) -> str:
    """`Any`: protobuf's stubs know two classes of descriptors and connect them nowhere."""
    name = enum.values_by_number[number].name
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    word = name.removeprefix(prefix).lower()
    return "" if word == "unspecified" else word


def as_data(message: Message) -> dict[str, Any]:
    """A message as plain data: enums as words, times as RFC 3339, `*_json` bytes as the JSON they hold; empty fields included."""
    return {field.name: _field_data(message, field) for field in message.DESCRIPTOR.fields}


def _field_data(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            return dict(value)
        return [_value_data(field, entry) for entry in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _value_data(field, value)


def _value_data(field: Any, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if field.message_type is not None:
        return as_data(value)
    if field.enum_type is not None:
        return _enum_word(field.enum_type, value)
    if isinstance(value, bytes):
        return json.loads(value) if value and field.name.endswith("_json") else value.decode("utf-8", "replace") or None
    return value


def print_json(data: Any) -> None:
    """Prints data as JSON on stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False, indent=2) + "\n")


def print_json_line(data: Any) -> None:
    """Prints data as one line of JSON on stdout."""
    sys.stdout.write(json.dumps(data, ensure_ascii=False) + "\n")


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, right_from: int = 99, footer: Sequence[object] = ()) -> Table:
    """Builds a table; columns from index `right_from` on are numbers and stand at the right."""
    result = Table(title=title or None, title_justify="left", show_footer=bool(footer))
    for index, column in enumerate(columns):
        result.add_column(
            column,
            justify="right" if index >= right_from else "left",
            footer=str(footer[index]) if footer else "",
            overflow="fold",
        )
    for row in rows:
        result.add_row(*(_cell(value) for value in row))
    return result


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("[", r"\[")
