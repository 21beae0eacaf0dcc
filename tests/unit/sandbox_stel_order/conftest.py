"""A small account and a client that speaks to the simulator without a network."""

from collections.abc import AsyncIterator

import httpx
import pytest

from sandbox.common.clock import Clock
from sandbox.stel_order.application import Options, StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Builder, Plan, generate
from sandbox.stel_order.quota import CallQuota
from sandbox.stel_order.store import Store


@pytest.fixture
def account() -> Builder:
    return generate(Store(), Plan(seed=7))


@pytest.fixture
def simulator(account: Builder) -> StelOrder:
    clock = Clock()
    return StelOrder(account, Options(key="right"), clock, CallQuota(clock, per_minute=60, per_day=300))


@pytest.fixture
async def client(simulator: StelOrder) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=Control(simulator, "control"))
    headers = {"APIKEY": "right", "x-sandbox-key": "control"}
    async with httpx.AsyncClient(transport=transport, base_url="http://stel.test", headers=headers) as opened:
        yield opened
