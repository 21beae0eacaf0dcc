"""Variations of products, lines that name one, and copies of products."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver

PATH = "/api/v2/products/1/variations"


async def test_variation_is_added_listed_changed_and_deleted(api: Driver) -> None:
    answer = await api.post(PATH, {"name": "Large", "prices": [{"currency": "EUR", "price": 5}, {"currency": "USD", "price": 6, "cost": 2}]})
    assert answer.status == 201
    variation = answer.data
    assert (variation["name"], variation["product_id"]) == ("Large", 1)
    assert variation["prices"][0] == {
        "product_variation_id": variation["id"],
        "currency": "EUR",
        "price": 5,
        "cost": 0,
        "direct_cost": None,
        "notes": "",
    }
    path = f"{PATH}/{variation['id']}"
    changed = (await api.patch(path, {"prices": [{"currency": "EUR", "price": 7}]})).data
    assert (changed["name"], [price["price"] for price in changed["prices"]]) == ("Large", [7])
    assert (await api.patch(path, {"name": "XL"})).data["prices"] == changed["prices"]
    assert (await api.get(PATH)).data == [{**changed, "name": "XL"}]
    assert (await api.delete(path)).data == {"id": variation["id"]}
    assert (await api.get(PATH)).data == []
    assert (await api.delete(path)).status == 404


async def test_variation_without_prices_costs_nothing(api: Driver) -> None:
    price = (await api.post(PATH, {"name": "Large"})).data["prices"][0]
    assert (price["currency"], price["price"], price["cost"], price["direct_cost"]) == ("EUR", 0, 0, 0)


async def test_variations_come_in_pages(api: Driver) -> None:
    for name in ("a", "b", "c"):
        await api.post(PATH, {"name": name})
    first = (await api.get(PATH, limit=2)).body
    second = (await api.get(PATH, limit=2, cursor=first["additional_data"]["next_cursor"])).body
    assert [item["name"] for item in first["data"] + second["data"]] == ["a", "b", "c"]
    assert (await api.get(PATH, sort_by="name")).status == 400


@pytest.mark.parametrize(
    "body",
    [{}, {"name": ""}, {"name": "x" * 256}, {"name": "x", "price": 5}, {"name": "x", "prices": [{"price": 5}]}, {"name": "x", "prices": {}}],
)
async def test_wrong_variations_are_refused(api: Driver, body: dict[str, Any]) -> None:
    assert (await api.post(PATH, body)).status == 400


async def test_lines_name_a_variation_of_their_own_product(api: Driver) -> None:
    variation = (await api.post(PATH, {"name": "Large"})).data["id"]
    line = {"product_id": 1, "item_price": 5, "quantity": 1, "product_variation_id": variation}
    added = (await api.post("/api/v2/deals/1/products", line)).data
    assert added["product_variation_id"] == variation
    assert (await api.post("/api/v2/deals/1/products", {**line, "product_id": 2})).status == 400
    assert (await api.post("/api/v2/deals/1/products", {**line, "product_variation_id": 999})).status == 400
    path = f"/api/v2/deals/1/products/{added['id']}"
    assert (await api.patch(path, {"product_id": 2})).data["product_variation_id"] is None
    await api.patch(path, {"product_id": 1, "product_variation_id": variation})
    await api.delete(f"{PATH}/{variation}")
    assert (await api.get("/api/v2/deals/1/products")).data[0]["product_variation_id"] == variation


async def test_copy_of_a_product_has_its_variations_prices_and_custom_fields(api: Driver) -> None:
    code = (await api.post("/api/v2/productFields", {"field_name": "Colour", "field_type": "varchar"})).data["field_code"]
    await api.patch("/api/v2/products/1", {"custom_fields": {code: "red"}})
    await api.post(PATH, {"name": "Large", "prices": [{"currency": "EUR", "price": 5}]})
    answer = await api.post("/api/v2/products/1/duplicate", None)
    assert answer.status == 201
    original, copy = (await api.get("/api/v2/products/1")).data, answer.data
    assert copy["id"] != original["id"]
    assert (copy["name"], copy["custom_fields"][code]) == (original["name"], "red")
    assert [(price["product_id"], price["price"]) for price in copy["prices"]] == [(copy["id"], original["prices"][0]["price"])]
    copied = (await api.get(f"/api/v2/products/{copy['id']}/variations")).data
    assert [(item["name"], item["product_id"], item["prices"][0]["price"]) for item in copied] == [("Large", copy["id"], 5)]
    assert (await api.post("/api/v2/products/999/duplicate", None)).status == 404


async def test_variations_of_a_deleted_product_are_not_exported(api: Driver) -> None:
    before = await api.control("GET", "digest")
    product_id = (await api.post("/api/v2/products", {"name": "x"})).data["id"]
    await api.post(f"/api/v2/products/{product_id}/variations", {"name": "Large"})
    assert await api.control("GET", "digest") != before
    await api.delete(f"/api/v2/products/{product_id}")
    assert (await api.get(f"/api/v2/products/{product_id}/variations")).status == 404
    assert await api.control("GET", "digest") == before
