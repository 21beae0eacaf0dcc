"""An OctopusPro export on its whole way into Pipedrive, read back and compared value by value with what the generator wrote (OP-01 to OP-12)."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
import zstandard

from sandbox.octopuspro.account import Account, Row
from sandbox.octopuspro.fields import FIELDS
from sandbox.octopuspro.generator import generate
from tests.e2e.checker import diff_of
from tests.e2e.harness import Rehearsal, installation
from tests.e2e.octopuspro_view import COUNTED, DEAL_STATUS, LOST_BOOKINGS, STAGES, View, amount, as_json, in_utc, shown, table, utc
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SIZE = 16
CARMEN = "75"
"""A field worker whose Pipedrive user is switched off; a person gives her bookings to Lucía before anything moves."""
WINDOW_END = datetime(2026, 8, 1, tzinfo=UTC)
WISHES = f"""
overrides:
  owners: {{people: {{'{CARMEN}': {{email: lucia.garcia@example.com}}}}}}
  policies: {{recurrence_from: "2026-06-01", recurrence_window_months: 2}}
"""
both_stops = pytest.mark.parametrize("stop", ["load", "delta"])


@dataclass(slots=True, repr=False)
class Stop:
    """What was seen at one stop of the way."""

    view: View
    summary: pb.Summary
    review: list[pb.ReviewItem]
    mismatches: pb.ListMismatchesResponse


@dataclass(slots=True, repr=False)
class Way:
    """Everything that was seen."""

    stops: dict[str, Stop] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)
    diff: list[pb.DiffRecord] = field(default_factory=list)
    mapping: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    before: bytes = b""
    after: bytes = b""
    """Pipedrive before the migration, and after it was taken back."""
    pages: bytes = b""
    """All frozen pages."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def way(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Way]:
    async with installation(tmp_path_factory.mktemp("octopuspro")) as installed, installed.rehearsal(connector="octopuspro", size=SIZE) as rehearsal:
        yield await travel(rehearsal)


async def travel(rehearsal: Rehearsal) -> Way:
    """Go from the audit to the reconciliation after a second bundle."""
    way, client, name = Way(), rehearsal.client, rehearsal.migration_id
    way.before = await rehearsal.pipedrive.export()
    await rehearsal.step("audit")
    way.audit = json.loads(await client.get_audit(name))
    proposed = await client.get_mapping(name)
    await client.edit_mapping(name, proposed.mapping_yaml + WISHES, base_digest=proposed.digest)
    way.mapping = (await client.get_mapping(name)).mapping_yaml
    await rehearsal.confirm()
    await rehearsal.step("schema")
    await rehearsal.step("sample")
    async for page in client.iterate_diff(name):
        way.diff.extend(page.records)
    await rehearsal.approve()
    await rehearsal.step("load")
    way.plan = json.loads(await client.plan_load(name))
    way.stops["load"] = await look(rehearsal, generate(1, SIZE))
    await rehearsal.bundles.change(1)
    await rehearsal.step("delta")
    way.stops["delta"] = await look(rehearsal, generate(1, SIZE, changes=1))
    async for file, content in client.export_reference_files(name):
        way.files[file] = way.files.get(file, b"") + content
    await rehearsal.step("rollback")
    way.after = await rehearsal.pipedrive.export()
    staging = rehearsal.installation.stack.data_dir / "staging" / "pages"
    way.pages = b"".join(zstandard.ZstdDecompressor().decompressobj().decompress(page.read_bytes()) for page in staging.rglob("*") if page.is_file())
    return way


async def look(rehearsal: Rehearsal, account: Account) -> Stop:
    export, summary, review = await rehearsal.pipedrive.export(), await rehearsal.summary(), await rehearsal.review_items()
    await rehearsal.step("reconcile")
    mismatches = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
    return Stop(View(account, export, f"{rehearsal.migration_id}-source", WINDOW_END), summary, review, mismatches)


def person_name(row: Row) -> str:
    """Return the name the first person of a customer has to have."""
    named = " ".join(part for part in (row["First name"], row["Last name"]) if part)
    return named or row["Business name"] or row["Email 1"] or f"Customer {row['Customer number']}"


@both_stops
@pytest.mark.requirement("OP-01", "X-08", "X-02")
async def test_customers_are_persons_and_with_a_company_organizations(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    for row in view.moved("customers", "deleted"):
        person = view.one("persons", "customer", row["Customer ID"])
        assert person["name"] == person_name(row)
        emails = [row.get(f"Email {number}") for number in (1, 2, 3)]
        assert [one["value"] for one in person["emails"]] == [one for one in emails if one]
        phones = {row.get(name) for name in ("Mobile 1", "Phone 1", "Phone 2", "Mobile 3")} - {None, ""}
        assert {part.strip() for one in phones for part in str(one).split("/")} == {one["value"] for one in person.get("phones", [])}
        assert person["add_time"] == utc(row["Created"])
        assert bool(person.get("org_id")) == bool(row["Business name"]) == view.is_there("organizations", "customer", row["Customer ID"])
        if row["Business name"]:
            organization = view.one("organizations", "customer", row["Customer ID"])
            assert (organization["name"], organization["id"]) == (row["Business name"], person["org_id"])
            assert (organization.get("address") or {}).get("locality") == row.get("Suburb")
    assert not any(view.is_there("persons", "customer", one) for _, one in view.account.defective("deleted"))


@pytest.mark.requirement("OP-01")
async def test_further_named_people_are_persons_of_the_same_organization(way: Way) -> None:
    view = way.stops["load"].view
    rows = [row for row in view.moved("customers", "deleted") if row.get("First name2")]
    assert rows
    for row in rows:
        organization = view.one("persons", "customer", row["Customer ID"]).get("org_id")
        for number in (2, 3):
            person = view.one("persons", "customer", row["Customer ID"], f"person/{number}")
            wanted = " ".join(part for part in (row[f"First name{number}"], row[f"Last name{number}"]) if part)
            assert (person["name"], person.get("org_id")) == (wanted, organization)


@both_stops
@pytest.mark.requirement("OP-02", "X-01", "X-05", "L-03")
async def test_bookings_are_deals_of_their_customer(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    for row in view.bookings():
        deal = view.one("deals", "booking", row["Booking ID"])
        customer = row["Customer ID"]
        services = view.services(row["Booking ID"])
        assert deal["title"] == (", ".join(services) if services else f"Booking {row['Booking number']}")
        assert deal["person_id"] == view.one("persons", "customer", customer)["id"]
        has_company = view.is_there("organizations", "customer", customer)
        assert deal.get("org_id") == (view.one("organizations", "customer", customer)["id"] if has_company else None)
        status = row["Status"].casefold()
        assert view.stage(deal) == STAGES.get(status, row["Status"])
        assert deal["status"] == DEAL_STATUS.get(status, "open")
        assert (Decimal(str(deal["value"])), deal["currency"]) == (view.value(row), "AUD")
        assert view.target.labels(deal) == {"Booking"}
        custom = view.custom("deal", deal)
        assert (custom["Octopus Booking ID"], custom["Octopus Number"], custom["Octopus Status"]) == (
            row["Booking ID"],
            row["Booking number"],
            row["Status"],
        )
        assert (custom["Octopus Start Date"], custom["Octopus Start Time"]) == (f"{row['Booking start']:%Y-%m-%d}", f"{row['Booking start']:%H:%M}")
        assert Decimal(str(custom["Octopus Total"])) == row["Total"]
        assert custom.get("Octopus Recurrence") == (row.get("Recurrence") or row.get("RRULE"))
        assert custom.get("Octopus Special Instructions") == (row["Special instructions"] or None)


@both_stops
@pytest.mark.requirement("OP-02")
async def test_visits_of_a_series_after_the_window_stay_behind_and_are_listed(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    visits = [row for row in view.account.tables["bookings"] if row.get("Recurring ID")]
    late = [row for row in visits if row["Booking start"] >= WINDOW_END]
    assert late
    assert [row for row in visits if view.is_there("deals", "booking", row["Booking ID"])] == [row for row in visits if row not in late]
    listed = {row["Booking"] for row in table(way.files, "recurring-bookings.csv")}
    assert listed == {row["Booking number"] for row in visits}
    written = {row["Series"]: row["Recurrence"] for row in table(way.files, "recurring-bookings.csv")}
    assert written == {"R-700": "every 2 weeks", "R-701": "every 2 weeks", "R-702": ""}  # the last one says it as a rule only
    by_number = {row["Booking number"]: row for row in visits}
    for row in table(way.files, "recurring-bookings.csv"):
        assert row["In words"].casefold().startswith("every 2 weeks, from ")
        start, rule = row["RRULE"].split("\n")
        starts = by_number[row["Booking"]]["Booking start"].astimezone(ZoneInfo(view.account.tenant.time_zone))
        assert (start, rule) == (f"DTSTART;TZID={view.account.tenant.time_zone}:{starts:%Y%m%dT%H%M%S}", "RRULE:FREQ=WEEKLY;INTERVAL=2")


@both_stops
@pytest.mark.requirement("OP-02", "X-02")
async def test_the_slot_of_a_booking_is_an_activity_at_its_time(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    properties = view.account.by_id("customer_properties")
    for row in view.bookings():
        deal = view.one("deals", "booking", row["Booking ID"])
        (slot,) = view.activities(deal["id"], "booking")
        starts, ends = row["Booking start"].astimezone(UTC), row["Booking end"].astimezone(UTC)
        assert slot["subject"] == deal["title"]
        assert slot["done"] == (deal["status"] != "open")
        assert [one["person_id"] for one in slot["participants"]] == [deal["person_id"]]
        home = properties.get(row["Property ID"], {})
        assert (slot.get("location") or {}).get("locality") == (row.get("Suburb") or home.get("Suburb"))
        if row["All-day"]:
            assert (slot["due_date"], slot.get("due_time")) == (f"{row['Booking start']:%Y-%m-%d}", None)
        else:
            minutes = int((ends - starts).total_seconds()) // 60
            assert (slot["due_date"], slot["due_time"][:5]) == (f"{starts:%Y-%m-%d}", f"{starts:%H:%M}")
            assert slot["duration"][:5] == f"{minutes // 60:02d}:{minutes % 60:02d}"


@both_stops
@pytest.mark.requirement("OP-02", "OP-04", "X-08")
async def test_services_of_a_booking_are_products_on_its_deal_and_its_notes_a_note(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    for row in view.bookings():
        deal = view.one("deals", "booking", row["Booking ID"])
        lines = sorted(
            (one["product_id"], one["item_price"], one["quantity"]) for one in view.target.state["deal_products"] if one["deal_id"] == deal["id"]
        )
        wanted = [
            (view.one("products", "service", line["Service ID"])["id"], float(line["Rate"]), float(line["Quantity"]))
            for line in view.rows("booking_services", Booking_ID=row["Booking ID"])
        ]
        # A line that was taken off stays, and is named: deletions are flagged unless the mapping says otherwise.
        gone = [
            one
            for one in way.stops[stop].review
            if "does not become it" in one.message and one.key.startswith(f"line_item:booking/{row['Booking ID']}/")
        ]
        assert len(lines) == len(wanted) + len(gone)
        assert set(lines) >= set(wanted)
        note = view.notes(deal_id=deal["id"])
        if "script" not in row["Notes"]:
            assert shown(row["Notes"]) in note
        assert all(shown(change["New status"]) in note for change in view.rows("booking_status_history", Booking_ID=row["Booking ID"]))
        assert "<script" not in note


@pytest.mark.requirement("OP-03", "L-04", "L-16")
async def test_field_workers_own_their_bookings_by_email_and_the_unmatched_wait(way: Way) -> None:
    stop = way.stops["load"]
    view = stop.view
    workers = {row["Field worker ID"]: (row["Email 1"] or row["User name"]).casefold() for row in view.account.tables["fieldworkers"]}
    workers[CARMEN] = "lucia.garcia@example.com"
    owned = [row for row in view.bookings() if row["Field workers"]]
    assert {row["Field workers"][0] for row in owned} >= {"71", "72", "73", "74", CARMEN}
    for row in owned:
        assert view.owner(view.one("deals", "booking", row["Booking ID"])) == workers[row["Field workers"][0]]
    reasons = {(item.reason, item.source_key) for item in stop.review}
    assert ("OWNER_UNMATCHED", "fieldworker/76") in reasons
    for _, booking_id in view.account.defective("worker_unmatched"):
        assert not view.is_there("deals", "booking", booking_id)
        assert any(item.source_key == f"booking/{booking_id}" and "user:fieldworker/76" in item.message for item in stop.review)


@pytest.mark.requirement("OP-03")
async def test_pay_rates_and_tracking_are_named_and_do_not_move(way: Way) -> None:
    stop = way.stops["load"]
    said = {item.source_key: item.message for item in stop.review if item.reason == "SKIPPED_NOT_MAPPED"}
    assert "location tracking" in said["fieldworker/71"]
    # One review item per record and reason holds both.
    assert set(said) == {"fieldworker/71", "fieldworker/72"}
    assert "38.5" not in as_json(stop.view.target.state["users"])


@both_stops
@pytest.mark.requirement("OP-04", "OP-12")
async def test_services_are_products_with_their_duration_and_questions(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    categories = next(one for one in view.target.state["fields"] if one["entity"] == "product" and one["field_code"] == "category")
    labels = {option["id"]: option["label"] for option in categories["options"]}
    for row in view.account.tables["services"]:
        product = view.one("products", "service", row["Service ID"])
        assert (product["name"], product.get("description") or "") == (row["Service name"], row["Description"])
        assert [(Decimal(str(price["price"])), price["currency"]) for price in product["prices"]] == [(row["Price"], "AUD")]
        assert (Decimal(str(product["tax"])), labels[product["category"]], product["is_linkable"]) == (row["Tax"], row["Category"], row["Active"])
        custom = view.custom("product", product)
        assert custom.get("Octopus Duration Minutes") == row["Duration"]
        assert custom.get("Octopus Service Area") == (row["Service area"] or None)
        for one in view.rows("faqs", Service_ID=row["Service ID"]):
            assert f"Q: {one['Question']}\nA: {one['Answer']}" in custom["Octopus FAQ"]


@both_stops
@pytest.mark.requirement("OP-05", "X-01")
async def test_invoices_are_activities_on_the_deal_of_their_booking(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    for row in view.arrived_invoices():
        deal = view.deal_of_invoice(row)
        (activity,) = [one for one in view.activities(deal["id"], "invoice") if row["Invoice number"] in one["subject"]]
        assert amount(row["Total"]) in activity["subject"]
        assert activity["due_date"] == str(row["Due date"] or row["Created"].date())
        assert activity["done"] == (row["Status"] in {"Closed", "Void"})
        assert shown(row["Purchase order number"]) in activity["note"]
        pdfs = [one["name"] for one in view.files("activity_id", activity["id"])]
        assert pdfs == ([] if row["Status"] == "Draft" else [f"{row['Invoice number']}.pdf"])


@both_stops
@pytest.mark.requirement("OP-05", "D-01")
async def test_merged_invoices_count_once_and_one_without_booking_is_a_deal_of_its_own(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    alone = [row for row in view.account.tables["invoices"] if not row["Booking ID"]]
    assert len(alone) == 2
    for row in alone:
        deal = view.one("deals", "invoice", row["Invoice ID"])
        is_collecting = ("invoices", row["Invoice ID"]) in view.account.defective("collecting")
        assert Decimal(str(deal["value"])) == (0 if is_collecting else row["Total"])
        assert (view.stage(deal), deal["status"]) == ("Invoice without booking", "won" if row["Status"] == "Closed" else "open")
    words = {"Draft": "Draft", "Open": "Unpaid", "Overdue": "Unpaid", "Closed": "Paid", "Void": "Voided"}
    for row in view.arrived_invoices():
        if row["Booking ID"] and not row["Merged into invoice"]:
            custom = view.custom("deal", view.deal_of_invoice(row))
            assert custom["Octopus Invoice Status"] == words[row["Status"]]
            assert (Decimal(str(custom.get("Octopus Invoice Total", 0))) == row["Total"]) == (row["Status"] in COUNTED)


@both_stops
@pytest.mark.requirement("OP-06", "X-02", "X-05")
async def test_every_payment_is_an_activity_of_its_own(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    invoices = view.account.by_id("invoices")
    kinds = {"payment": "Payment", "refund": "Refund", "deposit": "Deposit"}
    arrived = {row["Invoice ID"] for row in view.arrived_invoices()}
    everything = [one for one in view.target.state["activities"] if one["type"] == "payment"]
    rows = [row for row in view.moved("payments", "orphan") if not row["Invoice ID"] or row["Invoice ID"] in arrived]
    assert {row["Type"] for row in rows} == set(kinds)
    assert {row["Status"] for row in rows} >= {"approved", "pending", "declined"}
    assert len(everything) == len(rows)
    for row in rows:
        deal = view.deal_of_invoice(invoices[row["Invoice ID"]])["id"] if row["Invoice ID"] else None
        start = f"{kinds[row['Type']]} · {amount(row['Amount'])} AUD"
        found = [
            one for one in everything if one.get("deal_id") == deal and one["subject"].startswith(start) and one["subject"].endswith(row["Status"])
        ]
        found = [one for one in found if f"</b> {shown(row['Method'])}<" in one["note"] and (not row["Reference"] or row["Reference"] in one["note"])]
        assert found, row
        assert {one["done"] for one in found} == {row["Status"] != "pending"}
        when = in_utc(row["Date"], row["Time"], "Australia/Sydney") if row["Time"] else None
        wanted = (f"{when:%Y-%m-%d}", f"{when:%H:%M}") if when else (str(row["Date"]), None)
        assert wanted in [(one["due_date"], (one.get("due_time") or "")[:5] or None) for one in found]


@both_stops
@pytest.mark.requirement("OP-07", "D-01")
async def test_quotes_are_deals_in_an_early_stage(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    won = {"Sent": "open", "Accepted": "won", "Rejected": "lost", "Expired": "lost"}
    kept = view.booking_ids()
    assert {row["Status"] for row in view.account.tables["quotes"]} == set(won)
    for row in view.account.tables["quotes"]:
        deal = view.one("deals", "quote", row["Quote ID"])
        labels = {"Quote"} if row["Status"] == "Sent" else {"Quote", row["Status"]}
        assert (view.stage(deal), deal["status"], view.target.labels(deal)) == ("Quote", won[row["Status"]], labels)
        custom = view.custom("deal", deal)
        assert (custom["Octopus Valid Until"], deal["expected_close_date"]) == (str(row["Valid until"]), str(row["Valid until"]))
        assert Decimal(str(custom["Octopus Total"])) == row["Total"]
        assert Decimal(str(deal["value"])) == (0 if row["Booking ID"] in kept else row["Total"])
        lines = [one for one in view.target.state["deal_products"] if one["deal_id"] == deal["id"]]
        assert len(lines) == len(view.rows("quote_items", Quote_ID=row["Quote ID"]))
        if row["Booking ID"]:
            booking = view.custom("deal", view.one("deals", "booking", row["Booking ID"]))
            assert (booking["Octopus Quote Number"], booking["Octopus Quote Key"]) == (row["Quote number"], f"quote/{row['Quote ID']}")
    first = min((one for one in view.target.state["stages"] if one["pipeline_id"] != 1), key=lambda one: one["order_nr"])
    assert first["name"] == "Quote"


NAMES = {13: "Notes (2)"}
"""The second of two fields with one label."""


def expected(value: Any, kind: str) -> Any:
    """Return a custom field's value as Pipedrive has to have it; None for none."""
    if value is None or value == []:
        return None
    match kind:
        case "integer" | "plus/minus counter" | "decimal" | "temperature":
            return float(value)
        case "toggle" | "check box":
            return "Yes" if value else "No"
        case "date picker":
            return str(value)
        case "time picker":
            return f"{value:%H:%M:%S}"
        case _:
            return value


async def own_fields(view: View, file: str, entity: str, kind: str, target: str) -> int:
    compared = 0
    key = {"customers": "Customer ID", "bookings": "Booking ID"}[file]
    rows = view.bookings() if file == "bookings" else view.moved(file, "deleted")
    for row in rows:
        custom = view.custom(target, view.one(f"{target}s", entity, row[key]))
        for one in FIELDS:
            if one.object != kind or one.type in {"signature", "image"}:
                continue
            value = custom.get(NAMES.get(one.id, one.label))
            found = set(value) if isinstance(value, list) else value
            wanted = expected(row.get(one.head), one.type)
            assert found == (set(wanted) if isinstance(wanted, list) else wanted), (row[key], one.label)
            compared += wanted is not None
    return compared


@both_stops
@pytest.mark.requirement("OP-08", "X-03", "G-11")
async def test_custom_fields_of_customers_are_fields_of_their_persons(way: Way, stop: str) -> None:
    assert await own_fields(way.stops[stop].view, "customers", "customer", "Customer", "person") > 100


@both_stops
@pytest.mark.requirement("OP-09", "X-03", "G-11")
async def test_custom_fields_of_bookings_are_fields_of_their_deals(way: Way, stop: str) -> None:
    assert await own_fields(way.stops[stop].view, "bookings", "booking", "Booking", "deal") > 300


@pytest.mark.requirement("OP-08", "OP-09", "G-11", "L-05")
async def test_fields_get_the_type_the_tenant_gave_them_with_all_options(way: Way) -> None:
    view = way.stops["load"].view
    made = {(one["entity"], one["field_name"]): one for one in view.target.state["fields"]}
    types = {"integer": "double", "date picker": "date", "toggle": "enum", "radio buttons": "enum", "button group": "enum", "list": "set"}
    types |= {"check boxes": "set", "dropdown": "enum", "text box": "text", "text field": "varchar", "check box": "enum", "decimal": "double"}
    for one in FIELDS:
        place = {"Customer": "person", "Booking": "deal"}.get(one.object)
        if place and one.type in types:
            field = made[place, NAMES.get(one.id, one.label)]
            assert field["field_type"] == types[one.type], one.label
            if one.options:
                assert [option["label"] for option in field["options"]] == list(one.options)


@both_stops
@pytest.mark.requirement("OP-09")
async def test_a_signature_is_an_activity_with_its_image(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    missing = view.account.defective("file_missing")
    signed = [row for row in view.rows("attachments", Image_type="signature") if row["Object ID"] in view.booking_ids()]
    assert len(signed) > 2
    for row in signed:
        deal = view.one("deals", "booking", row["Object ID"])
        found = [one for one in view.activities(deal["id"], "signature") if row["File name"] in one["note"]]
        assert len(found) == 1
        assert found[0]["due_date"] == str(row["Created"].astimezone(ZoneInfo("Australia/Sydney")).date())
        files = [one["name"] for one in view.files("activity_id", found[0]["id"])]
        assert files == ([] if ("attachments", row["Attachment ID"]) in missing else [row["File name"]])


@pytest.mark.requirement("OP-09", "OP-10", "X-07", "L-16")
async def test_files_are_where_they_belong_and_what_cannot_arrive_is_named(way: Way) -> None:
    stop = way.stops["load"]
    view = stop.view
    lost = view.account.defective("file_missing", "no_home", "orphan", "file_too_large")
    reasons = {item.source_key: item.reason for item in stop.review}
    wanted = {"file_missing": "FILE_UNAVAILABLE", "no_home": "REFERENCE_MISSING", "file_too_large": "FILE_TOO_LARGE"}
    for defect in view.account.defects:
        if defect.file == "attachments" and defect.kind in wanted:
            assert reasons[f"attachment/{defect.id}"] == wanted[defect.kind]
    for row in view.account.tables["attachments"]:
        if ("attachments", row["Attachment ID"]) in lost:
            continue
        if row["Object"] == "Booking" and row["Object ID"] in view.booking_ids():
            deal = view.one("deals", "booking", row["Object ID"])
            (found,) = [one for one in view.files("deal_id", deal["id"]) if one["name"] == row["File name"] and one["file_size"] == row["Size"]][:1]
            if row["Image type"] in {"before", "after"}:
                assert found["activity_id"] == view.activities(deal["id"], "booking")[0]["id"]
        elif row["Object"] == "Customer":
            person = view.one("persons", "customer", row["Object ID"])
            assert row["File name"] in [one["name"] for one in view.files("person_id", person["id"])]
        elif row["Object"] == "Quote":
            deal = view.one("deals", "quote", row["Object ID"])
            assert [one["name"] for one in view.files("deal_id", deal["id"])] == [row["File name"]]


@both_stops
@pytest.mark.requirement("OP-10", "X-08")
async def test_form_answers_are_fields_where_they_are_structured_and_all_of_them_a_note(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    answers = [row for row in view.account.tables["form_answers"] if row["Booking ID"] in view.booking_ids()]
    assert {row["Type"] for row in answers} >= {"toggle", "integer", "dropdown", "check boxes", "text box", "image"}
    for row in answers:
        deal = view.one("deals", "booking", row["Booking ID"])
        assert f"<td>{shown(row['Question'])}</td><td>{shown(row['Value'])}</td>" in view.notes(deal_id=deal["id"])
        custom = view.custom("deal", deal)
        match row["Type"]:
            case "integer":
                assert custom[row["Question"]] == int(row["Value"])
            case "check boxes":
                assert set(custom[row["Question"]]) == set(row["Value"].split(", "))
            case "toggle" | "dropdown":
                assert custom[row["Question"]] == row["Value"]
            case _:
                assert row["Question"] not in custom


@pytest.mark.requirement("OP-10", "OP-11", "OP-12", "L-12", "G-04")
async def test_inventories_say_what_to_build_again(way: Way) -> None:
    account = way.stops["delta"].view.account
    automations = {row["Name"]: row for row in table(way.files, "automations.csv")}
    for row in account.tables["automations"]:
        found = automations[row["Automation name"]]
        assert (found["Trigger"], found["Conditions"], found["Actions"]) == (row["Trigger"], row["Conditions"], row["Actions"])
        assert found["In Pipedrive"]
    assert "Stage" in automations["Review request"]["In Pipedrive"]
    services = {row["Service ID"]: row["Service name"] for row in account.tables["services"]}
    faqs = {(row["Service"], row["Question"], row["Answer"]) for row in table(way.files, "faq.csv")}
    assert faqs == {(services[row["Service ID"]], row["Question"], row["Answer"]) for row in account.tables["faqs"]}
    assert len(table(way.files, "form-answers.csv")) == len(account.tables["form_answers"])
    asked = Counter((row["Form name"], row["Question"], row["Type"]) for row in account.tables["form_answers"])
    listed: Counter[tuple[str, str, str]] = Counter()
    for row in table(way.files, "forms.csv"):
        listed[row["Form"], row["Question"], row["Type"]] += int(row["Times"])
    assert listed == asked
    rebuild = way.files["rebuild-reference.md"].decode()
    assert all(row["Service area"] in rebuild for row in account.tables["services"])
    assert {row["Label"]: row["Type"] for row in table(way.files, "custom-fields.csv")} == {one.label: one.type for one in FIELDS}
    assert len(table(way.files, "payments.csv")) == len(account.tables["payments"])


@both_stops
@pytest.mark.requirement("X-03", "X-08")
async def test_properties_enquiries_discussions_and_complaints_are_notes(way: Way, stop: str) -> None:
    view = way.stops[stop].view
    for row in view.moved("customer_properties", "orphan"):
        note = view.notes(person_id=view.one("persons", "customer", row["Customer ID"])["id"])
        assert f"Property {row['Property name']}" in note
        if row["CF 51: Bedrooms"] is not None:
            assert f"51: Bedrooms:</b> {row['CF 51: Bedrooms']}" in note
    for row in view.account.tables["inquiries"]:
        note = view.notes(person_id=view.one("persons", "customer", row["Customer ID"])["id"])
        assert f"Enquiry {row['Inquiry number']}" in note
        assert shown(row["Message"]) in note
    for file, text in (("discussions", "Message"), ("complaints", "Description")):
        for row in view.account.tables[file]:
            if row["Booking ID"] in view.booking_ids():
                deal = view.one("deals", "booking", row["Booking ID"])
                (found,) = [one for one in view.target.state["notes"] if one.get("deal_id") == deal["id"] and shown(row[text]) in one["content"]]
                assert found["add_time"] == utc(row["Created"])


@both_stops
@pytest.mark.requirement("X-04", "L-13")
async def test_sums_agree_and_nothing_differs(way: Way, stop: str) -> None:
    seen = way.stops[stop]
    counts = {entity.source_entity: entity for entity in seen.summary.entities}
    for entity in counts.values():
        parts = (entity.loaded_count, entity.matched_count, entity.skipped_count, entity.rejected_count, entity.waiting_count)
        assert (sum(parts), entity.pending_count) == (entity.extracted_count, 0), entity
    names = {"customers": "customer", "bookings": "booking", "payments": "payment", "invoices": "invoice", "form_answers": "form_answer"}
    for file, name in names.items():
        assert counts[name].extracted_count == len(seen.view.account.tables[file])
    assert counts["booking"].waiting_count == len({one for one in seen.view.account.defective(*LOST_BOOKINGS) if one[0] == "bookings"})
    assert list(seen.mismatches.mismatches) == []
    assert seen.mismatches.field_count > 2_000


@pytest.mark.requirement("L-11", "D-06")
async def test_a_later_bundle_brings_changes_new_rows_and_deletions(way: Way) -> None:
    stop = way.stops["delta"]
    view = stop.view
    kinds = {change.kind for change in view.account.changes}
    assert kinds == {"created", "changed", "deleted"}
    before = way.stops["load"].view
    for change in view.account.changes:
        match change.kind, change.file:
            case "created", "bookings":
                assert not before.is_there("deals", "booking", change.id)
                assert view.is_there("deals", "booking", change.id)
            case "changed", "bookings":
                deals = [one.one("deals", "booking", change.id) for one in (before, view)]
                assert (deals[0]["status"], deals[0]["value"]) != (deals[1]["status"], deals[1]["value"])
            case "deleted", "discussions":
                assert any(item.source_key == f"discussion/{change.id}" and item.reason == "SKIPPED_DELETED" for item in stop.review)
            case "deleted", _:
                assert any(item.key.endswith(f"/line/{change.id}") and "does not become it" in item.message for item in stop.review)


@pytest.mark.requirement("L-01")
async def test_every_call_was_planned(way: Way) -> None:
    rows = {(one["step"], one["target_entity"]): (one["planned"], one["spent"]) for one in way.plan["truth_rows"]}
    assert {("sample", "person"), ("load", "note"), ("schema", "user")} <= set(rows)
    assert {place: tokens for place, tokens in rows.items() if tokens[0] != tokens[1]} == {}


@pytest.mark.requirement("L-01", "L-08", "G-11")
async def test_audit_and_sample_cover_what_there_is(way: Way) -> None:
    text = as_json(way.audit)
    assert all(name in text for name in ("customer", "booking", "fieldworker", "service", "invoice", "payment", "quote", "form_answer", "automation"))
    assert "booking without customer" in text
    wrong = [(one.key, shape.label) for one in way.diff for shape in one.fields if shape.verdict == pb.DIFF_VERDICT_DIFFERENT]
    assert wrong == []
    assert {one.source_key.partition("/")[0] for one in way.diff} >= {"customer", "booking", "service", "invoice", "payment", "quote", "attachment"}


@pytest.mark.requirement("X-06", "G-11")
async def test_the_password_column_is_on_no_page(way: Way) -> None:
    account = way.stops["delta"].view.account
    secret = account.tables["customers"][0]["Password"]
    assert secret.startswith("hunter2")
    assert b'"first_name":"Olivia"' in way.pages
    assert b"hunter2" not in way.pages + b"".join(way.files.values()) + way.stops["delta"].view.export


@pytest.mark.requirement("L-15")
async def test_a_rollback_takes_all_of_it_back(way: Way) -> None:
    assert diff_of(way.before, way.after) == []
