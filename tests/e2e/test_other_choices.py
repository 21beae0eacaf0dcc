"""Small accounts moved with every decision taken the other way than the mappings propose, and read back from Pipedrive."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Generic, TypeVar

import pytest
import pytest_asyncio

from sandbox.novo_work_order.generator import Plan
from sandbox.novo_work_order.generator import generate as novo_account
from sandbox.octopuspro.generator import generate as octopus_account
from tests.e2e.harness import USERS, Installation, installation
from tests.e2e.novo_world import World
from tests.e2e.octopuspro_view import View
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

V = TypeVar("V")
SMALL = 12
NOVO = """
choices:
  cost_as_value: {value: nothing}
  asset_tree: {value: whole}
  deal_without_organization: {value: wait}
  pay_data: {value: move}
policies: {archived: load, unmatched_owner: wait, oversize_files: link}
"""
OCTOPUS = """
choices:
  booking_activities: {value: per_service}
  booking_value: {value: booked}
  contact_details: {value: by_position}
policies: {deal_value: every, unmatched_owner: fallback, oversize_files: link, recurrence_from: "2026-06-01", recurrence_window_months: 2}
"""
TOWN = [
    {"name": "Admin", "email": "admin@town.example", "active": True, "admin": True},
    *({"name": f"User {number}", "email": f"user{number}@town.example", "active": True} for number in range(1, 5)),
]


@dataclass(frozen=True)
class Moved(Generic[V]):
    """Both sides, and what a person is asked."""

    view: V
    items: list[pb.ReviewItem]

    def reasons(self) -> set[tuple[str, str]]:
        """Return what waits or is flagged, as (source record, reason)."""
        return {(one.source_key, one.reason) for one in self.items}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("choices")) as installed:
        yield installed


async def move(installed: Installation, connector: str, overrides: str, users: list[dict[str, object]]) -> tuple[bytes, str, list[pb.ReviewItem]]:
    """Move a small account with these choices; answers what Pipedrive holds, what external ids begin with, and what is asked."""
    options = pb.MigrationOptions(connector_json="{}", mapping_overrides_yaml=overrides)
    async with installed.rehearsal(connector=connector, size=SMALL, options=options, users=users) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        export, items = await rehearsal.pipedrive.export(), await rehearsal.review_items()
        await rehearsal.step("reconcile")
        found = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
        assert list(found.mismatches) == []
        return export, f"{rehearsal.migration_id}-source", items


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def novo(installed: Installation) -> Moved[World]:
    export, label, items = await move(installed, "novo_work_order", NOVO, TOWN)
    return Moved(World(novo_account(Plan(seed=1, size=SMALL)), export, label), items)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def octopus(installed: Installation) -> Moved[View]:
    export, label, items = await move(installed, "octopuspro", OCTOPUS, USERS)
    return Moved(View(octopus_account(1, SMALL), export, label, datetime(2026, 8, 1, tzinfo=UTC)), items)


# ------------------------------------------------------------------ Novo Work Order


@pytest.mark.requirement("NV-08")
async def test_novo_deals_are_worth_nothing_where_costs_are_no_value(novo: Moved[World]) -> None:
    values = [one["value"] for origin, deals in novo.view.target.by_origin["deals"].items() if origin.startswith(novo.view.label) for one in deals]
    assert len(values) > SMALL
    assert set(values) <= {0, None}
    costs = {f"{novo.view.label}/work_order/{row['Work Order ID']}": row["Total Cost"] for row in novo.view.account.tables["work_orders"]}
    moved = {origin: deals[0] for origin, deals in novo.view.target.by_origin["deals"].items() if costs.get(origin)}
    assert moved
    for origin, deal in moved.items():
        assert novo.view.custom("deal", deal)["Novo Total Cost"] == {"value": costs[origin], "currency": "USD"}


@pytest.mark.requirement("NV-04", "L-01")
async def test_novo_equipment_hangs_on_what_it_is_part_of_and_retired_one_is_there(novo: Moved[World]) -> None:
    view = novo.view
    parents = {one["rel_linked_org_id"]: one["rel_owner_org_id"] for one in view.state["organization_relations"] if one["type"] == "parent"}
    depths = set()
    for row in view.account.tables["assets"]:
        found, ancestors = view.one("organizations", f"asset/{row['Asset ID']}"), view.ancestors(row)
        depths.add(len(ancestors))
        if ancestors:
            assert parents[found["id"]] == view.one("organizations", f"asset/{ancestors[0]['Asset ID']}")["id"]
    assert max(depths) > 1
    assert any(row["Status"] == "Retired" for row in view.account.tables["assets"])


@pytest.mark.requirement("NV-01", "L-16")
async def test_novo_work_orders_without_a_home_and_of_strangers_wait(novo: Moved[World]) -> None:
    waiting = {key for key, reason in novo.reasons() if reason == "REFERENCE_MISSING"}
    defects = {row_id: kinds for (table, row_id), kinds in novo.view.account.defects.items() if table == "work_orders"}
    for kind in ("order_without_account", "order_of_missing_account", "unknown_worker"):
        (order_id,) = [row_id for row_id, kinds in defects.items() if kind in kinds]
        assert f"work_order/{order_id}" in waiting
        assert not novo.view.target.by_origin["deals"].get(f"{novo.view.label}/work_order/{order_id}")
    assert any(key.endswith("ghost") and reason == "OWNER_UNMATCHED" for key, reason in novo.reasons())
    assert "Novo work orders without account" not in {one["name"] for one in novo.view.state["organizations"]}


@pytest.mark.requirement("NV-06", "NV-02")
async def test_novo_hourly_rates_move_where_that_is_wanted(novo: Moved[World]) -> None:
    paid = [row for row in novo.view.account.tables["users"] if row.get("Hourly Rate")]
    assert paid
    for row in paid:
        custom = novo.view.custom("person", novo.view.one("persons", f"user/{row['User ID']}"))
        assert custom["Novo Hourly Rate"] == {"value": row["Hourly Rate"], "currency": "USD"}
    kind = next(one["key_string"] for one in novo.view.state["activity_types"] if one["name"] == "Work Order Labor")
    labor = [one["note"] for one in novo.view.state["activities"] if one["type"] == kind]
    assert labor
    assert all("Hourly rate" in one for one in labor)


@pytest.mark.requirement("NV-09", "X-07")
async def test_novo_files_that_are_too_large_are_named_in_a_note(novo: Moved[World]) -> None:
    (row,) = [one for one in novo.view.account.tables["attachments"] if one["File Name"] == "drone-video.mp4"]
    deal = novo.view.one("deals", f"work_order/{row['Record ID']}")
    assert sum("drone-video.mp4" in one["content"] for one in novo.view.notes("deal_id", deal["id"])) == 1
    assert "FILE_TOO_LARGE" not in {reason for _, reason in novo.reasons()}


# ------------------------------------------------------------------ OctopusPro


@pytest.mark.requirement("OP-02")
async def test_octopus_bookings_have_an_activity_for_each_service(octopus: Moved[View]) -> None:
    view, counts = octopus.view, set()
    for row in view.moved("bookings", "orphan", "customer_deleted"):
        if row.get("Recurring ID") and row["Booking start"] >= view.window_end:
            continue
        deal = view.one("deals", "booking", row["Booking ID"])
        lines = view.rows("booking_services", Booking_ID=row["Booking ID"])
        counts.add(len(lines))
        assert len(view.activities(deal["id"], "booking")) == max(1, len(lines)), row["Booking ID"]
    assert max(counts) > 1


@pytest.mark.requirement("OP-05", "OP-07", "D-01")
async def test_octopus_bookings_are_worth_what_was_booked_and_quotes_keep_their_value(octopus: Moved[View]) -> None:
    view = octopus.view
    for row in view.bookings():
        assert Decimal(str(view.one("deals", "booking", row["Booking ID"])["value"])) == row["Total"]
    booked = [row for row in view.account.tables["quotes"] if row["Booking ID"]]
    assert booked
    for row in booked:
        assert Decimal(str(view.one("deals", "quote", row["Quote ID"])["value"])) == row["Total"]


@pytest.mark.requirement("OP-01")
async def test_octopus_contact_details_go_to_the_person_of_their_position(octopus: Moved[View]) -> None:
    rows = [row for row in octopus.view.moved("customers", "deleted") if row.get("First name2")]
    assert rows
    for row in rows:
        for number in (1, 2, 3):
            part = f"person/{number}" if number > 1 else ""
            person = octopus.view.one("persons", "customer", row["Customer ID"], part)
            wanted = row.get(f"Email {number}")
            assert [one["value"] for one in person["emails"]] == ([wanted] if wanted else [])


@pytest.mark.requirement("OP-03", "L-04")
async def test_octopus_bookings_of_unmatched_field_workers_go_to_the_fallback_owner(octopus: Moved[View]) -> None:
    view = octopus.view
    lost = [booking_id for _, booking_id in view.account.defective("worker_unmatched")]
    assert lost
    token_user = USERS[0]["email"]
    assert {view.owner(view.one("deals", "booking", booking_id)) for booking_id in lost} == {token_user}
    assert ("fieldworker/76", "OWNER_UNMATCHED") in octopus.reasons()


@pytest.mark.requirement("X-07")
async def test_octopus_files_that_are_too_large_are_named_in_a_note(octopus: Moved[View]) -> None:
    large = {row_id for _, row_id in octopus.view.account.defective("file_too_large")}
    rows = [row for row in octopus.view.account.tables["attachments"] if row["Attachment ID"] in large]
    assert rows
    for row in rows:
        assert any(row["File name"] in one["content"] for one in octopus.view.target.state["notes"])
    assert "FILE_TOO_LARGE" not in {reason for _, reason in octopus.reasons()}
