"""The generator of OctopusPro bundles: the same account for the same seed, with everything in it that makes trouble."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sandbox.octopuspro.account import Tenant
from sandbox.octopuspro.columns import COLUMNS, MOMENT, SHOWN_MONEY, ZONED
from sandbox.octopuspro.generator import SIZE_MIN, generate
from sandbox.octopuspro.writing import heads_of, rows_of, written


def test_the_same_seed_gives_the_same_account() -> None:
    one, other = generate(3, 14), generate(3, 14)
    assert (one.tables, one.binaries, one.defects) == (other.tables, other.binaries, other.defects)
    assert one.tables != generate(4, 14).tables


def test_a_later_account_is_the_same_with_named_changes() -> None:
    one, later = generate(3, 14), generate(3, 14, changes=2)
    assert later.exported - one.exported == timedelta(days=4)
    assert {change.kind for change in later.changes} == {"created", "changed", "deleted"}
    for file in ("discussions", "booking_services"):
        gone = {change.id for change in later.changes if (change.kind, change.file) == ("deleted", file)}
        assert gone == one.by_id(file).keys() - later.by_id(file).keys()


def test_every_status_and_kind_is_there_even_in_the_smallest_account() -> None:
    tables = generate(1, SIZE_MIN).tables
    assert {row["Status"] for row in tables["bookings"]} >= {"Quoted", "To do", "In progress", "Completed", "On hold", "Cancelled", "IN PROGRESS"}
    assert {row["Status"] for row in tables["quotes"]} == {"Sent", "Accepted", "Rejected", "Expired"}
    assert {row["Type"] for row in tables["payments"]} == {"payment", "refund", "deposit"}
    assert {row["Customer type"] for row in tables["customers"]} == {"Personal", "Business"}
    assert any(row["Merged into invoice"] for row in tables["invoices"])


def test_cells_are_written_as_the_tenant_has_them() -> None:
    account = generate(1, SIZE_MIN, tenant=Tenant(date_format="MM/DD/YYYY", time_format="12"))
    booking = next(row for row in account.tables["bookings"] if row["Timezone"] == "Australia/Perth")
    starts = booking["Booking start"]
    assert written(starts, ZONED, account.tenant, zone="Australia/Perth") == f"{starts:%m/%d/%Y %I:%M %p}"
    assert written(starts, MOMENT, account.tenant) != f"{starts:%m/%d/%Y %I:%M %p}"
    assert written(account.tables["customers"][0]["Balance"], SHOWN_MONEY, account.tenant).startswith("$")


@pytest.mark.parametrize("file", list(COLUMNS))
def test_rows_are_as_wide_as_their_heads(file: str) -> None:
    account = generate(1, SIZE_MIN)
    assert {len(cells) for cells in rows_of(account, file)} == {len(heads_of(file))}


def test_too_small_an_account_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        generate(1, SIZE_MIN - 1)
