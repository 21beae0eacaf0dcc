"""A preview names for each target field where its value came from, and every source field that goes nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from services.transformer.preview import preview
from tests.unit.transformer import examples
from tests.unit.transformer.support import Snapshot

if TYPE_CHECKING:
    from services.transformer.plan import MappingPlan
    from transload.v1 import transformer_service_pb2 as pb


def previewed(plan: MappingPlan, *keys: str, records: dict[str, list[dict[str, object]]] | None = None) -> dict[str, pb.PreviewedRecord]:
    return {one.key: one for one in preview(plan, Snapshot(records or examples.account()), keys)}


@pytest.mark.requirement("L-08")
def test_every_field_has_its_source_value_and_rule(plan: MappingPlan) -> None:
    found = previewed(plan, "sales_estimate/101")
    assert {one.target_entity for one in found.values()} == {"deal", "line_item", "note", "deal_value"}
    fields = {one.label: one for one in found["deal:sales_estimate/101"].fields}
    date = fields["STEL Document Date"]
    assert (date.source_path, orjson.loads(date.source_value_json), orjson.loads(date.mapped_value_json), date.rule) == (
        "date", "2024-03-01T00:00:00+0000", "2024-03-01", "calendar_date",
    )  # fmt: skip
    assert date.target_field.startswith("custom_fields.")
    stage = fields["Stage id"]
    assert "value map quote_states.stage" in stage.rule
    assert orjson.loads(fields["Status"].mapped_value_json) == "lost"
    assert orjson.loads(fields["Org id"].source_value_json) == "client/1042"


@pytest.mark.requirement("L-08", "X-03")
def test_source_fields_that_go_nowhere_are_named_with_the_reason(plan: MappingPlan) -> None:
    records = examples.account()
    records["client"][0] |= {"bank-account": {"iban": "ES91"}, "brand-new": "x"}
    fields = {
        one.source_path: one for one in previewed(plan, "client/1042", records=records)["organization:client/1042"].fields if not one.target_field
    }
    assert fields["bank-account"].rule == "not moved: bank details are left out unless asked for"
    assert "no rule" in fields["brand-new"].rule


@pytest.mark.requirement("L-08", "X-04")
def test_skipped_and_held_records_say_why(plan: MappingPlan) -> None:
    records = examples.account()
    records["sales_estimate"][1].update(examples.state(999))
    found = list(preview(plan, Snapshot(records), ["product/59", "sales_estimate/101", "tax_line/1", "client/404"]))
    assert [(one.source_key, one.reason) for one in found] == [("product/59", "SKIPPED_ARCHIVED"), ("sales_estimate/101", "VALUE_UNMAPPED")]


@pytest.mark.requirement("L-06")
def test_links_with_keys_in_them_are_hidden(plan: MappingPlan) -> None:
    records = examples.account()
    records["sales_estimate"][1]["pdf-path"] = "https://files.example/1.pdf?token=secret"
    text = b"".join(one.SerializeToString() for one in preview(plan, Snapshot(records), ["sales_estimate/101"]))
    assert b"secret" not in text
