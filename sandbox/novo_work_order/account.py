"""A made-up account: rows by table under the heads of the export, values typed as they are meant, before they are written as cells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, TypeAlias

Row: TypeAlias = dict[str, Any]
"""Head → text, int, float, bool, date, datetime without zone (the town's clock), a list of texts (joined with `;`), or None."""

ZONE: Final = "America/New_York"
KEYS: Final = {
    "departments": "Department ID",
    "locations": "Location ID",
    "users": "User ID",
    "accounts": "Account ID",
    "contacts": "Contact ID",
    "assets": "Asset ID",
    "parts": "Part Number",
    "pm_schedules": "PM Schedule ID",
    "work_orders": "Work Order ID",
    "work_order_notes": "Note ID",
    "work_order_status_log": "Log ID",
    "work_order_labor": "Labor ID",
    "work_order_parts": "Line ID",
    "attachments": "Attachment ID",
}
"""Column with the id of a row, by table; pm_steps and user_defined_fields have two."""
TABLES: Final = (*KEYS, "pm_steps", "user_defined_fields")


@dataclass(frozen=True, slots=True)
class Attached:
    """A file of the bundle, below `attachments/`.

    Attributes:
        size: bytes; the file is made when it is written, so that large ones cost nothing before.
    """

    path: str
    size: int
    seed: int


@dataclass(slots=True)
class Account:
    """Everything a bundle holds.

    Attributes:
        defects: kinds of deliberate defects by (table, id).
        today: the day the bundle is exported on.
    """

    tenant: str
    today: date
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in TABLES})
    files: list[Attached] = field(default_factory=list)
    defects: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, table: str, row: Row) -> Row:
        """Add a row and answer it."""
        self.tables[table].append(row)
        return row

    def mark(self, table: str, row_id: object, kind: str) -> None:
        """Note a deliberate defect."""
        self.defects.setdefault((table, str(row_id)), []).append(kind)

    def row(self, table: str, row_id: object) -> Row:
        """Answer the row with an id."""
        return next(one for one in self.tables[table] if str(one[KEYS[table]]) == str(row_id))

    def next_id(self, table: str) -> int:
        """Answer an id that no row has."""
        return max((one[KEYS[table]] for one in self.tables[table] if isinstance(one[KEYS[table]], int)), default=0) + 1


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """Answer a time on the town's clock."""
    return datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - exports carry no zone
