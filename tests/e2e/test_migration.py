"""What a whole migration has to show, seen from outside."""

import base64
import json
import re
from typing import Any

import pytest

from tests.e2e.checker import DEAL_ENTITIES, Checker, Target, diff_of
from tests.e2e.journey import Journey, Stop
from tests.e2e.stel_fields import Fields
from tests.openapi.spec import load, requires_spec, validate_request
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

TEN_OBJECTS = ("client", "contact", "product", "service", "sales_estimate", "sales_order", "ordinary_invoice", "work_order", "asset")


@pytest.mark.requirement("L-02", "L-09")
async def test_nothing_moves_before_confirmation_and_approval(journey: Journey) -> None:
    assert journey.refusals["audited/schema"] == "MAPPING_NOT_CONFIRMED"
    assert journey.refusals["sampled/load"] == "NOT_APPROVED"
    assert "accepted" not in journey.refusals.values()


@pytest.mark.requirement("SO-01", "SO-02", "SO-03", "SO-04", "SO-05", "SO-06", "SO-07", "SO-08", "SO-09", "SO-10", "X-01", "X-08", "L-10")
@pytest.mark.parametrize("stop", ["load", "delta"])
async def test_everything_arrives_once_and_stays_linked(journey: Journey, stop: str) -> None:
    seen = journey.stops[stop]
    deleted = {(change["collection"], change["id"]) for change in journey.changes if change["kind"] == "deleted"}
    checker = Checker(seen.truth, seen.export, journey.account, deleted_later=deleted, edited={journey.edited_organization["id"]})
    assert checker.check() == []


def fields_of(journey: Journey, seen: Stop) -> Fields:
    """Compare what was seen at a stop field by field."""
    return Fields(seen.truth, seen.export, journey.account)


@pytest.fixture(params=["load", "delta"])
def fields(journey: Journey, request: pytest.FixtureRequest) -> Fields:
    """Both sides after the load, and after the delta."""
    return fields_of(journey, journey.stops[str(request.param)])


@pytest.mark.requirement("SO-01", "X-02", "X-03", "X-05", "X-08")
async def test_clients_keep_every_field(fields: Fields) -> None:
    assert list(fields.clients()) == []
    assert fields.compared["clients"] > 500


@pytest.mark.requirement("SO-02", "X-02", "X-05")
async def test_contacts_keep_their_addresses_numbers_and_comments(fields: Fields) -> None:
    assert list(fields.contacts()) == []
    assert any(row.get("mobile") for row in fields.source["contacts"])
    assert any(row.get("address") for row in fields.source["contacts"])


@pytest.mark.requirement("SO-03", "X-03")
async def test_products_keep_price_unit_category_tax_and_stock(fields: Fields) -> None:
    assert list(fields.catalogue()) == []
    assert fields.compared["products"] > 200


@pytest.mark.requirement("SO-04", "D-02", "X-02")
async def test_quotes_keep_number_validity_discount_label_and_lines_in_a_note(fields: Fields) -> None:
    assert list(fields.documents("salesEstimates")) == []


@pytest.mark.requirement("SO-05", "X-02")
async def test_orders_keep_number_date_and_shipping_address(fields: Fields) -> None:
    assert [*fields.documents("salesOrders"), *fields.shipping()] == []
    assert fields.compared["shipping"] > 2


@pytest.mark.requirement("SO-06", "X-02")
async def test_invoices_are_won_on_their_date_with_their_amounts(fields: Fields) -> None:
    assert list(fields.documents("ordinaryInvoices")) == []


@pytest.mark.requirement("SO-07", "X-03")
async def test_work_orders_keep_technician_schedule_lines_and_a_summary(fields: Fields) -> None:
    assert list(fields.documents("workOrders")) == []


@pytest.mark.requirement("SO-04", "SO-05", "SO-06", "SO-07", "D-01", "D-08")
async def test_line_items_are_products_with_both_discounts_and_tax(fields: Fields) -> None:
    assert list(fields.lines()) == []
    assert fields.compared["lines"] > 300


@pytest.mark.requirement("SO-06", "SO-09", "G-09", "X-05")
async def test_every_receipt_is_an_activity_with_amount_date_and_method(fields: Fields) -> None:
    assert list(fields.payments()) == []
    assert fields.compared["payments"] > 30


@pytest.mark.requirement("SO-08", "D-03")
async def test_assets_fill_the_organization_and_are_notes_with_warranty_and_status(fields: Fields) -> None:
    assert list(fields.assets()) == []
    assert fields.compared["assets of clients"] > 100


@pytest.mark.requirement("SO-10", "L-04")
async def test_owners_are_users_by_email_or_the_fallback_and_are_flagged_before_the_load(journey: Journey, fields: Fields) -> None:
    assert list(fields.owners()) == []
    unmatched = {item.source_key for item in journey.stops["load"].review_items if item.reason == "OWNER_UNMATCHED"}
    assert {"employee/8", "schema/employee-9"} <= unmatched
    assert journey.flagged_before_load >= {"schema/employee-9"}


@pytest.mark.parametrize("harm", ["title", "line", "payment", "stock", "mobile", "won"])
async def test_the_field_comparison_sees_harm(journey: Journey, harm: str) -> None:
    seen = journey.stops["load"]
    ours, state = Target.parse(seen.export).by_origin, json.loads(seen.export)["state"]
    invoice, product, contact = (
        first(ours[kind], entity) for kind, entity in (("deals", "ordinary_invoice"), ("products", "product"), ("persons", "contact"))
    )
    changes: dict[str, tuple[str, Any, dict[str, Any]]] = {
        "title": ("deals", invoice["id"], {"label_ids": []}),
        "line": ("deal_products", state["deal_products"][-1]["id"], {"quantity": 77}),
        "payment": ("activities", state["activities"][-1]["id"], {"due_date": "2001-01-01"}),
        "stock": ("products", product["id"], {"unit": "x"}),
        "mobile": ("persons", contact["id"], {"phones": [{"value": "1", "label": "mobile", "primary": True}]}),
        "won": ("deals", invoice["id"], {"won_time": "2001-01-01T12:00:00Z"}),
    }
    kind, record_id, change = changes[harm]
    state[kind] = [{**one, **change} if one["id"] == record_id else one for one in state[kind]]
    harmed = Fields(seen.truth, json.dumps({"state": state}).encode(), journey.account)
    checks = [harmed.contacts(), harmed.catalogue(), harmed.documents("ordinaryInvoices"), harmed.lines(), harmed.payments()]
    assert [problem for check in checks for problem in check] != []


@pytest.mark.parametrize("harm", ["lose", "lose_client_person", "repeat", "unlink", "revalue", "drop_payments"])
async def test_the_checker_sees_harm(journey: Journey, harm: str) -> None:
    seen = journey.stops["load"]
    export = json.loads(seen.export)
    ours = Target.parse(seen.export).by_origin
    state, person, deal = export["state"], first(ours["persons"], "contact"), first(ours["deals"], "sales_order")
    match harm:
        case "lose":
            state["persons"] = [one for one in state["persons"] if one["id"] != person["id"]]
        case "lose_client_person":
            person = first(ours["persons"], "client")
            state["persons"] = [one for one in state["persons"] if one["id"] != person["id"]]
        case "repeat":
            state["deals"].append({**deal, "id": 10**6})
        case "unlink":
            state["persons"] = [{**one, "org_id": None} if one["id"] == person["id"] else one for one in state["persons"]]
        case "revalue":
            state["deals"] = [{**one, "value": one["value"] + 1} if one["id"] == deal["id"] else one for one in state["deals"]]
        case _:
            state["activities"] = []
    assert Checker(seen.truth, json.dumps(export).encode(), journey.account).check() != []


def first(index: dict[str, list[Any]], entity: str) -> dict[str, Any]:
    """Return the first record that came from a source entity."""
    found: dict[str, Any] = index[min(origin for origin in index if f"/{entity}/" in origin)][0]
    return found


@pytest.mark.requirement("L-07", "L-16")
async def test_what_cannot_arrive_is_named_with_its_reason(journey: Journey) -> None:
    seen = journey.stops["load"]
    checker = Checker(seen.truth, seen.export, journey.account)
    checker.check()
    explained = {record.source_key for record in seen.records if record.reason} | {item.source_key for item in seen.review_items}
    wanted = {checker.origin(collection, record_id).split("/", 1)[1] for collection, record_id in checker.missing}
    assert wanted - explained == set()


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize("stop", ["load", "delta"])
async def test_the_sums_agree_with_each_other_and_with_the_source(journey: Journey, stop: str) -> None:
    seen = journey.stops[stop]
    for entity in seen.summary.entities:
        parts = (entity.loaded_count, entity.matched_count, entity.skipped_count, entity.rejected_count, entity.waiting_count)
        assert sum(parts) == entity.extracted_count, entity
        assert entity.pending_count == 0, entity
    counts = {entity.source_entity: entity.extracted_count for entity in seen.summary.entities}
    if stop == "load":
        for collection, name in (*DEAL_ENTITIES.items(), ("clients", "client"), ("contacts", "contact"), ("products", "product")):
            assert counts[name] == seen.truth["counts"][collection], name


@pytest.mark.requirement("L-01")
async def test_the_audit_names_every_object(journey: Journey) -> None:
    text = json.dumps(journey.audit)
    assert all(name in text for name in TEN_OBJECTS)


@pytest.mark.requirement("L-08")
async def test_the_sample_covers_every_object_and_does_not_differ(journey: Journey) -> None:
    for record in journey.diff:
        wrong = [field for field in record.fields if field.verdict == pb.DIFF_VERDICT_DIFFERENT]
        missing = [field for field in record.fields if field.verdict == pb.DIFF_VERDICT_MISSING]
        assert wrong == [], record.key
        assert missing == [] or (record.state in {"waiting", "rejected"} and record.message), record.key
    assert {record.source_key.split("/")[0] for record in journey.diff} >= set(TEN_OBJECTS)


@pytest.mark.requirement("L-13")
@pytest.mark.parametrize("stop", ["load", "delta"])
async def test_reading_back_finds_no_difference_of_ours(journey: Journey, stop: str) -> None:
    result = journey.mismatches[stop]
    edited = str(journey.edited_organization["id"])
    strange = [mismatch for mismatch in result.mismatches if mismatch.target_id != edited]
    assert strange == []
    assert result.field_count > 500


@pytest.mark.requirement("L-11")
async def test_a_delta_picks_up_changes_and_leaves_edits_of_people_alone(journey: Journey) -> None:
    seen = journey.stops["delta"]
    organizations = {one["id"]: one for one in Target.parse(seen.export).state["organizations"]}
    assert organizations[journey.edited_organization["id"]]["name"] == "Edited by a person"
    target = Target.parse(seen.export)
    created = [change for change in journey.changes if change["kind"] == "created" and change["collection"] == "clients"]
    for change in created:
        assert target.one("organizations", f"{journey.account}/client/{change['id']}") is not None


@pytest.mark.requirement("L-12")
async def test_reference_exports_hold_work_orders_and_payments(journey: Journey) -> None:
    whole = b"".join(content for name, content in journey.reference_files.items() if name.endswith(".csv")).decode()
    truth = journey.stops["delta"].truth["collections"]
    for order in truth["workOrders"]:
        assert order["deleted"] or order["full-reference"] in whole
    for receipt in truth["ordinaryInvoiceReceipts"]:
        assert receipt["deleted"] or receipt["full-reference"] in whole


@pytest.mark.requirement("L-14")
async def test_the_audit_trail_is_whole(journey: Journey) -> None:
    assert journey.verification.is_whole
    assert [event.sequence for event in journey.events] == list(range(1, len(journey.events) + 1))


@pytest.mark.requirement("L-15")
async def test_rollback_brings_the_account_back_byte_for_byte(journey: Journey) -> None:
    assert diff_of(journey.before, journey.after) == []
    assert journey.before == journey.after


@pytest.mark.requirement("X-06")
async def test_nothing_is_written_to_the_source(journey: Journey) -> None:
    assert journey.source_journal["write_attempts"] == 0
    assert journey.source_journal["call_count"] > 20


@pytest.mark.requirement("G-03")
async def test_no_call_is_refused_for_going_too_fast(journey: Journey) -> None:
    assert journey.target_journal["refused_429"] == 0


@requires_spec
@pytest.mark.requirement("L-10")
async def test_every_request_is_as_pipedrives_own_files_have_it(journey: Journey) -> None:
    """Bodies, queries and content types of all the loader sends against the official schemas."""
    wrong: dict[str, list[str]] = {}
    for line in journey.requests.read_bytes().splitlines():
        request = json.loads(line)
        path, _, query = request["path"].partition("?")
        problems = validate_request(request["method"], path, query, request["content_type"], base64.b64decode(request["body"]))
        if problems:
            wrong.setdefault(f"{request['method']} {re.sub('[0-9a-f]{40}|[0-9]+', '{}', path)}", problems)
    assert wrong == {}


@requires_spec
@pytest.mark.requirement("L-10")
async def test_only_operations_of_pipedrives_own_files_are_called(journey: Journey) -> None:
    called = journey.target_journal["operations"]
    assert len(called) > 30
    assert [name for name in called if not name or load().find(*name.split(" ", 1)) is None] == []


@pytest.mark.requirement("X-07")
async def test_an_oversize_file_is_flagged(journey: Journey) -> None:
    reasons = {item.reason for item in journey.stops["load"].review_items} | {record.reason for record in journey.stops["load"].records}
    assert "FILE_TOO_LARGE" in reasons
    assert "FILE_UNAVAILABLE" in reasons


async def test_keys_stand_in_no_log(journey: Journey) -> None:
    keys = journey.rehearsal.keys
    logs = sorted(journey.rehearsal.installation.logs.glob("*.log"))
    assert {"extractor.log", "transformer.log", "loader.log", "ledger.log"} <= {log.name for log in logs}
    assert keys
    for log in logs:
        text = log.read_text(errors="replace")
        assert not any(key in text for key in keys), log.name
        assert "token=" not in text, log.name
