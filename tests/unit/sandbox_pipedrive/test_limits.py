"""The daily budget and the 2-second windows: granted to the limit and never beyond."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.clock import SandboxClock
from sandbox.pipedrive.limits import Window
from sandbox.pipedrive.options import PLANS, Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver, Start

pytestmark = pytest.mark.requirement("G-03")


def _still() -> SandboxClock:
    """A clock that only the control interface moves."""
    return SandboxClock(wall=lambda: 1_760_000_000.0, steady=lambda: 1000.0)


@settings(max_examples=200)
@given(limit=st.integers(1, 12), gaps=st.lists(st.floats(0, 3, allow_nan=False), max_size=120))
def test_no_window_of_two_seconds_is_ever_overrun(limit: int, gaps: list[float]) -> None:
    window, now, granted = Window(limit), 0.0, []
    for gap in gaps:
        now += gap
        if window.admit(now):
            granted.append(now)
    for position, moment in enumerate(granted):
        assert sum(1 for other in granted[position:] if other - moment <= 2.0) <= limit


@pytest.mark.parametrize(("plan", "kind", "burst"), [("lite", "api", 20), ("growth", "api", 40), ("premium", "api", 100), ("ultimate", "oauth", 480)])
async def test_burst_is_that_of_plan_and_credential(start: Start, plan: str, kind: str, burst: int) -> None:
    api = start(_still(), plan=plan, limits=True, token_kind=kind)
    for _ in range(burst):
        answer = await api.get("/api/v2/persons/1")
        assert answer.status == 200
    assert answer.headers["x-ratelimit-limit"] == str(burst)
    assert answer.headers["x-ratelimit-remaining"] == "0"
    refused = await api.get("/api/v2/persons/1")
    assert refused.status == 429
    assert refused.headers["x-daily-ratelimit-token-remaining"] != "0"
    assert refused.headers["retry-after"] == "2"
    await api.control("POST", "clock", {"advance_seconds": 2.01})
    assert (await api.get("/api/v2/persons/1")).status == 200


async def test_bearer_tokens_get_the_oauth_figures(start: Start) -> None:
    api = start(_still(), plan="lite", limits=True)
    answer = await api.send("GET", "/v1/users/me", token=None, headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.headers["x-ratelimit-limit"] == "80"


async def test_search_has_its_own_window(start: Start) -> None:
    api = start(_still(), limits=True)
    for _ in range(10):
        assert (await api.get("/api/v2/itemSearch", term="Ibarra")).status == 200
    assert (await api.get("/api/v2/persons/search", term="Ibarra")).status == 429
    assert (await api.get("/api/v2/persons/1")).status == 200


@pytest.mark.parametrize("plan", sorted(PLANS))
async def test_daily_budget_is_plan_times_seats(start: Start, plan: str) -> None:
    api = start(plan=plan, seats=3, limits=True)
    budget = 30_000 * PLANS[plan].multiplier * 3
    answer = await api.post("/api/v2/persons", {"name": "x"})
    assert answer.headers["x-daily-ratelimit-token-limit"] == str(budget)
    assert answer.headers["x-daily-ratelimit-token-remaining"] == str(budget - 5)


async def test_empty_budget_refuses_until_midnight(start: Start) -> None:
    api = start(_still(), limits=True)
    await api.control("POST", "budget", {"remaining": 7})
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 200
    refused = await api.post("/api/v2/persons", {"name": "x"})
    assert refused.status == 429
    assert refused.headers["x-daily-ratelimit-token-remaining"] == "0"
    assert (await api.get("/api/v2/persons/1")).status == 200
    await api.control("POST", "clock", {"to": "midnight"})
    answer = await api.post("/api/v2/persons", {"name": "x"})
    assert answer.status == 200
    assert answer.headers["x-daily-ratelimit-token-remaining"] == str(210_000 * 5 - 5)


async def test_budget_is_never_exceeded(start: Start) -> None:
    api = start(_still(), limits=True, plan="premium")
    await api.control("POST", "budget", {"remaining": 23})
    for _ in range(10):
        await api.post("/api/v2/persons", {"name": "x"})
    assert (await api.control("GET", "budget"))["remaining"] == 3


async def test_others_can_spend_the_same_budget(start: Start) -> None:
    api = start(limits=True, seats=1, plan="lite")
    await api.control("POST", "budget", {"spend": 29_999})
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 429
    await api.control("POST", "budget", {"top_up": 100})
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 200


@pytest.mark.parametrize(("charge", "used"), [(True, 5), (False, 0)])
async def test_charging_failed_calls_is_an_option(start: Start, charge: bool, used: int) -> None:
    api = start(limits=True, charge_errors=charge)
    await api.post("/api/v2/persons", {"nonsense": 1})
    assert (await api.control("GET", "budget"))["used"] == used


async def test_undocumented_headers_can_be_missing(start: Start) -> None:
    answer = await start(limits=True, daily_headers=False).get("/api/v2/persons/1")
    assert "x-daily-ratelimit-token-remaining" not in answer.headers
    assert "x-ratelimit-limit" in answer.headers


async def test_ignored_refusals_end_in_an_html_block(start: Start) -> None:
    api = start(_still(), limits=True, plan="lite", cloudflare_after=5)
    for _ in range(25):
        answer = await api.get("/api/v2/persons/1")
    assert answer.status == 429
    blocked = await api.get("/api/v2/persons/1")
    assert blocked.status == 403
    assert b"Cloudflare" in blocked.body
    await api.control("POST", "clock", {"advance_seconds": 61})
    assert (await api.get("/api/v2/persons/1")).status == 200


async def test_without_limits_nothing_is_refused(api: Driver) -> None:
    for _ in range(700):
        answer = await api.get("/api/v2/persons/1")
    assert answer.status == 200
    assert int(answer.headers["x-ratelimit-limit"]) >= 1_000_000


@settings(max_examples=25, deadline=None)
@given(gaps=st.lists(st.floats(0, 0.4, allow_nan=False), min_size=30, max_size=200))
def test_journal_shows_that_no_window_was_overrun(gaps: list[float]) -> None:
    async def act() -> None:
        api = Driver(Options(token=TOKEN, control_key=CONTROL_KEY, plan="lite", cloudflare_after=0), _still())
        for gap in gaps:
            api.account.clock.advance(gap)
            await api.get("/api/v2/persons")
        summary = await api.control("GET", "journal/summary")
        assert summary["credentials"]["user:1:api"]["requests_in_2_seconds_max"] <= 20
        assert summary["requests"] == len(gaps)
        assert summary["tokens"] == 10 * (len(gaps) - summary["refused_429"]) == summary["budget"]["used"]

    asyncio.run(act())
