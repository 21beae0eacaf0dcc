"""Installments, and the recurring lines that exclude them."""

import json
from datetime import date
from typing import Any

import pytest

from sandbox.common.asgi import Request
from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver, Start

INSTALLMENT = {"description": "On delivery", "amount": 100.5, "billing_date": "2026-03-01"}
ONE_TIME = {"product_id": 1, "item_price": 10, "quantity": 1}
MONTHLY = {**ONE_TIME, "billing_frequency": "monthly"}


async def _deal(api: Driver, *lines: dict[str, Any]) -> int:
    deal_id: int = (await api.post("/api/v2/deals", {"title": "x"})).data["id"]
    if lines:
        assert (await api.post(f"/api/v2/deals/{deal_id}/products/bulk", {"data": list(lines)})).status == 201
    return deal_id


async def test_installment_is_added_listed_changed_and_removed(api: Driver) -> None:
    first, second = await _deal(api, ONE_TIME), await _deal(api, ONE_TIME)
    answer = await api.post(f"/api/v2/deals/{first}/installments", INSTALLMENT)
    assert answer.status == 200
    installment = answer.data
    assert installment == {**INSTALLMENT, "id": installment["id"], "deal_id": first}
    other = (await api.post(f"/api/v2/deals/{second}/installments", {**INSTALLMENT, "billing_date": "2026-01-01"})).data
    listed = await api.get("/api/v2/deals/installments", deal_ids=f"{first},{second}", sort_by="billing_date")
    assert [item["id"] for item in listed.data] == [other["id"], installment["id"]]
    path = f"/api/v2/deals/{first}/installments/{installment['id']}"
    assert (await api.patch(path, {"amount": 2})).data == {**installment, "amount": 2}
    assert (await api.delete(path)).data == {"id": installment["id"]}
    assert (await api.patch(path, {"amount": 2})).status == 404
    assert [item["id"] for item in (await api.get("/api/v2/deals/installments", deal_ids=f"{first},{second}")).data] == [other["id"]]


async def test_installments_of_many_deals_come_in_pages(api: Driver) -> None:
    first, second = await _deal(api, ONE_TIME), await _deal(api, ONE_TIME)
    for deal_id in (first, second):
        await api.post(f"/api/v2/deals/{deal_id}/installments", INSTALLMENT)
    path = "/api/v2/deals/installments"
    pages = [(await api.send("GET", path, deal_ids=f"{first},{second}", limit=1)).body]
    pages.append((await api.get(path, deal_ids=f"{first},{second}", limit=1, cursor=pages[0]["additional_data"]["next_cursor"])).body)
    assert [page["data"][0]["deal_id"] for page in pages] == [first, second]
    assert pages[1]["additional_data"]["next_cursor"] is None
    assert (await api.get(path)).status == 400
    assert (await api.get(path, deal_ids="1,x")).status == 400
    assert (await api.get(path, deal_ids=",".join(map(str, range(1, 102))))).status == 400


async def test_deal_ids_may_be_several_parameters(api: Driver) -> None:
    first, second = await _deal(api, ONE_TIME), await _deal(api, ONE_TIME)
    for deal_id in (first, second):
        await api.post(f"/api/v2/deals/{deal_id}/installments", INSTALLMENT)
    query = f"deal_ids={first}&deal_ids={second}".encode()
    response = await api.app.handle(Request("GET", "/api/v2/deals/installments", query, {b"x-api-token": TOKEN.encode()}))
    assert [item["deal_id"] for item in json.loads(response.body)["data"]] == [first, second]


async def test_installments_need_one_time_lines_and_no_recurring_ones(api: Driver) -> None:
    bare, recurring = await _deal(api), await _deal(api, ONE_TIME, MONTHLY)
    assert "at least one one-time product" in (await api.post(f"/api/v2/deals/{bare}/installments", INSTALLMENT)).error
    assert "recurring" in (await api.post(f"/api/v2/deals/{recurring}/installments", INSTALLMENT)).error


async def test_a_deal_with_installments_takes_no_recurring_lines(api: Driver) -> None:
    deal_id = await _deal(api, ONE_TIME)
    await api.post(f"/api/v2/deals/{deal_id}/installments", INSTALLMENT)
    path = f"/api/v2/deals/{deal_id}/products"
    assert "installments" in (await api.post(path, MONTHLY)).error
    assert "installments" in (await api.post(path + "/bulk", {"data": [ONE_TIME, MONTHLY]})).error
    line = (await api.get(path)).data[0]
    assert "installments" in (await api.patch(f"{path}/{line['id']}", {"billing_frequency": "monthly"})).error
    assert (await api.post(path, ONE_TIME)).status == 201


async def test_a_deal_has_20_recurring_lines_at_most(api: Driver) -> None:
    deal_id = await _deal(api, *[MONTHLY] * 20)
    path = f"/api/v2/deals/{deal_id}/products"
    assert "20 recurring" in (await api.post(path, MONTHLY)).error
    line = (await api.post(path, ONE_TIME)).data
    assert "20 recurring" in (await api.patch(f"{path}/{line['id']}", {"billing_frequency": "monthly"})).error
    recurring = (await api.get(path)).data[0]
    assert (await api.patch(f"{path}/{recurring['id']}", {"quantity": 3})).status == 200


async def test_start_of_billing_is_at_most_ten_years_away(api: Driver) -> None:
    today = api.account.clock.today()
    for years, status in ((10, 201), (-10, 201), (11, 400), (-11, 400)):
        start = date(today.year + years, today.month, min(today.day, 28)).isoformat()
        assert (await api.post("/api/v2/deals/1/products", {**MONTHLY, "billing_start_date": start})).status == status


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**INSTALLMENT, "amount": 0},
        {**INSTALLMENT, "billing_date": "01.03.2026"},
        {**INSTALLMENT, "billing_date": "2026-02-30"},
        {**INSTALLMENT, "id": 3},
        {"description": "x", "amount": 2},
    ],
)
async def test_wrong_installments_are_refused(api: Driver, body: dict[str, Any]) -> None:
    deal_id = await _deal(api, ONE_TIME)
    assert (await api.post(f"/api/v2/deals/{deal_id}/installments", body)).status == 400


async def test_installments_need_the_plan_growth(start: Start) -> None:
    assert (await start(plan="lite").get("/api/v2/deals/installments", deal_ids="1")).status == 403
    assert (await start(plan="growth").get("/api/v2/deals/installments", deal_ids="1")).status == 200


async def test_installments_of_deleted_deals_are_not_listed(api: Driver) -> None:
    deal_id = await _deal(api, ONE_TIME)
    await api.post(f"/api/v2/deals/{deal_id}/installments", INSTALLMENT)
    await api.delete(f"/api/v2/deals/{deal_id}")
    assert (await api.get("/api/v2/deals/installments", deal_ids=str(deal_id))).data == []


@pytest.mark.parametrize(
    ("lines", "mrr", "arr", "acv"),
    [
        ([], None, None, None),
        ([ONE_TIME], 0, 0, 10),
        ([MONTHLY], 10, 120, 120),
        ([ONE_TIME, {**MONTHLY, "billing_frequency_cycles": 3}], 10, 120, 40),
        ([{**ONE_TIME, "item_price": 100, "billing_frequency": "annually"}], 8.33, 100, 100),
        ([{**MONTHLY, "billing_frequency": "weekly", "billing_frequency_cycles": 104}], 43.33, 520, 520),
        ([{**MONTHLY, "is_enabled": False}], 0, 0, 0),
    ],
)
async def test_deals_show_what_recurs(api: Driver, lines: list[dict[str, Any]], mrr: float | None, arr: float | None, acv: float | None) -> None:
    deal_id = await _deal(api, *lines)
    deal = (await api.get(f"/api/v2/deals/{deal_id}")).data
    assert (deal["mrr"], deal["arr"], deal["acv"]) == (mrr, arr, acv)


async def test_nothing_recurs_once_the_lines_are_gone_or_on_plans_without_it(api: Driver, start: Start) -> None:
    deal_id = await _deal(api, MONTHLY)
    await api.delete(f"/api/v2/deals/{deal_id}/products")
    assert (await api.get(f"/api/v2/deals/{deal_id}")).data["arr"] is None
    lite = start(plan="lite")
    assert (await lite.get(f"/api/v2/deals/{await _deal(lite, ONE_TIME)}")).data["acv"] is None
    still = start(recompute_value=False)
    deal = (await still.get(f"/api/v2/deals/{await _deal(still, MONTHLY)}")).data
    assert (deal["value"], deal["mrr"]) == (0, 10)
