"""What a Results account holds and what Pipedrive holds, for comparing both by hand-written expectations instead of by the mapping."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.results.build import EMPTY_DATE, Account, Row
from sandbox.results.companies import FIRST_COMPANY
from sandbox.results.reference import USERS
from tests.e2e.bundle_journey import BothSides

ZONE = ZoneInfo("America/New_York")
FIRST_OF_TWINS = str(FIRST_COMPANY + 1)
"""The company that the generator's twin has its domain from."""


def utc(moment: datetime) -> str:
    """Write a time on the firm's wall as Pipedrive has it."""
    return moment.replace(tzinfo=ZONE).astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


def day(value: date | None) -> str | None:
    """Write a date; the one old data bases have for none is none."""
    return None if value is None or value == EMPTY_DATE else value.isoformat()


def clock(day_of: date, time_of: time) -> tuple[str, str]:
    """Answer date and time of day in UTC."""
    written = utc(datetime.combine(day_of, time_of))
    return written[:10], written[11:19]


def amount(value: Decimal | None) -> float | None:
    """Answer an amount as JSON has it."""
    return None if value is None else float(value)


class World(BothSides[Account]):
    """One account on both sides."""

    def rows(self, table: str) -> list[Row]:
        """Return the rows that shall move: not inactive."""
        return [row for row in self.account.tables[table] if not row.get("Inactive")]

    def one(self, kind: str, entity: str, source_id: str) -> dict[str, Any] | None:
        """Return the record of Pipedrive that came from a source record; of a company that was entered twice the first one's."""
        if entity == "company" and source_id in self.account.defects_of("same_domain"):
            source_id = FIRST_OF_TWINS
        found = self.target.one(kind, f"{self.label}/{entity}/{source_id}")
        return dict(found) if found is not None else None

    def pairs(self, table: str, kind: str, entity: str) -> Iterator[tuple[Row, dict[str, Any]]]:
        """Yield the rows that arrived, each with its record."""
        head = next(iter(self.account.tables[table][0]))
        for row in self.rows(table):
            record = self.one(kind, entity, row[head])
            if record is not None:
                yield row, record

    def field(self, entity: str, name: str) -> dict[str, Any]:
        """Return a custom field's definition."""
        return next(one for one in self.state["fields"] if one["entity"] == entity and one["field_name"] == name)

    def by_id(self, kind: str) -> dict[int, dict[str, Any]]:
        """Return the records of a kind by id."""
        return {one["id"]: one for one in self.state[kind]}

    def user_id(self, written: str | None) -> int | None:
        """Return the Pipedrive user a person of Results is, however they are written; None for one who is nobody there."""
        if not written:
            return None
        word = written.casefold()
        for _, name, full_name, email, initials, _ in USERS:
            if email and word in {name.casefold(), full_name.casefold(), email.casefold(), initials.casefold()}:
                users = {user["email"].casefold(): user["id"] for user in self.state["users"] if user["active_flag"]}
                return users.get(email.casefold())
        return None

    def notes_of(self, parent: str, record_id: int) -> str:
        """Return everything that stands in the notes of a record."""
        return "\n".join(note["content"] for note in self.state["notes"] if note.get(parent) == record_id)

    def activities_of(self, subject: str) -> list[dict[str, Any]]:
        """Return activities by subject."""
        return [one for one in self.state["activities"] if one["subject"] == subject]


def later(moment: datetime, minutes: int) -> datetime:
    """Return the time some minutes later."""
    return moment + timedelta(minutes=minutes)
