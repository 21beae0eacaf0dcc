"""Realistic changes for delta runs: what happens in a firm while its data is being moved."""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.servicetracker.generator.build import Account, day
from sandbox.servicetracker.generator.files import attach
from sandbox.servicetracker.store import Row, stamp
from sandbox.stel_order.binaries import content

Change = dict[str, Any]


def mutate(account: Account, seed: int, now: datetime) -> list[Change]:
    """Apply a set of changes chosen by `seed`, stamped with `now`; returns what changed."""
    return _Mutation(account, Random(f"mutation/{seed}"), now).apply()


class _Mutation:
    def __init__(self, account: Account, rng: Random, now: datetime) -> None:
        self._account = account
        self._store = account.store
        self._rng = rng
        self._now = now
        self._changes: list[Change] = []

    def apply(self) -> list[Change]:
        owner = {"OwnerId": self._account.users[0]["Id"]}
        customer = self._create("Account", {"Name": f"Newcomer 新規 {self._now:%H%M%S%f} Ltd", "BillingCity": "Leeds", **owner})
        self._create("Contact", {"AccountId": customer["Id"], "LastName": "Fresh", "Name": "Fresh", "Email": "fresh@newcomer.example.com", **owner})
        order = self._create(
            ".Work_Order__c",
            {
                "Name": f"WO-NEW-{self._now:%H%M%S%f}",
                ".Client__c": customer["Id"],
                ".Status__c": "Scheduled",
                ".Priority__c": "High",
                ".Total_Value__c": 321.5,
                **owner,
            },
        )
        # A device that was offline: the visit happened days ago, the row is new.
        begin = self._now - timedelta(days=4)
        late = {
            "Name": "V-LATE",
            ".Work_Order__c": order["Id"],
            ".Start__c": stamp(begin),
            ".End__c": stamp(begin + timedelta(hours=1)),
            ".Status__c": "Done",
        }
        self._create(".Visit__c", late | owner)
        self._update("Account", self._pick("Account"), lambda row: {"Name": f"{row['Name'][:200]} (renamed)"})
        status, completed = self._account.n("Status__c"), self._account.n("Completed__c")
        drafts = [row for row in self._clean("Work_Order__c") if row[status] in {"Draft", "Scheduled", "In Progress"}]
        self._update(".Work_Order__c", self._rng.choice(drafts), lambda _: {status: "Completed", completed: stamp(self._now)})
        unpaid = [row for row in self._clean("Invoice__c") if row[status] != "Paid"]
        self._update(".Invoice__c", self._rng.choice(unpaid), lambda _: {status: "Paid", self._account.n("Payment_Date__c"): day(self._now)})
        contact = self._pick("Contact")
        self._store.delete("Contact", contact["Id"], self._now)
        self._note("deleted", "Contact", contact["Id"])
        part = self._rng.choice(self._clean("Part__c"))
        self._store.delete(self._account.n("Part__c"), part["Id"], self._now, is_hard=True)
        self._note("removed", self._account.n("Part__c"), part["Id"])
        row = attach(self._account, order, "late photo.png", content("late.png"))
        self._store.update("Attachment", row["Id"], {}, self._now)
        self._note("created", "Attachment", row["Id"])
        return self._changes

    def _clean(self, short: str) -> list[Row]:
        name = self._account.n(short)
        odd = {defect.id for defect in self._account.defects} | {change["id"] for change in self._changes}
        return [row for row in self._store.live(name) if row["Id"] not in odd]

    def _pick(self, name: str) -> Row:
        odd = {defect.id for defect in self._account.defects} | {change["id"] for change in self._changes}
        return self._rng.choice([row for row in self._store.live(name) if row["Id"] not in odd])

    def _create(self, name: str, values: Row) -> Row:
        row = self._account.add(name, values, self._now)
        self._note("created", self._account.n(name[1:]) if name.startswith(".") else name, row["Id"])
        return row

    def _update(self, name: str, row: Row, change: Any) -> None:
        whole = self._account.n(name[1:]) if name.startswith(".") else name
        self._store.update(whole, row["Id"], change(row), self._now)
        self._note("updated", whole, row["Id"])

    def _note(self, kind: str, name: str, row_id: str) -> None:
        self._changes.append({"kind": kind, "object": name, "id": row_id})
