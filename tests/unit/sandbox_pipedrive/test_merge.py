"""Merging: what moves, whose values win, and what becomes of the record that ends."""

from typing import Any

import pytest

from sandbox.pipedrive.account.merging import MergeError, merge
from tests.unit.sandbox_pipedrive.driver import Driver, Start

PLURALS = {"deal": "deals", "person": "persons", "organization": "organizations"}


async def _create(api: Driver, plural: str, **values: Any) -> int:
    record_id: int = (await api.post(f"/api/v2/{plural}", values)).data["id"]
    return record_id


async def _merge(api: Driver, plural: str, merged: int, survivor: int) -> Any:
    return (await api.put(f"/v1/{plural}/{merged}/merge", {"merge_with_id": survivor})).data


async def _ids(api: Driver, path: str, **query: Any) -> list[int]:
    return [item["id"] for item in (await api.get(path, **query)).data or ()]


async def test_children_of_an_organization_move(api: Driver) -> None:
    survivor, merged, third = [await _create(api, "organizations", name=name) for name in ("Kept", "Gone", "Third")]
    person = await _create(api, "persons", name="A B", org_id=merged)
    deal = await _create(api, "deals", title="x", org_id=merged)
    activity = await _create(api, "activities", subject="x", org_id=merged)
    note = (await api.post("/v1/notes", {"content": "x", "org_id": merged})).data["id"]
    await api.post(f"/api/v2/organizations/{merged}/followers", {"user_id": 2})
    for linked in (third, survivor):
        relation = {"type": "parent", "rel_owner_org_id": merged, "rel_linked_org_id": linked}
        assert (await api.post("/v1/organizationRelationships", relation)).status == 200
    assert await _merge(api, "organizations", merged, survivor) == {"id": survivor}
    assert await _ids(api, "/api/v2/persons", org_id=survivor) == [person]
    assert await _ids(api, "/api/v2/deals", org_id=survivor) == [deal]
    assert await _ids(api, "/api/v2/activities", org_id=survivor) == [activity]
    assert await _ids(api, "/v1/notes", org_id=survivor) == [note]
    assert [item["user_id"] for item in (await api.get(f"/api/v2/organizations/{survivor}/followers")).data] == [2]
    relations = (await api.get("/v1/organizationRelationships", org_id=survivor)).data
    assert [(item["rel_owner_org_id"]["value"], item["rel_linked_org_id"]["value"]) for item in relations] == [(survivor, third)]


async def test_children_of_a_person_move(api: Driver) -> None:
    survivor, merged, other = [await _create(api, "persons", name=name) for name in ("Kept K", "Gone G", "Other O")]
    deal = await _create(api, "deals", title="x", person_id=merged)
    await api.post("/v1/deals/1/participants", {"person_id": merged})
    primary = await _create(api, "activities", participants=[{"person_id": merged, "primary": True}, {"person_id": survivor}])
    second = await _create(api, "activities", participants=[{"person_id": other, "primary": True}, {"person_id": merged}])
    shown = await _merge(api, "persons", merged, survivor)
    assert (shown["id"], shown["merge_what_id"], shown["open_deals_count"], shown["activities_count"]) == (survivor, merged, 1, 1)
    assert (await api.get(f"/api/v2/deals/{deal}")).data["person_id"] == survivor
    assert survivor in [item["person_id"]["value"] for item in (await api.get("/v1/deals/1/participants")).data]
    activities = [(await api.get(f"/api/v2/activities/{activity}")).data for activity in (primary, second)]
    assert [activity["person_id"] for activity in activities] == [survivor, other]
    assert activities[0]["participants"] == [{"person_id": survivor, "primary": True}]
    assert activities[1]["participants"] == [{"person_id": other, "primary": True}, {"person_id": survivor, "primary": False}]


async def test_children_of_a_deal_move(api: Driver) -> None:
    survivor = await _create(api, "deals", title="Kept", person_id=1)
    merged = await _create(api, "deals", title="Gone", person_id=2)
    for deal_id, price in ((survivor, 100), (merged, 50)):
        await api.post(f"/api/v2/deals/{deal_id}/products", {"product_id": 1, "quantity": 1, "item_price": price})
        await api.post(f"/api/v2/deals/{deal_id}/followers", {"user_id": 2})
    await api.post(f"/api/v2/deals/{merged}/followers", {"user_id": 3})
    await api.post(f"/api/v2/deals/{merged}/discounts", {"description": "x", "amount": 10, "type": "percentage"})
    await api.post(f"/api/v2/deals/{merged}/installments", {"description": "x", "amount": 10, "billing_date": "2026-01-01"})
    await api.post(f"/v1/deals/{merged}/participants", {"person_id": 1})
    await api.post(f"/v1/deals/{merged}/participants", {"person_id": 3})
    shown = await _merge(api, "deals", merged, survivor)
    assert (shown["id"], shown["title"], shown["value"], shown["merge_what_id"], shown["products_count"]) == (survivor, "Kept", 135, merged, 2)
    people = [item["person_id"]["value"] for item in (await api.get(f"/v1/deals/{survivor}/participants")).data]
    assert people[0] == 1
    assert sorted(people) == [1, 2, 3]
    assert [item["user_id"] for item in (await api.get(f"/api/v2/deals/{survivor}/followers")).data] == [2, 3]
    assert len((await api.get("/api/v2/deals/installments", deal_ids=f"{survivor},{merged}")).data) == 1


async def test_values_of_the_survivor_win_and_its_empty_ones_are_filled(api: Driver) -> None:
    survivor = await _create(api, "persons", name="Ann Kept", emails=[{"value": "kept@example.com"}])
    merged = await _create(api, "persons", name="Ann Gone", emails=[{"value": "gone@example.com"}], phones=[{"value": "+34 1"}], org_id=4, owner_id=3)
    await _merge(api, "persons", merged, survivor)
    person = (await api.get(f"/api/v2/persons/{survivor}")).data
    assert (person["name"], person["last_name"], person["owner_id"], person["org_id"]) == ("Ann Kept", "Kept", 1, 4)
    assert [email["value"] for email in person["emails"]] == ["kept@example.com"]
    assert [phone["value"] for phone in person["phones"]] == ["+34 1"]


async def test_organizations_unite_labels_and_options(api: Driver) -> None:
    field = (
        await api.post("/api/v2/organizationFields", {"field_name": "Trades", "field_type": "set", "options": [{"label": "A"}, {"label": "B"}]})
    ).data
    code, (first, second) = field["field_code"], [option["id"] for option in field["options"]]
    note = (await api.post("/api/v2/organizationFields", {"field_name": "Note", "field_type": "text"})).data["field_code"]
    labels = [option["id"] for option in (await api.get("/api/v2/organizationFields/label_ids")).data["options"]][:2]
    survivor = await _create(api, "organizations", name="Kept", label_ids=labels[:1], custom_fields={code: [second], note: "kept"})
    merged = await _create(
        api, "organizations", name="Gone", label_ids=labels, website="https://x.example", custom_fields={code: [first], note: "gone"}
    )
    await _merge(api, "organizations", merged, survivor)
    organization = (await api.get(f"/api/v2/organizations/{survivor}")).data
    assert organization["label_ids"] == labels
    assert organization["custom_fields"][code] == [second, first]
    assert organization["custom_fields"][note] == "kept"
    assert (organization["name"], organization["website"]) == ("Kept", "https://x.example")


async def test_the_outcome_of_a_merged_deal_does_not_move(api: Driver) -> None:
    survivor = await _create(api, "deals", title="Open")
    merged = await _create(api, "deals", title="Lost", status="lost", lost_reason="price", org_id=1)
    count = api.account.open_deals
    shown = await _merge(api, "deals", merged, survivor)
    assert (shown["status"], shown["lost_time"], shown["lost_reason"], shown["org_id"]) == ("open", None, None, 1)
    await _merge(api, "deals", 2, survivor)
    assert api.account.open_deals == count - (api.account.store["deal"].records[2]["status"] == "open")


@pytest.mark.parametrize(("kind", "plural"), PLURALS.items())
async def test_merged_record_is_deleted_and_names_its_successor(api: Driver, start: Start, kind: str, plural: str) -> None:
    await _merge(api, plural, 2, 1)
    assert (await api.get(f"/api/v2/{plural}/2")).status == 404
    assert [item["id"] for item in (await api.get(f"/api/v2/{plural}", ids="1,2,3")).data] == [1, 3]
    assert api.account.store[kind].records[2]["merged_into"] == 1
    helpful = start(merged_get="survivor")
    await _merge(helpful, plural, 3, 2)
    await _merge(helpful, plural, 2, 1)
    assert (await helpful.get(f"/api/v2/{plural}/3")).data["id"] == 1
    assert (await helpful.delete(f"/api/v2/{plural}/3")).status == 404


@pytest.mark.parametrize("plural", PLURALS.values())
async def test_impossible_merges_are_refused(api: Driver, plural: str) -> None:
    assert "must be given" in (await api.put(f"/v1/{plural}/1/merge", {})).error
    assert " can not be merged with itself" in (await api.put(f"/v1/{plural}/1/merge", {"merge_with_id": 1})).error
    assert (await api.put(f"/v1/{plural}/1/merge", {"merge_with_id": 999})).status == 400
    assert (await api.put(f"/v1/{plural}/999/merge", {"merge_with_id": 1})).status == 404
    await _merge(api, plural, 2, 1)
    assert (await api.put(f"/v1/{plural}/3/merge", {"merge_with_id": 2})).status == 400


def test_merging_without_a_request(api: Driver) -> None:
    seen: list[tuple[str, int, Any]] = []
    api.account.store.observers.append(lambda kind, before, after: seen.append((kind, after["id"], after.get("merged_into"))))
    assert merge(api.account, "organization", 1, 2)["id"] == 1
    organizations = [entry for entry in seen if entry[0] == "organization"]
    assert organizations == [("organization", 2, 1), ("organization", 1, None)]
    with pytest.raises(MergeError, match="Organization 2 not found"):
        merge(api.account, "organization", 1, 2)


async def test_pictures_of_merged_persons(api: Driver) -> None:
    shown = next(person["id"] for person in api.account.store["person"] if person.get("picture_id"))
    await _merge(api, "persons", shown, 1)
    assert (await api.get("/api/v2/persons/1/picture")).data["item_id"] == 1
    assert (await api.get("/api/v2/persons/1")).data["picture_id"] is not None
