"""The same account some days later: work goes on, things are added, some are gone."""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sandbox.novo_work_order.account import KEYS, Account, at

if TYPE_CHECKING:
    from sandbox.novo_work_order.account import Row

DAYS: Final = 3


@dataclass(slots=True)
class Changes:
    """What became of an account.

    Attributes:
        changed: ids by table.
        added: ids by table.
        deleted: ids by table.
        replaced: attachments whose rows say the same, and whose files are others of the same size.
    """

    account: Account
    changed: dict[str, list[str]] = field(default_factory=dict)
    added: dict[str, list[str]] = field(default_factory=dict)
    deleted: dict[str, list[str]] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)


def later(account: Account, seed: int) -> Changes:
    """Answer the account after some days, changed by this seed. The first one is left as it is."""
    count = max(2, len(account.tables["accounts"]) // 6)
    rng = random.Random(seed)
    after = copy.deepcopy(account)
    after.today = account.today + timedelta(days=DAYS)
    changes = Changes(after)
    spoiled = {(table, row_id) for table, row_id in account.defects}
    orders = [
        row for row in after.tables["work_orders"] if ("work_orders", str(row["Work Order ID"])) not in spoiled and row["Status"] != "Cancelled"
    ]
    parents = {row["Parent Work Order ID"] for row in after.tables["work_orders"]}
    for row in rng.sample(orders, min(count, len(orders))):
        row |= {"Status": "Completed", "Date Completed": at(after.today, 10), "Date Edited": at(after.today, 10), "Resolution": "Done in between."}
        changes.changed.setdefault("work_orders", []).append(str(row["Work Order ID"]))
    for row in rng.sample(after.tables["assets"][:8], min(count, 8)):
        row |= {"Asset Name": f"{row['Asset Name']} (renamed)", "Date Edited": at(after.today, 11)}
        changes.changed.setdefault("assets", []).append(str(row["Asset ID"]))
    for number in range(count):
        pattern = orders[number % len(orders)]
        row = pattern | {"Work Order ID": after.next_id("work_orders"), "Work Order Number": f"WO-NEW-{number}", "Title": f"Called in {number}"}
        row |= {"Status": "Open", "Date Completed": None, "Resolution": None, "Date Added": at(after.today, 8), "Date Edited": at(after.today, 8)}
        row |= {"Labor Cost": 0.0, "Parts Cost": 0.0, "Total Cost": 0.0, "Actual Hours": None, "PM Schedule ID": None, "Parent Work Order ID": None}
        _add(changes, "work_orders", row)
    _delete(changes, "work_order_notes", rng, count)
    touched = changes.changed.get("work_orders", [])
    left = [row for row in orders if str(row["Work Order ID"]) not in touched and row["Work Order ID"] not in parents]
    _delete_order(changes, left[0]) if left else None
    _replace_file(changes)
    return changes


def _add(changes: Changes, table: str, row: Row) -> None:
    changes.account.add(table, row)
    changes.added.setdefault(table, []).append(str(row[KEYS[table]]))


def _delete(changes: Changes, table: str, rng: random.Random, count: int) -> None:
    rows = changes.account.tables[table]
    for row in rng.sample(rows, min(count, len(rows))):
        rows.remove(row)
        changes.deleted.setdefault(table, []).append(str(row[KEYS[table]]))


def _replace_file(changes: Changes) -> None:
    """Put another file of the same size in the place of the first one of a piece of equipment."""
    row = next(one for one in changes.account.tables["attachments"] if one["Module"] == "Asset")
    for place, one in enumerate(changes.account.files):
        if one.path == row["Path"]:
            changes.account.files[place] = replace(one, seed=one.seed + 1_000)
            changes.replaced.append(str(row["Attachment ID"]))


def _delete_order(changes: Changes, order: Row) -> None:
    """Delete a work order with everything below it, as the product does."""
    tables = changes.account.tables
    for table in ("work_order_notes", "work_order_status_log", "work_order_labor", "work_order_parts", "work_orders"):
        for row in [one for one in tables[table] if one["Work Order ID"] == order["Work Order ID"]]:
            tables[table].remove(row)
            changes.deleted.setdefault(table, []).append(str(row[KEYS[table]]))
    gone = [row for row in tables["attachments"] if row["Module"] == "Work Order" and row["Record ID"] == order["Work Order ID"]]
    for row in gone:
        tables["attachments"].remove(row)
        changes.deleted.setdefault("attachments", []).append(str(row["Attachment ID"]))
        changes.account.files = [one for one in changes.account.files if one.path != row["Path"]]
