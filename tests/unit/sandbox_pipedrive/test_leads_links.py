"""What notes, files, activities and search know of leads."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver
from tests.unit.sandbox_pipedrive.test_version_1 import _upload as upload

NOBODY = "00000000-0000-4000-8000-000000000000"


async def _lead(api: Driver, **values: Any) -> str:
    return str((await api.post("/v1/leads", {"title": "Lead", "person_id": 1, **values})).data["id"])


async def test_note_of_a_lead(api: Driver) -> None:
    lead, other = await _lead(api), await _lead(api)
    note = (await api.post("/v1/notes", {"content": "x", "lead_id": lead.upper(), "pinned_to_lead_flag": 1})).data
    assert (note["lead_id"], note["deal_id"], note["pinned_to_lead_flag"]) == (lead, None, True)
    assert (await api.get("/v1/notes", lead_id=lead)).data == [note]
    assert (await api.get("/v1/notes", lead_id=other)).data is None
    assert (await api.put(f"/v1/notes/{note['id']}", {"lead_id": other})).data["lead_id"] == other
    assert (await api.put(f"/v1/notes/{note['id']}", {"lead_id": None})).status == 400
    assert (await api.put(f"/v1/notes/{note['id']}", {"lead_id": None, "deal_id": 1})).data["lead_id"] is None
    for wrong in (NOBODY, "x", 5):
        assert (await api.post("/v1/notes", {"content": "x", "lead_id": wrong})).error == f"Lead {wrong} not found"


async def test_file_of_a_lead(api: Driver) -> None:
    lead = await _lead(api, title="Boiler")
    file = (await upload(api, "a.txt", b"x", lead_id=lead)).data
    assert (file["lead_id"], file["lead_name"], file["deal_id"]) == (lead, "Boiler", None)
    assert (await api.get(f"/v1/files/{file['id']}")).data["lead_id"] == lead
    assert (await upload(api, "a.txt", b"x", lead_id=NOBODY)).error == f"Lead {NOBODY} not found"
    assert (await upload(api, "a.txt", b"x", lead_id="", deal_id=1)).data["lead_id"] is None


async def test_activity_of_a_lead(api: Driver) -> None:
    lead = await _lead(api)
    activity = (await api.post("/api/v2/activities", {"lead_id": lead})).data
    assert (activity["lead_id"], activity["deal_id"]) == (lead, None)
    assert [item["id"] for item in (await api.get("/api/v2/activities", lead_id=lead)).data] == [activity["id"]]
    assert (await api.get("/api/v2/activities", lead_id=NOBODY)).data == []
    path = f"/api/v2/activities/{activity['id']}"
    assert (await api.patch(path, {"lead_id": None})).data["lead_id"] is None
    assert (await api.patch(path, {"lead_id": NOBODY})).status == 400
    assert (await api.patch(path, {"lead_id": 5})).status == 400


async def test_deal_wins_over_lead(api: Driver) -> None:
    lead = await _lead(api)
    both = (await api.post("/api/v2/activities", {"lead_id": lead, "deal_id": 1})).data
    assert (both["lead_id"], both["deal_id"]) == (None, 1)
    path = f"/api/v2/activities/{both['id']}"
    assert (await api.patch(path, {"lead_id": lead})).data["lead_id"] is None
    moved = (await api.patch(path, {"lead_id": lead, "deal_id": None})).data
    assert (moved["lead_id"], moved["deal_id"]) == (lead, None)
    assert (await api.patch(path, {"deal_id": 2})).data["lead_id"] is None


async def test_leads_are_found(api: Driver) -> None:
    code = api.account.fields.create_custom("deal", "Ref", "varchar", None)["field_code"]
    value = {"amount": 70, "currency": "EUR"}
    lead = await _lead(api, title="Heat pump Xanadu", organization_id=2, value=value, was_seen=True, **{code: "REF-0815"})
    await api.post("/v1/notes", {"content": "<p>wants a Quokka</p>", "lead_id": lead})
    other = await _lead(api, title="Xanadu archived", person_id=2)
    await api.patch(f"/v1/leads/{other}", {"is_archived": True})

    found = (await api.get("/api/v2/leads/search", term="heat pump")).data["items"]
    person, organization = (await api.get("/api/v2/persons/1")).data, (await api.get("/api/v2/organizations/2")).data
    assert [hit["item"] for hit in found] == [
        {
            "id": lead,
            "type": "lead",
            "title": "Heat pump Xanadu",
            "owner": {"id": 1},
            "person": {"id": 1, "name": person["name"]},
            "organization": {"id": 2, "name": organization["name"]},
            "phones": [phone["value"] for phone in person["phones"]],
            "emails": [email["value"] for email in person["emails"]],
            "custom_fields": [],
            "notes": [],
            "value": 70,
            "currency": "EUR",
            "visible_to": 7,
            "is_archived": False,
        }
    ]

    async def ids(path: str = "/api/v2/leads/search", **query: Any) -> list[str]:
        return [hit["item"]["id"] for hit in (await api.get(path, **query)).data["items"]]

    assert await ids(term="ref-0815", fields="custom_fields", exact_match="true") == [lead]
    assert await ids(term="quokka") == [lead]
    assert await ids(term="quokka", fields="title") == []
    assert sorted(await ids(term="xanadu")) == sorted([lead, other])
    assert await ids(term="xanadu", person_id="2") == [other]
    assert await ids(term="xanadu", organization_id="2") == [lead]
    assert await ids("/api/v2/itemSearch", term="xanadu", item_types="lead,deal", limit="1") in ([lead], [other])
    assert await ids("/api/v2/itemSearch", term="xanadu", item_types="deal") == []
    seen = (await api.get("/api/v2/leads/search", term="heat pump", include_fields="lead.was_seen")).data["items"]
    assert seen[0]["item"]["was_seen"] is True
    by_field = await api.get("/api/v2/itemSearch/field", term="REF-0815", entity_type="lead", field=code)
    assert by_field.data == [{"id": lead, "name": "Heat pump Xanadu"}]
    assert (await api.get("/api/v2/leads/search", term="xanadu", status="open")).status == 400
    assert (await api.get("/api/v2/leads/search", term="x")).status == 400


async def test_search_of_version_1_has_pages_by_offset(api: Driver) -> None:
    for number in range(3):
        await _lead(api, title=f"Xanadu {number}")
    answer = await api.get("/v1/leads/search", term="xanadu", limit="2")
    assert len(answer.data["items"]) == 2
    assert answer.body["additional_data"] == {"pagination": {"start": 0, "limit": 2, "more_items_in_collection": True, "next_start": 2}}
    rest = await api.get("/v1/leads/search", term="xanadu", limit="2", start="2")
    assert len(rest.data["items"]) == 1
    assert rest.body["additional_data"] == {"pagination": {"start": 2, "limit": 2, "more_items_in_collection": False}}


@pytest.mark.parametrize("kind", ["person", "organization"])
async def test_merge_moves_leads(api: Driver, kind: str) -> None:
    column = f"{kind}_id"
    lead = await _lead(api, **{"person_id": None, column: 2})
    assert (await api.put(f"/v1/{kind}s/2/merge", {"merge_with_id": 3})).status == 200
    assert (await api.get(f"/v1/leads/{lead}")).data[column] == 3
