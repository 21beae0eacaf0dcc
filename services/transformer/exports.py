"""The reference exports (L-12): work orders and payments in full, what does not move, and what has to be built again by hand.

Files are written while the snapshot is read, chunk by chunk. Tables are for spreadsheets: UTF-8 with a byte order mark, and no cell that a
spreadsheet would run as a formula. The JSON lines beside them hold the raw records. Links to files are bearer secrets and bank details are not
moved by default: both are left out.
"""

from __future__ import annotations

import csv
import io
import re
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from services.transformer.context import Context
from services.transformer.distinct_rows import TIMES_HEADING, distinct_rows
from services.transformer.empty import is_empty
from services.transformer.profile.shapes import Shapes
from services.transformer.series import SERIES_FILE, SERIES_RULE_COLUMNS, series_columns, series_rows
from services.transformer.sheets import SheetRows, compiler_for, headings, reader
from services.transformer.texts import plain_text
from services.transformer.transforms.problem import ValueProblem
from services.transformer.transforms.texts import text
from transload.workbook.cells import FORMULA_STARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from services.transformer.mapping.document import Mapping as MappingModel
    from services.transformer.mapping.sections import Rebuild, Sheet
    from services.transformer.snapshot.lookup import Snapshot

CHUNK_BYTES: Final = 64 * 1024
"""Most bytes in one piece of a file."""
COLUMNS_MAX: Final = 200
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MASK: Final = "***"
_MIDNIGHT: Final = re.compile(r"\d{4}-\d\d-\d\dT00:00:00([+-]\d\d:?\d\d|Z)?")
_NEGATIVE: Final = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
_CELL_CHARACTERS_MAX: Final = 32_000
"""A spreadsheet's cell takes 32,767 characters; the JSON lines have the whole."""
_NOT_SHOWN: Final = frozenset({"bank-account", "bank_account", "iban"})


def write_exports(index: Snapshot, mapping: MappingModel) -> Iterator[tuple[str, bytes]]:
    """Write all files, each as consecutive pieces of at most 64 KiB: (file name, next bytes).

    What is written of a source stands in its mapping's section `exports`; without it there are the entities that do not move and the fields.
    """
    rules = mapping.exports
    present = set(index.entities())
    for name, sheet in rules.sheets.items():
        entities = [entity for entity in sheet.entities if entity in present]
        yield from _table(f"{name}.csv", _sheet_rows(index, mapping, entities, sheet))
        yield from _pieces(f"{name}.jsonl", (line for entity in entities for line in _raw_lines(index, entity, SheetRows(mapping, sheet, entity))))
    for entity in not_moved(mapping, present):
        yield from _table(f"not-moved-{entity}.csv", _raw_rows(index, entity))
        yield from _pieces(f"not-moved-{entity}.jsonl", _raw_lines(index, entity))
    if rules.series is not None and rules.series.entity in present:
        yield from _table(f"{SERIES_FILE}.csv", chain([series_columns(rules.series)], series_rows(index, mapping, rules.series)))
    yield from _table("fields.csv", _field_rows(index, mapping, present))
    yield from _pieces("rebuild-reference.md", (line.encode() for line in _rebuild_reference(index, mapping, present)))
    yield from _pieces("exports.json", [orjson.dumps(_contents(index, mapping, present), option=orjson.OPT_INDENT_2)])


def _contents(index: Snapshot, mapping: MappingModel, present: set[str]) -> dict[str, Any]:
    """Say what the files hold, for the page that lists them; what has to be built again stands there in full."""
    rules = mapping.exports
    files = [
        {"file": f"{name}.csv", "title": sheet.title or name.replace("-", " ").capitalize(), "about": sheet.about}
        for name, sheet in rules.sheets.items()
    ]
    if rules.series is not None and rules.series.entity in present:
        about = "Appointments that come again, found by what they have in common, with their rhythm in words and as a rule for calendars."
        files.append({"file": f"{SERIES_FILE}.csv", "title": "Recurring appointments", "about": about})
    for entity in not_moved(mapping, present):
        label = (mapping.entities[entity].label if entity in mapping.entities else "") or entity.replace("_", " ").capitalize()
        files.append({"file": f"not-moved-{entity}.csv", "title": label, "about": "Not moved; every field as the source has it."})
    files.append(
        {
            "file": "fields.csv",
            "title": "Fields",
            "about": "Every field of the source with its types, how often it is filled, and why it is left out.",
        }
    )
    rebuild = []
    for section in rules.rebuild:
        if section.entity in present:
            rows = [[_plain(value) for value in row] for row in _section_rows(index, mapping, section)]
            rebuild.append({"title": section.title, "advice": section.advice, "columns": list(section.columns), "rows": rows})
    return {"source": mapping.source, "title": mapping.title, "texts": list(rules.texts), "files": files, "rebuild": rebuild}


def _plain(value: object) -> str:
    return "" if is_empty(value) else plain_text(value) or ""


def not_moved(mapping: MappingModel, present: Iterable[str]) -> list[str]:
    """Answer the entities of the snapshot that become nothing, in the mapping's order; reference data is looked up and does not count."""
    known = [name for name in mapping.entities if name in present]
    unknown = sorted(set(present) - set(mapping.entities))
    return [name for name in known if mapping.entities[name].use == "not_moved"] + unknown


def cell(value: object) -> str:
    """Write a value into a cell. Text that a spreadsheet would take for a formula gets an apostrophe in front.

    Numbers stay numbers, but not those with a plus: that is a telephone, and would lose it.
    """
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    try:
        written = text(value) or ""
    except ValueProblem:
        written = orjson.dumps(value).decode()
    written = written.replace("\x00", "")
    if written.lstrip(" ").startswith(FORMULA_STARTS) and not _is_number(written):
        written = f"'{written}"
    return written if len(written) <= _CELL_CHARACTERS_MAX else f"{written[:_CELL_CHARACTERS_MAX]}…"


def masked(value: Any, key: str = "") -> Any:
    """Take links to files and bank details out of a raw value. Addresses within the source (`app.../clients/1`) are no links."""
    if isinstance(value, dict):
        return {name: masked(inner, name) for name, inner in value.items() if name.casefold() not in _NOT_SHOWN}
    if isinstance(value, list):
        return [masked(element, key) for element in value]
    if not isinstance(value, str):
        return value
    address = urlsplit(value.strip()) if "://" in value else None
    if address is None or address.scheme not in {"http", "https"}:
        return value
    is_secret = bool(address.query) or key.endswith(("path", "url")) or "token" in key
    return f"{address.scheme}://{address.netloc.rpartition('@')[2]}/{MASK}" if is_secret else value


def _is_number(written: str) -> bool:
    return _NEGATIVE.fullmatch(written) is not None


def _pieces(name: str, content: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Gather bytes into pieces. A file without content is still a file."""
    buffer = bytearray()
    is_begun = False
    for part in content:
        buffer += part
        while len(buffer) >= CHUNK_BYTES:
            yield name, bytes(buffer[:CHUNK_BYTES])
            del buffer[:CHUNK_BYTES]
            is_begun = True
    if buffer or not is_begun:
        yield name, bytes(buffer)


def _table(name: str, rows: Iterable[Sequence[object]]) -> Iterator[tuple[str, bytes]]:
    return _pieces(name, _csv_lines(rows))


def _csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    yield BYTE_ORDER_MARK
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\r\n")
    for row in rows:
        writer.writerow([cell(value) for value in row])
        yield buffer.getvalue().encode("utf-8", "replace")
        buffer.seek(0)
        buffer.truncate()


def _sheet_rows(index: Snapshot, mapping: MappingModel, entities: Sequence[str], sheet: Sheet) -> Iterator[Sequence[object]]:
    if sheet.distinct:
        yield [*headings(sheet), TIMES_HEADING]
        makers = [(entity, SheetRows(mapping, sheet, entity)) for entity in entities]
        there = ((one, rows) for entity, rows in makers for one in index.iterate(entity) if not one.is_deleted)
        yield from distinct_rows([_shown(value) for value in values] for one, rows in there for values in rows.of(one, index))
        return
    yield ["Record", *headings(sheet), "Deleted"]
    for entity in entities:
        rows = SheetRows(mapping, sheet, entity)
        for envelope in index.iterate(entity):
            for values in rows.of(envelope, index):
                yield [envelope.source_key, *map(_shown, values), envelope.is_deleted]


def _shown(value: Any) -> object:
    """Answer a value for a cell: midnight stamps as dates, links without their secret."""
    if isinstance(value, str) and _MIDNIGHT.fullmatch(value):
        return value[:10]
    return masked(value, "path") if isinstance(value, str) else value


def _raw_rows(index: Snapshot, entity: str) -> Iterator[Sequence[object]]:
    """Write records as they are: one column for each field that is no list. The first pass finds the fields."""
    names: dict[str, None] = {}
    for envelope in index.iterate(entity):
        names.update(dict.fromkeys(name for name, _ in _flat(masked(envelope.data))))
    columns = list(names)[:COLUMNS_MAX]
    yield ["Record", *columns, "Deleted"]
    for envelope in index.iterate(entity):
        row = dict(_flat(masked(envelope.data)))
        yield [envelope.source_key, *(_shown(row.get(name)) for name in columns), envelope.is_deleted]


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            if value:
                yield f"{prefix}{name}", orjson.dumps(value).decode()
        else:
            yield f"{prefix}{name}", value


def _raw_lines(index: Snapshot, entity: str, rows: SheetRows | None = None) -> Iterator[bytes]:
    """Write records as they are; with the rows of a sheet only those that have one there."""
    for envelope in index.iterate(entity):
        if rows is not None and not rows.has_any(envelope, index):
            continue
        row = {
            "record": envelope.source_key,
            "is_deleted": envelope.is_deleted,
            "is_archived": envelope.is_archived,
            "data": masked(dict(envelope.data)),
        }
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _field_rows(index: Snapshot, mapping: MappingModel, present: Iterable[str]) -> Iterator[Sequence[object]]:
    """Write the schema of the source: every field seen, its types, how often it is filled, and what the mapping says of it."""
    yield ["Entity", "Field", "Types", "Filled", "Longest", "Values", "Left out because"]
    for entity in sorted(present):
        shapes = Shapes()
        for envelope in index.iterate(entity):
            shapes.take(envelope)
        rule = mapping.entities.get(entity)
        for name, row in shapes.rows().get(entity, {}).items():
            values = ", ".join(f"{value} ({count})" for value, count in row.get("values", {}).items())
            reason = rule.not_moved.get(name.partition(".")[0].removesuffix("[]"), "") if rule else ""
            yield [entity, name, ", ".join(row["types"]), row["filled"], row.get("longest", ""), values, reason]


def _rebuild_reference(index: Snapshot, mapping: MappingModel, present: set[str]) -> Iterator[str]:
    rules = mapping.exports
    yield "# What has to be built again by hand\n\nNothing here was moved, because the target has no place for it or its API does not make it.\n\n"
    for paragraph in rules.texts:
        yield f"- {paragraph}\n"
    for section in rules.rebuild:
        if section.entity in present:
            yield from _section(index, mapping, section)
    if rules.series is not None and rules.series.entity in present:
        yield "\n## Recurring appointments\n\nMake them again as recurring activities; Pipedrive's API makes single ones only.\n\n"
        columns = series_columns(rules.series)[:-SERIES_RULE_COLUMNS]
        yield from _markdown(columns, (row[:-SERIES_RULE_COLUMNS] for row in series_rows(index, mapping, rules.series)))
    rows = [[entity, mapping.entities[entity].label if entity in mapping.entities else ""] for entity in not_moved(mapping, present)]
    if rows:
        yield "\n## Kinds of record that were not moved\n\nAll of them are in `not-moved-*.csv` and `.jsonl`.\n\n"
        yield from _markdown(["Entity", "Kind"], rows)


def _section(index: Snapshot, mapping: MappingModel, section: Rebuild) -> Iterator[str]:
    yield f"\n## {section.title}\n\n{section.advice}\n\n"
    yield from _markdown(list(section.columns), _section_rows(index, mapping, section))


def _section_rows(index: Snapshot, mapping: MappingModel, section: Rebuild) -> Iterator[Sequence[object]]:
    compiler = compiler_for(mapping, section.entity)
    readers = [reader(compiler, rule) for rule in section.columns.values()]
    for envelope in index.iterate(section.entity):
        if not envelope.is_deleted:
            yield [_shown(read(Context(envelope=envelope, lookup=index))) for read in readers]


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield "| " + " | ".join(_markdown_cell(value) for value in row) + " |\n"


def _markdown_cell(value: object) -> str:
    written = "" if is_empty(value) else text(value) or ""
    return written.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\r", " ").replace("\n", " ")
