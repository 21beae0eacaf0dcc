"""Custom fields: hashes, option ids, value shapes."""

import re
from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start


async def _field(api: Driver, kind: str, entity: str = "deal", labels: tuple[str, ...] = ("A", "B")) -> dict[str, Any]:
    body: dict[str, Any] = {"field_name": f"My {kind}", "field_type": kind}
    if kind in {"enum", "set"}:
        body["options"] = [{"label": label} for label in labels]
    field: dict[str, Any] = (await api.post(f"/api/v2/{entity}Fields", body)).data
    return field


@pytest.mark.requirement("G-01")
async def test_hashes_differ_between_accounts(start: Start) -> None:
    first, second = await _field(start(seed=1), "varchar"), await _field(start(seed=2), "varchar")
    assert re.fullmatch("[0-9a-f]{40}", first["field_code"])
    assert first["field_code"] != second["field_code"]


async def test_fields_of_one_name_get_different_hashes(api: Driver) -> None:
    assert (await _field(api, "text"))["field_code"] != (await _field(api, "text"))["field_code"]


async def test_option_ids_come_from_one_counter(api: Driver) -> None:
    first, second = await _field(api, "enum"), await _field(api, "set", "person")
    ids = [option["id"] for field in (first, second) for option in field["options"]]
    assert len(set(ids)) == 4
    assert ids == sorted(ids)


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    ("kind", "value", "stored"),
    [
        ("varchar", "Ñandú 山 \u200f", "Ñandú 山 \u200f"),
        ("varchar_auto", "x", "x"),
        ("text", "line\nline", "line\nline"),
        ("phone", "+34 600 (1)", "+34 600 (1)"),
        ("double", 12.5, 12.5),
        ("monetary", {"value": 2300, "currency": "EUR"}, {"value": 2300, "currency": "EUR"}),
        ("date", "2024-02-29", "2024-02-29"),
        ("daterange", {"value": "2024-01-01", "until": "2024-02-01"}, {"value": "2024-01-01", "until": "2024-02-01"}),
        ("user", 2, 2),
        ("org", 1, 1),
        ("people", 1, 1),
    ],
)
async def test_value_arrives_unchanged(api: Driver, kind: str, value: object, stored: object) -> None:
    code = (await _field(api, kind))["field_code"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: value}})).data
    assert deal["custom_fields"][code] == stored
    assert (await api.patch(f"/api/v2/deals/{deal['id']}", {"custom_fields": {code: None}})).data["custom_fields"][code] is None


async def test_times_get_the_callers_zone(api: Driver) -> None:
    code = (await _field(api, "time"))["field_code"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: {"value": "09:00:00"}}})).data
    assert deal["custom_fields"][code]["timezone_name"] == "Europe/Madrid"


async def test_address_keeps_what_was_sent_and_nothing_else(api: Driver) -> None:
    code = (await _field(api, "address"))["field_code"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: {"value": "Street 1", "locality": "Bilbao"}}})).data
    stored = deal["custom_fields"][code]
    assert (stored["value"], stored["locality"], stored["country"]) == ("Street 1", "Bilbao", None)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("varchar", 12, "Expected 'string' as value for text custom field"),
        ("varchar", {"value": "x"}, "custom_fields: Invalid collection"),
        ("varchar", "x" * 256, "longer than 255 characters"),
        ("double", "12", "Expected 'number' as value for numerical custom field"),
        ("monetary", 12, "Monetary custom field value expected 'object'"),
        ("monetary", {"value": 12, "currency": "XXX"}, "Currency of monetary custom field"),
        ("date", "2024-13-01", "is not a valid date"),
        ("daterange", {"value": "2024-01-01"}, "Expected 'string' as value for date custom field"),
        ("time", "09:00", "Time custom field value expected 'object'"),
        ("time", {"value": "9"}, "is not a valid time"),
        ("timerange", {"value": "09:00", "until": "10:00", "timezone_name": "Mars/Base"}, "Time zone"),
        ("enum", "A", "Expected 'number' as value for single option custom field"),
        ("enum", 99_999, "Unknown option '99999'"),
        ("set", [], "must not be an empty collection"),
        ("set", 1, "Expected 'array' as value for multiple options custom field"),
        ("user", 999, "Unknown user '999'"),
        ("org", "1", "Expected 'number' as value for organization custom field"),
        ("people", {"value": 1}, "Invalid collection"),
        ("address", "Street 1", "Address custom field value expected 'object'"),
    ],
)
async def test_wrong_shape_is_refused(api: Driver, kind: str, value: object, message: str) -> None:
    code = (await _field(api, kind))["field_code"]
    answer = await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: value}})
    assert answer.status == 400
    assert message in answer.error


async def test_set_takes_option_ids_and_is_cleared_by_null(api: Driver) -> None:
    field = await _field(api, "set")
    code, ids = field["field_code"], [option["id"] for option in field["options"]]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: ids}})).data
    assert deal["custom_fields"][code] == ids
    shown = (await api.get(f"/api/v2/deals/{deal['id']}", include_option_labels="true")).data
    assert [option["label"] for option in shown["custom_fields"][code]] == ["A", "B"]
    await api.patch(f"/api/v2/deals/{deal['id']}", {"custom_fields": {code: None}})
    assert (await api.get(f"/api/v2/deals/{deal['id']}")).data["custom_fields"][code] is None


async def test_every_hash_is_shown_null_when_empty(api: Driver) -> None:
    codes = [(await _field(api, "varchar"))["field_code"] for _ in range(3)]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {codes[0]: "y"}})).data
    assert [deal["custom_fields"][code] for code in codes] == ["y", None, None]
    projected = (await api.get("/api/v2/deals", custom_fields=codes[0], ids=str(deal["id"]))).data[0]
    assert projected["custom_fields"] == {codes[0]: "y"}


async def test_patch_leaves_other_fields_alone(api: Driver) -> None:
    codes = [(await _field(api, "varchar"))["field_code"] for _ in range(2)]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": dict.fromkeys(codes, "y")})).data
    changed = (await api.patch(f"/api/v2/deals/{deal['id']}", {"custom_fields": {codes[1]: "z"}})).data
    assert [changed["custom_fields"][code] for code in codes] == ["y", "z"]


async def test_deleted_field_vanishes_and_its_hash_is_refused(api: Driver) -> None:
    code = (await _field(api, "varchar"))["field_code"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: "y"}})).data
    assert (await api.delete(f"/api/v2/dealFields/{code}")).data["field_code"] == code
    assert code not in (await api.get(f"/api/v2/deals/{deal['id']}")).data["custom_fields"]
    assert (await api.get(f"/api/v2/dealFields/{code}")).status == 404
    assert f"Unknown key '{code}'" in (await api.patch(f"/api/v2/deals/{deal['id']}", {"custom_fields": {code: "z"}})).error


async def test_options_are_added_renamed_and_removed(api: Driver) -> None:
    field = await _field(api, "enum")
    code = field["field_code"]
    added = await api.post(f"/api/v2/dealFields/{code}/options", [{"label": "C"}, {"label": "D"}])
    assert [option["label"] for option in added.data] == ["C", "D"]
    assert added.body["additional_data"] is None
    third = added.data[0]["id"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {code: third}})).data
    await api.patch(f"/api/v2/dealFields/{code}/options", [{"id": third, "label": "Sea"}])
    assert "Sea" in [option["label"] for option in (await api.get(f"/api/v2/dealFields/{code}")).data["options"]]
    assert (await api.delete(f"/api/v2/dealFields/{code}/options", [{"id": third}, {"id": 99_999}])).status == 400
    await api.delete(f"/api/v2/dealFields/{code}/options", [{"id": third}])
    assert (await api.get(f"/api/v2/deals/{deal['id']}")).data["custom_fields"][code] is None


async def test_options_need_a_type_that_has_them(api: Driver) -> None:
    assert (await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "enum"})).status == 400
    assert (await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "varchar", "options": [{"label": "a"}]})).status == 400
    assert (await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "visible_to"})).status == 400
    assert (await api.post("/api/v2/dealFields", {"field_name": "x" * 256, "field_type": "text"})).status == 400


async def test_labels_are_a_built_in_set_field(api: Driver) -> None:
    added = (await api.post("/api/v2/dealFields/label_ids/options", [{"label": "Quote"}])).data[0]["id"]
    deal = (await api.post("/api/v2/deals", {"title": "x", "label_ids": [added]})).data
    assert deal["label_ids"] == [added]
    shown = (await api.get(f"/api/v2/deals/{deal['id']}", include_labels="true")).data
    assert shown["labels"] == [{"id": added, "label": "Quote"}]


async def test_product_category_is_an_option_id(api: Driver) -> None:
    added = (await api.post("/api/v2/productFields/category/options", [{"label": "Spare parts"}])).data[0]["id"]
    assert (await api.post("/api/v2/products", {"name": "x", "category": added})).data["category"] == added


async def test_field_settings_are_shown_on_request(api: Driver) -> None:
    body = {"field_name": "x", "field_type": "text", "ui_visibility": {"add_visible_flag": True}}
    code = (await api.post("/api/v2/personFields", body)).data["field_code"]
    shown = (await api.get(f"/api/v2/personFields/{code}", include_fields="ui_visibility,required_fields")).data
    dialog = {"show": False, "order": None}
    assert shown["ui_visibility"] == {"add_visible_flag": True, "details_visible_flag": True, "show_in_add_deal_dialog": dialog}
    assert shown["required_fields"] == {"enabled": False}
    assert "ui_visibility" not in (await api.get(f"/api/v2/personFields/{code}")).data


@pytest.mark.requirement("G-05")
async def test_custom_fields_are_capped_by_the_plan(start: Start) -> None:
    api = start(plan="lite", seed=None)
    for _ in range(30):
        await _field(api, "varchar")
    answer = await api.post("/api/v2/personFields", {"field_name": "one more", "field_type": "text"})
    assert answer.status == 403
    assert answer.body["code"] == "feature_capping_custom_fields_limit"
    assert answer.body["error_info"]
