"""Work orders of made-up accounts, with their notes, status changes, labour and parts."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from sandbox.novo_work_order import words
from sandbox.novo_work_order.account import Account, Row, at

if TYPE_CHECKING:
    import random

ORDERS_PER_ACCOUNT: Final = 3


def add_work(account: Account, rng: random.Random, size: int, *, is_clean: bool) -> None:
    """Add work orders: every status, priority and department at least once."""
    for number in range(size * ORDERS_PER_ACCOUNT):
        _order(account, rng, 20_000 + number, number)
    if not is_clean:
        _spoil(account)


def _order(account: Account, rng: random.Random, order_id: int, number: int) -> None:
    status = words.STATUSES[number % len(words.STATUSES)]
    owner = account.tables["accounts"][number % len(account.tables["accounts"])]
    contacts = [row["Contact ID"] for row in account.tables["contacts"] if row["Account ID"] == owner["Account ID"]]
    assets = [row["Asset ID"] for row in account.tables["assets"] if row["Account ID"] == owner["Account ID"] and row["Status"] == "Active"]
    added = at(account.today - timedelta(days=rng.randrange(3, 500)), rng.randrange(7, 17), rng.randrange(60))
    is_done = status in {"Completed", "Cancelled"}
    workers = [f"user{1 + number % 4}", *([f"user{2 + number % 4}"] if number % 3 == 0 else [])]
    row: Row = {
        "Work Order ID": order_id,
        "Work Order Number": f"WO-{added.year}-{number:04}",
        "Title": f"{words.TITLES[number % len(words.TITLES)]}",
        "Description": (None, "Short: see the panel.", words.HTML, words.LONG * 5)[number % 4],
        "Status": status,
        "Priority": words.PRIORITIES[number % len(words.PRIORITIES)],
        "Category": rng.choice(("Corrective", "Inspection", "PM")),
        "Type": rng.choice(("Repair", "PM")),
        "Account ID": owner["Account ID"],
        "Contact ID": rng.choice(contacts) if contacts else None,
        "Asset ID": [str(one) for one in assets[: 1 + number % 2]],
        "Location": f"Station {1 + number % 8}",
        "Department": words.DEPARTMENTS[number % len(words.DEPARTMENTS)],
        "Assigned To": workers,
        "Group": rng.choice(("Water crew", "Road crew", None)),
        "PM Schedule ID": 1 if number % 7 == 0 else None,
        "Parent Work Order ID": order_id - 1 if number % 11 == 10 else None,
        "Date Added": added,
        "Date Edited": added + timedelta(days=2),
        "Date Assigned": added + timedelta(hours=1),
        "Initial Response": added + timedelta(hours=2),
        "Date Due": added + timedelta(days=7),
        "Date Completed": added + timedelta(days=2, hours=3) if is_done else None,
        "Estimated Hours": rng.choice((1.0, 1.5, 8.0)),
        "Resolution": rng.choice(words.RESOLUTIONS) if is_done else None,
        "UDF: Ward": rng.choice(("North", "South", "East")),
        "UDF: Grant Number": f"G-{number:05}" if number % 5 == 0 else None,
        "UDF: 811 Ticket": f"2026{number:06}" if number % 6 == 0 else None,
        "UDF: Inspection Date": (added + timedelta(days=1)).date() if number % 2 else None,
    }
    account.add("work_orders", row)
    labor = _labor(account, rng, row, number)
    parts = _parts(account, rng, row, number)
    row |= {
        "Actual Hours": round(sum(one["Hours"] for one in labor), 2) or None,
        "Labor Cost": round(sum(one["Labor Cost"] for one in labor), 2),
        "Parts Cost": round(sum(one["Extended Cost"] for one in parts), 2),
    }
    row["Total Cost"] = round(row["Labor Cost"] + row["Parts Cost"], 2)
    _history(account, rng, row, number)


def _labor(account: Account, rng: random.Random, order: Row, number: int) -> list[Row]:
    found = []
    for place in range(number % 3):
        worker = order["Assigned To"][place % len(order["Assigned To"])]
        rate = next(row["Hourly Rate"] for row in account.tables["users"] if row["User Name"] == worker)
        hours = rng.choice((0.25, 1.5, 8.0, 26.0))
        found.append(
            account.add(
                "work_order_labor",
                {
                    "Labor ID": account.next_id("work_order_labor"),
                    "Work Order ID": order["Work Order ID"],
                    "User": worker,
                    "Work Date": order["Date Added"].date() + timedelta(days=place),
                    "Hours": hours,
                    "Hourly Rate": rate,
                    "Labor Cost": round(hours * rate, 2),
                    "Overtime": place == 1,
                    "Description": rng.choice((None, "On site", "Cleaned; tested")),
                },
            )
        )
    return found


def _parts(account: Account, rng: random.Random, order: Row, number: int) -> list[Row]:
    found = []
    for _ in range((number + 1) % 3):
        part = rng.choice(account.tables["parts"][:-1])
        quantity = rng.choice((1, 2, 0.5))
        found.append(
            account.add(
                "work_order_parts",
                {
                    "Line ID": account.next_id("work_order_parts"),
                    "Work Order ID": order["Work Order ID"],
                    "Part Number": part["Part Number"],
                    "Description": part["Description"],
                    "Quantity": quantity,
                    "Unit Cost": part["Unit Cost"],
                    "Extended Cost": round(quantity * part["Unit Cost"], 2),
                    "Date Used": order["Date Added"].date() + timedelta(days=1),
                },
            )
        )
    return found


def _history(account: Account, rng: random.Random, order: Row, number: int) -> None:
    """Add the changes of status up to the present one, and notes."""
    steps = ["Open", "Scheduled", "In Progress", order["Status"]]
    steps = steps[: 2 + number % 2] if order["Status"] in steps[:3] else steps
    for place, (old, new) in enumerate(pairwise(steps)):
        if old != new:
            account.add(
                "work_order_status_log",
                {
                    "Log ID": account.next_id("work_order_status_log"),
                    "Work Order ID": order["Work Order ID"],
                    "Date Changed": order["Date Added"] + timedelta(hours=3 * (place + 1)),
                    "Old Status": old,
                    "New Status": new,
                    "Changed By": rng.choice(order["Assigned To"]),
                    "Comment": rng.choice((None, "Waiting for the lift", "<i>call first</i>")),
                },
            )
    for place in range(number % 3):
        account.add(
            "work_order_notes",
            {
                "Note ID": account.next_id("work_order_notes"),
                "Work Order ID": order["Work Order ID"],
                "Note Date": order["Date Added"] + timedelta(hours=5 + place),
                "Author": rng.choice(order["Assigned To"]),
                "Note Description": rng.choice(("Called the resident.\nNo answer.", "Needs a <b>lift</b> & two people", "已联系居民")),
                "Internal": place == 0,
            },
        )


def _spoil(account: Account) -> None:
    """Make the deliberate defects."""
    rows: list[dict[str, Any]] = account.tables["work_orders"]

    def spoil(place: int, kind: str, **values: Any) -> None:
        if place >= len(rows):
            return  # a small account has room for some of them only
        rows[place] |= values
        account.mark("work_orders", rows[place]["Work Order ID"], kind)

    spoil(1, "order_without_account", **{"Account ID": None, "Asset ID": [], "Contact ID": None})
    spoil(2, "order_of_missing_account", **{"Account ID": 99_999, "Asset ID": [], "Contact ID": None})
    spoil(3, "order_without_title", Title=None)
    spoil(4, "status_of_the_tenant", Status=words.TENANT_STATUS)
    spoil(6, "priority_in_capitals", Priority="HIGH")
    spoil(7, "order_without_status", Status=None)
    spoil(8, "costs_differ", **{"Total Cost": round(sum(row["Total Cost"] for row in rows[8:9]) + 10, 2)})
    spoil(9, "broken_date", **{"Date Due": "when it is dry"})
    spoil(10, "unknown_worker", **{"Assigned To": ["ghost"]})
    spoil(12, "order_of_an_asset_only", **{"Account ID": None, "Contact ID": None, "Asset ID": [str(account.tables["assets"][0]["Asset ID"])]})
