"""What each kind of STEL Order record becomes (SO-01 to SO-10), rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.transformer import examples, large_files
from tests.unit.transformer.support import Result, Snapshot, bindings, map_all, plan_of

if TYPE_CHECKING:
    from services.transformer.plan import MappingPlan


def run(plan: MappingPlan, records: dict[str, list[dict[str, Any]]], *keys: str) -> Result:
    snapshot = Snapshot(records)
    return map_all(plan, snapshot, *(snapshot.one(*key.split("/")) for key in keys))


def option(plan: MappingPlan, field: str, label: str) -> int:
    assert plan.manifest is not None
    return int(plan.manifest.field_options("deal", field)[label])


@pytest.fixture
def records() -> dict[str, list[dict[str, Any]]]:
    return examples.account()


def change(records: dict[str, list[dict[str, Any]]], entity: str, record_id: int, **changes: Any) -> None:
    one = next(record for record in records[entity] if record["id"] == record_id)
    one.update(changes)


@pytest.mark.requirement("SO-01", "X-01", "X-02", "X-03", "SO-08")
def test_a_client_becomes_an_organization_with_its_address_properties_and_newest_asset(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "client/1042")
    organization = result.payloads["organization:client/1042"]
    assert organization["name"] == "Electricidad Norte S.L."
    assert organization["add_time"] == "2024-01-02T09:30:00Z"
    assert organization["owner_id"] == {"$ref": "user:employee/3"}
    assert organization["address"] == {
        "value": "Calle Mayor 1, 3º 2ª, 28001 Madrid, Madrid, ES",
        "route": "Calle Mayor 1",
        "subpremise": "3º 2ª",
        "locality": "Madrid",
        "admin_area_level_1": "Madrid",
        "postal_code": "28001",
        "country": "ES",
    }
    custom = organization["custom"]
    assert custom["Transload ID"] == "acme/client/1042"
    assert custom["STEL Tax ID"] == "B12345678"
    assert custom["STEL Category"] == "Empresa"
    assert custom["STEL GPS"] == "40.4, -3.7"
    assert (custom["sector"], custom["Zona comercial"], custom["Última visita"]) == ("Hostelería", "Norte", "2024-05-06")
    assert custom["STEL Asset"] == "Caldera"
    assert custom["STEL Asset Serial Number"] == "SN-2"
    assert custom["STEL Asset Status"] == "En reparación"
    assert custom["STEL Asset Warranty Expiry"] == "2026-05-01"
    assert custom["STEL Assets"] == 2
    assert not result.issues


@pytest.mark.requirement("SO-01")
def test_only_a_client_without_contacts_becomes_a_person_too(plan: MappingPlan, records: Any) -> None:
    assert "person:client/1042" not in run(plan, records, "client/1042").payloads
    person = run(plan, records, "client/1043").payloads["person:client/1043"]
    assert person["name"] == "Solo Nombre"
    assert person["org_id"] == {"$ref": "organization:client/1043"}
    assert person["phones"] == [{"value": "911 000 000", "label": "work", "primary": True}]


@pytest.mark.requirement("SO-01", "X-08")
def test_comments_become_a_note_that_shows_them_as_they_were_written(plan: MappingPlan, records: Any) -> None:
    note = run(plan, records, "client/1042").payloads["note:client/1042"]
    assert "Llamar antes &lt;script&gt;alert(1)&lt;/script&gt;<br>Preguntar por Luis" in note["content"]
    assert note["org_id"] == {"$ref": "organization:client/1042"}
    assert note["add_time"] == "2024-01-02T09:30:00Z"


@pytest.mark.requirement("SO-02", "X-08")
def test_a_contact_becomes_a_person_of_its_client(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "contact/9")
    person = result.payloads["person:contact/9"]
    assert person["name"] == "O'Brien 日本語 مرحبا"
    assert person["org_id"] == {"$ref": "organization:client/1042"}
    assert person["owner_id"] == {"$ref": "user:employee/3"}
    assert person["emails"] == [{"value": "ob@norte.example", "label": "work", "primary": True}]
    assert person["phones"] == [
        {"value": "0034600111222", "label": "work", "primary": True},
        {"value": "600333444", "label": "mobile", "primary": False},
    ]
    assert person["custom"]["STEL Job Title"] == "Jefe de obra"
    assert result.payloads["note:contact/9"]["person_id"] == {"$ref": "person:contact/9"}


@pytest.mark.requirement("X-04", "L-16")
def test_a_contact_without_client_waits_and_makes_nothing(plan: MappingPlan, records: Any) -> None:
    change(records, "contact", 9, **examples.link("account", "clients", None))
    result = run(plan, records, "contact/9")
    assert result.payloads == {}
    assert result.reasons() == [("WAITING", "REFERENCE_MISSING")]
    assert result.issues[0].key == "person:contact/9"


@pytest.mark.requirement("X-01", "L-16")
def test_a_contact_of_a_missing_client_is_left_to_the_ledger_to_hold(plan: MappingPlan, records: Any) -> None:
    change(records, "contact", 9, **examples.link("account", "clients", 999_999))
    result = run(plan, records, "contact/9")
    assert result.payloads["person:contact/9"]["org_id"] == {"$ref": "organization:client/999999"}
    assert {one.key for one in result.records["person:contact/9"].references} >= {"organization:client/999999"}


@pytest.mark.requirement("SO-03")
def test_a_product_has_price_cost_tax_category_and_stock(plan: MappingPlan, records: Any) -> None:
    product = run(plan, records, "product/58").payloads["product:product/58"]
    assert (product["name"], product["code"], product["description"], product["tax"]) == ("Cable", "PRO00005", "De cobre", 21)
    assert product["prices"] == [{"currency": "EUR", "price": 18.8, "cost": 9}]
    assert plan.manifest is not None
    assert product["category"] == plan.manifest.option_id("product", "category", "Cables")
    assert product["custom"]["STEL Stock Quantity"] == 12
    assert product["custom"]["STEL Warehouse"] == "Central, Furgoneta"
    assert product["custom"]["STEL Tax Rate"] == 21
    assert product["custom"]["STEL Created"] == "2019-06-21"


@pytest.mark.requirement("SO-03")
def test_a_service_is_a_product_and_its_description_may_be_an_object(plan: MappingPlan, records: Any) -> None:
    product = run(plan, records, "service/58").payloads["product:service/58"]
    assert product["description"] == "text: Como objeto"
    assert product["prices"] == [{"currency": "EUR", "price": 40}]


@pytest.mark.requirement("L-01", "X-04")
def test_archived_and_deleted_records_are_left_out_unless_asked_for(mapping_yaml: str, plan: MappingPlan, records: Any) -> None:
    assert run(plan, records, "product/59").reasons() == [("SKIPPED", "SKIPPED_ARCHIVED")]
    change(records, "client", 1042, deleted=True)
    assert run(plan, records, "client/1042").reasons() == [("SKIPPED", "SKIPPED_DELETED")]
    asked = plan_of(mapping_yaml + "\noverrides: {policies: {archived: load}}\n")
    product = run(asked, records, "product/59").payloads["product:product/59"]
    assert product["is_linkable"] is False


@pytest.mark.requirement("SO-04", "D-01", "D-02")
def test_a_quote_from_which_an_order_descends_is_won_and_leaves_the_value_to_it(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "sales_estimate/100")
    deal = result.payloads["deal:sales_estimate/100"]
    assert deal["title"] == "Quote COTI00100 · Electricidad Norte S.L. · Reforma"
    assert (deal["status"], deal["won_time"], deal["value"]) == ("won", "2024-03-09T12:00:00Z", 0)
    assert plan.manifest is not None
    assert deal["stage_id"] == plan.manifest.stage_id("quotes.cerrada")
    assert deal["label_ids"] == [plan.manifest.option_id("deal", "label_ids", "Quote")]
    assert deal["org_id"] == {"$ref": "organization:client/1042"}
    assert deal["person_id"] == {"$ref": "person:contact/9"}
    custom = deal["custom"]
    assert (custom["STEL Document Number"], custom["STEL Document Date"]) == ("COTI00100", "2024-03-01")
    assert custom["STEL Validity Date"] == deal["expected_close_date"] == "2024-04-01"
    assert custom["STEL Status"] == "Cerrada"
    assert custom["STEL Total"] == {"value": 40.95, "currency": "EUR"}
    line = result.payloads["line_item:sales_estimate/100/line/2"]
    assert line["is_enabled"] is False
    assert result.payloads["deal_value:sales_estimate/100"] == {
        "currency": "EUR", "deal_id": {"$ref": "deal:sales_estimate/100"}, "value": 0, "custom": {}
    }  # fmt: skip


@pytest.mark.requirement("SO-04")
def test_a_rejected_quote_is_lost_and_keeps_its_value(plan: MappingPlan, records: Any) -> None:
    deal = run(plan, records, "sales_estimate/101").payloads["deal:sales_estimate/101"]
    assert (deal["status"], deal["lost_time"], deal["value"]) == ("lost", "2024-03-05T08:00:00Z", 40.95)
    assert "won_time" not in deal


@pytest.mark.requirement("D-01")
def test_with_the_policy_every_each_document_carries_its_value(mapping_yaml: str, records: Any) -> None:
    plan = plan_of(mapping_yaml + "\noverrides: {policies: {deal_value: every}}\n")
    result = run(plan, records, "sales_estimate/100")
    assert result.payloads["deal:sales_estimate/100"]["value"] == 40.95
    assert result.payloads["line_item:sales_estimate/100/line/2"]["is_enabled"] is True


@pytest.mark.requirement("SO-04", "X-08")
def test_lines_are_line_items_and_a_table_in_display_order(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "sales_estimate/101")
    assert [key for key in result.payloads if key.startswith("line_item:")] == ["line_item:sales_estimate/101/line/2"]
    record = result.records["line_item:sales_estimate/101/line/2"]
    assert record.group == "deal:sales_estimate/101"
    line = result.payloads[record.key]
    assert line["product_id"] == {"$ref": "product:product/58"}
    assert (line["item_price"], line["quantity"], line["discount"], line["tax"]) == (18.8, 2, 10, 21)
    assert (line["discount_type"], line["tax_method"], line["comments"]) == ("percentage", "exclusive", "Cable 3x1,5")
    content = result.payloads["note:sales_estimate/101/lines"]["content"]
    assert content.index("Capítulo 1") < content.index("Cable 3x1,5")
    assert "40.95 EUR" in content


@pytest.mark.requirement("X-04")
def test_a_line_of_a_product_that_is_not_moved_stays_in_the_note_and_is_flagged(plan: MappingPlan, records: Any) -> None:
    change(
        records, "sales_estimate", 101, lines=[examples.line(2), examples.line(3, **examples.link("item", "products", 59), **{"item-name": "Viejo"})]
    )
    result = run(plan, records, "sales_estimate/101")
    assert "line_item:sales_estimate/101/line/3" not in result.payloads
    assert result.reasons() == [("FLAGGED", "REFERENCE_MISSING")]
    assert "Viejo" in result.payloads["note:sales_estimate/101/lines"]["content"]


@pytest.mark.requirement("SO-05", "D-01")
def test_an_order_names_its_quote_and_its_delivery_address(plan: MappingPlan, records: Any) -> None:
    deal = run(plan, records, "sales_order/200").payloads["deal:sales_order/200"]
    assert deal["title"].startswith("Order PDV00200 · ")
    assert deal["custom"]["STEL Previous Document"] == "COTI00100"
    assert deal["custom"]["STEL Previous Document Key"] == "sales_estimate/100"
    assert deal["custom"]["STEL Shipping Address"]["value"] == "Polígono 4, Getafe"
    # The invoice hangs on a delivery note, which is no deal: the order is its ancestor all the same.
    assert (deal["status"], deal["won_time"], deal["value"]) == ("won", "2024-04-02T12:00:00Z", 0)


@pytest.mark.requirement("SO-06", "X-02")
def test_an_invoice_is_a_won_deal_with_its_payment_status(plan: MappingPlan, records: Any) -> None:
    deal = run(plan, records, "ordinary_invoice/400").payloads["deal:ordinary_invoice/400"]
    assert (deal["status"], deal["won_time"], deal["value"]) == ("won", "2024-04-02T12:00:00Z", 40.95)
    custom = deal["custom"]
    assert custom["STEL Payment Status"] == option(plan, "payment_status", "Partly paid")
    assert custom["STEL Due Date"] == "2024-05-01"
    assert custom["STEL Paid"] == {"value": 20, "currency": "EUR"}
    assert custom["STEL Remaining"] == {"value": 20.95, "currency": "EUR"}
    assert custom["STEL Previous Document"] == "PDV00200"


@pytest.mark.requirement("SO-06", "SO-09")
def test_an_invoice_paid_without_receipts_gets_one_payment_activity(plan: MappingPlan, records: Any) -> None:
    paid = run(plan, records, "ordinary_invoice/401").payloads["activity:ordinary_invoice/401/payment"]
    assert (paid["type"], paid["done"], paid["subject"]) == ("payment", True, "Payment 40.95 EUR · FAC00401")
    assert not [key for key in run(plan, records, "ordinary_invoice/400").payloads if key.startswith("activity:")]


@pytest.mark.requirement("SO-07", "SO-08")
def test_a_work_order_has_technician_schedule_place_equipment_and_a_full_summary(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "work_order/77")
    deal = result.payloads["deal:work_order/77"]
    custom = deal["custom"]
    assert deal["status"] == "open"
    assert custom["STEL Status"] == "En pausa ⏸"
    assert custom["STEL Technician"] == "Inés Soto"
    assert (custom["STEL Scheduled Date"], custom["STEL Scheduled Time"]) == ("2024-03-11", "10:30")
    assert custom["STEL Location"]["locality"] == "Madrid"
    assert custom["STEL Equipment"] == "Caldera, Caldera vieja"
    assert custom["STEL Line Items"] == "2 x Cable 3x1,5"  # a section is a heading, no item
    assert custom["STEL Signed"] == option(plan, "signed", "Yes")
    assert (custom["Prioridad"], custom["access-code"]) == ("Alta", "A-1")
    content = result.payloads["note:work_order/77/summary"]["content"]
    for text in ("Work order ORT00077 Reforma", "Inés Soto", "SN-2", "Cable 3x1,5", "Prioridad", "access-code"):
        assert text in content


@pytest.mark.requirement("SO-08")
def test_every_asset_is_a_note_with_its_properties(plan: MappingPlan, records: Any) -> None:
    note = run(plan, records, "asset/991").payloads["note:asset/991"]
    assert note["org_id"] == {"$ref": "organization:client/1042"}
    for text in ("ACT00186", "Baxi", "SN-2", "2026-05-01", "En el sótano", "Estado", "En reparación"):
        assert text in note["content"]


@pytest.mark.requirement("SO-09", "G-09")
def test_each_receipt_is_an_activity_on_the_deal_of_its_invoice(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "ordinary_invoice_receipt/500", "ordinary_invoice_receipt/501", "ordinary_invoice_receipt/502")
    paid, unpaid, refund = (result.payloads[f"activity:ordinary_invoice_receipt/{number}"] for number in (500, 501, 502))
    assert (paid["subject"], paid["done"], paid["due_date"]) == ("Payment 20 EUR · FAC00400", True, "2024-04-10")
    assert paid["deal_id"] == {"$ref": "deal:ordinary_invoice/400"}
    assert paid["owner_id"] == {"$ref": "user:employee/3"}
    assert "pi_3Nx9" in paid["note"]
    assert "Transferencia" in paid["note"]
    assert (unpaid["done"], unpaid["due_date"]) == (False, "2024-05-01")
    assert refund["subject"].startswith("Refund -5 EUR")


@pytest.mark.requirement("SO-10", "L-04")
def test_users_are_known_by_email_even_when_it_is_their_user_name(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "employee/3", "employee/11")
    assert result.payloads["user:employee/3"] == {
        "email": "Lucia.Garcia@example.com", "name": "Lucía García", "is_active": True, "use_fallback": True, "custom": {}
    }  # fmt: skip
    assert result.payloads["user:employee/11"]["email"] == "ines@example.com"
    assert result.payloads["user:employee/11"]["name"] == "Inés Soto"


@pytest.mark.requirement("SO-10", "L-04")
def test_the_email_a_person_wrote_into_the_mapping_wins(mapping_yaml: str, records: Any) -> None:
    overrides = '\noverrides: {owners: {people: {"3": {email: other@example.com}}}, policies: {unmatched_owner: wait}}\n'
    user = run(plan_of(mapping_yaml + overrides), records, "employee/3").payloads["user:employee/3"]
    assert (user["email"], user["use_fallback"]) == ("other@example.com", False)


@pytest.mark.requirement("SO-10", "L-04")
def test_an_owner_the_source_never_listed_falls_back_and_is_flagged(plan: MappingPlan, records: Any) -> None:
    change(records, "sales_estimate", 101, **examples.link("agent", "employees", 4711))
    result = run(plan, records, "sales_estimate/101")
    assert result.payloads["deal:sales_estimate/101"]["owner_id"] == {"$ref": "user:schema/fallback"}
    assert ("FLAGGED", "OWNER_UNMATCHED") in result.reasons()


@pytest.mark.requirement("L-07", "X-04")
def test_a_broken_date_leaves_the_field_empty_and_is_flagged_with_field_and_value(plan: MappingPlan, records: Any) -> None:
    change(records, "sales_estimate", 101, date="2025-02-31T00:00:00+0000")
    result = run(plan, records, "sales_estimate/101")
    assert "STEL Document Date" not in result.payloads["deal:sales_estimate/101"]["custom"]
    assert result.reasons() == [("FLAGGED", "VALUE_INVALID")]
    assert "STEL Document Date" in result.issues[0].message
    assert "2025-02-31" in result.issues[0].message


@pytest.mark.requirement("L-03", "L-16")
def test_an_unknown_state_holds_the_deal_and_all_that_hangs_on_it(plan: MappingPlan, records: Any) -> None:
    change(records, "sales_estimate", 101, **examples.state(999))
    result = run(plan, records, "sales_estimate/101")
    assert result.payloads == {}
    assert result.reasons() == [("WAITING", "VALUE_UNMAPPED")]
    assert "999" in result.issues[0].message


@pytest.mark.requirement("L-07", "X-08")
def test_a_long_name_is_cut_flagged_and_kept_whole_in_a_note(plan: MappingPlan, records: Any) -> None:
    name = ("Compañía de nombre interminable " * 12)[:300]
    change(records, "client", 1042, **{"legal-name": name})
    result = run(plan, records, "client/1042")
    assert result.payloads["organization:client/1042"]["name"] == name[:255]
    assert result.reasons() == [("FLAGGED", "VALUE_TOO_LONG")]
    assert name in result.payloads["note:client/1042/organization-full-text"]["content"]


@pytest.mark.requirement("L-07", "X-04")
def test_a_client_without_any_name_is_rejected(plan: MappingPlan, records: Any) -> None:
    change(records, "client", 1042, **{"legal-name": " ", "name": None})
    result = run(plan, records, "client/1042")
    assert result.reasons() == [("REJECTED", "VALUE_MISSING")]
    assert result.payloads == {}


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    "name",
    ["Robert'); DROP TABLE clients;--", "=cmd|' /C calc'!A0", "<b>&amp;</b>", "\u202eabc\u202c", "\U0001f469\u200d\U0001f527 S.A.", "  spaced  "],
)
def test_hostile_names_pass_unchanged(plan: MappingPlan, records: Any, name: str) -> None:
    change(records, "client", 1042, **{"legal-name": name})
    assert run(plan, records, "client/1042").payloads["organization:client/1042"]["name"] == name


@pytest.mark.requirement("X-01")
def test_a_document_for_a_lead_waits_because_leads_are_not_moved(plan: MappingPlan, records: Any) -> None:
    change(records, "sales_estimate", 101, **examples.link("account", "potentialClients", 5))
    result = run(plan, records, "sales_estimate/101")
    assert result.reasons() == [("WAITING", "REFERENCE_MISSING")]
    assert "potential_client/5" in result.issues[0].message


@pytest.mark.requirement("X-07", "L-16")
def test_files_hang_on_what_they_belong_to(plan: MappingPlan, records: Any) -> None:
    result = run(plan, records, "entity_attachment/600", "entity_attachment/601")
    on_deal, on_organization = (result.payloads[f"file:entity_attachment/{number}"] for number in (600, 601))
    assert on_deal["deal_id"] == {"$ref": "deal:work_order/77"}
    assert on_organization["org_id"] == {"$ref": "organization:client/1042"}
    assert on_deal["staging_name"] == "files/" + "d" * 64
    assert (on_deal["name"], on_deal["byte_count"], on_deal["content_type"]) == ("plano.pdf", 12, "application/pdf")


@pytest.mark.requirement("X-07")
def test_a_file_that_is_too_large_waits_or_becomes_a_note_by_policy(mapping_yaml: str, plan: MappingPlan, records: Any) -> None:
    records["entity_attachment"] = [examples.file(602, "work_order", "77", problem="FILE_TOO_LARGE", digest=None, byte_count=99_000_000)]
    held = run(plan, records, "entity_attachment/602")
    assert held.reasons() == [("WAITING", "FILE_TOO_LARGE")]
    assert "99000000" in held.issues[0].message
    linking = plan_of(mapping_yaml + "\noverrides: {policies: {oversize_files: link}}\n")
    note = run(linking, records, "entity_attachment/602").payloads["note:entity_attachment/602/oversize"]
    assert note["deal_id"] == {"$ref": "deal:work_order/77"}
    assert "plano.pdf" in note["content"]
    assert "99000000" in note["content"]


@pytest.mark.requirement("X-07", "D-04")
def test_a_file_that_is_too_large_is_split_when_that_is_asked_and_it_was_fetched(mapping_yaml: str, plan: MappingPlan, records: Any) -> None:
    fetched = large_files.fetched()
    records["entity_attachment"] = [
        examples.file(602, "work_order", "77", **fetched),
        examples.file(605, "product", "58", **fetched),
        examples.file(606, "work_order", "77", problem="FILE_TOO_LARGE", digest=None),
        examples.file(607, "incident", "1", **fetched),
    ]
    splitting = plan_of(mapping_yaml + "\noverrides: {policies: {oversize_files: split}}\n")
    on_deal = run(splitting, records, "entity_attachment/602")
    large_files.expect_parts(on_deal.payloads, "entity_attachment/602", {"deal_id": {"$ref": "deal:work_order/77"}})
    assert on_deal.reasons() == []
    on_product = run(splitting, records, "entity_attachment/605")
    large_files.expect_parts(on_product.payloads, "entity_attachment/605", {"product_id": {"$ref": "product:product/58"}}, has_note=False)
    assert run(splitting, records, "entity_attachment/606").reasons() == [("WAITING", "FILE_TOO_LARGE")]
    assert run(splitting, records, "entity_attachment/607").reasons() == [("WAITING", "REFERENCE_MISSING")]
    held = run(plan, records, "entity_attachment/602")
    assert (held.payloads, held.reasons()) == ({}, [("WAITING", "FILE_TOO_LARGE")])


@pytest.mark.requirement("X-07", "X-04")
def test_files_without_bytes_or_without_a_place_wait(plan: MappingPlan, records: Any) -> None:
    records["entity_attachment"] = [
        examples.file(603, "client", "1042", problem="FILE_UNAVAILABLE", digest=None),
        examples.file(604, "incident", "1"),
    ]
    result = run(plan, records, "entity_attachment/603", "entity_attachment/604")
    assert result.payloads == {}
    assert sorted(result.reasons()) == [("WAITING", "FILE_UNAVAILABLE"), ("WAITING", "REFERENCE_MISSING")]


@pytest.mark.requirement("X-05")
def test_phones_become_e164_when_asked_for(mapping_yaml: str, records: Any) -> None:
    plan = plan_of(mapping_yaml + "\noverrides: {policies: {phone_format: e164}}\n")
    person = run(plan, records, "client/1043").payloads["person:client/1043"]
    assert person["phones"] == [{"value": "+34911000000", "label": "work", "primary": True}]


@pytest.mark.requirement("X-03")
def test_a_new_picklist_value_of_a_property_is_flagged_and_does_not_hold_the_record(mapping_yaml: str, records: Any) -> None:
    overrides = """
overrides:
  schema: {fields: {organization: {property_sector: {type: enum, options: [Industria]}}}}
"""
    result = run(plan_of(mapping_yaml + overrides), records, "client/1042")
    assert result.reasons() == [("FLAGGED", "VALUE_UNMAPPED")]
    assert "organization:client/1042" in result.payloads


@pytest.mark.requirement("G-05")
def test_values_of_a_field_the_plan_had_no_room_for_are_flagged(mapping_yaml: str, records: Any) -> None:
    plan = plan_of(mapping_yaml)
    assert plan.manifest is not None
    bound = {key: value for key, value in bindings(plan.mapping).items() if key != "custom_field:schema/organization.tax_id"}
    capped = type(plan)(plan.mapping, type(plan.manifest)(source_account="acme", mapping=plan.mapping, bindings=bound))
    result = run(capped, records, "client/1042")
    assert result.reasons() == [("FLAGGED", "TARGET_CAPPED")]
    assert "STEL Tax ID" in result.issues[0].message


@pytest.mark.requirement("X-07", "X-04")
def test_a_file_of_a_product_that_is_too_large_waits_because_products_take_no_notes(mapping_yaml: str, records: Any) -> None:
    records["entity_attachment"] = [examples.file(605, "product", "58", problem="FILE_TOO_LARGE", digest=None)]
    plan = plan_of(mapping_yaml + "\noverrides: {policies: {oversize_files: link}}\n")
    assert run(plan, records, "entity_attachment/605").reasons() == [("WAITING", "FILE_TOO_LARGE")]


@pytest.mark.requirement("L-11", "SO-03")
def test_a_category_made_after_the_audit_does_not_hold_its_products(plan: MappingPlan, records: Any) -> None:
    records["product_category"].append({"id": 32, "name": "Nueva"})
    change(records, "product", 58, **examples.link("product-category", "productCategories", 32))
    result = run(plan, records, "product/58")
    assert "category" not in result.payloads["product:product/58"]
    assert result.reasons() == [("FLAGGED", "VALUE_UNMAPPED")]


@pytest.mark.requirement("SO-04")
def test_long_notes_go_on_in_further_ones(plan: MappingPlan, records: Any) -> None:
    lines = [examples.line(number, **{"item-description": "x" * 900}) for number in range(1, 151)]
    change(records, "sales_estimate", 101, lines=lines)
    result = run(plan, records, "sales_estimate/101")
    keys = [key for key in result.payloads if key.startswith("note:")]
    assert keys == ["note:sales_estimate/101/lines", "note:sales_estimate/101/lines/2"]
    assert all(len(result.payloads[key]["content"].encode()) < 100_000 for key in keys)
    assert all(result.payloads[key]["deal_id"] == {"$ref": "deal:sales_estimate/101"} for key in keys)
