"""The trash: after 30 days on the account's clock a deleted record is gone for good."""

from pathlib import Path

import pytest

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.any_request import KINDS, Requests
from tests.unit.sandbox_pipedrive.driver import Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

DAY = 86_400


def _deleted(api: Driver, kind: str) -> list[int]:
    return [record["id"] for record in api.account.store[kind] if record["is_deleted"]]


async def test_a_deleted_record_is_gone_after_30_days(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock(), deleted_get="200")
    await api.delete("/api/v2/deals/3")
    time.sleep(10 * DAY)
    await api.delete("/api/v2/deals/4")
    time.sleep(20 * DAY - 2)
    assert (await api.get("/api/v2/deals/3")).data["is_deleted"] is True
    time.sleep(3)
    assert (await api.get("/api/v2/deals/3")).status == 404
    assert [deal["id"] for deal in (await api.get("/api/v2/deals", status="deleted")).data] == [4]
    assert len((await api.get("/api/v2/deals")).data) == 10
    time.sleep(10 * DAY)
    assert (await api.get("/api/v2/deals/4")).status == 404


async def test_ids_are_not_given_again(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    made = (await api.post("/api/v2/persons", {"name": "x"})).data["id"]
    await api.delete(f"/api/v2/persons/{made}")
    time.sleep(31 * DAY)
    assert (await api.post("/api/v2/persons", {"name": "y"})).data["id"] == made + 1
    assert _deleted(api, "person") == []


@pytest.mark.parametrize(("days", "left"), [(0, [1]), (7, [])])
async def test_the_time_is_an_option(start: Start, days: int, left: list[int]) -> None:
    time = FakeTime()
    api = start(time.clock(), purge_days=days)
    await api.delete("/api/v2/persons/1")
    time.sleep(8 * DAY)
    await api.get("/api/v2/persons")
    assert _deleted(api, "person") == left


async def test_a_clock_that_went_back_is_heeded(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    await api.get("/api/v2/persons")
    api.account.clock.jump(-20 * DAY)
    await api.delete("/api/v2/persons/1")
    time.sleep(29 * DAY)
    assert (await api.get("/api/v2/persons")).status == 200
    assert _deleted(api, "person") == [1]
    time.sleep(2 * DAY)
    await api.get("/api/v2/persons")
    assert _deleted(api, "person") == []


async def test_nothing_breaks_when_what_records_refer_to_is_gone(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    time = FakeTime()
    api = start(time.clock(), seed=3, deprecated_v1=True, deleted_get="200", long_names="cut")
    requests = Requests(api, 5)
    routes = api.app.engine.router.routes
    for _ in range(2):
        for route in routes:
            if route.method == "POST":
                await requests.send(route)
    for collection in ("deals", "persons", "organizations", "products", "activities"):
        for record in list(api.account.store[KINDS[collection]]):
            if record["id"] % 2:
                await api.delete(f"/api/v2/{collection}/{record['id']}")
    time.sleep(32 * DAY)
    assert {await requests.send(route) for route in routes if route.method == "GET" for _ in range(8)} <= {200, 400, 404, 410}
    for path in ("/", "/organizations", "/persons", "/products"):
        assert (await api.send("GET", path, token=None)).status == 200
    assert capsys.readouterr().err == ""


async def test_pages_do_not_look_for_what_is_gone(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    assert b"Nordlicht" in (await api.send("GET", "/organizations", token=None)).body
    await api.delete("/api/v2/organizations/2")
    time.sleep(31 * DAY)
    assert b"Nordlicht" not in (await api.send("GET", "/organizations", token=None)).body


async def test_a_line_keeps_its_product_and_goes_with_its_deal(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    line = {"product_id": 2, "item_price": 1, "quantity": 1}
    for deal in (1, 2):
        await api.post(f"/api/v2/deals/{deal}/products", line)
    await api.delete("/api/v2/deals/1")
    await api.delete("/api/v2/products/2")
    time.sleep(31 * DAY)
    assert (await api.get("/api/v2/deals/2/products")).data[0]["product_id"] == 2
    assert [record["deal_id"] for record in api.account.store["deal_product"] if record["deal_id"] in {1, 2}] == [2]
    assert api.account.store["product"].get(2) is not None


async def test_what_is_gone_is_gone_from_the_file_too(tmp_path: Path) -> None:
    time, file = FakeTime(), tmp_path / "account.db"
    api = Driver(Options(token="token-of-ada", control_key="control", database=file, seed=1), time.clock())
    made = (await api.post("/api/v2/persons", {"name": "x"})).data["id"]
    await api.delete(f"/api/v2/persons/{made}")
    time.sleep(31 * DAY)
    await api.get("/api/v2/persons")
    api.account.store.close()
    again = Account(Options(database=file), time.clock())
    PipedriveApp(again)
    assert again.store["person"].get(made) is None
    assert again.store["person"].next_id() == made + 1
    again.store.close()
