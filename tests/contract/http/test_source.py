"""What the extractor relies on of HTTP to a source, shown over sockets and on the stand-in of the simulation alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from sandbox.common.clock import Clock
from sandbox.stel_order.application import Options, StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.quota import CallQuota
from sandbox.stel_order.store import Store
from services.common.errors import InvalidRequestError
from services.extractor.calls import NETWORK_ERRORS
from tests.contract.http.sites import TIMEOUT_SECONDS

if TYPE_CHECKING:
    import httpx

    from tests.contract.http.sites import Site

pytestmark = pytest.mark.requirement("L-06")


@pytest.fixture
def app() -> StelOrder:
    clock = Clock()
    return StelOrder(generate(Store(), Plan(1, 3, 1.0, is_clean=True)), Options(key="k"), clock, CallQuota(clock, per_minute=0, per_day=0))


@pytest.fixture
def control(app: StelOrder) -> Control:
    return Control(app, "")


def test_a_list_is_answered(site: Site, control: Control) -> None:
    async def scenario(client: httpx.AsyncClient, url: str) -> None:
        answer = await client.get(f"{url}/app/clients", params={"limit": "2", "utc-last-modification-date": "2001-01-01T00:00:00+0000"})
        assert (answer.status_code, len(answer.json())) == (200, 2)
        assert answer.headers["Content-Type"].startswith("application/json")

    site.source(control, scenario)


def test_a_wrong_key_is_told(site: Site, app: StelOrder, control: Control) -> None:
    app.options.key = "another"

    async def scenario(client: httpx.AsyncClient, url: str) -> None:
        assert (await client.get(f"{url}/app/clients")).status_code == 401

    site.source(control, scenario)


def test_nothing_is_written(site: Site, control: Control) -> None:
    async def scenario(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(InvalidRequestError):
            await client.post(f"{url}/app/clients", json={})

    site.source(control, scenario)


@pytest.mark.parametrize("rule", [{"kind": "cut_before"}, {"kind": "cut"}, {"kind": "slow", "seconds": 3 * TIMEOUT_SECONDS}])
def test_what_is_no_whole_answer_in_time_is_an_error_of_the_network(site: Site, app: StelOrder, control: Control, rule: dict[str, Any]) -> None:
    app.faults.add({**rule, "times": 1})

    async def scenario(client: httpx.AsyncClient, url: str) -> None:
        with pytest.raises(NETWORK_ERRORS):
            await client.get(f"{url}/app/clients")
        assert (await client.get(f"{url}/app/clients")).status_code == 200  # the next call finds a connection

    site.source(control, scenario)


@pytest.mark.parametrize(
    ("rule", "status"),
    [({"kind": "status", "status": 500}, 500), ({"kind": "not_json"}, 200), ({"kind": "broken_json"}, 200)],
)
def test_an_odd_answer_comes_as_it_is(site: Site, app: StelOrder, control: Control, rule: dict[str, Any], status: int) -> None:
    app.faults.add(rule)
    bodies: list[bytes] = []

    async def scenario(client: httpx.AsyncClient, url: str) -> None:
        answer = await client.get(f"{url}/app/clients")
        assert answer.status_code == status
        bodies.append(answer.content)

    site.source(control, scenario)
    assert bodies[0]
