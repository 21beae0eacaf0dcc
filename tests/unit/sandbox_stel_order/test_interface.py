from typing import Any

import httpx
import pytest

from sandbox.stel_order.application import StelOrder

SINCE = "utc-last-modification-date"


async def get(client: httpx.AsyncClient, path: str, **params: Any) -> Any:
    response = await client.get(f"/app/{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


async def refused(client: httpx.AsyncClient, path: str, **params: Any) -> tuple[int, str]:
    response = await client.get(f"/app/{path}", params=params)
    return response.status_code, response.json()["error-code"]


async def test_pages_add_up_to_the_whole_collection_in_order_of_ids(client: httpx.AsyncClient, simulator: StelOrder) -> None:
    first = await get(client, "clients")
    rest = await get(client, "clients", start=100, limit=500)
    ids = [record["id"] for record in first + rest]
    assert len(first) == 100
    assert ids == sorted(set(ids))
    assert len(ids) == simulator.account.store.listed_count("clients")
    assert await get(client, "clients", start=1000) == []


async def test_offset_is_ignored(client: httpx.AsyncClient) -> None:
    assert await get(client, "clients", offset=100) == await get(client, "clients")


@pytest.mark.parametrize(
    "params",
    [{"limit": 501}, {"limit": 0}, {"start": 0}, {"start": -1}, {"date-from": "2025-01-01"}, {"id": 1001}, {"sort": "id:asc"}, {"sort": "date"}],
    ids=str,
)
async def test_wrong_parameters_are_refused(client: httpx.AsyncClient, params: dict[str, Any]) -> None:
    assert await refused(client, "clients", **params) == (400, "E000003")


async def test_a_date_alone_or_an_unescaped_plus_is_refused(client: httpx.AsyncClient) -> None:
    assert await refused(client, "events", **{SINCE: "2025-01-01"}) == (400, "E000003")
    response = await client.get(f"/app/events?{SINCE}=2025-01-01T00:00:00+0000")
    assert response.status_code == 400


@pytest.mark.parametrize("collection", ["products", "services", "employees"])
async def test_catalogue_refuses_the_changed_since_filter(client: httpx.AsyncClient, collection: str) -> None:
    assert await refused(client, collection, **{SINCE: "2025-01-01T00:00:00+0000"}) == (400, "E000003")


async def test_changed_since_lists_deleted_records_and_plain_lists_do_not(client: httpx.AsyncClient) -> None:
    plain = await get(client, "contacts", limit=500)
    changed = await get(client, "contacts", limit=500, **{SINCE: "2020-01-01T00:00:00+0000"})
    gone = [record for record in changed if record["deleted"]]
    assert gone
    assert not any(record["deleted"] for record in plain)
    assert await get(client, f"contacts/{gone[0]['id']}") == [gone[0]]


async def test_some_collections_ignore_the_changed_since_filter(client: httpx.AsyncClient) -> None:
    assert len(await get(client, "assets", **{SINCE: "2099-01-01T00:00:00+0000"})) > 50


async def test_catalogue_can_be_read_from_the_latest_change_on(client: httpx.AsyncClient) -> None:
    await client.post("/_sandbox/mutate", json={"seed": 1})
    newest = await get(client, "products", sort=f"{SINCE}:desc", limit=1)
    oldest = await get(client, "products", sort=f"{SINCE}:asc", limit=1)
    assert newest[0][SINCE] > "2025-12" > oldest[0][SINCE]


async def test_single_records_come_as_object_or_array_or_not_at_all(client: httpx.AsyncClient) -> None:
    assert (await get(client, "clients/1001"))["id"] == 1001
    assert (await get(client, "warehouses/-2"))["id"] == -2
    assert (await get(client, "contacts/1001"))[0]["id"] == 1001
    assert await refused(client, "workOrders/1001") == (400, "E000003")
    assert await refused(client, "clients/5") == (404, "E000003")


async def test_filters_by_reference_and_by_invoice(client: httpx.AsyncClient) -> None:
    quotes = await get(client, "salesEstimates", **{"full-reference": "in:COTI01001,COTI01003"})
    assert [quote["id"] for quote in quotes] == [1001, 1003]
    receipts = await get(client, "ordinaryInvoiceReceipts", **{"original-element-id": "1001", "paid": "true"})
    assert {receipt["original-element-id"] for receipt in receipts} == {"1001"}
    period = await get(client, "ordinaryInvoices", limit=500, **{"start-date": "2024-01-01T00:00:00+0000", "end-date": "2024-12-31T00:00:00+0000"})
    assert {invoice["date"][:4] for invoice in period} == {"2024"}


async def test_a_wrong_key_is_refused_except_for_the_list_of_codes(client: httpx.AsyncClient) -> None:
    headers = {"APIKEY": "wrong"}
    assert (await client.get("/app/employees", headers=headers)).json()["error-code"] == "E000004"
    assert (await client.get("/app/errorCodes", headers=headers)).status_code == 200


async def test_a_missing_right_concerns_one_collection_only(client: httpx.AsyncClient) -> None:
    await client.post("/_sandbox/deny", json={"collections": ["assets"]})
    assert await refused(client, "assets") == (403, "E000006")
    assert await get(client, "clients", limit=1)


async def test_the_minute_limit_rolls_and_the_day_limit_lasts_until_midnight(client: httpx.AsyncClient) -> None:
    for _ in range(60):
        await get(client, "rates")
    assert await refused(client, "rates") == (429, "E000001")
    await client.post("/_sandbox/clock", json={"advance_seconds": 61})
    await get(client, "rates")
    await client.post("/_sandbox/quota", json={"used_today": 300, "used_this_minute": 0})
    assert await refused(client, "rates") == (429, "E000002")
    await client.post("/_sandbox/clock", json={"advance_seconds": 86_400})
    await get(client, "rates")


async def test_writing_is_refused_and_noted(client: httpx.AsyncClient) -> None:
    assert (await client.post("/app/clients", json={})).status_code == 405
    assert (await client.put("/app/sendDocument/1")).status_code == 405
    journal = (await client.get("/_sandbox/journal")).json()
    assert journal["write_attempts"] == 2


async def test_the_journal_shows_no_key(client: httpx.AsyncClient) -> None:
    await client.get("/app/employees?APIKEY=right")
    text = (await client.get("/_sandbox/journal")).text
    assert "right" not in text
    assert '"key_in_query":true' in text


async def test_files_need_no_key_but_their_token(client: httpx.AsyncClient) -> None:
    orders = await get(client, "workOrders", limit=500)
    url = next(order["pdf-path"] for order in orders if order["pdf-path"])
    assert url.startswith("http://stel.test/files/")
    answer = await client.get(url, headers={"APIKEY": ""})
    assert answer.content.startswith(b"%PDF")
    assert (await client.get(url.partition("?")[0])).status_code == 404
    products = await get(client, "products", limit=500)
    image = next(product["item-images"][0]["item-image-path"] for product in products if product["item-images"])
    assert (await client.get(image)).content.startswith(b"\x89PNG")


async def test_attachments_include_one_that_is_too_large_and_one_that_is_gone(client: httpx.AsyncClient) -> None:
    attachments = {record["name"]: record["file-url"] for record in await get(client, "entityAttachments", limit=500)}
    async with client.stream("GET", attachments["vídeo de obra.pdf"]) as answer:
        assert int(answer.headers["content-length"]) > 25 * 1024 * 1024
    assert (await client.get(attachments["perdido.pdf"])).status_code == 404


@pytest.mark.parametrize(
    ("rule", "check"),
    [
        ({"kind": "status", "status": 500}, lambda answer: answer.status_code == 500),
        ({"kind": "status", "status": 503, "body": "<html>"}, lambda answer: answer.text == "<html>"),
        ({"kind": "not_json"}, lambda answer: "html" in answer.text and answer.status_code == 200),
        ({"kind": "broken_json"}, lambda answer: not answer.text.endswith("]")),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
async def test_faults_fire_as_often_as_asked(client: httpx.AsyncClient, rule: dict[str, Any], check: Any) -> None:
    await client.post("/_sandbox/faults", json={"rules": [{"path": "^/app/services", "times": 1, **rule}]})
    await get(client, "rates")
    assert check(await client.get("/app/services"))
    await get(client, "services")


async def test_control_needs_its_key(client: httpx.AsyncClient) -> None:
    assert (await client.get("/_sandbox/truth", headers={"x-sandbox-key": "no"})).status_code == 401
    assert (await client.post("/_sandbox/faults", json=[{"kind": "fire"}])).status_code == 400
