"""The reference exports (L-12): work orders and payments in full, what does not move, and what has to be built again by hand.

Files are written while the snapshot is read, chunk by chunk. Tables are for spreadsheets: UTF-8 with a byte order mark, and no cell that a
spreadsheet would run as a formula. The JSON lines beside them hold the raw records. Links to files are bearer secrets and bank details are not
moved by default: both are left out.
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import orjson

from services.common.errors import MappingError
from services.transformer.context import Context
from services.transformer.paths import Links, compile_path, is_empty, parse_path
from services.transformer.profile import Shapes
from services.transformer.transforms import ValueProblem, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from services.transformer.mapping import Mapping as MappingModel
    from services.transformer.paths import Getter
    from services.transformer.profile import Snapshot

CHUNK_BYTES: Final = 64 * 1024
"""Most bytes in one piece of a file."""
COLUMNS_MAX: Final = 200
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MASK: Final = "***"
SERIES_MIN: Final = 3
"""Appointments alike that make a series; two are chance."""
_MIDNIGHT: Final = re.compile(r"\d{4}-\d\d-\d\dT00:00:00([+-]\d\d:?\d\d|Z)?")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_CELL_CHARACTERS_MAX: Final = 32_000
"""A spreadsheet's cell takes 32,767 characters; the JSON lines have the whole."""
_NOT_SHOWN: Final = frozenset({"bank-account", "bank_account", "iban"})


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table with its raw records beside it.

    Attributes:
        entities: source entities that become rows.
        columns: heading → source path.
    """

    name: str
    entities: tuple[str, ...]
    columns: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Rebuild:
    """One section of the rebuild reference: a list of settings that people must make again in the target.

    Attributes:
        columns: heading → source path.
        advice: what to do in Pipedrive.
    """

    title: str
    entity: str
    columns: Mapping[str, str]
    advice: str


@dataclass(frozen=True, slots=True)
class ExportRules:
    """What is exported of one kind of source."""

    sheets: tuple[Sheet, ...] = ()
    rebuilds: tuple[Rebuild, ...] = ()
    series_entity: str = ""
    """Entity whose records may be occurrences of recurring appointments."""
    texts: tuple[str, ...] = ()


_RECEIPT_COLUMNS: Final = {
    "Invoice": "full-reference",
    "Client": "client -> legal-name",
    "Amount": "amount",
    "Currency": "currency-code",
    "Currency rate": "currency-rate",
    "Paid": "paid",
    "Payment date": "payment-date",
    "Due": "payment-term-date",
    "Method": "payment_option -> name",
    "Concept": "concept",
    "External reference": "external-id",
    "Gateway reference": "gateway-reference",
    "Received by": "paid_by -> full-name",
    "Settled": "settled",
}

_STEL_TEXTS: Final = (
    (
        "Automations: STEL Order's interface does not show reminders, automatic e-mails, document flows and stock rules. Go through the "
        "account's settings together with the customer, note trigger, conditions and action of each, and build it in Pipedrive's "
        "automations (Tools and apps > Workflow automation), which cannot be made through Pipedrive's API either (G-04)."
    ),
    (
        "Preventive maintenance: each occurrence is an event of its own; the rule that made it is not in the interface. Recurring "
        "appointments are found below by their subject, client and distance."
    ),
    (
        "Offline data: records made in the mobile app without a connection arrive late. Ask for a sync of all devices and run a delta "
        "after 24 to 48 hours (G-06)."
    ),
    "Payment gateways: references of gateways are kept as text; the link to the gateway's transaction does not move (G-09).",
)

RULES: Final[Mapping[str, ExportRules]] = {
    "stel_order": ExportRules(
        sheets=(
            Sheet(
                "work-orders",
                ("work_order",),
                {
                    "Number": "full-reference",
                    "Title": "title",
                    "Date": "date",
                    "State": "state -> name",
                    "Client": "account -> legal-name",
                    "Client number": "account -> full-reference",
                    "Technician": "technician -> full-name",
                    "Scheduled": "assigned-date",
                    "Agent": "agent -> full-name",
                    "Address": "place -> formatted-address",
                    "City": "place -> city-town",
                    "Equipment": "equipment -> name",
                    "Serial numbers": "equipment -> serial-number",
                    "Lines": "lines.item-name",
                    "Units": "lines.units",
                    "Subtotal": "subtotal-amount",
                    "Tax": "tax-total-amount",
                    "Total": "total-amount",
                    "Currency": "currency-code",
                    "Signed": "signed",
                    "Previous document": "parent_document -> full-reference",
                    "Created": "creation-date",
                    "Changed": "utc-last-modification-date",
                    "Comments": "comments",
                    "Private comments": "private-comments",
                },
            ),
            Sheet("payments", ("ordinary_invoice_receipt", "refund_invoice_receipt"), _RECEIPT_COLUMNS),
        ),
        rebuilds=(
            Rebuild(
                "Document states",
                "document_state",
                {"Kind": "type", "State": "name", "Order": "order", "Colour": "color"},
                "Those of quotes, orders, work orders and invoices became stages; make the others again where you need them.",
            ),
            Rebuild(
                "Incident states",
                "incident_state",
                {"State": "name", "Order": "order", "Colour": "color"},
                "Use them as options of a field or as stages.",
            ),
            Rebuild("Incident types", "incident_type", {"Type": "name", "Colour": "color"}, "Use them as options of a field or as labels."),
            Rebuild("Event types", "event_type", {"Type": "name", "Colour": "color"}, "Make an activity type for each that you go on using."),
            Rebuild("Calendars", "calendar", {"Calendar": "name", "Owner": "owner-id"}, "Pipedrive has one calendar for each user."),
            Rebuild(
                "Numbering series",
                "serial_number",
                {"Series": "name", "Prefix": "prefix"},
                "Numbers are kept as text; Pipedrive numbers nothing itself.",
            ),
            Rebuild("Taxes", "tax_line", {"Tax": "name", "Percentage": "percentage"}, "Rates stand on products and line items."),
            Rebuild("Payment methods", "payment_option", {"Method": "name"}, "The method of each payment stands in its activity."),
            Rebuild(
                "Warehouses",
                "warehouse",
                {"Warehouse": "name"},
                "Stock stands on products as it was on the day of the move; it is not kept up to date.",
            ),
        ),
        series_entity="event",
        texts=_STEL_TEXTS,
    )
}
"""By connector; a source without an entry gets the entities that do not move and the fields."""


def write_exports(index: Snapshot, mapping: MappingModel) -> Iterator[tuple[str, bytes]]:
    """Write all files, each as consecutive pieces of at most 64 KiB: (file name, next bytes)."""
    rules = RULES.get(mapping.source, ExportRules())
    present = set(index.entities())
    for sheet in rules.sheets:
        entities = [entity for entity in sheet.entities if entity in present]
        yield from _table(f"{sheet.name}.csv", _sheet_rows(index, mapping, entities, sheet.columns))
        yield from _pieces(f"{sheet.name}.jsonl", (line for entity in entities for line in _raw_lines(index, entity)))
    for entity in not_moved(mapping, present):
        yield from _table(f"not-moved-{entity}.csv", _raw_rows(index, entity))
        yield from _pieces(f"not-moved-{entity}.jsonl", _raw_lines(index, entity))
    yield from _table("fields.csv", _field_rows(index, mapping, present))
    yield from _pieces("rebuild-reference.md", (line.encode() for line in _rebuild_reference(index, mapping, rules, present)))


def not_moved(mapping: MappingModel, present: Iterable[str]) -> list[str]:
    """Answer the entities of the snapshot that become nothing, in the mapping's order; reference data is looked up and does not count."""
    known = [name for name in mapping.entities if name in present]
    unknown = sorted(set(present) - set(mapping.entities))
    return [name for name in known if mapping.entities[name].use == "not_moved"] + unknown


def cell(value: object) -> str:
    """Write a value into a cell. Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    try:
        written = text(value) or ""
    except ValueProblem:
        written = orjson.dumps(value).decode()
    written = written.replace("\x00", "")
    if written.lstrip(" ").startswith(_FORMULA_STARTS) and not _is_number(written):
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
    try:
        float(written)
    except ValueError:
        return False
    return True


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


def _sheet_rows(index: Snapshot, mapping: MappingModel, entities: Sequence[str], columns: Mapping[str, str]) -> Iterator[Sequence[object]]:
    yield ["Record", *columns, "Deleted"]
    getters = [_getter(mapping, path) for path in columns.values()]
    for entity in entities:
        for envelope in index.iterate(entity):
            context = Context(envelope=envelope, lookup=index)
            yield [envelope.source_key, *(_shown(getter(context)) for getter in getters), envelope.is_deleted]


def _getter(mapping: MappingModel, path: str) -> Getter:
    """Compile a path; a link that this mapping does not have gives an empty column."""
    links = Links(mapping.links, mapping.collections)
    try:
        return compile_path(parse_path(path, links), links)
    except MappingError:
        return lambda _context: None


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


def _raw_lines(index: Snapshot, entity: str) -> Iterator[bytes]:
    for envelope in index.iterate(entity):
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


def _rebuild_reference(index: Snapshot, mapping: MappingModel, rules: ExportRules, present: set[str]) -> Iterator[str]:
    yield "# What has to be built again by hand\n\nNothing here was moved, because the target has no place for it or its API does not make it.\n\n"
    for paragraph in rules.texts:
        yield f"- {paragraph}\n"
    for section in rules.rebuilds:
        if section.entity in present:
            yield from _section(index, mapping, section)
    if rules.series_entity in present:
        yield from _series(index, rules.series_entity)
    rows = [[entity, mapping.entities[entity].label if entity in mapping.entities else ""] for entity in not_moved(mapping, present)]
    if rows:
        yield "\n## Kinds of record that were not moved\n\nAll of them are in `not-moved-*.csv` and `.jsonl`.\n\n"
        yield from _markdown(["Entity", "Kind"], rows)


def _section(index: Snapshot, mapping: MappingModel, section: Rebuild) -> Iterator[str]:
    yield f"\n## {section.title}\n\n{section.advice}\n\n"
    getters = [_getter(mapping, path) for path in section.columns.values()]
    rows = (
        [_shown(getter(Context(envelope=envelope, lookup=index))) for getter in getters]
        for envelope in index.iterate(section.entity)
        if not envelope.is_deleted
    )
    yield from _markdown(list(section.columns), rows)


def _series(index: Snapshot, entity: str) -> Iterator[str]:
    """List appointments that come again: same subject, same client and equipment, three times or more."""
    yield "\n## Recurring appointments\n\nMake them again as recurring activities; Pipedrive's API makes single ones only.\n\n"
    # An empty name is a private database in a temporary file: appointments may be many, and memory stays flat.
    with closing(sqlite3.connect("", check_same_thread=False)) as disk:
        disk.execute("CREATE TABLE event (subject TEXT, client TEXT, asset TEXT, day TEXT)")
        for one in index.iterate(entity):
            if not one.is_deleted:
                found = [str(one.data.get(name) or "") for name in ("subject", "account-id", "asset-id", "start-date")]
                disk.execute("INSERT INTO event VALUES (?, ?, ?, substr(?, 1, 10))", found)
        rows = disk.execute("SELECT * FROM event ORDER BY trim(subject), client, asset, day")
        yield from _markdown(["Subject", "Client", "Equipment", "Occurrences", "First", "Last", "Every"], _series_rows(rows))


def _series_rows(events: Iterable[tuple[str, str, str, str]]) -> Iterator[Sequence[object]]:
    for (subject, client, asset), group in groupby(events, key=lambda event: (event[0].strip(), event[1], event[2])):
        first = last = ""
        distances: Counter[int] = Counter()
        for *_, day in group:
            if last:
                distances[_days_between(last, day)] += 1
            first, last = first or day, day
        count = distances.total() + 1
        if count >= SERIES_MIN:
            yield [subject, f"client/{client}" if client else "", f"asset/{asset}" if asset else "", count, first, last, _rhythm(distances)]


def _days_between(first: str, second: str) -> int:
    try:
        return (date.fromisoformat(second) - date.fromisoformat(first)).days
    except ValueError:
        return 0


def _rhythm(distances: Counter[int]) -> str:
    days, count = distances.most_common(1)[0]
    return f"{days} days" if count == distances.total() else f"about {days} days (not regular)"


def _markdown(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}\n"
    for row in rows:
        yield "| " + " | ".join(_markdown_cell(value) for value in row) + " |\n"


def _markdown_cell(value: object) -> str:
    written = "" if is_empty(value) else text(value) or ""
    return written.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\r", " ").replace("\n", " ")
