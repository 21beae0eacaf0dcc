"""Field definitions in version 1: the fields of version 2 under numeric ids."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start


async def _add(api: Driver, entity: str = "deal", **body: Any) -> Any:
    return (await api.post(f"/v1/{entity}Fields", {"name": "Region", "field_type": "varchar", **body})).data


async def test_field_is_the_same_in_both_versions(api: Driver) -> None:
    field = await _add(api, field_type="enum", options=[{"label": "North"}, {"label": "South"}])
    assert (field["name"], field["field_type"], field["edit_flag"], field["add_visible_flag"]) == ("Region", "enum", True, True)
    assert [option["label"] for option in field["options"]] == ["North", "South"]
    version2 = (await api.get(f"/api/v2/dealFields/{field['key']}")).data
    assert (version2["field_code"], version2["field_name"], version2["options"]) == (field["key"], "Region", field["options"])
    assert (await api.get(f"/v1/dealFields/{field['id']}")).data == field
    assert (await api.get(f"/v1/personFields/{field['id']}")).status == 404


async def test_made_in_version_2_is_not_shown_in_the_add_dialog(api: Driver) -> None:
    code = (await api.post("/api/v2/dealFields", {"field_name": "x", "field_type": "double"})).data["field_code"]
    field = next(field for field in (await api.get("/v1/dealFields", limit="500")).data if field["key"] == code)
    assert field["add_visible_flag"] is False


async def test_list_is_paged_and_names_old_keys(api: Driver) -> None:
    answer = await api.get("/v1/dealFields", start="0", limit="5")
    assert [field["order_nr"] for field in answer.data] == [1, 2, 3, 4, 5]
    assert [field["key"] for field in answer.data][3:] == ["label", "user_id"]
    assert answer.body["additional_data"]["pagination"] == {"start": 0, "limit": 5, "more_items_in_collection": True, "next_start": 5}
    assert {field["key"] for field in (await api.get("/v1/activityFields")).data} >= {"subject", "due_date"}


async def test_update_drops_options_that_are_not_sent_again(api: Driver) -> None:
    field = await _add(api, field_type="set", options=[{"label": "a"}, {"label": "b"}])
    first, second = (option["id"] for option in field["options"])
    deals = [
        (await api.post("/api/v2/deals", {"title": "x", "custom_fields": {field["key"]: ids}})).data["id"] for ids in ([first, second], [second])
    ]
    lead = (await api.post("/v1/leads", {"title": "x", "organization_id": 1, field["key"]: f"{first},{second}"})).data
    changed = (await api.put(f"/v1/dealFields/{field['id']}", {"options": [{"label": "new"}, {"id": first, "label": "A"}]})).data
    assert [option["label"] for option in changed["options"]] == ["new", "A"]
    assert changed["options"][1]["id"] == first
    shown = [(await api.get(f"/api/v2/deals/{deal_id}")).data["custom_fields"][field["key"]] for deal_id in deals]
    assert shown == [[first], None]
    assert (await api.get(f"/v1/leads/{lead['id']}")).data[field["key"]] == str(first)


async def test_update_of_the_name_leaves_options_alone(api: Driver) -> None:
    field = await _add(api, field_type="enum", options=[{"label": "a"}])
    changed = (await api.put(f"/v1/dealFields/{field['id']}", {"name": "Zone", "add_visible_flag": False})).data
    assert (changed["name"], changed["options"], changed["add_visible_flag"]) == ("Zone", field["options"], False)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"field_type": "varchar"}, "Name must be given."),
        ({"name": "x"}, "field_type must be one of"),
        ({"name": "x", "field_type": "visible_to"}, "field_type must be one of"),
        ({"name": "x", "field_type": []}, "field_type must be one of"),
        ({"name": "x", "field_type": "enum"}, "Options must be given."),
        ({"name": "x", "field_type": "set", "options": [{"label": ""}]}, "Each option must have a label"),
        ({"name": "x", "field_type": "text", "add_visible_flag": 7}, "add_visible_flag must be a boolean"),
        ({"name": "x" * 256, "field_type": "text"}, "Name is too long"),
    ],
)
async def test_field_is_refused(api: Driver, body: dict[str, Any], text: str) -> None:
    answer = await api.post("/v1/dealFields", body)
    assert answer.status == 400
    assert text in answer.error
    assert "error_info" in answer.body


async def test_update_is_refused(api: Driver) -> None:
    field = await _add(api, field_type="enum", options=[{"label": "a"}])
    option = field["options"][0]
    for options, text in (
        ([{"id": 9999, "label": "x"}], "Option 9999 not found"),
        ([option, option], "An option is given twice"),
        ([], "Options must be given."),
        ([{"id": "1", "label": "x"}], "The id of an option must be an integer"),
    ):
        assert (await api.put(f"/v1/dealFields/{field['id']}", {"options": options})).error == text
    built_in = next(field for field in (await api.get("/v1/dealFields")).data if field["key"] == "status")
    assert (await api.put(f"/v1/dealFields/{built_in['id']}", {"name": "x"})).error == "A built-in field can not be renamed"
    assert "can not be changed" in (await api.put(f"/v1/dealFields/{built_in['id']}", {"options": [{"label": "x"}]})).error
    assert (await api.delete(f"/v1/dealFields/{built_in['id']}")).error == "A built-in field can not be deleted"


async def test_fields_are_deleted_one_and_many(api: Driver) -> None:
    one, two, three = [(await _add(api))["id"] for _ in range(3)]
    assert (await api.delete(f"/v1/dealFields/{one}")).data == {"id": one}
    assert (await api.get(f"/v1/dealFields/{one}")).status == 404
    assert (await api.delete("/v1/dealFields", ids=f"{two},{one},{three}")).data == {"id": [two, three]}
    assert (await api.delete("/v1/dealFields", ids=f"{three},1")).error in {"A built-in field can not be deleted", "ids must be given."}
    assert (await api.delete("/v1/dealFields")).error == "ids must be given."


async def test_fields_of_products_differ(api: Driver) -> None:
    answer = await api.post("/v1/productFields", {"name": "Shelf", "field_type": "varchar"})
    assert answer.status == 201
    assert "options" not in answer.data
    assert (await api.delete(f"/v1/productFields/{answer.data['id']}")).data == {"id": answer.data["id"]}
    gone = await api.get(f"/v1/productFields/{answer.data['id']}")
    assert (gone.status, gone.error) == (410, "The field is not found")


async def test_cap_is_shared_by_both_versions(start: Start) -> None:
    api = start(custom_fields_max=6)
    await _add(api)
    answer = await api.post("/v1/dealFields", {"name": "x", "field_type": "text"})
    assert (answer.status, answer.body["code"]) == (403, "feature_capping_custom_fields_limit")


async def test_composite_fields_name_their_parts(api: Driver) -> None:
    field = await _add(api, field_type="monetary")
    assert [part["key"] for part in field["subfields"]] == [f"{field['key']}_currency"]
