"""A whole migration of a Results account, read back from Pipedrive and compared with what the account holds, value by value."""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from sandbox.results.build import Plan, Row
from sandbox.results.fieldwork import OVERSIZE_BYTES
from sandbox.results.generator import generate
from sandbox.results.reference import STAGES
from sandbox.stel_order.binaries import content
from tests.e2e.bundle_journey import BundleJourney
from tests.e2e.harness import Installation, Rehearsal, installation
from tests.e2e.results_world import World, amount, clock, day, later, utc
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SIZE = 24
OUTCOMES = ("Connected", "No answer")
DECIDED_DEAL, DECIDED_COMPANY = "706", "10002"
RELEASED_DEAL = "712"
"""A deal without a company that a person lets go without."""
KNOWN_COMPANY, KNOWN_NAME = "10004", "Quick Lube (ours since 2019)"
"""A company that stands in Pipedrive already, under another name."""
OVERRIDES = f"""
owners:
  people:
    ZZ: {{email: tomas.vega@example.com, is_active: true}}
value_maps:
  deal_companies: {{deal/{DECIDED_DEAL}: "{DECIDED_COMPANY}"}}
"""
"""What a person decides on the proposal: who ZZ was, and which company one deal without any belongs to."""


class Journey(BundleJourney):
    """Everything that was seen on the way."""

    def world(self, stop: str) -> World:
        """Compare the account as it was then with what Pipedrive held."""
        changes = 1 if stop == "delta" else 0
        return World(generate(Plan(seed=1, size=SIZE), changes), self.exports[stop], self.label)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    async with installation(tmp_path_factory.mktemp("results")) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def journey(installed: Installation) -> AsyncIterator[Journey]:
    options = pb.MigrationOptions(connector_json="{}", mapping_overrides_yaml=OVERRIDES)
    target = ("--activity-outcomes", ",".join(OUTCOMES))
    async with installed.rehearsal(connector="results", size=SIZE, target=target, options=options) as rehearsal:
        yield await travel(rehearsal)


async def travel(rehearsal: Rehearsal) -> Journey:
    """Go the whole way, with a delta."""
    client, migration_id = rehearsal.client, rehearsal.migration_id
    journey = Journey(rehearsal)
    async with httpx.AsyncClient(
        headers={"x-api-token": rehearsal.installation.key(f"{migration_id}-target")}, base_url=rehearsal.pipedrive.url, trust_env=False
    ) as http:
        known = {"name": KNOWN_NAME, "website": f"https://www.firm{KNOWN_COMPANY}.example/contact"}
        (await http.post("/api/v2/organizations", json=known)).raise_for_status()
    await journey.load()
    (item,) = [one for one in journey.items["load"] if one.key == f"deal:deal/{RELEASED_DEAL}"]
    await client.resolve_review_items(migration_id, resolution="without_reference", review_item_ids=[item.review_item_id])
    await journey.change()
    return journey


def reasons(journey: Journey, stop: str = "load") -> dict[str, set[str]]:
    """Answer what waits, by source record."""
    found: dict[str, set[str]] = {}
    for item in journey.items[stop]:
        found.setdefault(item.source_key, set()).add(item.reason)
    return found


# ------------------------------------------------------------------ the whole


@pytest.mark.requirement("X-04", "L-13")
@pytest.mark.parametrize("stop", ["load", "delta"])
async def test_sums_agree_and_nothing_differs(journey: Journey, stop: str) -> None:
    for one in journey.summaries[stop].entities:
        assert one.loaded_count + one.matched_count + one.skipped_count + one.rejected_count + one.waiting_count == one.extracted_count, one
        assert (one.pending_count, one.rejected_count) == (0, 0), one
    assert list(journey.mismatches[stop].mismatches) == []
    assert journey.mismatches[stop].field_count > 1_500


@pytest.mark.requirement("L-08")
async def test_the_sample_shows_no_difference(journey: Journey) -> None:
    assert journey.diff
    wrong = [(one.key, row.target_field) for one in journey.diff for row in one.fields if row.verdict == pb.DIFF_VERDICT_DIFFERENT]
    known = {KNOWN_COMPANY, *journey.world("load").account.defects_of("same_domain")}
    assert {key for key, _ in wrong} <= {f"organization:company/{one}" for one in known}, "what stood there before keeps its own name and web site"


# ------------------------------------------------------------------ companies and persons


@pytest.mark.requirement("RS-01", "D-05", "X-05", "X-08")
async def test_companies_are_organizations(world: World) -> None:
    missing = {row["Contact ID"] for row in world.rows("contacts")}
    for row, found in world.pairs("contacts", "organizations", "company"):
        missing.discard(row["Contact ID"])
        if row["Contact ID"] in world.account.defects_of("same_domain"):
            continue  # it is the company before it
        if row["Contact ID"] != KNOWN_COMPANY:
            assert found["name"] == row["Contact Name"]
            assert found.get("website") == row["Web Site"], row["Contact ID"]
            assert found["add_time"].replace(" ", "T").rstrip("Z") + "Z" == utc(row["Created Date"])
        parts = found.get("address") or {}
        wanted = (row["Address 1"], row["Address 2"], row["City"], row["State"], row["Zip"], row["Country"])
        names = ("route", "subpremise", "locality", "admin_area_level_1", "postal_code", "country")
        assert tuple(parts.get(name) for name in names) == wanted
        custom = world.custom("organization", found)
        texts = {
            "Contact Type": "Type",
            "Code": "Code",
            "Territory": "Territory",
            "Phone": "Phone",
            "Fax": "Fax",
            "Email": "E-mail",
            "Terms": "Terms",
        }
        assert {name: custom.get(f"Results {name}") for name in texts.values()} == {name: row[head] for head, name in texts.items()}
        assert custom.get("Results Groups") == (", ".join(row["Group / Category"].split("; ")) if row["Group / Category"] else None)
        shipping = custom.get("Results Shipping Address") or {}
        assert (shipping.get("route"), shipping.get("locality")) == (row["Ship Address 1"], row["Ship City"])
    unmatched = {row["Contact ID"] for row in world.rows("contacts") if row["Account Manager"] == "Dale Former"}
    _, second_branch = sorted(world.account.defects_of("same_domain_other_list_id"))
    assert missing == unmatched | {second_branch}


@pytest.mark.requirement("RS-01", "L-16")
async def test_companies_are_not_made_twice(journey: Journey, world: World) -> None:
    why = reasons(journey)
    (known,) = [one for one in world.state["organizations"] if one["name"] == KNOWN_NAME]
    (row,) = [one for one in world.rows("contacts") if one["Contact ID"] == KNOWN_COMPANY]
    assert world.one("organizations", "company", KNOWN_COMPANY) == known
    assert known["website"].endswith("/contact")
    assert known["address"]["locality"] == row["City"], "what was empty is filled"
    (twin,) = world.account.defects_of("same_domain")
    assert why[f"company/{twin}"] == {"MERGED_INTO_FIRST"}
    names = Counter(one["name"] for one in world.state["organizations"])
    (twin_row,) = [one for one in world.rows("contacts") if one["Contact ID"] == twin]
    assert names[twin_row["Contact Name"]] == 0
    first, second = sorted(world.account.defects_of("same_domain_other_list_id"))
    assert world.one("organizations", "company", first) is not None
    assert "MATCH_UNCERTAIN" in why[f"company/{second}"], "two List IDs are two companies, or a person says so"


@pytest.mark.requirement("RS-01", "X-01")
async def test_subsidiaries_hang_on_their_parents(world: World) -> None:
    relations = {(one["rel_owner_org_id"], one["rel_linked_org_id"]) for one in world.state["organization_relations"]}
    checked = 0
    for row, found in world.pairs("contacts", "organizations", "company"):
        parent = world.one("organizations", "company", row["Parent Contact ID"] or "")
        if parent is not None:
            assert (parent["id"], found["id"]) in relations
            checked += 1
    assert checked


@pytest.mark.requirement("RS-02", "X-01", "X-02", "X-08")
async def test_persons_are_linked_to_their_organizations(world: World) -> None:
    arrived = 0
    for row, found in world.pairs("associates", "persons", "contact"):
        arrived += 1
        assert found["name"] == " ".join(part for part in (row["First Name"], row["Middle Name"], row["Last Name"]) if part)
        company = world.one("organizations", "company", row["Contact ID"] or "")
        assert found.get("org_id") == (company["id"] if company else None)
        assert [entry["value"] for entry in found.get("emails", [])] == [one for one in (row["Email"], row["Email 2"]) if one]
        assert [entry["value"] for entry in found.get("phones", [])] == [one for one in (row["Phone"], row["Cell"], row["Home Phone"]) if one]
        assert found["add_time"].replace(" ", "T").rstrip("Z") + "Z" == utc(row["Created Date"])
        custom = world.custom("person", found)
        assert custom.get("Results Title") == row["Title"]
        assert custom.get("Results Birthday") == day(row["Birthday"])
        assert custom["Results Do Not E-mail"] == ("Yes" if row["Do Not Email"] else "No")
        assert custom.get("Results Extension") == row["Extension"]
    _, second_branch = sorted(world.account.defects_of("same_domain_other_list_id"))
    wanted = [row for row in world.rows("associates") if row["Contact ID"] not in {"99999", second_branch}]
    assert arrived == len(wanted)


@pytest.mark.requirement("RS-02", "L-16")
async def test_a_person_of_a_company_that_is_not_there_waits(journey: Journey) -> None:
    (lost,) = journey.world("load").account.defects_of("person_of_absent_company")
    assert reasons(journey)[f"contact/{lost}"] == {"REFERENCE_MISSING"}


# ------------------------------------------------------------------ deals


def expected_stage(world: World, row: Row) -> tuple[str, str]:
    return row["Opportunity Type"], row["Stage"]


@pytest.mark.requirement("RS-03", "RS-04", "X-02", "X-05")
async def test_deals_keep_stage_value_owner_and_close_date(world: World) -> None:
    stages, pipelines = world.by_id("stages"), world.by_id("pipelines")
    arrived = 0
    for row, found in world.pairs("opportunities", "deals", "deal"):
        arrived += 1
        assert found["title"] == row["Opportunity Name"]
        stage = stages[found["stage_id"]]
        assert (pipelines[stage["pipeline_id"]]["name"], stage["name"]) == expected_stage(world, row)
        if row["Amount"] is not None:
            assert found["value"] == amount(row["Amount"]), row["Opportunity ID"]
        assert found["currency"] == "USD"
        assert found["status"] == {"Won": "won", "Lost": "lost"}.get(row["Status"], "open")
        assert found.get("expected_close_date") == day(row["Expected Close Date"])
        if found["status"] != "open":
            time = found["won_time" if found["status"] == "won" else "lost_time"]
            assert time.replace(" ", "T").rstrip("Z") == f"{day(row['Actual Close Date'])}T12:00:00"
        assert found.get("lost_reason") == (row["Lost Reason"] if found["status"] == "lost" else None)
        if found["status"] == "open":
            assert found["probability"] == row["Probability"]
        owner = world.user_id("tvega" if row["Sales Rep"] == "ZZ" else row["Sales Rep"])
        assert found["owner_id"] == owner, row["Opportunity ID"]
        custom = world.custom("deal", found)
        assert (custom["Results Status"], custom.get("Results Competitor")) == (row["Status"], row["Competitor"])
        assert custom.get("Results QuickBooks List ID") == row["QBI List ID"]
        assert custom["Results Created"] == day(row["Created Date"].date())
    assert arrived >= 20


@pytest.mark.requirement("RS-09", "L-16", "X-01")
async def test_a_deal_hangs_on_its_company_or_waits_for_a_decision(journey: Journey, world: World) -> None:
    waiting = {key for key, why in reasons(journey).items() if key.startswith("deal/") and "REFERENCE_MISSING" in why}
    decided = world.one("deals", "deal", DECIDED_DEAL)
    chosen = world.one("organizations", "company", DECIDED_COMPANY)
    assert decided is not None
    assert chosen is not None
    assert decided["org_id"] == chosen["id"]
    released = False
    for row in world.rows("opportunities"):
        found, company = world.one("deals", "deal", row["Opportunity ID"]), world.one("organizations", "company", row["Contact ID"] or "")
        if row["Opportunity ID"] == DECIDED_DEAL:
            continue
        if row["Opportunity ID"] == RELEASED_DEAL and found is not None:
            assert found.get("org_id") is None
            released = True
        elif company is None:
            assert found is None
            assert f"deal/{row['Opportunity ID']}" in waiting
        else:
            assert found is not None
            assert found["org_id"] == company["id"]
    assert len(waiting) >= 4
    assert released is (world.export == journey.exports["delta"])


@pytest.mark.requirement("RS-04", "L-05")
async def test_pipelines_and_stages_stand_with_their_probabilities(world: World) -> None:
    for kind, stages in STAGES.items():
        (pipeline,) = [one for one in world.state["pipelines"] if one["name"] == kind]
        assert pipeline["is_deal_probability_enabled"] is True
        made = sorted((one for one in world.state["stages"] if one["pipeline_id"] == pipeline["id"]), key=lambda one: one["order_nr"])
        assert [(one["name"], one["deal_probability"]) for one in made] == [(name, percent) for name, percent, _ in stages]


# ------------------------------------------------------------------ activities


ACTIVITY_TYPES = {"Call": "call", "E-mail": "email", "Meeting": "meeting", "Task": "task", "Letter": "letter", "Site Visit": "site_visit"}


@pytest.mark.requirement("RS-05", "X-01", "X-02")
async def test_activities_keep_time_duration_outcome_and_what_they_hang_on(journey: Journey, world: World) -> None:
    waiting, checked = reasons(journey), Counter[str]()
    outcomes = {option["id"]: option["label"] for one in world.state["fields"] if one["field_code"] == "outcome" for option in one["options"]}
    for row in world.rows("activities"):
        if f"activity/{row['Activity ID']}" in waiting:
            continue
        found = matching_activity(world, row)
        assert found is not None, row
        checked[row["Activity Type"]] += 1
        assert found["type"] == ACTIVITY_TYPES[row["Activity Type"]]
        minutes = row["Duration"] or (minutes_between(row) if row["End Time"] else None)
        assert (found.get("duration") or "")[:5] == (f"{minutes // 60:02d}:{minutes % 60:02d}" if minutes else "")
        assert bool(found["done"]) is row["Completed"]
        assert found["owner_id"] == world.user_id(row["Assigned To"])
        deal = world.one("deals", "deal", row["Opportunity ID"] or "")
        assert found.get("deal_id") == (deal["id"] if deal else None)
        person = world.one("persons", "contact", row["Associate ID"] or "")
        assert [entry["person_id"] for entry in found.get("participants", [])] == ([person["id"]] if person else [])
        native = outcomes.get(found.get("outcome"))
        assert native == (row["Outcome"] if row["Outcome"] in OUTCOMES else None)
        if row["Outcome"] and not native:
            assert f"<b>Outcome:</b> {row['Outcome']}" in found["note"]
    assert set(checked) == set(ACTIVITY_TYPES)
    assert sum(checked.values()) > 60


def matching_activity(world: World, row: Row) -> dict[str, Any] | None:
    """Return the activity of a row by subject, date, time, and what its note says of who made it when."""
    due, time = clock(row["Start Date"], row["Start Time"]) if row["Start Time"] else (day(row["Start Date"]), None)
    made = re.escape(row["Created Date"].strftime("%Y-%m-%dT%H:%M:%S"))
    found = [
        one
        for one in world.activities_of(row["Subject"] or row["Activity Type"])
        if one["due_date"] == due and (one.get("due_time") or None) == time and re.search(rf"Created:</b> {made}", one["note"])
    ]
    return found[0] if found else None


def minutes_between(row: Row) -> int:
    start, end = row["Start Time"], row["End Time"]
    return int((end.hour - start.hour) * 60 + end.minute - start.minute)


@pytest.mark.requirement("RS-05", "X-08")
async def test_formatted_notes_of_activities_are_text(world: World) -> None:
    notes = "\n".join(one.get("note", "") for one in world.state["activities"])
    assert "Gate code is 4471.<br>Ask for René at the desk." in notes
    assert "Met on site. Very interested &amp; wants pricing by Friday." in notes
    assert "alert(1)" not in notes
    assert "rtf1" not in notes


# ------------------------------------------------------------------ custom fields, owners


@pytest.mark.requirement("RS-06", "X-03", "X-05")
async def test_user_defined_fields_have_the_type_results_says_and_their_values(world: World) -> None:
    kinds = {
        ("organization", "Boiler Count"): ("double", None),
        ("organization", "Contract Renewal"): ("date", None),
        ("organization", "Key Account"): ("enum", {"Yes", "No"}),
        ("organization", "Building Type"): ("enum", {"Office", "Retail", "School", "Other"}),
        ("organization", "Access Notes"): ("text", None),
        ("person", "Preferred Language"): ("enum", {"English", "Spanish", "French"}),
        ("deal", "Decision Date"): ("date", None),
        ("deal", "Site Square Feet"): ("double", None),
        ("deal", "Financing"): ("varchar", None),
    }
    for (entity, name), (kind, options) in kinds.items():
        made = world.field(entity, name)
        assert made["field_type"] == kind, name
        assert options is None or {option["label"] for option in made["options"]} == options
    for row, found in world.pairs("contacts", "organizations", "company"):
        if row["Contact ID"] in world.account.defects_of("same_domain"):
            continue
        custom = world.custom("organization", found)
        assert custom.get("Boiler Count") == row["UDF: Boiler Count"]
        assert custom.get("Contract Renewal") == day(row["UDF: Contract Renewal"])
        assert custom.get("Key Account") == {True: "Yes", False: "No", None: None}[row["UDF: Key Account"]]
        assert (custom.get("Building Type"), custom.get("Access Notes")) == (row["UDF: Building Type"], row["UDF: Access Notes"])
    for row, found in world.pairs("opportunities", "deals", "deal"):
        custom = world.custom("deal", found)
        assert custom.get("Decision Date") == day(row["UDF: Decision Date"])
        assert custom.get("Site Square Feet") == row["UDF: Site Square Feet"]
        assert custom.get("Financing") == row["UDF: Financing"]
    for row, found in world.pairs("associates", "persons", "contact"):
        assert world.custom("person", found).get("Preferred Language") == row["UDF: Preferred Language"]


@pytest.mark.requirement("RS-07", "L-04", "L-16")
async def test_owners_are_matched_by_email_and_the_others_block(journey: Journey, world: World) -> None:
    for row, found in world.pairs("contacts", "organizations", "company"):
        wanted = world.user_id(row["Account Manager"])
        assert found["owner_id"] == wanted or not row["Account Manager"] or row["Contact ID"] == KNOWN_COMPANY, row["Contact ID"]
    why = reasons(journey)
    assert "OWNER_UNMATCHED" in why["schema/user-Dale Former"]
    assert "OWNER_UNMATCHED" in why["user/6"]
    (blocked,) = [row["Contact ID"] for row in world.rows("contacts") if row["Account Manager"] == "Dale Former"]
    assert world.one("organizations", "company", blocked) is None
    assert why[f"company/{blocked}"] == {"REFERENCE_MISSING"}
    assert "needs_review" in journey.mapping.partition("Dale Former:")[2][:300]


# ------------------------------------------------------------------ products and lines


@pytest.mark.requirement("RS-10", "X-05")
async def test_products_keep_name_code_price_and_description(world: World) -> None:
    arrived = 0
    for row, found in world.pairs("products", "products", "product"):
        arrived += 1
        assert (found["name"], found["code"], found.get("description")) == (row["Product Name"], row["SKU"], row["Description"])
        (price,) = found["prices"]
        assert (price["currency"], price["price"]) == ("USD", amount(row["Sales Price"]))
        assert row["Cost"] is None or price["cost"] == amount(row["Cost"])
    assert arrived == len(world.rows("products")) == 11


@pytest.mark.requirement("RS-10", "D-01", "X-01")
async def test_lines_of_the_last_document_stand_on_the_deal(journey: Journey, world: World) -> None:
    waiting = reasons(journey)
    products = world.account.by_id("products")
    by_name = {re.sub(r"[^a-z0-9]", "", row["Product Name"].casefold()): row for row in products.values()}
    followed = {row["Converted From"] for row in world.rows("documents")}
    wanted: Counter[tuple[int, int, float, float]] = Counter()
    for line in world.rows("document_lines"):
        document = world.account.by_id("documents")[line["Document ID"]]
        deal = world.one("deals", "deal", document["Opportunity ID"] or "")
        if deal is None or document["Document ID"] in followed or not line["Product ID"] or f"document_line/{line['Line ID']}" in waiting:
            continue
        row = products.get(line["Product ID"]) or by_name[re.sub(r"[^a-z0-9]", "", line["Product ID"].casefold())]
        product = world.one("products", "product", row["Product ID"])
        assert product is not None
        wanted[deal["id"], product["id"], float(line["Rate"]), float(line["Quantity"])] += 1
    ours = {deal["id"] for _, deal in world.pairs("opportunities", "deals", "deal")}
    made = Counter(
        (one["deal_id"], one["product_id"], float(one["item_price"]), float(one["quantity"]))
        for one in world.state["deal_products"]
        if one["deal_id"] in ours
    )
    assert made == wanted
    assert sum(wanted.values()) > 20


@pytest.mark.requirement("RS-10", "L-16")
async def test_a_product_nobody_knows_waits(journey: Journey) -> None:
    world = journey.world("load")
    assert world.account.defects_of("product_other_case")
    assert world.account.defects_of("product_other_marks")
    waiting = {key.partition("/")[2] for key in reasons(journey) if key.startswith("document_line/")}
    assert waiting
    assert waiting <= world.account.defects_of("product_unknown")


@pytest.mark.requirement("RS-10", "L-12")
async def test_documents_stand_in_notes_and_files(journey: Journey, world: World) -> None:
    sheet = journey.files["documents.csv"].decode("utf-8-sig")
    for row in world.rows("documents"):
        assert row["Number"] in sheet
        company = world.one("organizations", "company", row["Contact ID"])
        deal = world.one("deals", "deal", row["Opportunity ID"] or "")
        if f"document/{row['Document ID']}" in reasons(journey):
            continue
        if deal is not None:
            assert f"{row['Document Type']} {row['Number']}" in world.notes_of("deal_id", deal["id"])
        elif company is not None:
            assert f"{row['Document Type']} {row['Number']}" in world.notes_of("org_id", company["id"])
    for row in world.rows("payments"):
        paid = f"{'Refund' if row['Amount'] < 0 else 'Payment'} {float(row['Amount']):.15g} · {row['Invoice Number']}"
        (found,) = world.activities_of(paid)
        assert (found["due_date"], bool(found["done"]), found["type"]) == (day(row["Date"]), True, "payment")


@pytest.mark.requirement("L-01", "RS-09", "RS-10")
async def test_the_audit_names_what_needs_a_decision(journey: Journey) -> None:
    account = journey.world("load").account
    found = {(one["entity"], one["check"]): one["records"] for one in journey.audit["data_quality"]}
    lost = {row["Opportunity ID"] for row in account.tables["opportunities"] if row["Contact ID"] in {None, "99998"}}
    assert found["deal", "deal without company"] == len(lost)
    assert found["document_line", "line whose product is not found"] == len(account.defects_of("product_unknown"))
    nobody = [row for row in account.tables["associates"] if row["Contact ID"] in {None, "99999"}]
    assert found["contact", "contact without company"] == len(nobody)
    assert found["contact", "missing e-mail"] == len(account.defects_of("person_without_email"))


@pytest.mark.requirement("L-11")
async def test_a_delta_brings_what_is_new_and_names_what_is_gone(journey: Journey) -> None:
    before, after = journey.world("load"), journey.world("delta")
    gone = before.account.by_id("activities").keys() - after.account.by_id("activities").keys()
    why = reasons(journey, "delta")
    loaded = {one for one in gone if f"activity/{one}" not in reasons(journey)}
    assert {one for one in loaded if "SOURCE_DELETED" not in why.get(f"activity/{one}", set())} == set()
    fresh = after.account.by_id("contacts").keys() - before.account.by_id("contacts").keys()
    assert fresh
    assert all(after.one("organizations", "company", one) is not None for one in fresh)


# ------------------------------------------------------------------ files and field service


@pytest.mark.requirement("RS-08", "X-07", "L-01")
async def test_files_hang_on_their_records_and_odd_ones_are_named(journey: Journey, world: World) -> None:
    waiting, checked = reasons(journey), Counter[str]()
    sizes = {one["id"]: one for one in world.state["files"]}
    for row in world.rows("attachments"):
        key = f"attachment/{row['Attachment ID']}"
        kinds = {"Contact": ("organizations", "company", "org_id"), "Associate": ("persons", "contact", "person_id")}
        kinds |= {"Opportunity": ("deals", "deal", "deal_id")}
        if row["Object"] not in kinds or key in waiting:
            continue
        kind, entity, parent = kinds[row["Object"]]
        owner = world.one(kind, entity, row["Object ID"])
        if owner is None:
            continue
        found = [one for one in sizes.values() if one.get(parent) == owner["id"] and one["name"] == row["File Name"]]
        folder = row["Path"].replace("\\", "/").split("/")[-2:]
        assert len(found) == 1, key
        assert found[0]["file_size"] == len(content("/".join(folder)))
        checked["share" if row["Path"].startswith("\\") else "inside"] += 1
    assert checked["share"] >= 1
    assert checked["inside"] >= 3
    account = world.account
    why = {one: waiting[f"attachment/{one}"] for kind in ("file_too_large", "file_missing", "file_without_home") for one in account.defects_of(kind)}
    assert sorted(reason for reasons_of in why.values() for reason in reasons_of) == ["FILE_TOO_LARGE", "FILE_UNAVAILABLE", "REFERENCE_MISSING"]
    assert str(OVERSIZE_BYTES) in json.dumps(journey.audit["oversize_files"])


@pytest.mark.requirement("G-12", "X-01")
async def test_photos_and_signatures_hang_on_their_job(journey: Journey, world: World) -> None:
    waiting, checked = reasons(journey), Counter[str]()
    jobs = world.account.by_id("field_service/jobs")
    for row in world.rows("field_service/media"):
        job = jobs[row["Job ID"]]
        if f"job/{row['Job ID']}" in waiting:
            continue
        (visit,) = [one for one in world.state["activities"] if one["subject"].endswith(f"job {row['Job ID']}")]
        start = utc(job["Scheduled Start"])
        assert (visit["due_date"], visit["due_time"], visit["duration"][:5]) == (start[:10], start[11:19], "02:00")
        assert utc(later(job["Scheduled Start"], 120)) == utc(job["Scheduled End"])
        found = [one for one in world.state["files"] if one.get("activity_id") == visit["id"] and one["name"] == row["File Name"]]
        assert [one["file_size"] for one in found] == [len(content(f"{row['Job ID']}/{row['File Name']}"))]
        if row["Kind"] == "Signature":
            assert row["Signed By"] in visit["note"]
        checked[row["Kind"]] += 1
    assert set(checked) == {"Before", "During", "After", "Signature"}


# ------------------------------------------------------------------ QuickBooks


@pytest.mark.requirement("G-10")
async def test_money_is_quickbooks_and_differences_are_reported(journey: Journey, world: World) -> None:
    books = world.account.by_id("quickbooks/customers")
    linked = 0
    for row, found in world.pairs("contacts", "organizations", "company"):
        custom = world.custom("organization", found)
        if row["Contact ID"] in world.account.defects_of("same_domain"):
            continue
        assert custom["Results QuickBooks Linked"] == ("Yes" if row["QBI List ID"] else "No")
        assert custom.get("Results QuickBooks List ID") == row["QBI List ID"]
        other = books.get(row["QBI List ID"] or "")
        balance = other["Balance"] if other else row["Balance"]
        assert (custom.get("Results Balance") or {}).get("value") == amount(balance)
        assert custom.get("Results Balance As Of") == (day(other["Balance As Of"]) if other else None)
        linked += other is not None
    assert linked >= 4
    differing = {one["record_id"] for one in ({"record_id": key} for key in world.account.defects_of("quickbooks_differs"))}
    checks = {one["check"]: one for one in journey.audit["data_quality"] if one["entity"] == "company"}
    assert checks["name differs from QuickBooks"]["records"] >= len(differing)
    assert {"telephone differs from QuickBooks", "e-mail differs from QuickBooks", "balance differs from QuickBooks"} <= set(checks)
    assert "QuickBooks" in journey.files["quickbooks-differences.csv"].decode("utf-8-sig")
    (twice,) = [
        one for one in journey.audit["data_quality"] if (one["entity"], one["check"], one["field"]) == ("company", "duplicate", "quickbooks_id")
    ]
    assert twice["records"] == 2


# ------------------------------------------------------------------ other choices


@dataclass
class Choice:
    """A second migration of a smaller account, with other choices."""

    world: World
    items: list[pb.ReviewItem]
    mismatches: pb.ListMismatchesResponse


SMALL = 12


async def migrate(installed: Installation, overrides: str) -> Choice:
    """Move a small account with these choices, and read it back."""
    options = pb.MigrationOptions(connector_json="{}", mapping_overrides_yaml=overrides)
    async with installed.rehearsal(connector="results", size=SMALL, options=options) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        export = await rehearsal.pipedrive.export()
        items = await rehearsal.review_items()
        await rehearsal.step("reconcile")
        mismatches = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
        return Choice(World(generate(Plan(seed=1, size=SMALL)), export, f"{rehearsal.migration_id}-source"), items, mismatches)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def placeholder(installed: Installation) -> Choice:
    overrides = "choices: {deal_without_organization: {value: placeholder}, prefer: {value: quickbooks}}\npolicies: {oversize_files: link}\n"
    return await migrate(installed, overrides)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def designated(installed: Installation) -> Choice:
    overrides = (
        'choices: {deal_without_organization: {value: designated}, prefer: {value: newest}}\nvalue_maps: {designated_company: {"*": "10003"}}\n'
    )
    return await migrate(installed, overrides + "policies: {archived: load, unmatched_owner: fallback}\n")


def without_company(world: World) -> list[Row]:
    """Return the opportunities whose company is not there, or not moved."""
    moved = {row["Contact ID"] for row in world.rows("contacts")}
    return [row for row in world.rows("opportunities") if row["Contact ID"] not in moved]


@pytest.mark.requirement("RS-09")
async def test_deals_without_a_company_hang_on_one_placeholder(placeholder: Choice) -> None:
    world = placeholder.world
    (made,) = [one for one in world.state["organizations"] if one["name"] == "Deals without a company in Results"]
    lost = {row["Opportunity ID"] for row in without_company(world)}
    assert len(lost) >= 4
    owners_wait = {item.source_key for item in placeholder.items if "OWNER" in item.message or item.reason == "OWNER_UNMATCHED"}
    for deal_id in lost:
        found = world.one("deals", "deal", deal_id)
        assert found is not None or f"deal/{deal_id}" in owners_wait, deal_id
        assert found is None or found["org_id"] == made["id"]
    assert list(placeholder.mismatches.mismatches) == []


@pytest.mark.requirement("RS-09")
async def test_deals_without_a_company_hang_on_the_one_designated(designated: Choice) -> None:
    world = designated.world
    chosen = world.one("organizations", "company", "10003")
    assert chosen is not None
    lost = [row for row in world.account.tables["opportunities"] if row["Contact ID"] in {None, "99998"}]
    assert len(lost) >= 4
    for row in lost:
        found = world.one("deals", "deal", row["Opportunity ID"])
        assert found is not None
        assert found["org_id"] == chosen["id"]
    assert list(designated.mismatches.mismatches) == []


@pytest.mark.requirement("G-10")
@pytest.mark.parametrize("prefer", ["quickbooks", "newest"])
async def test_a_linked_company_is_as_the_preferred_system_has_it(placeholder: Choice, designated: Choice, prefer: str) -> None:
    world = (placeholder if prefer == "quickbooks" else designated).world
    books, seen = world.account.by_id("quickbooks/customers"), Counter[str]()
    for row, found in world.pairs("contacts", "organizations", "company"):
        other = books.get(row["QBI List ID"] or "")
        if other is None or row["Contact Name"] == "Merged Remnant Co.":
            continue
        is_newer = other["Time Modified"] > row["Modified Date"]
        counts = other if prefer == "quickbooks" or is_newer else None
        custom = world.custom("organization", found)
        assert found["name"] == (counts["Customer"] if counts else row["Contact Name"])
        assert custom.get("Results Phone") == (counts["Phone"] if counts else row["Phone"])
        assert custom.get("Results E-mail") == ((counts["Email"] if counts else None) or row["Email"])
        assert (found["address"]["route"]) == (counts["Bill Address 1"] if counts else row["Address 1"])
        seen["QuickBooks" if counts else "Results"] += 1
    assert seen["QuickBooks"]
    assert bool(seen["Results"]) is (prefer == "newest")


@pytest.mark.requirement("RS-08", "X-07")
async def test_a_file_too_large_becomes_a_note_by_policy(placeholder: Choice) -> None:
    world = placeholder.world
    (large,) = world.account.defects_of("file_too_large")
    row = world.account.by_id("attachments")[large]
    owner = world.one("organizations", "company", row["Object ID"])
    assert owner is not None
    note = world.notes_of("org_id", owner["id"])
    assert f"File in Results: {row['File Name']}" in note
    assert str(OVERSIZE_BYTES) in note


@pytest.mark.requirement("RS-07", "L-01")
async def test_inactive_records_move_and_strangers_own_nothing_when_that_is_asked(designated: Choice) -> None:
    world = designated.world
    inactive = [row for row in world.account.tables["contacts"] if row["Inactive"]]
    assert all(world.one("organizations", "company", row["Contact ID"]) is not None for row in inactive)
    first = min(world.state["users"], key=lambda one: int(one["id"]))
    (stranger,) = [row for row in world.rows("contacts") if row["Account Manager"] == "Dale Former"]
    found = world.one("organizations", "company", stranger["Contact ID"])
    assert found is not None
    assert found["owner_id"] == first["id"]
    assert {item.source_key for item in designated.items if item.reason == "OWNER_UNMATCHED"} >= {"schema/user-Dale Former"}
