"""What only version 1 has: users, notes, files, activity types, organization relations."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Answer, Driver, Start


async def test_caller_and_company(api: Driver) -> None:
    me = (await api.get("/v1/users/me")).data
    assert (me["name"], me["email"], me["is_you"], me["default_currency"]) == ("Ada Admin", "ada.admin@example.com", True, "EUR")
    assert me["company_domain"] == "sandbox-field-services"
    assert any(access["app"] == "account_settings" and access["admin"] for access in me["access"])
    assert (await api.get("/api/v1/users/me")).data == me


async def test_users_are_listed_with_the_inactive_one(api: Driver) -> None:
    users = (await api.get("/v1/users")).data
    assert [user["email"] for user in users if not user["active_flag"]] == ["old.user@example.com"]
    assert (await api.get("/v1/users/999")).error == "User not found or not accessible."


async def test_prefix_of_version_2_is_one(api: Driver) -> None:
    assert (await api.get("/v2/persons/1")).status == 404


async def test_deprecated_writes_are_gone_unless_asked_for(api: Driver, start: Start) -> None:
    assert (await api.post("/v1/deals", {"title": "x", "org_id": 1})).status == 410
    assert (await start(deprecated_v1=True).post("/v1/deals", {"title": "x", "org_id": 1})).status == 201


async def test_note_keeps_time_and_author_and_is_cleaned(api: Driver) -> None:
    body = {
        "content": '<p onclick="x()">Hi <a href="https://example.com" rel="nofollow">link</a></p><script>bad()</script>',
        "deal_id": 1,
        "user_id": 2,
    }
    note = (await api.post("/v1/notes", body | {"add_time": "2020-01-02 03:04:05", "pinned_to_deal_flag": 1})).data
    assert note["content"] == '<p>Hi <a href="https://example.com" rel="nofollow">link</a></p>'
    assert (note["add_time"], note["user_id"], note["user"]["name"], note["pinned_to_deal_flag"]) == ("2020-01-02 03:04:05", 2, "Lucía García", True)
    assert note["deal"] == {"title": (await api.get("/api/v2/deals/1")).data["title"]}
    changed = (await api.put(f"/v1/notes/{note['id']}", {"add_time": "2021-01-01 00:00:00"})).data
    assert (changed["add_time"], changed["content"]) == ("2021-01-01 00:00:00", note["content"])
    assert (await api.delete(f"/v1/notes/{note['id']}")).body == {"success": True, "data": True}
    assert (await api.get(f"/v1/notes/{note['id']}")).status == 404


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"content": "x"}, "Note must be associated with at least one organization, person, deal, lead or project."),
        ({"deal_id": 1}, "Content must be given."),
        ({"content": "x", "deal_id": 999}, "Deal 999 not found"),
        ({"content": "x", "deal_id": 1, "add_time": "2020-01-02T03:04:05Z"}, "add_time must be in the format"),
        ({"content": "x" * 100_001, "deal_id": 1}, "Note content is too long"),
    ],
)
async def test_note_is_refused(api: Driver, body: dict[str, Any], text: str) -> None:
    answer = await api.post("/v1/notes", body)
    assert answer.status == 400
    assert text in answer.error
    assert answer.body["data"] is None
    assert "error_info" in answer.body


async def test_notes_are_paged_by_offset_and_null_when_empty(api: Driver) -> None:
    answer = await api.get("/v1/notes", start="10", limit="1", sort="id DESC")
    assert [note["id"] for note in answer.data] == [2]
    assert answer.body["additional_data"]["pagination"] == {"start": 10, "limit": 1, "more_items_in_collection": True, "next_start": 11}
    assert (await api.get("/v1/notes", deal_id="1", org_id="2")).data is None
    assert (await api.get("/v1/notes", sort="nonsense")).status == 400


def _multipart(name: str, content: bytes, **fields: object) -> tuple[bytes, dict[str, str]]:
    parts = [
        b'--line\r\ncontent-disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (key.encode(), str(value).encode()) for key, value in fields.items()
    ]
    parts.append(
        b'--line\r\ncontent-disposition: form-data; name="file"; filename="%s"\r\ncontent-type: application/octet-stream\r\n\r\n' % name.encode()
    )
    return b"".join([*parts, content, b"\r\n--line--\r\n"]), {"content-type": "multipart/form-data; boundary=line"}


async def _upload(api: Driver, name: str, content: bytes, **fields: object) -> Answer:
    body, headers = _multipart(name, content, **fields)
    return await api.send("POST", "/v1/files", body, headers=headers)


@pytest.mark.requirement("X-08")
async def test_file_goes_in_and_comes_out_unchanged(api: Driver) -> None:
    content = bytes(range(256)) * 20 + b"\r\n--lin"
    file = (await _upload(api, "presupuesto ñ 山.pdf", content, deal_id=1, org_id=2)).data
    assert (file["name"], file["file_type"], file["file_size"]) == ("presupuesto ñ 山.pdf", "pdf", len(content))
    assert file["file_name"].startswith("presupuesto ñ 山_")
    assert file["file_name"].endswith(".pdf")
    assert (await api.get(f"/v1/files/{file['id']}/download")).body == content
    assert [item["id"] for item in (await api.get("/v1/deals/1/files")).data] == [file["id"]]
    assert (await api.get("/v1/persons/1/files")).data is None
    assert (await api.put(f"/v1/files/{file['id']}", {"description": "signed"})).data["description"] == "signed"
    renamed = (await api.put(f"/v1/files/{file['id']}", {"name": "The quote"})).data
    assert (renamed["name"], renamed["file_type"], renamed["file_name"]) == ("The quote", "pdf", file["file_name"])
    assert (await api.delete(f"/v1/files/{file['id']}")).data == {"id": file["id"]}
    assert (await api.get("/v1/files")).data is None


async def test_file_is_refused(api: Driver, start: Start) -> None:
    assert (await api.post("/v1/files", {"deal_id": 1})).error == "File must be given."
    assert (await _upload(api, "a.txt", b"x", deal_id=999)).status == 400
    assert (await _upload(start(file_bytes_max=3), "a.txt", b"xxxx", deal_id=1)).status == 413


async def test_activity_type_lives_and_is_switched_off(api: Driver) -> None:
    kind = (await api.post("/v1/activityTypes", {"name": "Work Order Labor", "icon_key": "cogs"})).data
    assert (kind["key_string"], kind["active_flag"], kind["is_custom_flag"]) == ("work_order_labor", True, True)
    assert (await api.post("/v1/activityTypes", {"name": "Visita técnica", "icon_key": "car"})).data["key_string"] == "visita_tecnica"
    assert (await api.post("/v1/activityTypes", {"name": "Work order labor", "icon_key": "cogs"})).data["key_string"] == "work_order_labor_2"
    assert (await api.put(f"/v1/activityTypes/{kind['id']}", {"name": "Labor"})).data["key_string"] == "work_order_labor"
    assert (await api.post("/api/v2/activities", {"type": "work_order_labor"})).status == 200
    assert (await api.delete(f"/v1/activityTypes/{kind['id']}")).data["active_flag"] is False
    assert (await api.post("/api/v2/activities", {"type": "work_order_labor"})).status == 400
    assert (await api.post("/v1/activityTypes", {"name": "x", "icon_key": "nonsense"})).status == 400


async def test_activity_types_are_capped(start: Start) -> None:
    answer = await start(activity_types_max=6).post("/v1/activityTypes", {"name": "x", "icon_key": "car"})
    assert answer.status == 403
    assert answer.error == "Couldn't add activity type. You've reached the activity type per company limit."


async def test_relations_of_organizations(api: Driver) -> None:
    body = {"type": "parent", "rel_owner_org_id": 1, "rel_linked_org_id": 2}
    relation = (await api.post("/v1/organizationRelationships", body)).data
    assert (relation["rel_owner_org_id"]["value"], relation["rel_linked_org_id"]["value"], relation["active_flag"]) == (1, 2, "true")
    of_parent = (await api.get("/v1/organizationRelationships", org_id="1")).data[0]
    of_daughter = (await api.get("/v1/organizationRelationships", org_id="2")).data[0]
    assert (of_parent["calculated_type"], of_parent["calculated_related_org_id"]) == ("daughter", 2)
    assert (of_daughter["calculated_type"], of_daughter["calculated_related_org_id"]) == ("parent", 1)
    assert (await api.get("/v1/organizationRelationships", org_id="3")).data is None
    assert (await api.get("/v1/organizationRelationships")).status == 400
    assert (await api.post("/v1/organizationRelationships", body | {"rel_linked_org_id": 1})).status == 400
    assert (await api.post("/v1/organizationRelationships", body | {"type": "child"})).status == 400
    assert (await api.delete(f"/v1/organizationRelationships/{relation['id']}")).data == {"id": relation["id"]}
    assert (await api.get("/v1/organizationRelationships", org_id="1")).data is None


async def test_summary_counts_deals(api: Driver) -> None:
    deals = (await api.get("/api/v2/deals", status="open")).data
    summary = (await api.get("/v1/deals/summary", status="open")).data
    assert summary["total_count"] == len(deals)
    assert summary["values_total"]["EUR"]["value"] == sum(deal["value"] for deal in deals)
    assert (await api.get("/v1/deals/summary", status="gone")).status == 400


async def test_currencies(api: Driver) -> None:
    assert [currency["code"] for currency in (await api.get("/v1/currencies", term="euro")).data] == ["EUR"]
