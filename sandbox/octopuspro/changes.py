"""What happens in an account until the next bundle: changed, new and deleted rows."""

from datetime import timedelta
from decimal import Decimal

from sandbox.octopuspro.account import EXPORTED, Builder, Change, Row
from sandbox.octopuspro.bookings import booking
from sandbox.octopuspro.columns import KEYS


def change(builder: Builder, number: int) -> None:
    """Take the account through one round of changes."""
    tables = builder.account.tables
    rng = builder.rng(f"changes/{number}")
    updated = EXPORTED + timedelta(hours=5 * number + 1)

    customer = tables["customers"][(2 + 3 * number) % builder.size]
    customer |= {"Email 1": f"changed{number}.{customer['Customer ID']}@mail.example", "Last updated": updated}
    _note(builder, "changed", "customers", customer)

    open_ones = [one for one in tables["bookings"][: builder.size * 2] if one["Status"] in {"To do", "Quoted"}]
    moved = open_ones[number % len(open_ones)]
    moved |= {"Status": "Completed", "Status ID": "4", "Last updated": updated, "Notes": f"Done in round {number}"}
    _note(builder, "changed", "bookings", moved)

    pending = [one for one in tables["payments"] if one["Status"] == "pending" and one["Invoice ID"]]
    if pending:
        pending[0]["Status"] = "approved"
        _note(builder, "changed", "payments", pending[0])

    before = {name: len(rows) for name, rows in tables.items()}
    booking(builder, rng, 3001 + 4 * number, tables["customers"][number % builder.size])
    for name, rows in tables.items():
        for row in rows[before[name] :]:
            if name in KEYS:
                _note(builder, "created", name, row)

    service = tables["services"][number % 3]
    service["Price"] += Decimal("1.50")
    _note(builder, "changed", "services", service)

    gone = tables["discussions"].pop(0)
    _note(builder, "deleted", "discussions", gone)


def _note(builder: Builder, kind: str, file: str, row: Row) -> None:
    builder.account.changes.append(Change(kind, file, row[KEYS[file]]))
