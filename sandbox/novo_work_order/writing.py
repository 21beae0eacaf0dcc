"""Writes an account as the product's report writer does: dates as in the United States, money with its sign, lists joined with semicolons."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from sandbox.novo_work_order.account import ZONE, Account, Attached, Row

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.bundles.writer import BundleWriter

_NOON: Final = 12
_OWN_BYTES: Final = 4096


RENAMED_TABLES: Final = {"work_orders": "Tickets", "assets": "Equipment Register"}
RENAMED_HEADS: Final = {
    "work_orders": {"Work Order ID": "Ticket No.", "Status": "Ticket State", "Date Completed": "Finished On"},
    "assets": {"Asset Name": "Designation", "Parent Asset ID": "Belongs To"},
    "pm_schedules": {"Every": "Repeat Every"},
}
"""What a tenant calls its lists and columns."""
RENAMED_LAYOUT: Final = """\
# What this town calls its lists and columns.
entities:
  work_order:
    source_name: Tickets
    columns:
      work_order_id: {heads: [Ticket No.]}
      status: {heads: [Ticket State]}
      completed_time: {heads: [Finished On]}
  asset:
    source_name: Equipment Register
    columns:
      asset_name: {heads: [Designation]}
      parent_asset_id: {heads: [Belongs To]}
  pm_schedule:
    columns:
      every: {heads: [Repeat Every]}
"""


DATABASE_TABLES: Final = {"work_orders": "CASES", "work_order_notes": "CASE_NOTES"}
DATABASE_HEADS: Final = {
    "work_orders": {
        "Work Order ID": "CASE_ID",
        "Title": "CASE_TITLE",
        "Description": "CASE_DESCRIPTION",
        "Status": "CASE_STATUS",
        "Priority": "CASE_PRIORITY",
        "Account ID": "CUSTOMER_REF",
        "Date Added": "CASE_DATE_ADD",
        "Date Edited": "CASE_DATE_EDIT",
        "Date Assigned": "CASE_DATE_ASSIGN",
        "Initial Response": "CASE_DATE_INITIAL_RESPONSE",
        "Date Due": "CASE_DATE_DUE",
        "Date Completed": "CASE_DATE_COMPLETE",
    },
    "work_order_notes": {
        "Note ID": "NOTE_ID",
        "Work Order ID": "CASE_REF",
        "Note Date": "NOTE_DATE",
        "Note Description": "NOTE_DESCRIPTION",
        "Internal": "NOTE_INTERNAL",
    },
}
"""What the program's database calls them. The help names CASE_TITLE, CASE_DESCRIPTION, CASE_DATE_ADD, CUSTOMER_REF and the heads of notes but for
their id; the others are assumed."""
MAIL_METHOD: Final = 3
"""CASE_ADD_METHOD of what came by mail."""


def write_database(account: Account, writer: BundleWriter) -> Path:
    """Write work orders and their notes as an export from the program's database has them, everything else as always.

    Dates are as SQL writes them, truth values 1 and 0, and each case says how it came in.
    """
    plain = {name: rows for name, rows in account.tables.items() if name not in DATABASE_TABLES}
    for name, table in DATABASE_TABLES.items():
        own = DATABASE_HEADS[name]
        rows = [{own.get(head, head): _sql(value) for head, value in _flat(row).items()} for row in account.tables[name]]
        if name == "work_orders":
            mail = {"CASE_ADD_METHOD": str(MAIL_METHOD), "CASE_ADD_MAILFROM": "resident@example.com"}
            rows = [{**row, **(mail if place % 2 else {"CASE_ADD_METHOD": "1"})} for place, row in enumerate(rows)]
        writer.table(table, rows, heads=_heads(rows))
    return write_account(replace(account, tables=plain), writer)


def _sql(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    return f"{value:%Y-%m-%d %H:%M:%S}.000" if isinstance(value, datetime) else value


def write_account(account: Account, writer: BundleWriter, *, is_renamed: bool = False) -> Path:
    """Write everything and answer where the bundle is; with `is_renamed` under a tenant's own heads, which a `layout.yaml` explains."""
    if writer.manifest is not None:
        writer.manifest |= {
            "source": "novo-work-order",
            "tenant": account.tenant,
            "exported_at": f"{account.today.isoformat()}T17:00:00-05:00",
            "time_zone": ZONE,
            "date_format": "M/d/yyyy h:mm:ss tt",
            "since": None,
        }
    for name, rows in account.tables.items():
        heads = _heads(rows)
        written = rows if writer.is_xlsx else [{head: cell(row.get(head), is_money=_is_money(head)) for head in heads} for row in rows]
        own = RENAMED_HEADS.get(name, {}) if is_renamed else {}
        table = RENAMED_TABLES.get(name, name) if is_renamed else name
        flat = [{own.get(head, head): value for head, value in _flat(row).items()} for row in written]
        writer.table(table, flat, heads=[own.get(head, head) for head in heads])
    if is_renamed:
        writer.raw("layout.yaml", RENAMED_LAYOUT.encode())
    for one in account.files:
        _write_file(writer.out / "attachments" / one.path, one)
    return writer.finish()


def _heads(rows: list[Row]) -> list[str]:
    return list(dict.fromkeys(head for row in rows for head in row))


def _is_money(head: str) -> bool:
    return head.endswith(" Cost") or head == "Hourly Rate"


def _flat(row: Row) -> Row:
    return {head: ";".join(value) if isinstance(value, list) else value for head, value in row.items()}


def cell(value: Any, *, is_money: bool = False) -> str:
    """Write a value as the product does."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return f"{value.month}/{value.day}/{value.year} {value.hour % _NOON or _NOON}:{value:%M:%S} {'PM' if value.hour >= _NOON else 'AM'}"
    if isinstance(value, date):
        return f"{value.month}/{value.day}/{value.year}"
    if isinstance(value, list):
        return ";".join(value)
    if isinstance(value, float) and is_money:
        return f"${value:,.2f}"
    return str(value)


def _write_file(path: Path, one: Attached) -> None:
    """Write a file: some bytes of its own, then nothing, so that a large one takes no place on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(random.Random(one.seed).randbytes(min(one.size, _OWN_BYTES)))
        file.truncate(one.size)
