"""A whole migration from ServiceTracker, seen from outside: every row of its table, compared value by value."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from sandbox.stel_order.binaries import content
from tests.e2e.checker import diff_of
from tests.e2e.harness import Rehearsal, installation
from tests.e2e.org_checker import Account, Check, Org, readable
from tests.e2e.test_command_line import Command
from tests.e2e.workbooks import edit_workbook
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

NAMESPACE = "acme7"
"""Prefix of the managed package: nothing may pass by knowing a real name."""
STOPS = ["load", "delta"]


@dataclass(slots=True)
class Stop:
    """What was seen at one stop of the way."""

    org: Org
    account: Account
    summary: pb.Summary
    records: list[pb.RecordView]
    items: list[pb.ReviewItem]
    mismatches: pb.ListMismatchesResponse

    @property
    def check(self) -> Check:
        """The comparison."""
        return Check(self.org, self.account)


@dataclass(slots=True)
class Way:
    """The whole way."""

    audit: dict[str, Any] = field(default_factory=dict)
    mapping: str = ""
    stops: dict[str, Stop] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    journal: dict[str, Any] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""
    secret: str = ""
    logs: str = ""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def way(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Way]:
    folder: Path = tmp_path_factory.mktemp("servicetracker")
    source = ("--namespace", NAMESPACE, "--page-size", "25")
    async with installation(folder) as installed, installed.rehearsal(connector="servicetracker", size=15, source=source) as rehearsal:
        yield await _go(rehearsal)


async def _go(rehearsal: Rehearsal) -> Way:
    way = Way(before=await rehearsal.pipedrive.export())
    await rehearsal.step("audit")
    way.audit = json.loads(await rehearsal.client.get_audit(rehearsal.migration_id))
    way.mapping = (await rehearsal.client.get_mapping(rehearsal.migration_id)).mapping_yaml
    await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
    way.stops["load"] = await _look(rehearsal)
    way.changes = (await rehearsal.stel.control("POST", "mutate", {"seed": 1}))["changes"]
    # Sessions end while people work.
    await rehearsal.stel.control("POST", "options", {"expire": True})
    await rehearsal.step("delta")
    way.stops["delta"] = await _look(rehearsal)
    async for name, part in rehearsal.client.export_reference_files(rehearsal.migration_id):
        way.files[name] = way.files.get(name, b"") + part
    way.journal = await rehearsal.stel.control("GET", "journal")
    await rehearsal.step("rollback")
    way.after = await rehearsal.pipedrive.export()
    connection = rehearsal.installation.stack.data_dir / "connections" / f"{rehearsal.migration_id}-source"
    way.secret = (connection / "client_secret").read_text()
    way.logs = "".join(log.read_text(errors="replace") for log in rehearsal.installation.logs.glob("*.log"))
    return way


async def _look(rehearsal: Rehearsal) -> Stop:
    await rehearsal.step("reconcile")
    return Stop(
        Org(await rehearsal.stel.control("GET", "truth")),
        Account(await rehearsal.pipedrive.export(), f"{rehearsal.migration_id}-source"),
        await rehearsal.summary(),
        await rehearsal.records(),
        await rehearsal.review_items(),
        await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id))),
    )


@pytest.fixture(params=STOPS)
def stop(request: pytest.FixtureRequest, way: Way) -> Stop:
    found: Stop = way.stops[request.param]
    return found


@pytest.mark.requirement("ST-01", "X-01", "X-08")
async def test_customers_are_organizations_and_people(stop: Stop) -> None:
    assert len(stop.org.rows("Account")) > 15
    assert [*stop.check.customers(), *stop.check.people()] == []


@pytest.mark.requirement("ST-02", "ST-08")
async def test_work_orders_are_deals_with_their_contract_and_invoices(stop: Stop) -> None:
    assert len(stop.org.rows(".Work_Order__c")) > 25
    assert list(stop.check.orders()) == []


@pytest.mark.requirement("ST-02", "ST-07", "X-02")
async def test_visits_parts_sign_offs_and_the_log_are_activities(way: Way) -> None:
    # Only after the load: of a row removed in the org the activity stays in Pipedrive, flagged.
    assert list(way.stops["load"].check.work()) == []


@pytest.mark.requirement("ST-03")
async def test_assets_fill_the_organization_and_its_history(stop: Stop) -> None:
    assert list(stop.check.assets()) == []


@pytest.mark.requirement("ST-04")
async def test_contracts_are_on_the_organization(stop: Stop) -> None:
    assert list(stop.check.contracts()) == []


@pytest.mark.requirement("ST-05", "L-04")
async def test_technicians_own_deals_or_are_named_and_reviewed(stop: Stop) -> None:
    assert list(stop.check.owners()) == []
    unmatched = {item.source_key for item in stop.items if item.reason == "OWNER_UNMATCHED"}
    emails = set(stop.account.users.values())
    wanted = {f"technician/{row['Id']}" for row in stop.org.rows(".Technician__c") if stop.org.of(row, ".Email") not in emails}
    assert wanted
    assert wanted <= unmatched


@pytest.mark.requirement("ST-05", "L-01", "L-04")
async def test_technicians_without_a_user_are_named_before_anything_moves(way: Way) -> None:
    stop = way.stops["load"]
    known = set(stop.account.users.values())
    owners = {one["owner"]: one for one in way.audit["owners"]}
    for row in stop.org.rows(".Technician__c"):
        email = stop.org.of(row, ".Email")
        assert owners[f"technician/{row['Id']}"]["state"] == ("matched" if email in known else "unmatched")
        orders = stop.org.under(".Work_Order__c", ".Technician", row["Id"])
        assert owners[f"technician/{row['Id']}"]["records"] >= len(orders)
        assert (f"{row['Id']}:" in way.mapping) or (f"'{row['Id']}'" in way.mapping)


@pytest.mark.requirement("ST-06")
async def test_notes_and_files_are_on_the_deal(stop: Stop) -> None:
    assert stop.org.rows("Note")
    assert stop.org.rows("Attachment")
    for row in stop.org.rows("Note"):
        deal = stop.account.one("deals", "work_order", row["ParentId"])
        assert deal is not None
        assert f"{row['Title']} Gate code 1234 <changed> Ask for Zoë" in stop.account.notes(deal_id=deal["id"])
    names = {(one["name"], one["file_size"], one.get("deal_id")) for one in stop.account.state["files"]}
    odd = {"file_too_large", "file_missing", "file_of_missing_row"}
    for row in stop.org.rows("Attachment"):
        if stop.org.defects[row["Id"]] & odd:
            continue
        order = stop.org.row(".Invoice__c", row["ParentId"])
        deal = stop.account.one("deals", "work_order", stop.org.of(order, ".Work_Order") if order else row["ParentId"])
        assert deal is not None
        assert (row["Name"], row["BodyLength"], deal["id"]) in names, row["Name"]


@pytest.mark.requirement("ST-06")
async def test_images_in_notes_are_files_and_the_note_shows_them(stop: Stop) -> None:
    files = {one["id"]: one for one in stop.account.state["files"]}
    notes = [one for one in stop.account.state["notes"] if "Access by the" in one["content"]]
    assert len(notes) == len(stop.org.rows("ContentNote"))
    for note in notes:
        assert "<b>rear gate</b>" in note["content"]
        sources = re.findall(r'<img src="https://[a-z0-9-]+\.pipedrive\.com/api/v1/files/(\d+)/download"', note["content"])
        assert len(sources) == 2
        for file in (files[int(source)] for source in sources):
            assert file["deal_id"] == note["deal_id"]
            assert file["name"].startswith("image ")
            assert file["file_size"] > 60
    versions = {row["Id"]: row for row in stop.org.rows("ContentVersion")}
    digests = {one["digest"] for one in files.values()}
    gates = [row for row in versions.values() if row["Title"].startswith("gate ")]
    assert gates
    assert {hashlib.sha256(content(f"{row['Title'].replace(' ', '-')}.png")).hexdigest() for row in gates} <= digests


@pytest.mark.requirement("ST-06", "X-07")
async def test_what_cannot_be_uploaded_is_in_review(stop: Stop) -> None:
    reasons = {item.source_key: item.reason for item in stop.items}
    wanted = {"file_too_large": "FILE_TOO_LARGE", "file_missing": "FILE_UNAVAILABLE", "file_of_missing_row": "REFERENCE_MISSING"}
    planted = [(row_id, kind) for row_id, kinds in stop.org.defects.items() for kind in kinds & wanted.keys()]
    assert {kind for _, kind in planted} == wanted.keys()
    for row_id, kind in planted:
        assert reasons[f"attachment/{row_id}"] == wanted[kind]


@pytest.mark.requirement("ST-08", "D-01")
async def test_an_invoice_without_a_work_order_is_a_deal_of_its_own(stop: Stop) -> None:
    (row,) = [one for one in stop.org.rows(".Invoice__c") if not stop.org.of(one, ".Work_Order")]
    deal = stop.account.one("deals", "invoice", row["Id"])
    assert deal is not None
    assert (deal["value"], stop.account.custom("deal", deal)["ST Invoice Status"]) == (stop.org.of(row, ".Amount"), "Overdue")
    for invoice in stop.org.rows(".Invoice__c"):
        assert any(note.startswith(f"Invoice {invoice['Name']} ") for note in (readable(one["content"]) for one in stop.account.state["notes"]))


@pytest.mark.requirement("ST-09")
async def test_sites_give_addresses_or_are_organizations(stop: Stop) -> None:
    assert list(stop.check.sites()) == []


@pytest.mark.requirement("ST-10", "G-07", "X-03", "L-05")
async def test_fields_and_objects_of_the_tenant_arrive(stop: Stop) -> None:
    assert list(stop.check.custom()) == []


@pytest.mark.requirement("D-07", "G-07")
async def test_roles_and_fields_are_found_by_what_the_org_says_of_itself(way: Way) -> None:
    assert f"field: {NAMESPACE}__Scheduled__c" in way.mapping
    assert "reason: its label is 'Scheduled Time'" in way.mapping
    base = (Path(__file__).parents[2] / "services/transformer/mappings/servicetracker.yaml").read_text()
    assert "__c" not in base


@pytest.mark.requirement("G-06", "L-01")
async def test_records_of_devices_that_were_offline_are_named_and_a_further_delta_is_asked_for(way: Way) -> None:
    report = json.dumps(way.audit)
    (late,) = [row_id for row_id, kinds in way.stops["load"].org.defects.items() if "late_from_a_device" in kinds]
    assert "entered late (back-dated)" in report
    assert f"work_order/{late}" in report
    assert "run a delta after 24 to 48 hours (G-06)" in report


@pytest.mark.requirement("L-12")
async def test_the_reference_export_has_what_is_looked_up_later(way: Way) -> None:
    sheets = {name: content.decode() for name, content in way.files.items() if name.endswith(".csv")}
    org = way.stops["delta"].org
    for row in org.rows(".Work_Order__c"):
        assert row["Name"] in sheets["work-orders.csv"]
    for row in org.rows(".Contract__c"):
        assert org.of(row, ".Renewal_Date") in sheets["contracts.csv"]
    assert f"{NAMESPACE}__Scheduled__c" in sheets["fields-of-the-org.csv"]


@pytest.mark.requirement("X-04")
async def test_the_sums_agree(stop: Stop) -> None:
    for entity in stop.summary.entities:
        parts = (entity.loaded_count, entity.matched_count, entity.skipped_count, entity.rejected_count, entity.waiting_count)
        assert sum(parts) == entity.extracted_count, entity
        assert entity.pending_count == 0, entity
    read = {entity.source_entity: entity.extracted_count for entity in stop.summary.entities}
    assert read["work_order"] == len(stop.org.rows(".Work_Order__c"))


@pytest.mark.requirement("L-13")
async def test_reading_back_finds_no_difference(stop: Stop) -> None:
    assert list(stop.mismatches.mismatches) == []
    assert stop.mismatches.field_count > 2000


@pytest.mark.requirement("L-11")
async def test_a_delta_brings_changes_and_flags_what_is_gone(way: Way) -> None:
    after = way.stops["delta"]
    flagged = {item.source_key for item in after.items if item.reason == "SKIPPED_DELETED"}
    entity_of = {"Contact": "contact", f"{NAMESPACE}__Part__c": "part"}
    gone = {f"{entity_of[change['object']]}/{change['id']}" for change in way.changes if change["kind"] in {"deleted", "removed"}}
    assert len(gone) == 2
    assert gone <= flagged
    created = [change["id"] for change in way.changes if change["kind"] == "created" and change["object"] == "Account"]
    assert created
    assert all(after.account.one("organizations", "customer", row_id) for row_id in created)


@pytest.mark.requirement("L-15")
async def test_a_rollback_leaves_nothing_behind(way: Way) -> None:
    assert diff_of(way.before, way.after) == []


@pytest.mark.requirement("X-06")
async def test_nothing_is_written_to_the_org(way: Way) -> None:
    assert way.journal["write_attempts"] == 0
    assert {(call["method"], call["path"]) for call in way.journal["calls"] if call["method"] != "GET"} == {("POST", "/services/oauth2/token")}
    assert way.journal["call_count"] > 60


OTHER_CHOICES = """
choices:
  multi_site: {value: consolidate}
  multi_asset: {value: each}
  contracts: {value: deals}
  work_order_value: {value: ordered}
policies: {oversize_files: link}
"""
KWAME = "a01Da0000000003IAA"
"""A technician without a user in Pipedrive."""
MATEO = 2
"""A user of Pipedrive."""
WISHES = {
    ("Custom fields", "organization.number", "Name"): "Customer No",
    ("Custom fields", "organization.fax", "Decision"): "leave",
    ("Value maps", "work_order_states/Aborted", "Status"): "lost",
    ("Pipelines", "stage/work_orders.draft", "Name"): "Just entered",
    ("Owners", KWAME, "E-mail"): "mateo.ruiz@example.com",
}
"""What the customer wants otherwise than proposed, by sheet, row and column of the mapping workbook."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def otherwise(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stop]:
    """A second migration of a smaller org, with every other choice."""
    options = pb.MigrationOptions(connector_json="{}", mapping_overrides_yaml=OTHER_CHOICES)
    async with (
        installation(tmp_path_factory.mktemp("otherwise")) as installed,
        installed.rehearsal(connector="servicetracker", size=9, source=("--namespace", NAMESPACE), options=options) as rehearsal,
    ):
        await rehearsal.step("audit")
        command = Command(installed.stack.addresses["ledger"], installed.folder, rehearsal.migration_id)
        written, edited = installed.folder / "mapping.xlsx", installed.folder / "edited.xlsx"
        await command.data("mapping", "export-workbook", str(written))
        edit_workbook(written, edited, WISHES)
        answer = await command.data("mapping", "import-workbook", str(edited))
        assert {(one["sheet"], one["row"], one["column"]): one["new"] for one in answer["changes"]} == WISHES
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        yield await _look(rehearsal)


@pytest.mark.requirement("L-02", "L-03", "L-04", "L-05")
async def test_what_was_edited_in_the_workbook_stands_in_pipedrive(otherwise: Stop) -> None:
    org, account = otherwise.org, otherwise.account
    names = {one["field_name"] for one in account.target.state["fields"] if one["entity"] == "organization"}
    assert ("Customer No" in names, {"ST Number", "ST Fax"} & names) == (True, set())
    for row in org.rows("Account"):
        customer = account.one("organizations", "customer", row["Id"])
        assert customer is not None
        assert account.custom("organization", customer).get("Customer No") == row["AccountNumber"]
    stages = {one["name"] for one in account.target.state["stages"]}
    assert ("Just entered" in stages, account.users[MATEO]) == (True, "mateo.ruiz@example.com")
    seen: Counter[str] = Counter()
    for row in filter(org.order_is_whole, org.rows(".Work_Order__c")):
        deal = account.one("deals", "work_order", row["Id"])
        assert deal is not None
        if org.of(row, ".Status") == "Aborted":
            assert deal["status"] == "lost"
            seen["aborted"] += 1
        if org.of(row, ".Status") == "Draft":
            assert account.stages[deal["stage_id"]] == "Just entered"
            seen["draft"] += 1
        if org.of(row, ".Technician") == KWAME:
            assert deal["owner_id"] == MATEO
            seen["technician"] += 1
    assert set(seen) == {"aborted", "draft", "technician"}


@pytest.mark.requirement("ST-02", "ST-03", "ST-04", "ST-06", "ST-08", "ST-09", "X-07")
async def test_every_other_choice_is_as_it_says(otherwise: Stop) -> None:
    org, account = otherwise.org, otherwise.account
    customers = {row["Id"]: account.one("organizations", "customer", row["Id"]) for row in org.rows("Account")}
    seen: Counter[str] = Counter()
    for row_id, customer in customers.items():
        assert customer is not None
        notes, sites = account.notes(org_id=customer["id"]), org.sites(row_id)
        if len(sites) > 1:
            (listing,) = [note for note in notes if note.startswith("Sites ")]
            assert all(site["Name"] in listing and org.of(site, ".Postcode") in listing for site in sites)
        for asset in org.under(".Equipment__c", ".Client", row_id):
            facts = (f"Serial number: {org.of(asset, '.Serial_Number')}", f"Warranty until: {org.of(asset, '.Warranty_Expiry')}")
            assert any(note.startswith(f"Name: {asset['Name']} ") and all(fact in note for fact in facts) for note in notes)
            seen["asset"] += 1
        seen["sites"] += len(sites) > 1
    assert not [one for one in account.target.by_origin["organizations"] if "/site/" in one]
    for row in org.rows(".Contract__c"):
        deal = account.one("deals", "contract", row["Id"])
        assert deal is not None
        custom = account.custom("deal", deal)
        home = customers[org.of(row, ".Client")]
        assert home is not None
        assert (deal["value"], deal["org_id"], account.stages[deal["stage_id"]]) == (org.of(row, ".Annual_Value"), home["id"], org.of(row, ".Status"))
        fields = {"ST SLA Tier": ".SLA_Tier", "ST Renewal Date": ".Renewal_Date", "ST Contract Start": ".Start_Date", "ST Contract End": ".End_Date"}
        assert {name: custom.get(name) for name in fields} == {name: org.of(row, field) for name, field in fields.items()}
        seen["contract"] += 1
    for row in filter(org.order_is_whole, org.rows(".Work_Order__c")):
        deal = account.one("deals", "work_order", row["Id"])
        assert deal is not None
        home = customers[org.of(row, ".Client")]
        assert home is not None
        assert (deal["value"], deal["org_id"]) == (pytest.approx(org.of(row, ".Total_Value")), home["id"])
        seen["order"] += 1
    for row_id in (one for one, kinds in org.defects.items() if "file_too_large" in kinds):
        name = next(row["Name"] for row in org.rows("Attachment") if row["Id"] == row_id)
        assert any(note.startswith(f"File in ServiceTracker: {name}") for note in account.notes())
        seen["file"] += 1
    assert set(seen) == {"asset", "sites", "contract", "order", "file"}
    assert list(otherwise.mismatches.mismatches) == []


async def test_secrets_stand_in_no_log(way: Way) -> None:
    assert way.secret not in way.logs
    assert "00DDa!" not in way.logs
