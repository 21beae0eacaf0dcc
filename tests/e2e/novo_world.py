"""What a Novo Work Order account holds and what Pipedrive holds, for comparing both by hand-written expectations instead of by the mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from sandbox.novo_work_order.account import ZONE, Account, Row
from tests.e2e.bundle_journey import BothSides

CLOCK = ZoneInfo(ZONE)
INACTIVE = {"Inactive", "Retired"}


def utc(moment: datetime) -> str:
    """Write a time on the town's clock as Pipedrive has it."""
    return moment.replace(tzinfo=CLOCK).astimezone(ZoneInfo("UTC")).strftime("%Y-%m-%dT%H:%M:%SZ")


def plus_months(day: datetime, months: int) -> datetime:
    """Answer the same day some months later; a month that is shorter has its last."""
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    return day.replace(year=year, month=month, day=min(day.day, last))


def due_days(row: Row, first: date, end: date) -> list[datetime]:
    """Answer when a schedule is due from `first` up to but not including `end`, by hand for each form the generator makes."""
    start: datetime = row["Run At"]
    words = (row["Recurrence"] or "").casefold()
    found: list[datetime] = []
    if row["Interval"] == "Once":
        found = [start]
    elif words == "first monday of every month":
        found = [day for step in range(60) if (day := _first_monday(plus_months(start.replace(day=1), step))) >= start]
    elif words == "every 2 weeks":
        found = [start + timedelta(weeks=2 * step) for step in range(200)]
    elif row["Unit"] == "Months":
        found = [plus_months(start, row["Every"] * step) for step in range(200)]
    elif row["Unit"] == "Weeks":
        found = [start + timedelta(weeks=row["Every"] * step) for step in range(400)]
    elif row["Unit"] == "Days":
        found = [start + timedelta(days=row["Every"] * step) for step in range(2000)]
    return [day for day in found if first <= day.date() < end]


def _first_monday(month: datetime) -> datetime:
    return next(day for step in range(7) if (day := month.replace(day=1 + step)).weekday() == 0)


class World(BothSides[Account]):
    """One account on both sides."""

    stands_in: ClassVar[Mapping[str, str]] = {"user4": "user2"}
    """Who the mapping workbook says gets the work of somebody else."""

    def rows(self, table: str) -> list[Row]:
        """Return the rows that shall move."""
        return [row for row in self.account.tables[table] if row.get("Status") not in INACTIVE]

    def one(self, kind: str, origin: str) -> dict[str, Any]:
        """Return the one record of Pipedrive that came from a source record."""
        found = self.target.one(kind, f"{self.label}/{origin}")
        assert found is not None, f"{kind} of {origin}: {len(self.target.by_origin[kind].get(f'{self.label}/{origin}', []))} found"
        return dict(found)

    def labels(self, record: Mapping[str, Any]) -> set[str]:
        """Return an organization's labels."""
        labels = next(one["options"] for one in self.state["fields"] if one["entity"] == "organization" and one["field_code"] == "label_ids")
        names = {option["id"]: option["label"] for option in labels or []}
        return {names[one] for one in record.get("label_ids") or []}

    def option_labels(self, entity: str, name: str) -> set[str]:
        """Return the options of a custom field."""
        found = next(one for one in self.state["fields"] if one["entity"] == entity and one["field_name"] == name)
        return {option["label"] for option in found["options"]}

    def stage(self, deal: Mapping[str, Any]) -> str:
        """Return the name of a deal's stage."""
        return str(next(one["name"] for one in self.state["stages"] if one["id"] == deal["stage_id"]))

    def notes(self, parent: str, record_id: int) -> list[dict[str, Any]]:
        """Return the notes of a record."""
        return [one for one in self.state["notes"] if one.get(parent) == record_id]

    def activities(self, parent: str, record_id: int, kind: str) -> list[dict[str, Any]]:
        """Return the activities of one type on a record."""
        return [one for one in self.state["activities"] if one.get(parent) == record_id and one["type"] == kind]

    def user_id(self, name: str | None) -> int:
        """Return the Pipedrive user of a user name; the one whose token is used for everybody else."""
        users = {one["email"]: one["id"] for one in self.state["users"] if one["active_flag"]}
        return int(users.get(f"{self.stands_in.get(name or '', name)}@town.example", users["admin@town.example"]))

    def organization_of_account(self, account_id: Any) -> int | None:
        """Return the organization of an account that moves."""
        row = next((one for one in self.rows("accounts") if one["Account ID"] == account_id), None)
        return int(self.one("organizations", f"account/{account_id}")["id"]) if row else None

    def organization_of_asset(self, asset_id: Any) -> int | None:
        """Return the organization of an asset that moves."""
        row = next((one for one in self.rows("assets") if str(one["Asset ID"]) == str(asset_id)), None)
        return int(self.one("organizations", f"asset/{asset_id}")["id"]) if row else None

    def placeholder(self, name: str) -> int:
        """Return the organization of a placeholder."""
        return int(self.one("organizations", f"placeholder/{name}")["id"])

    def ancestors(self, row: Row) -> list[Row]:
        """Return the ancestors of an asset, nearest first; one of a circle has none, and none go beyond one that is not there."""
        by_id = {one["Asset ID"]: one for one in self.account.tables["assets"]}
        path = [row]
        while (parent := by_id.get(path[-1]["Parent Asset ID"])) is not None:
            if parent in path:
                return path[1 : path.index(parent) + 1]
            path.append(parent)
        return path[1:]

    def parts_used(self) -> Iterator[tuple[str, str]]:
        """Yield (part, asset) of everything that was used on equipment that moves, with repeats."""
        orders = {one["Work Order ID"]: one for one in self.account.tables["work_orders"]}
        for line in self.account.tables["work_order_parts"]:
            order = orders.get(line["Work Order ID"])
            for asset_id in order["Asset ID"] if order else []:
                if self.organization_of_asset(asset_id) is not None:
                    yield line["Part Number"], asset_id
