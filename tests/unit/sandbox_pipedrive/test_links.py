"""Who may see a record, the deals of a product, the products of a person, and copies of deals."""

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start


@pytest.mark.parametrize("plural", ["deals", "persons", "organizations", "products"])
async def test_permitted_users_are_those_who_see_a_record(api: Driver, plural: str) -> None:
    path = f"/v1/{plural}/1/permittedUsers"
    assert (await api.get(path)).data == [1, 2, 3, 4, 5]
    await api.patch(f"/api/v2/{plural}/1", {"visible_to": 1, "owner_id": 3})
    assert (await api.get(path)).data == [1, 3]
    token = (await api.control("POST", "tokens", {"user_id": 2}))["token"]
    assert (await api.send("GET", path, token=token)).status == 404
    assert (await api.get(f"/v1/{plural}/999/permittedUsers")).status == 404


async def _sell(api: Driver, deal_id: int, product_id: int) -> None:
    line = {"product_id": product_id, "item_price": 10, "quantity": 2}
    assert (await api.post(f"/api/v2/deals/{deal_id}/products", line)).status == 201


async def test_deals_of_a_product(api: Driver) -> None:
    path = "/v1/products/3/deals"
    assert (await api.get(path)).data is None
    for deal_id in (2, 1, 1):
        await _sell(api, deal_id, 3)
    deals = (await api.get(path)).data
    assert [deal["id"] for deal in deals] == [1, 2]
    assert (deals[0]["user_id"]["value"], deals[0]["person_id"]["value"], deals[0]["org_id"]["value"]) == (3, 1, 1)
    assert deals[0]["products_count"] == 2
    related = (await api.get(path)).body["related_objects"]
    assert related["pipeline"]["1"]["name"] == related["stage"][str(deals[0]["stage_id"])]["pipeline_name"] == "Pipeline"
    assert (set(related["person"]), set(related["organization"])) == ({"1", "2"}, {"1", "2"})
    assert (await api.get(path, limit=1)).body["additional_data"]["pagination"]["next_start"] == 1
    await api.delete("/api/v2/deals/1")
    assert [deal["id"] for deal in (await api.get(path)).data] == [2]
    assert [deal["status"] for deal in (await api.get(path, status="deleted")).data] == ["deleted"]
    status = (await api.get("/api/v2/deals/2")).data["status"]
    assert [deal["id"] for deal in (await api.get(path, status=status)).data] == [2]
    assert (await api.get(path, status="maybe")).status == 400


async def test_products_of_a_person(api: Driver) -> None:
    path = "/v1/persons/1/products"
    assert (await api.get(path)).data is None
    await _sell(api, 1, 3)
    await _sell(api, 1, 4)
    await _sell(api, 2, 4)
    entries = (await api.get(path)).data
    assert [list(entry) for entry in entries] == [["1"], ["1"]]
    assert [entry["1"]["product"]["id"] for entry in entries] == [3, 4]
    assert (entries[0]["1"]["deal"]["id"], entries[0]["1"]["product"]["deal_id"]) == (1, 1)
    assert isinstance(entries[0]["1"]["product"]["visible_to"], str)


async def test_copy_of_a_deal_is_open_and_has_lines_discounts_and_participants(api: Driver) -> None:
    body = {"title": "Sale", "status": "won", "org_id": 2, "person_id": 2, "label_ids": []}
    deal_id = (await api.post("/api/v2/deals", body)).data["id"]
    await _sell(api, deal_id, 3)
    await api.post(f"/api/v2/deals/{deal_id}/discounts", {"description": "x", "amount": 5, "type": "amount"})
    await api.post(f"/v1/deals/{deal_id}/participants", {"person_id": 4})
    await api.post("/v1/notes", {"content": "x", "deal_id": deal_id})
    answer = await api.post(f"/v1/deals/{deal_id}/duplicate", None)
    assert answer.status == 200
    copy = answer.data
    assert copy["id"] != deal_id
    assert (copy["title"], copy["status"], copy["won_time"], copy["value"], copy["org_id"]) == ("Sale", "open", None, 15, 2)
    assert (copy["products_count"], copy["participants_count"], copy["notes_count"]) == (1, 2, 0)
    first, second = [(await api.get(f"/api/v2/deals/{one}/discounts")).data[0]["id"] for one in (deal_id, copy["id"])]
    assert first != second
    assert (await api.post("/v1/deals/999/duplicate", None)).status == 404


async def test_copies_of_deals_count_towards_the_cap(start: Start) -> None:
    api = start(seed=None, open_deals_max=1)
    await api.post("/api/v2/deals", {"title": "x", "status": "won"})
    assert (await api.post("/v1/deals/1/duplicate", None)).status == 200
    answer = await api.post("/v1/deals/1/duplicate", None)
    assert (answer.status, answer.body["code"]) == (403, "feature_capping_deals_limit")


async def test_children_of_deleted_parents_stay(api: Driver) -> None:
    activity = (await api.post("/api/v2/activities", {"deal_id": 1, "org_id": 1})).data["id"]
    await api.post("/v1/deals/1/participants", {"person_id": 5})
    for path in ("/api/v2/deals/1", "/api/v2/organizations/1", "/api/v2/persons/1"):
        await api.delete(path)
    shown = (await api.get(f"/api/v2/activities/{activity}")).data
    assert (shown["is_deleted"], shown["deal_id"], shown["org_id"]) == (False, 1, 1)
    assert (await api.get("/v1/deals/1/participants")).status == 404
    assert (await api.get("/api/v2/persons/5")).status == 200
