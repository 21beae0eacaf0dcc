"""What happens in an account until the next bundle: changed, new and deleted rows."""

from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.octopuspro.account import EXPORTED, Builder, Change, Row
from sandbox.octopuspro.bookings import GST, booking, cents
from sandbox.octopuspro.columns import KEYS
from sandbox.octopuspro.money import lines_of


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

    _note(builder, "deleted", "discussions", tables["discussions"].pop(0))
    _take_line_off(builder, number, updated)


def _take_line_off(builder: Builder, number: int, updated: datetime) -> None:
    """Take the last service off a booking that has several."""
    tables = builder.account.tables
    several = [one for one in tables["bookings"][: builder.size * 2] if len(lines_of(builder, one)) > 1]
    shortened = several[number % len(several)]
    line = lines_of(builder, shortened)[-1]
    tables["booking_services"].remove(line)
    _note(builder, "deleted", "booking_services", line)
    shortened["Sub total"] -= line["Amount"]
    shortened["Tax"] = cents((shortened["Sub total"] - shortened["Discount"]) * GST)
    shortened |= {"Total": shortened["Sub total"] - shortened["Discount"] + shortened["Tax"], "Last updated": updated}
    _note(builder, "changed", "bookings", shortened)


def _note(builder: Builder, kind: str, file: str, row: Row) -> None:
    builder.account.changes.append(Change(kind, file, row[KEYS[file]]))
