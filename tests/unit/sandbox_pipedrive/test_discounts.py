"""Discounts of deals and what they do to the deal's value."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start

TEN_PERCENT = {"description": "Loyal", "amount": 10, "type": "percentage"}


async def _deal(api: Driver, *lines: dict[str, Any]) -> int:
    deal_id: int = (await api.post("/api/v2/deals", {"title": "x", "value": 7})).data["id"]
    for line in lines:
        assert (await api.post(f"/api/v2/deals/{deal_id}/products", {"product_id": 1, "quantity": 1, **line})).status == 201
    return deal_id


async def _value(api: Driver, deal_id: int) -> Any:
    return (await api.get(f"/api/v2/deals/{deal_id}")).data["value"]


async def test_discount_is_added_changed_and_removed(api: Driver) -> None:
    deal_id = await _deal(api, {"item_price": 200})
    answer = await api.post(f"/api/v2/deals/{deal_id}/discounts", TEN_PERCENT)
    assert answer.status == 201
    discount = answer.data
    assert (discount["description"], discount["amount"], discount["type"], discount["deal_id"]) == ("Loyal", 10, "percentage", deal_id)
    assert (discount["created_by"], discount["created_at"]) == (1, discount["updated_at"])
    assert await _value(api, deal_id) == 180
    path = f"/api/v2/deals/{deal_id}/discounts/{discount['id']}"
    assert (await api.patch(path, {"amount": 30, "type": "amount"})).data["amount"] == 30
    assert await _value(api, deal_id) == 170
    assert [item["id"] for item in (await api.get(f"/api/v2/deals/{deal_id}/discounts")).data] == [discount["id"]]
    assert isinstance((await api.delete(path)).data["id"], int)
    assert (await api.get(f"/api/v2/deals/{deal_id}/discounts")).data == []
    assert await _value(api, deal_id) == 200
    assert (await api.delete(path)).status == 404


async def test_later_discounts_come_off_what_the_earlier_left_and_never_below_zero(api: Driver) -> None:
    deal_id = await _deal(api, {"item_price": 200})
    await api.post(f"/api/v2/deals/{deal_id}/discounts", TEN_PERCENT)
    await api.post(f"/api/v2/deals/{deal_id}/discounts", TEN_PERCENT)
    assert await _value(api, deal_id) == 162
    await api.post(f"/api/v2/deals/{deal_id}/discounts", {**TEN_PERCENT, "type": "amount", "amount": 500})
    assert await _value(api, deal_id) == 0


@pytest.mark.parametrize(("discounts", "value"), [("one-time", 280), ("all", 270), ("ignore", 300)])
async def test_option_says_which_lines_are_reduced(start: Start, discounts: str, value: int) -> None:
    api = start(discounts=discounts)
    deal_id = await _deal(api, {"item_price": 200}, {"item_price": 100, "billing_frequency": "monthly"})
    await api.post(f"/api/v2/deals/{deal_id}/discounts", TEN_PERCENT)
    assert await _value(api, deal_id) == value


async def test_deals_without_one_time_lines_keep_their_value(api: Driver) -> None:
    bare = await _deal(api)
    assert (await api.post(f"/api/v2/deals/{bare}/discounts", TEN_PERCENT)).status == 201
    assert await _value(api, bare) == 7
    recurring = await _deal(api, {"item_price": 100, "billing_frequency": "monthly"})
    await api.post(f"/api/v2/deals/{recurring}/discounts", TEN_PERCENT)
    assert await _value(api, recurring) == 100


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**TEN_PERCENT, "amount": 0},
        {**TEN_PERCENT, "amount": -1},
        {**TEN_PERCENT, "amount": "10"},
        {**TEN_PERCENT, "type": "half"},
        {**TEN_PERCENT, "currency": "EUR"},
        {"amount": 1, "type": "amount"},
    ],
)
async def test_wrong_discounts_are_refused(api: Driver, body: dict[str, Any]) -> None:
    answer = await api.post("/api/v2/deals/1/discounts", body)
    assert (answer.status, answer.body["code"]) == (400, "ERR_SCHEMA_VALIDATION_FAILED")


async def test_discounts_are_found_on_their_own_deal_only(api: Driver) -> None:
    discount = (await api.post("/api/v2/deals/1/discounts", TEN_PERCENT)).data
    assert (await api.patch(f"/api/v2/deals/2/discounts/{discount['id']}", {"amount": 1})).status == 404
    assert (await api.patch("/api/v2/deals/1/discounts/7", {"amount": 1})).status == 400
    assert (await api.get("/api/v2/deals/1/discounts", limit=1)).status == 400
    await api.delete("/api/v2/deals/1")
    assert (await api.get("/api/v2/deals/1/discounts")).status == 404


async def test_ids_are_the_same_again_after_a_reset(api: Driver) -> None:
    first = (await api.post("/api/v2/deals/1/discounts", TEN_PERCENT)).data["id"]
    await api.control("POST", "reset")
    assert (await api.post("/api/v2/deals/1/discounts", TEN_PERCENT)).data["id"] == first
    assert (await api.post("/api/v2/deals/1/discounts", TEN_PERCENT)).data["id"] != first
