"""What a mapping needs in Pipedrive is listed once, in an order in which it can be made."""

from __future__ import annotations

import orjson
import pytest

from services.common.phases import TARGET_PHASES
from services.transformer.compile import compile_schema, dispositions
from services.transformer.mapping.reading import load_mapping
from transload.v1 import records_pb2


@pytest.mark.requirement("L-05")
def test_schema_records_come_in_an_order_in_which_they_can_be_made(mapping_yaml: str) -> None:
    records = compile_schema(load_mapping(mapping_yaml))
    keys = [record.key for record in records]
    assert len(set(keys)) == len(keys)
    assert keys[0] == "user:schema/fallback"
    assert keys.index("pipeline:schema/quotes") < keys.index("stage:schema/quotes.pendiente")
    stages = [orjson.loads(record.payload_json)["name"] for record in records if record.key.startswith("stage:schema/quotes.")]
    assert stages == ["Pendiente", "Cerrada", "Rechazado"]
    for record in records:
        assert {reference.key for reference in record.references} <= set(keys[: keys.index(record.key)])
        assert record.source_entity == "schema"


@pytest.mark.requirement("L-05", "G-01")
def test_every_entity_with_custom_fields_gets_the_external_id(mapping_yaml: str) -> None:
    payloads = {record.key: orjson.loads(record.payload_json) for record in compile_schema(load_mapping(mapping_yaml))}
    for entity in ("deal", "person", "organization", "product"):
        assert payloads[f"custom_field:schema/{entity}.transload_id"] == {"entity": entity, "field_name": "Transload ID", "field_type": "varchar"}
    assert payloads["custom_field:schema/deal.payment_status"]["options"] == ["Paid", "Partly paid", "Unpaid"]
    assert payloads["field_option:schema/product.category/Cables"] == {"entity": "product", "field_code": "category", "label": "Cables"}
    assert payloads["field_option:schema/deal.label_ids/Work Order"]["label"] == "Work Order"
    assert payloads["activity_type:schema/payment"] == {"name": "Payment", "icon_key": "pricetag"}


@pytest.mark.requirement("L-04")
def test_people_the_source_lists_no_more_are_users_of_their_own(mapping_yaml: str) -> None:
    text = mapping_yaml + '\noverrides: {owners: {people: {"99": {name: Carmen, email: c@example.com, is_listed: false}}}}\n'
    payloads = {record.key: orjson.loads(record.payload_json) for record in compile_schema(load_mapping(text))}
    assert payloads["user:schema/employee-99"] == {"email": "c@example.com", "name": "Carmen", "is_active": True, "use_fallback": True}
    assert "user:schema/employee-3" not in payloads


@pytest.mark.requirement("L-10", "X-04")
def test_every_entity_says_in_which_phases_it_moves_or_why_not(mapping_yaml: str) -> None:
    found = {one.entity: one for one in dispositions(load_mapping(mapping_yaml))}
    assert next(iter(found)) == "employee"
    assert found["employee"].phases == [records_pb2.PHASE_USERS]
    assert found["client"].phases == [TARGET_PHASES[name] for name in ("organization", "person", "note")]
    assert TARGET_PHASES["deal_value"] in found["ordinary_invoice"].phases
    assert found["document_state"].skip_reason == "SKIPPED_REFERENCE_DATA"
    assert found["incident"].skip_reason == "SKIPPED_NOT_MAPPED"
