"""The OctopusPro mapping with the decisions it leaves to people, over bundles in every form a tenant may have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sandbox.octopuspro.account import Tenant
from services.transformer.lint import lint
from services.transformer.mapping.reading import load_mapping
from services.transformer.snapshot.envelope import Envelope
from tests.unit.transformer import large_files
from tests.unit.transformer.octopuspro_account import TARGET, BundleSnapshot, plan, proposal, read, write
from tests.unit.transformer.support import Result, has_errors, map_all


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> BundleSnapshot:
    return read(write(tmp_path_factory.mktemp("octopuspro")))


def mapped(snapshot: BundleSnapshot, overrides: str, *entities: str) -> Result:
    return map_all(plan(snapshot, overrides), snapshot, *snapshot.all(*entities))


def of(result: Result, prefix: str) -> dict[str, dict[str, Any]]:
    return {key: payload for key, payload in result.payloads.items() if key.startswith(prefix)}


@pytest.mark.requirement("L-02", "L-03", "G-11")
def test_a_proposal_can_be_confirmed_as_it_is_but_for_the_window(snapshot: BundleSnapshot) -> None:
    mapping = load_mapping(proposal(snapshot, "policies: {recurrence_from: '2026-06-01'}"))
    findings = lint(mapping, snapshot, TARGET)
    assert not has_errors(findings), [one.message for one in findings if one.severity == 1]
    assert (mapping.policies.default_currency, mapping.policies.time_zone) == ("AUD", "Australia/Sydney")
    assert mapping.schema_.pipelines["bookings"].stages["awaiting_parts"] == "Awaiting parts"


@pytest.mark.requirement("OP-12")
def test_a_note_on_a_product_is_refused_with_the_fact(snapshot: BundleSnapshot) -> None:
    wish = "{entities: {service: {targets: [{target: note, fields: {product_id: {ref: {to: product}}, content: {from: description}}}]}}}"
    found = [one.message for one in lint(load_mapping(f"{proposal(snapshot)}\noverrides: {wish}\n"))]
    assert any("notes cannot be linked to products" in message for message in found)


@pytest.mark.requirement("OP-02", "OP-03")
def test_one_activity_for_each_service_and_its_field_worker(snapshot: BundleSnapshot) -> None:
    wish = "choices: {booking_activities: {value: per_service}}"
    result = mapped(snapshot, wish, "booking")
    lines = {one.id: one.data for one in snapshot.iterate("booking_service")}
    visits = of(result, "activity:booking/")
    with_lines = {one["booking_id"] for one in lines.values()}
    assert {key.rpartition("/")[2] for key in visits if "/visit/" in key} >= set(lines) - {"0"}
    assert {key.split("/")[1] for key in visits if key.endswith("/slot")} == {one.id for one in snapshot.iterate("booking")} - with_lines
    for line_id, line in lines.items():
        visit = visits[f"activity:booking/{line['booking_id']}/visit/{line_id}"]
        worker = line.get("fieldworker_id")
        assert visit["owner_id"]["$ref"] == (f"user:fieldworker/{worker}" if worker else "user:schema/fallback")
        assert visit["subject"] == snapshot.one("service", line["service_id"]).data["service_name"]


@pytest.mark.requirement("OP-01")
def test_contact_details_by_position_go_to_the_person_of_that_position(snapshot: BundleSnapshot) -> None:
    result = mapped(snapshot, "choices: {contact_details: {value: by_position}}", "customer")
    customer = next(one for one in snapshot.iterate("customer") if "first_name_3" in one.data)
    emails = [
        [entry["value"] for entry in result.payloads[f"person:customer/{customer.id}{part}"]["emails"]] for part in ("", "/person/2", "/person/3")
    ]
    assert emails == [[customer.data["email_1"]], [customer.data["email_2"]], [customer.data["email_3"]]]
    phones = result.payloads[f"person:customer/{customer.id}/person/3"]["phones"]
    assert [(one["value"], one["label"]) for one in phones] == [(customer.data["mobile_3"], "mobile")]


@pytest.mark.requirement("OP-05", "D-01")
def test_a_deal_can_be_worth_what_was_booked(snapshot: BundleSnapshot) -> None:
    booked, invoiced = (mapped(snapshot, f"choices: {{booking_value: {{value: {word}}}}}", "booking") for word in ("booked", "invoiced"))
    for one in snapshot.iterate("booking"):
        assert booked.payloads[f"deal:booking/{one.id}"]["value"] == one.data["total"]
    # With invoices of several amounts in place of the total the two would differ; merged ones never count.
    merged = {one.data["booking_id"] for one in snapshot.iterate("invoice") if "merged_into_id" in one.data}
    assert merged
    for booking_id in merged:
        assert invoiced.payloads[f"deal:booking/{booking_id}"]["value"] == snapshot.one("booking", booking_id).data["total"]


def test_several_invoices_of_a_booking_add_up(snapshot: BundleSnapshot) -> None:
    first = next(one for one in snapshot.iterate("invoice") if one.data.get("booking_id") and one.data["status"] == "Closed")
    more = [
        Envelope("invoice", f"x{number}", {**first.data, "invoice_id": f"x{number}", "total": total, "status": status})
        for number, (total, status) in enumerate([(10.1, "OPEN"), (0.2, "overdue"), (500, "Draft"), (900, "Void")])
    ]
    records = {entity: snapshot.all(entity) for entity in snapshot.entities()}
    grown = BundleSnapshot({**records, "invoice": [*records["invoice"], *more]})
    deal = mapped(grown, "", "booking").payloads[f"deal:booking/{first.data['booking_id']}"]
    assert deal["value"] == pytest.approx(first.data["total"] + 10.3)


@pytest.mark.requirement("OP-07", "D-01")
def test_quotes_carry_their_value_where_every_document_shall(snapshot: BundleSnapshot) -> None:
    booked = [one for one in snapshot.iterate("quote") if "booking_id" in one.data]
    assert booked
    ends, every = (mapped(snapshot, f"policies: {{deal_value: {word}}}", "quote") for word in ("chain_end", "every"))
    for one in booked:
        key = f"deal:quote/{one.id}"
        assert (ends.payloads[key]["value"], every.payloads[key]["value"]) == (0, one.data["total"])


@pytest.mark.requirement("OP-03", "L-04")
def test_unmatched_field_workers_can_go_to_the_fallback_owner(snapshot: BundleSnapshot) -> None:
    waits, falls = (mapped(snapshot, f"policies: {{unmatched_owner: {word}}}", "fieldworker") for word in ("wait", "fallback"))
    assert (waits.payloads["user:fieldworker/76"]["use_fallback"], falls.payloads["user:fieldworker/76"]["use_fallback"]) == (False, True)


@pytest.mark.requirement("X-07")
def test_a_file_that_is_too_large_can_become_a_note(snapshot: BundleSnapshot) -> None:
    one = next(one for one in snapshot.iterate("attachment") if one.data["owner_entity"] == "booking" and one.data["image_type"] == "after")
    large = Envelope("attachment", "large", {**one.data, "file": {"problem": "FILE_TOO_LARGE", "byte_count": 99_000_000, "name": "film.mp4"}})
    flagged, linked = (map_all(plan(snapshot, f"policies: {{oversize_files: {word}}}"), snapshot, large) for word in ("flag", "link"))
    assert ("WAITING", "FILE_TOO_LARGE") in flagged.reasons()
    note = linked.payloads["note:attachment/large/oversize"]
    assert (note["deal_id"]["$ref"], "99000000" in note["content"]) == (f"deal:booking/{one.data['owner_id']}", True)
    assert linked.reasons() == []


@pytest.mark.requirement("X-07", "D-04")
def test_a_file_that_is_too_large_is_split_when_that_is_asked(snapshot: BundleSnapshot) -> None:
    one = next(one for one in snapshot.iterate("attachment") if one.data["owner_entity"] == "booking" and one.data["image_type"] == "after")
    large = Envelope("attachment", "large", {**one.data, "file": large_files.fetched()})
    split = map_all(plan(snapshot, "policies: {oversize_files: split}"), snapshot, large)
    note = split.payloads["note:attachment/large/parts"]
    assert note["deal_id"] == {"$ref": f"deal:booking/{one.data['owner_id']}"}
    home = {name: value for name, value in split.payloads["file:attachment/large/part-1"].items() if name.endswith("_id")}
    assert home["deal_id"] == note["deal_id"]
    for key in ("file:attachment/large/part-2", "file:attachment/large/parts"):
        assert home.items() <= split.payloads[key].items()
    assert len([key for key in split.payloads if "attachment/large" in key]) == 4
    assert split.reasons() == []


@pytest.mark.requirement("OP-02")
def test_only_visits_of_a_series_fall_out_of_the_window(snapshot: BundleSnapshot) -> None:
    result = mapped(snapshot, "policies: {recurrence_from: '2026-06-01', recurrence_window_months: 1}", "booking")
    skipped = {one.source_key for one in result.issues if one.reason == "SKIPPED_BY_CONDITION"}
    late = [one for one in snapshot.iterate("booking") if "recurring_id" in one.data and one.data["starts"] >= "2026-07-01"]
    assert skipped == {one.source_key for one in late} != set()
    assert not any(f"/{one.id}/" in f"{key}/" for one in late for key in result.payloads)


@pytest.mark.requirement("X-05", "G-08")
@pytest.mark.parametrize("form", ["xlsx", "zip", "us"])
def test_the_same_account_gives_the_same_records_whatever_it_is_written_in(snapshot: BundleSnapshot, tmp_path: Path, form: str) -> None:
    tenant = Tenant(date_format="MM/DD/YYYY", time_format="12") if form == "us" else None
    other = read(write(tmp_path, tenant=tenant, is_xlsx=form == "xlsx", is_zip=form == "zip"))
    for entity in set(snapshot.entities()) - {"bundle_finding", "booking_status_change"}:
        assert [(one.id, one.data) for one in other.iterate(entity)] == [(one.id, one.data) for one in snapshot.iterate(entity)], entity
    # Rows without an id of their own are known by what they hold.
    assert {one.id for one in other.iterate("booking_status_change")} == {one.id for one in snapshot.iterate("booking_status_change")}


@pytest.mark.requirement("X-06")
def test_passwords_are_on_no_page(snapshot: BundleSnapshot) -> None:
    assert not any("hunter2" in str(one.data) for entity in snapshot.entities() for one in snapshot.iterate(entity))
    assert not any("Password" in one.data.get("other_columns", {}) for one in snapshot.iterate("customer"))


@pytest.mark.requirement("G-11", "X-03", "L-01")
def test_a_bundle_of_the_required_tables_alone_moves_with_fields_typed_by_their_values(tmp_path: Path) -> None:
    place = write(tmp_path)
    for table in place.glob("*.csv"):
        if table.stem not in {"fieldworkers", "services", "customers", "bookings"}:
            table.unlink()
    bare = read(place)
    text = proposal(bare, "policies: {recurrence_from: '2026-06-01'}")
    assert not has_errors(lint(load_mapping(text), bare, TARGET))
    fields = {one.name: one.type for one in load_mapping(text).schema_.fields["deal"].values()}
    # Nobody says what they are: names keep the id, dates prove themselves, everything else stays what it is written as.
    assert (fields["36: Follow-up date"], fields["31: Access"], fields["43: Work description"]) == ("date", "enum", "text")
    result = mapped(bare, "policies: {recurrence_from: '2026-06-01'}", "customer", "booking", "service")
    booking = next(one for one in bare.iterate("booking") if "36: Follow-up date" in one.data["properties"])
    deal = result.payloads[f"deal:booking/{booking.id}"]
    assert (deal["title"], deal["value"]) == (f"Booking {booking.data['booking_number']}", booking.data["total"])
    assert deal["custom"]["36: Follow-up date"] == booking.data["properties"]["36: Follow-up date"]


@pytest.mark.requirement("OP-09", "G-11")
def test_files_without_a_list_are_found_by_their_folders(tmp_path: Path) -> None:
    place = write(tmp_path)
    (place / "attachments.csv").unlink()
    found = list(read(place).iterate("attachment"))
    assert {one.data["owner_entity"] for one in found} >= {"booking", "invoice", "quote", "customer", "customer_property"}
    booking = next(one for one in found if one.data["owner_entity"] == "booking")
    assert booking.data["owner_id"].isdigit()
