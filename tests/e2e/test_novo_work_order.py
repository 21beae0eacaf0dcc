"""A whole migration of a Novo Work Order account, read back from Pipedrive and compared with what the account holds, value by value.

The export stands under a tenant's own names of lists and columns, which a `layout.yaml` in the bundle explains (G-08).
"""

import csv
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
import yaml

from sandbox.novo_work_order import words
from sandbox.novo_work_order.account import Row
from sandbox.novo_work_order.changes import Changes, later
from sandbox.novo_work_order.generator import Plan, generate
from tests.e2e.bundle_journey import BundleJourney
from tests.e2e.checker import CENT
from tests.e2e.harness import Rehearsal, installation
from tests.e2e.novo_world import World, due_days, plus_months, utc
from tests.e2e.test_command_line import Command
from tests.e2e.workbooks import edit_workbook
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SIZE = 12
PLAN = Plan(seed=1, size=SIZE)
USERS = [
    {"name": "Admin", "email": "admin@town.example", "active": True, "admin": True},
    *({"name": f"User {number}", "email": f"user{number}@town.example", "active": True} for number in range(1, 5)),
]
WISHES = {
    ("Custom fields", "organization.manufacturer", "Name"): "Maker",
    ("Custom fields", "organization.fax", "Decision"): "leave",
    ("Value maps", f"statuses/{words.TENANT_STATUS}", "Stage"): "work_orders.on_hold",
    ("Owners", "4", "E-mail"): "user2@town.example",
}
"""What the customer wants otherwise than proposed, by sheet, row and column of the mapping workbook."""
MAINTENANCE = "preventive_maintenance"
STAGE_STATUS = {"Completed": "won", "Cancelled": "lost"}


@dataclass
class Journey(BundleJourney):
    """Everything that was seen on the way."""

    before: bytes = b""
    after: bytes = b""
    records: list[pb.RecordView] = field(default_factory=list)
    workbook: dict[str, Any] = field(default_factory=dict)
    delivered: bytes = b""
    downloaded: bytes = b""
    """The file that was replaced, in the bundle and in Pipedrive."""

    async def decide(self) -> None:
        """Export the mapping as a workbook, edit it in a spreadsheet, and import it."""
        folder = self.rehearsal.installation.folder
        command = Command(self.rehearsal.installation.stack.addresses["ledger"], folder, self.rehearsal.migration_id)
        written, edited = folder / "mapping.xlsx", folder / "edited.xlsx"
        await command.data("mapping", "export-workbook", str(written))
        edit_workbook(written, edited, WISHES)
        self.workbook = await command.data("mapping", "import-workbook", str(edited))

    @property
    def changes(self) -> Changes:
        """What became of the account before the delta."""
        return later(generate(PLAN), 1)

    @property
    def window(self) -> tuple[date, date, date]:
        """First day of the past, of the window, and the day after it."""
        first = date.fromisoformat(yaml.safe_load(self.mapping)["account"]["policies"]["recurrence_from"])
        start = datetime(first.year, first.month, first.day)  # noqa: DTZ001 - a day
        return plus_months(start, -12).date(), first, plus_months(start, 12).date()

    def world(self, stop: str) -> World:
        """Compare the account as it was then with what Pipedrive held."""
        account = self.changes.account if stop == "delta" else generate(PLAN)
        return World(account, self.exports[stop], self.label)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def journey(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Journey]:
    async with (
        installation(tmp_path_factory.mktemp("novo")) as installed,
        installed.rehearsal(connector="novo_work_order", size=SIZE, source=("--renamed",), users=USERS) as rehearsal,
    ):
        yield await travel(rehearsal)


async def travel(rehearsal: Rehearsal) -> Journey:
    """Go the whole way, with a delta, and take everything back."""
    journey = Journey(rehearsal, before=await rehearsal.pipedrive.export())
    await journey.load()
    await journey.change()
    journey.records = await rehearsal.records()
    await fetch_the_replaced_file(journey)
    await lose_a_placeholder(journey)
    await rehearsal.step("rollback")
    journey.after = await rehearsal.pipedrive.export()
    return journey


async def fetch_the_replaced_file(journey: Journey) -> None:
    """Download a file whose bytes alone changed, and look at it in the bundle."""
    rehearsal, (source_id,) = journey.rehearsal, journey.changes.replaced
    (record,) = [one for one in journey.records if one.source_key == f"attachment/{source_id}" and one.target_entity == "file"]
    async with httpx.AsyncClient(headers={"x-api-token": rehearsal.installation.key(f"{rehearsal.migration_id}-target")}, trust_env=False) as http:
        journey.downloaded = (await http.get(f"{rehearsal.pipedrive.url}/api/v1/files/{record.target_id}/download")).raise_for_status().content
    newest = max(one for one in rehearsal.bundles.folder.iterdir() if one.is_dir())
    journey.delivered = (newest / "attachments" / journey.changes.account.row("attachments", source_id)["Path"]).read_bytes()


async def lose_a_placeholder(journey: Journey) -> None:
    """Let somebody delete a placeholder in Pipedrive, and have it made again."""
    rehearsal = journey.rehearsal
    lost = journey.world("delta").placeholder("parts_inventory")
    key = rehearsal.installation.key(f"{rehearsal.migration_id}-target")
    async with httpx.AsyncClient(headers={"x-api-token": key}, trust_env=False) as http:
        (await http.delete(f"{rehearsal.pipedrive.url}/api/v2/organizations/{lost}")).raise_for_status()
    await rehearsal.step("reconcile")
    journey.mismatches["lost"] = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
    await rehearsal.client.repair(rehearsal.migration_id, is_all=True)
    rehearsal.expect_success(await rehearsal.finish(), "repair")
    await journey.look("repaired")


@pytest.fixture
def loaded(journey: Journey) -> World:
    """Both sides after the load."""
    return journey.world("load")


def items(journey: Journey, stop: str = "load") -> set[tuple[str, str]]:
    """Answer what waits or is flagged, as (source record, reason)."""
    return {(one.source_key, one.reason) for one in journey.items[stop]}


# ------------------------------------------------------------------ the whole


@pytest.mark.requirement("X-04", "L-13", "D-06")
@pytest.mark.parametrize("stop", ["load", "delta"])
async def test_sums_agree_and_nothing_differs(journey: Journey, stop: str) -> None:
    counts = {one.source_entity: one for one in journey.summaries[stop].entities}
    assert {"work_order", "asset", "pm_schedule", "part", "attachment"} <= set(counts)
    for one in counts.values():
        assert one.loaded_count + one.matched_count + one.skipped_count + one.rejected_count + one.waiting_count == one.extracted_count, one
        assert (one.pending_count, one.rejected_count) == (0, 0), one
    assert list(journey.mismatches[stop].mismatches) == []
    assert journey.mismatches[stop].field_count > 4_000


@pytest.mark.requirement("L-01")
async def test_every_call_was_planned(journey: Journey) -> None:
    rows = {(one["step"], one["target_entity"]): (one["planned"], one["spent"]) for one in journey.plan["truth_rows"]}
    assert {("sample", "organization"), ("load", "note"), ("schema", "user")} <= set(rows)
    assert {place: tokens for place, tokens in rows.items() if tokens[0] != tokens[1]} == {}


@pytest.mark.requirement("L-08")
async def test_the_sample_shows_every_kind_of_record_without_a_difference(journey: Journey) -> None:
    wrong = [(one.key, row.target_field) for one in journey.diff for row in one.fields if row.verdict == pb.DIFF_VERDICT_DIFFERENT]
    assert wrong == []
    shown = {one.source_key.partition("/")[0] for one in journey.diff}
    assert {"user", "account", "contact", "asset", "part", "pm_schedule", "work_order", "labor", "part_use", "status_change", "attachment"} <= shown
    assert any(one.key == "organization:placeholder/unassigned_assets" for one in journey.diff)


@pytest.mark.requirement("L-15", "NV-03")
async def test_everything_is_taken_back_placeholders_too(journey: Journey) -> None:
    before, after = json.loads(journey.before)["state"], json.loads(journey.after)["state"]
    assert {name for name in before if before[name] != after[name]} == set()


@pytest.mark.requirement("L-13", "NV-10")
async def test_a_placeholder_that_somebody_deleted_is_made_again_with_what_hangs_on_it(journey: Journey) -> None:
    assert "organization:placeholder/parts_inventory" in {one.key for one in journey.mismatches["lost"].mismatches}
    assert list(journey.mismatches["repaired"].mismatches) == []
    world = World(journey.changes.account, journey.exports["repaired"], f"{journey.rehearsal.migration_id}-source")
    inventory = world.placeholder("parts_inventory")
    assert inventory != journey.world("delta").placeholder("parts_inventory")
    assert sum("<h3>Part NEVER-1</h3>" in one["content"] for one in world.notes("org_id", inventory)) == 1


@pytest.mark.requirement("G-01")
async def test_no_hash_of_the_account_stands_in_the_mapping(journey: Journey, loaded: World) -> None:
    hashes = {one["field_code"] for one in loaded.state["fields"] if one["field_name"].startswith("Novo ")}
    assert len(hashes) > 40
    assert not [one for one in hashes if one in journey.mapping]
    used = {name for deal in loaded.state["deals"] for name, value in deal["custom_fields"].items() if value is not None}
    assert hashes & used


@pytest.mark.requirement("G-08", "L-01")
async def test_a_tenants_own_names_are_read_by_its_layout(journey: Journey, loaded: World) -> None:
    assert {one.source_entity: one.extracted_count for one in journey.summaries["load"].entities}["work_order"] == len(loaded.rows("work_orders"))
    assert loaded.stage(loaded.one("deals", "work_order/20002")) == "In Progress"
    assert loaded.one("organizations", "asset/502")["name"].endswith("502")


@pytest.mark.requirement("L-02", "L-03", "L-04", "L-05")
async def test_what_was_edited_in_the_workbook_stands_in_pipedrive(journey: Journey, loaded: World) -> None:
    assert {(one["sheet"], one["row"], one["column"]): one["new"] for one in journey.workbook["changes"]} == WISHES
    assert (journey.workbook["problems"], journey.workbook["stored_version"]) == ([], 2)
    names = {one["field_name"] for one in loaded.state["fields"] if one["entity"] == "organization"}
    assert ("Maker" in names, {"Novo Manufacturer", "Novo Fax"} & names) == (True, set())
    renamed = {loaded.custom("organization", loaded.one("organizations", f"asset/{row['Asset ID']}")).get("Maker") for row in loaded.rows("assets")}
    assert renamed == {row["Manufacturer"] for row in loaded.rows("assets")}
    meant = [row for row in loaded.rows("work_orders") if row["Status"] == words.TENANT_STATUS]
    assert {loaded.stage(loaded.one("deals", f"work_order/{row['Work Order ID']}")) for row in meant} == {"On Hold"}
    other = {one["id"] for one in loaded.state["users"] if one["email"] == "user2@town.example"}
    theirs = [row for row in loaded.rows("work_orders") if row["Assigned To"][:1] == ["user4"]]
    assert {loaded.one("deals", f"work_order/{row['Work Order ID']}")["owner_id"] for row in theirs} == other


# ------------------------------------------------------------------ organizations


@pytest.mark.requirement("NV-01", "X-02", "X-05", "X-08")
async def test_accounts_are_organizations(world: World) -> None:
    assert len(world.rows("accounts")) == SIZE - 1
    for row in world.rows("accounts"):
        found = world.one("organizations", f"account/{row['Account ID']}")
        assert found["name"] == row["Company Name"]
        assert found.get("website") == row["Web Site"]
        assert found["add_time"] == utc(row["Date Added"])
        address = found["address"]
        parts = (address["route"], address["subpremise"], address["locality"], address["admin_area_level_1"], address["postal_code"])
        assert parts == (row["Address 1"], row["Address 2"], row["City"], row["State"], row["Zip"])
        custom = world.custom("organization", found)
        assert custom["Novo Kind"] == "Account"
        expected = {"Novo Phone": "Phone", "Novo E-mail": "Email", "Novo Parcel ID": "Parcel ID", "Novo Account Type": "Account Type"}
        assert {name: custom.get(name) for name in expected} == {name: row[head] for name, head in expected.items()}
        assert custom.get("Billing Cycle") == row["UDF: Billing Cycle"]
        notes = [one["content"] for one in world.notes("org_id", found["id"]) if "<h4>Notes</h4>" in one["content"]]
        assert len(notes) == (1 if row["Notes"] else 0)
        if row["Notes"]:
            assert row["Notes"].replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>") in notes[0]


@pytest.mark.requirement("NV-03", "X-02", "X-03")
async def test_assets_are_organizations_with_their_fields(world: World) -> None:
    for row in world.rows("assets"):
        found = world.one("organizations", f"asset/{row['Asset ID']}")
        assert found["name"] == (row["Asset Name"] or f"Asset {row['Serial Number']}")
        assert found["add_time"] == utc(row["Date Added"])
        custom = world.custom("organization", found)
        assert custom["Novo Kind"] == "Asset"
        texts = {
            "Novo Asset Serial": "Serial Number",
            "Novo Asset Type": "Asset Type",
            "Maker": "Manufacturer",
            "Novo Model": "Model",
            "Novo Department": "Department",
            "Novo Status": "Status",
            "Novo Meter Reading": "Meter Reading",
            "Inspection Class": "UDF: Inspection Class",
        }
        assert {name: custom.get(name) for name in texts} == {name: row[head] for name, head in texts.items()}, row["Asset ID"]
        dates = {
            "Novo Last Service Date": "Last Service Date",
            "Novo Maintenance Due Date": "Maintenance Due Date",
            "Novo Install Date": "Install Date",
            "Novo Warranty Expiration": "Warranty Expiration",
        }
        assert {name: custom.get(name) for name in dates} == {name: row[head] and row[head].isoformat() for name, head in dates.items()}
        assert custom["Novo Purchase Cost"] == {"value": row["Purchase Cost"], "currency": "USD"}
        place = row["Location"] if row["Location"].startswith("Station") else f"Station {row['Location']}"
        location = next(one for one in world.account.tables["locations"] if one["Location Name"] == place)
        assert (custom["Novo Location"], found["address"]["value"]) == (place, location["Address"])


@pytest.mark.requirement("NV-03", "NV-04", "X-01")
async def test_the_tree_is_kept_two_levels_deep_and_its_lineage_as_text(world: World) -> None:
    parents: dict[int, list[int]] = {}
    related: dict[int, list[int]] = {}
    for one in world.state["organization_relations"]:
        (parents if one["type"] == "parent" else related).setdefault(one["rel_linked_org_id"], []).append(one["rel_owner_org_id"])
    depths = Counter[int]()
    for row in world.rows("assets"):
        found = world.one("organizations", f"asset/{row['Asset ID']}")
        ancestors = world.ancestors(row)
        depths[len(ancestors) + 1] += 1
        owner = world.organization_of_account(row["Account ID"])
        if len(ancestors) >= 2:
            expected = world.organization_of_asset(ancestors[-2]["Asset ID"])
        elif ancestors:
            expected = world.organization_of_asset(ancestors[0]["Asset ID"])
        else:
            expected = owner or world.placeholder("unassigned_assets")
        assert parents[found["id"]] == [expected], row["Asset ID"]
        assert related.get(found["id"], []) == ([owner] if ancestors and owner else [])
        custom = world.custom("organization", found)
        names = [one["Asset Name"] or str(one["Asset ID"]) for one in (*reversed(ancestors), row)]
        assert custom["Novo Asset Hierarchy"] == " > ".join(names)
        assert custom["Novo Asset Level"] == len(ancestors) + 1
    assert set(depths) == {1, 2, 3, 4}


@pytest.mark.requirement("NV-03", "NV-04")
async def test_circles_missing_parents_and_standalone_assets_are_named_and_moved(journey: Journey, loaded: World) -> None:
    kinds = {"asset_in_a_circle": "VALUE_INVALID", "asset_of_missing_parent": "REFERENCE_MISSING"}
    for (table, row_id), defects in loaded.account.defects.items():
        for defect in defects:
            if table == "assets" and defect in kinds:
                assert (f"asset/{row_id}", kinds[defect]) in items(journey)
                assert loaded.one("organizations", f"asset/{row_id}")
    placeholder = loaded.one("organizations", "placeholder/unassigned_assets")
    assert (placeholder["name"], loaded.custom("organization", placeholder)["Novo Kind"]) == ("Novo assets without account", "Placeholder")
    retired = [row["Asset ID"] for row in loaded.account.tables["assets"] if row["Status"] == "Retired"]
    assert retired
    assert not any(f"{loaded.label}/asset/{asset_id}" in loaded.target.by_origin["organizations"] for asset_id in retired)


# ------------------------------------------------------------------ persons


@pytest.mark.requirement("NV-06", "L-04")
async def test_technicians_and_requesters_are_persons_with_their_role(world: World) -> None:
    for row in world.rows("users"):
        found = world.one("persons", f"user/{row['User ID']}")
        assert found["name"] == f"{row['First Name']} {row['Last Name']}"
        assert [one["value"] for one in found["emails"]] == ([row["Email"]] if row.get("Email") else [])
        assert [one["value"] for one in found["phones"]] == ([row["Phone"]] if row.get("Phone") else [])
        custom = world.custom("person", found)
        assert (custom["Novo Role"], custom["Novo User Name"]) == (row["Role"], row["User Name"])
        assert custom["Novo Active"] == ("Yes" if row["Active"] else "No")
        assert "Novo Hourly Rate" not in custom
    for row in world.rows("contacts"):
        found = world.one("persons", f"contact/{row['Contact ID']}")
        assert found["name"] == f"{row['First Name']} {row['Last Name']}"
        assert found.get("org_id") == world.organization_of_account(row["Account ID"])
        assert [one["value"] for one in found["emails"]] == ([row["Email"]] if row["Email"] else [])
        assert [(one["value"], one["label"]) for one in found["phones"]] == [
            (row[head], label) for head, label in (("Phone", "work"), ("Cell Phone", "mobile")) if row[head]
        ]
        assert found["add_time"] == utc(row["Date Added"])
        assert world.custom("person", found)["Novo Role"] == "Requester"


@pytest.mark.requirement("NV-07")
async def test_no_department_is_lost(world: World) -> None:
    listed = {row["Department Name"] for row in world.account.tables["departments"]}
    assert world.option_labels("person", "Novo Department") == listed | {"Ufficio Tecnico"}
    meant = {name.casefold(): name for name in (*listed, "Ufficio Tecnico")}

    def label(row: Row) -> str | None:
        return meant[row["Department"].strip().casefold()] if row.get("Department") else None

    for row in world.rows("contacts"):
        assert world.custom("person", world.one("persons", f"contact/{row['Contact ID']}")).get("Novo Department") == label(row)
    for row in world.rows("users"):
        assert world.custom("person", world.one("persons", f"user/{row['User ID']}")).get("Novo Department") == label(row)
    for row in world.rows("assets"):
        assert world.labels(world.one("organizations", f"asset/{row['Asset ID']}")) == {"Asset", row["Department"]}
    for row in world.rows("work_orders"):
        assert world.custom("deal", world.one("deals", f"work_order/{row['Work Order ID']}"))["Novo Department"] == row["Department"]


# ------------------------------------------------------------------ work orders


@pytest.mark.requirement("NV-01", "X-01")
async def test_work_orders_are_deals_of_their_account(world: World) -> None:
    for row in world.rows("work_orders"):
        found = world.one("deals", f"work_order/{row['Work Order ID']}")
        assert found["title"] == (row["Title"] or f"Work order {row['Work Order Number']}")
        equipment = next((one for one in map(world.organization_of_asset, row["Asset ID"][:1]) if one), None)
        expected = world.organization_of_account(row["Account ID"]) or equipment or world.placeholder("work_orders_without_account")
        assert found["org_id"] == expected, row["Work Order ID"]
        contact = row["Contact ID"] and world.one("persons", f"contact/{row['Contact ID']}")["id"]
        assert found.get("person_id") == contact
        assert found["owner_id"] == world.user_id(row["Assigned To"][0])
        custom = world.custom("deal", found)
        texts = {"Novo Work Order Number": "Work Order Number", "Novo Category": "Category", "Novo Type": "Type", "Novo Group": "Group"}
        assert {name: custom.get(name) for name in texts} == {name: row[head] for name, head in texts.items()}
        assert custom["Novo Technicians"] == ", ".join(row["Assigned To"])
        days = {
            "Novo Added": "Date Added",
            "Novo Assigned": "Date Assigned",
            "Novo Initial Response": "Initial Response",
            "Novo Completed": "Date Completed",
        }
        assert {name: custom.get(name) for name in days} == {name: row[head] and row[head].date().isoformat() for name, head in days.items()}
        own = {"Ward": row["UDF: Ward"], "Grant Number": row["UDF: Grant Number"], "811 Ticket": row["UDF: 811 Ticket"]}
        assert {name: custom.get(name) for name in own} == own
        assert custom.get("Inspection Date") == (row["UDF: Inspection Date"] and row["UDF: Inspection Date"].isoformat())
        parent = row["Parent Work Order ID"]
        assert custom.get("Novo Parent Work Order Key") == (f"work_order/{parent}" if parent else None)
        if isinstance(row["Date Due"], datetime):
            assert found["expected_close_date"] == custom["Novo Due Date"] == row["Date Due"].date().isoformat()


@pytest.mark.requirement("NV-01", "X-08")
async def test_a_short_description_is_a_field_and_a_long_one_the_first_note(world: World) -> None:
    for row in world.rows("work_orders"):
        found = world.one("deals", f"work_order/{row['Work Order ID']}")
        field_text = world.custom("deal", found).get("Novo Description")
        notes = [one for one in world.notes("deal_id", found["id"]) if "<h4>Description</h4>" in one["content"]]
        match row["Description"]:
            case None:
                assert (field_text, notes) == (None, [])
            case words.HTML:
                assert field_text is not None
                assert "water & oil" in field_text
                assert "<" not in field_text
                assert "alert" not in field_text
                assert notes == []
            case text if len(text) > 255:
                assert field_text is None
                assert [text.strip() in one["content"] for one in notes] == [True]
                assert notes[0]["add_time"] == utc(row["Date Added"])
            case text:
                assert (field_text, notes) == (text, [])


@pytest.mark.requirement("NV-11")
async def test_statuses_are_stages_and_priorities_options_value_by_value(world: World) -> None:
    stages, priorities = Counter[str](), Counter[str]()
    for row in world.rows("work_orders"):
        found = world.one("deals", f"work_order/{row['Work Order ID']}")
        custom = world.custom("deal", found)
        meant = "On Hold" if row["Status"] == words.TENANT_STATUS else row["Status"]
        assert world.stage(found) == (meant or "No status")
        assert found["status"] == STAGE_STATUS.get(row["Status"], "open")
        assert custom.get("Novo Status") == row["Status"]
        assert custom["Novo Priority"] == row["Priority"].capitalize()
        stages[row["Status"]] += 1
        priorities[custom["Novo Priority"]] += 1
        if row["Status"] in STAGE_STATUS:
            assert found["won_time" if row["Status"] == "Completed" else "lost_time"] == utc(row["Date Completed"])
    assert set(words.STATUSES) | {words.TENANT_STATUS} <= set(stages)
    assert set(priorities) == set(words.PRIORITIES)


@pytest.mark.requirement("NV-08", "X-05")
async def test_costs_are_fields_and_the_total_is_the_deals_value(world: World) -> None:
    total = 0.0
    for row in world.rows("work_orders"):
        found = world.one("deals", f"work_order/{row['Work Order ID']}")
        custom = world.custom("deal", found)
        for name, head in (("Novo Labor Cost", "Labor Cost"), ("Novo Parts Cost", "Parts Cost"), ("Novo Total Cost", "Total Cost")):
            assert custom[name] == {"value": pytest.approx(row[head], abs=CENT), "currency": "USD"}
        assert (found["value"], found["currency"]) == (pytest.approx(row["Total Cost"], abs=CENT), "USD")
        total += row["Total Cost"]
    assert total > 1_000


@pytest.mark.requirement("NV-08", "L-01")
async def test_costs_that_differ_from_their_lines_are_in_the_data_quality_report(journey: Journey, loaded: World) -> None:
    wrong = {row_id for (table, row_id), kinds in loaded.account.defects.items() if table == "work_orders" and "costs_differ" in kinds}
    report = json.dumps(journey.audit)
    assert wrong
    assert all(f"work_order/{row_id}" in report for row_id in wrong)


@pytest.mark.requirement("NV-02")
async def test_labor_entries_are_done_activities(world: World) -> None:
    rows = world.account.tables["work_order_labor"]
    subjects = Counter[tuple[int, str, str, str, int]]()
    expected = Counter[tuple[int, str, str, str, int]]()
    for row in rows:
        deal = world.one("deals", f"work_order/{row['Work Order ID']}")["id"]
        hours = f"{row['Hours']:g}"
        subject = " · ".join(one for one in (f"Labor {hours} h", row["User"], row["Description"]) if one)
        minutes = round(row["Hours"] * 60)
        expected[deal, subject, row["Work Date"].isoformat(), f"{minutes // 60:02}:{minutes % 60:02}", world.user_id(row["User"])] += 1
    for one in world.state["activities"]:
        if one["type"] == "work_order_labor" and one["deal_id"] in {key[0] for key in expected}:
            assert one["done"] is True
            subjects[one["deal_id"], one["subject"], one["due_date"], one["duration"][:5], one["owner_id"]] += 1
    gone = subjects - expected
    assert expected - subjects == Counter()
    assert not gone


@pytest.mark.requirement("NV-02")
async def test_parts_used_are_done_activities_with_quantity_and_cost(world: World) -> None:
    for row in world.account.tables["work_order_parts"]:
        deal = world.one("deals", f"work_order/{row['Work Order ID']}")["id"]
        subject = f"Part {row['Quantity']:g} x {row['Part Number']} · {row['Description']}"
        found = [one for one in world.activities("deal_id", deal, "work_order_part") if one["subject"] == subject]
        assert found, subject
        assert {(one["due_date"], one["done"]) for one in found} == {(row["Date Used"].isoformat(), True)}
        assert any(f"<b>Cost:</b> {row['Extended Cost']:g}" in one["note"] or f"{row['Extended Cost']}" in one["note"] for one in found)


@pytest.mark.requirement("NV-02", "X-02")
async def test_changes_of_status_and_notes_are_notes_at_their_time(world: World) -> None:
    for row in world.account.tables["work_order_status_log"]:
        deal = world.one("deals", f"work_order/{row['Work Order ID']}")["id"]
        heading = f"<h3>Status: {row['Old Status']} → {row['New Status']}</h3>"
        times = [one["add_time"] for one in world.notes("deal_id", deal) if heading in one["content"]]
        assert utc(row["Date Changed"]) in times
    for row in world.account.tables["work_order_notes"]:
        deal = world.one("deals", f"work_order/{row['Work Order ID']}")["id"]
        text = row["Note Description"].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", "<br>")
        found = [one for one in world.notes("deal_id", deal) if text in one["content"] and one["add_time"] == utc(row["Note Date"])]
        assert found, row["Note ID"]
        assert found[0]["user_id"] == world.user_id(row["Author"])


# ------------------------------------------------------------------ maintenance


def home(world: World, row: Row) -> int:
    """Answer the organization a schedule hangs on."""
    return world.organization_of_asset(row["Asset ID"]) or world.placeholder("unassigned_assets")


def of_schedule(world: World, row: Row) -> list[dict[str, Any]]:
    """Answer the activities of a schedule."""
    return [one for one in world.activities("org_id", home(world, row), MAINTENANCE) if one["subject"].startswith(row["PM Name"])]


def by_date(row: Row) -> bool:
    """Say whether a schedule's dates are known."""
    return bool(row["Active"]) and row["Trigger Type"] != "Meter" and row["Recurrence"] != "biweekly"


@pytest.mark.requirement("NV-05", "X-02")
async def test_each_occurrence_in_the_window_is_an_activity(journey: Journey, world: World) -> None:
    _, first, end = journey.window
    capped = 0
    for row in world.account.tables["pm_schedules"]:
        found = [one for one in of_schedule(world, row) if " · at " not in one["subject"] and not one["done"]]
        days = due_days(row, first, end) if by_date(row) else []
        capped += len(days) > 50
        has_time = days and days[0].time() != datetime.min.time()
        expected = [(utc(day)[:10], utc(day)[11:19]) if has_time else (f"{day:%Y-%m-%d}", None) for day in days[:50]]
        assert sorted((one["due_date"], one.get("due_time")) for one in found) == sorted(expected, key=str), row["PM Name"]
        steps = [one["Step Description"] for one in world.account.tables["pm_steps"] if one["PM Schedule ID"] == row["PM Schedule ID"]]
        for one in found:
            assert all(text.replace("&", "&amp;") in one["note"] for text in steps)
            assert one["owner_id"] == world.user_id(row["Assigned To"][0])
    assert capped == 2, "daily and weekly ones have more than the cap"


@pytest.mark.requirement("NV-05", "X-02")
async def test_past_occurrences_are_notes_at_their_time(journey: Journey, world: World) -> None:
    past, first, _ = journey.window
    for row in world.account.tables["pm_schedules"]:
        heading = f"<h3>{row['PM Name']} was due on "
        found = [one for one in world.notes("org_id", home(world, row)) if heading in one["content"]]
        days = due_days(row, past, first)[-50:] if by_date(row) else []
        has_time = days and days[0].time() != datetime.min.time()
        expected = sorted((f"{day:%Y-%m-%d}", utc(day) if has_time else f"{day:%Y-%m-%d}T12:00:00Z") for day in days)
        assert sorted((one["content"].split(heading)[1][:10], one["add_time"]) for one in found) == expected, row["PM Name"]


@pytest.mark.requirement("NV-05")
async def test_what_comes_by_a_meter_is_due_at_a_reading(world: World) -> None:
    count = 0
    for row in world.account.tables["pm_schedules"]:
        found = [one for one in of_schedule(world, row) if " · at " in one["subject"]]
        if row["Next Meter Reading"]:
            count += 1
            assert [one["subject"].endswith(f"at {row['Next Meter Reading']} Hours") for one in found] == [True]
            assert found[0]["due_date"] == row["Next Run Date"].isoformat()
        else:
            assert found == []
    assert count == 2


@pytest.mark.requirement("NV-05")
async def test_rules_stand_in_a_note_in_words_and_as_icalendar_and_what_cannot_be_read_is_asked(journey: Journey, loaded: World) -> None:
    rows = {row["PM Name"]: row for row in loaded.account.tables["pm_schedules"]}

    def note(name: str) -> str:
        heading = f"<h3>Preventive maintenance: {name}</h3>"
        return next(str(one["content"]) for one in loaded.notes("org_id", home(loaded, rows[name])) if heading in one["content"])

    assert "every 3 months, from" in note("Quarterly service")
    assert "RRULE:FREQ=MONTHLY;INTERVAL=3" in note("Quarterly service")
    assert "BYMONTHDAY=28,29,30,31;BYSETPOS=-1" in note("Month-end meter")
    assert "every 250 Hours" in note("Oil by running hours")
    assert "biweekly" in note("Unclear rounds")
    assert ("pm_schedule/7", "VALUE_INVALID") in items(journey)
    assert ("pm_schedule/90", "REFERENCE_MISSING") in items(journey)


# ------------------------------------------------------------------ parts and files


@pytest.mark.requirement("NV-10")
async def test_parts_are_notes_and_a_field_on_the_equipment_they_were_used_on(world: World) -> None:
    used = set(world.parts_used())
    parts = {row["Part Number"]: row for row in world.account.tables["parts"]}
    for part, asset_id in used:
        organization = world.one("organizations", f"asset/{asset_id}")
        row = parts[part]
        notes = [one["content"] for one in world.notes("org_id", organization["id"]) if f"<h3>Part {part}</h3>" in one["content"]]
        assert len(notes) == 1
        assert f"<b>Stock:</b> {row['Stock Level']}</li>" in notes[0]
        assert f"<b>Unit cost:</b> {row['Unit Cost']:g}" in notes[0]
        assert f"{part} {row['Description']}: unit cost" in world.custom("organization", organization)["Novo Parts"]
    inventory = [one["content"] for one in world.notes("org_id", world.placeholder("parts_inventory"))]
    for part in set(parts) - {part for part, _ in used}:
        assert sum(f"<h3>Part {part}</h3>" in one for one in inventory) == 1
    assert "NEVER-1" in set(parts) - {part for part, _ in used}


@pytest.mark.requirement("NV-09", "X-07", "L-14", "L-16")
async def test_files_hang_on_deal_or_organization_and_the_trail_names_both_ids(journey: Journey, loaded: World) -> None:
    defects = {row_id: kinds for (table, row_id), kinds in loaded.account.defects.items() if table == "attachments"}
    expected = {"file_too_large": "FILE_TOO_LARGE", "file_missing": "FILE_UNAVAILABLE", "file_of_missing_record": "REFERENCE_MISSING"}
    files = {str(one["id"]): one for one in loaded.state["files"]}
    targets = {one.source_key: one.target_id for one in journey.records if one.target_entity == "file"}
    for row in loaded.account.tables["attachments"]:
        row_id = str(row["Attachment ID"])
        if row_id in defects:
            assert (f"attachment/{row_id}", expected[defects[row_id][0]]) in items(journey)
            continue
        if row_id in journey.changes.replaced:
            continue  # the delta put another file in its place
        found = files[targets[f"attachment/{row_id}"]]
        assert (found["name"], found["file_size"]) == (row["File Name"], row["Size (bytes)"])
        match row["Module"]:
            case "Work Order":
                assert found["deal_id"] == loaded.one("deals", f"work_order/{row['Record ID']}")["id"]
            case "Asset":
                assert found["org_id"] == loaded.organization_of_asset(row["Record ID"])
            case _:
                assert found["org_id"] == home(loaded, loaded.account.row("pm_schedules", row["Record ID"]))


@pytest.mark.requirement("NV-09", "L-11")
async def test_a_file_that_was_replaced_comes_again_though_its_row_says_the_same(journey: Journey) -> None:
    (source_id,) = journey.changes.replaced
    before, after = ({one["id"]: one for one in journey.world(stop).state["files"]} for stop in ("load", "delta"))
    (record,) = [one for one in journey.records if one.source_key == f"attachment/{source_id}" and one.target_entity == "file"]
    assert int(record.target_id) not in before
    row = journey.changes.account.row("attachments", source_id)
    now = after[int(record.target_id)]
    (old,) = [one for one in before.values() if one["name"] == row["File Name"] and one.get("org_id") == now["org_id"]]
    assert (old["id"] in after, now["file_size"]) == (False, old["file_size"])
    (attached,) = [one for one in journey.changes.account.files if one.path == row["Path"]]
    assert journey.downloaded == journey.delivered
    assert len(journey.downloaded) == attached.size


# ------------------------------------------------------------------ reports and delta


@pytest.mark.requirement("L-12")
async def test_reference_exports_hold_rules_parts_and_work_orders(journey: Journey) -> None:
    account = journey.changes.account

    def table(name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(io.StringIO(journey.files[name].decode("utf-8-sig"))))

    rules = {row["Name"]: row for row in table("maintenance-rules.csv")}
    assert set(rules) == {row["PM Name"] for row in account.tables["pm_schedules"]}
    assert rules["First Monday test"]["As written"] == "First Monday of every month"
    assert "RRULE:FREQ=MONTHLY;BYDAY=+1MO" in rules["First Monday test"]["iCalendar rule"]
    assert rules["Weekly walk-through"]["Rule"].startswith("every week, from ")
    assert {row["Part number"] for row in table("parts.csv")} == {row["Part Number"] for row in account.tables["parts"]}
    assert {row["Number"] for row in table("work-orders.csv")} >= {row["Work Order Number"] for row in account.tables["work_orders"]}


@pytest.mark.requirement("L-01")
async def test_the_audit_tells_depth_statuses_and_broken_references(journey: Journey) -> None:
    report = json.dumps(journey.audit)
    assert {row["depth"] for row in journey.audit["hierarchy"] if row["link"] == "parent_asset_id"} == {1, 2, 3, 4}
    for words_of_it in ("asset whose parent is not there", "work order without account", "labor_cost", words.TENANT_STATUS):
        assert words_of_it in report


@pytest.mark.requirement("L-11", "NV-04")
async def test_a_delta_takes_changes_up_and_flags_what_is_gone(journey: Journey) -> None:
    changes, world = journey.changes, journey.world("delta")
    assert all(changes.changed.get(table) for table in ("work_orders", "assets"))
    for row_id in changes.changed["work_orders"]:
        assert world.one("deals", f"work_order/{row_id}")["status"] == "won"
    for row_id in changes.added["work_orders"]:
        assert world.one("deals", f"work_order/{row_id}")["title"].startswith("Called in")
    flagged = {one.source_key for one in journey.items["delta"]}
    (gone,) = changes.deleted["work_orders"]
    assert f"work_order/{gone}" in flagged
    assert world.one("deals", f"work_order/{gone}"), "what the source has no more stays, flagged"
    assert {f"work_order_note/{row_id}" for row_id in changes.deleted["work_order_notes"]} <= flagged


@pytest.mark.requirement("X-06")
async def test_the_export_is_read_only(journey: Journey) -> None:
    newest = max(journey.rehearsal.bundles.folder.iterdir())
    manifest = json.loads((newest / "manifest.json").read_text())
    assert {one["name"] for one in manifest["files"]} <= {path.name for path in newest.iterdir()}
