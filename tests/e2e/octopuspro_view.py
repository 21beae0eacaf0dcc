"""What an OctopusPro account holds beside what came of it in Pipedrive. Knows the requirements, not the mapping."""

import csv
import html
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.octopuspro.account import Account, Row
from tests.e2e.checker import Target

STAGES = {
    "quoted": "Quoted",
    "to do": "To do",
    "in progress": "In progress",
    "completed": "Completed",
    "on hold": "On hold",
    "cancelled": "Cancelled",
}
DEAL_STATUS = {"completed": "won", "cancelled": "lost"}
COUNTED = {"Open", "Overdue", "Closed"}
"""Invoices that are sales: no drafts and no void ones."""
LOST_BOOKINGS = ("orphan", "customer_deleted", "worker_unmatched")
"""Defects of bookings that wait for a person."""


@dataclass(slots=True)
class View:
    """One account and one export of Pipedrive."""

    account: Account
    export: bytes
    label: str
    window_end: datetime
    """Visits of recurring bookings from then on stay behind."""
    target: Target = field(init=False)

    def __post_init__(self) -> None:
        """Index the export."""
        self.target = Target.parse(self.export)

    # What is in Pipedrive

    def one(self, kind: str, entity: str, source_id: str, part: str = "") -> dict[str, Any]:
        """Return the only record that came of a source record."""
        origin = f"{self.label}/{entity}/{source_id}" + (f"/{part}" if part else "")
        found = self.target.by_origin[kind].get(origin, [])
        assert len(found) == 1, f"{origin} is in Pipedrive {len(found)} times"
        return dict(found[0])

    def is_there(self, kind: str, entity: str, source_id: str, part: str = "") -> bool:
        """Say whether anything came of a source record."""
        return bool(self.target.by_origin[kind].get(f"{self.label}/{entity}/{source_id}" + (f"/{part}" if part else "")))

    def custom(self, entity: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return custom values by name, picklists as their labels."""
        found: dict[str, Any] = {}
        for one in self.target.state["fields"]:
            value = record.get("custom_fields", {}).get(one["field_code"])
            if one["entity"] != entity or value is None:
                continue
            labels = {option["id"]: option["label"] for option in one.get("options") or []}
            if one["field_type"] == "enum":
                value = labels[value]
            elif one["field_type"] == "set":
                value = [labels[number] for number in value]
            found[one["field_name"]] = value["value"] if one["field_type"] in {"monetary", "address"} else value
        return found

    def stage(self, deal: Mapping[str, Any]) -> str:
        """Return the name of a deal's stage."""
        return next(str(one["name"]) for one in self.target.state["stages"] if one["id"] == deal["stage_id"])

    def owner(self, record: Mapping[str, Any]) -> str:
        """Return the e-mail of a record's owner."""
        return next(str(one["email"]) for one in self.target.state["users"] if one["id"] == record["owner_id"])

    def activities(self, deal_id: int, kind: str) -> list[dict[str, Any]]:
        """Return the activities of a type on a deal."""
        return [one for one in self.target.state["activities"] if one.get("deal_id") == deal_id and one["type"] == kind]

    def notes(self, **parent: int) -> str:
        """Return all notes on a record as one text."""
        ((name, number),) = parent.items()
        return "\n".join(one["content"] for one in self.target.state["notes"] if one.get(name) == number)

    def files(self, name: str, value: int) -> list[dict[str, Any]]:
        """Return the files that hang on a record."""
        return [one for one in self.target.state["files"] if one.get(name) == value]

    # What the account holds

    def rows(self, file: str, **where: str) -> list[Row]:
        """Return rows by values of their columns (`_` for a blank)."""
        wanted = {name.replace("_", " "): value for name, value in where.items()}
        return [row for row in self.account.tables[file] if all(row.get(name) == value for name, value in wanted.items())]

    def moved(self, file: str, *defects: str) -> Iterator[Row]:
        """Yield the rows that have to arrive: all without one of these defects."""
        missing = self.account.defective(*defects)
        key = next(iter(self.account.tables[file][0]))
        yield from (row for row in self.account.tables[file] if (file, row[key]) not in missing)

    def bookings(self) -> Iterator[Row]:
        """Yield the bookings that have to arrive."""
        for row in self.moved("bookings", *LOST_BOOKINGS):
            if not (row.get("Recurring ID") and row["Booking start"] >= self.window_end):
                yield row

    def booking_ids(self) -> set[str]:
        """Return their ids."""
        return {row["Booking ID"] for row in self.bookings()}

    def services(self, booking_id: str) -> list[str]:
        """Return the names of a booking's services, each once."""
        names = {row["Service ID"]: row["Service name"] for row in self.account.tables["services"]}
        return list(dict.fromkeys(names[line["Service ID"]] for line in self.account.tables["booking_services"] if line["Booking ID"] == booking_id))

    def counted_invoices(self, booking_id: str) -> list[Row]:
        """Return the invoices of a booking whose totals are sales and stand for themselves."""
        return [
            row
            for row in self.account.tables["invoices"]
            if row["Booking ID"] == booking_id and row["Status"] in COUNTED and not row["Merged into invoice"]
        ]

    def value(self, booking: Row) -> Decimal:
        """Return what a booking is worth: what was invoiced, else its total."""
        invoices = self.counted_invoices(booking["Booking ID"])
        worth: Decimal = sum((row["Total"] for row in invoices), Decimal(0)) if invoices else booking["Total"]
        return worth

    def deal_of_invoice(self, invoice: Row) -> dict[str, Any]:
        """Return the deal an invoice belongs to."""
        if invoice["Booking ID"]:
            return self.one("deals", "booking", invoice["Booking ID"])
        return self.one("deals", "invoice", invoice["Invoice ID"])

    def arrived_invoices(self) -> Iterator[Row]:
        """Yield the invoices whose deal is there."""
        kept = self.booking_ids()
        yield from (row for row in self.moved("invoices", "orphan") if not row["Booking ID"] or row["Booking ID"] in kept)


def shown(text: str) -> str:
    """Return text as a note shows it."""
    return html.escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>")


def amount(value: Decimal) -> str:
    """Return an amount as texts show it."""
    return str(int(value)) if value == int(value) else str(float(value))


def utc(moment: datetime) -> str:
    """Return a time as Pipedrive has it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_utc(day: date, clock: time, zone: str) -> datetime:
    """Return a wall clock's time in UTC."""
    return datetime.combine(day, clock, ZoneInfo(zone)).astimezone(UTC)


def table(files: Mapping[str, bytes], name: str) -> list[dict[str, str]]:
    """Read one of the reference exports."""
    return list(csv.DictReader(io.StringIO(files[name].decode("utf-8-sig"))))


def as_json(value: Any) -> str:
    """Return anything as text to search in."""
    return json.dumps(value, ensure_ascii=False)
