"""The daily budget and the 2-second windows: granted to the limit and never beyond."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.limits.other_apps import OtherApps
from sandbox.pipedrive.limits.windows import Window
from sandbox.pipedrive.options import PLANS, Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

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


@pytest.mark.parametrize("body", [{"used": -1}, {"spend": -1}, {"top_up": 5, "spend": -0.5e3}])
async def test_nobody_spends_less_than_nothing(start: Start, body: dict[str, float]) -> None:
    api = start(limits=True, clock=_still())
    before = await api.control("GET", "budget")

    answer = await api.send("POST", "/_sandbox/budget", body, token=None, headers={"x-sandbox-key": CONTROL_KEY})

    assert (answer.status, "must not be negative" in answer.error) == (400, True)
    assert await api.control("GET", "budget") == before


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


async def test_documented_headers_can_be_missing_too(start: Start) -> None:
    answer = await start(limits=True, rate_headers=False).get("/api/v2/persons/1")
    assert "x-ratelimit-limit" not in answer.headers
    assert "x-daily-ratelimit-token-remaining" in answer.headers


async def test_daily_headers_can_be_missing_after_an_idle_time(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock(), limits=True, idle_headers=2)
    seen = []
    for _ in range(2):
        seen += ["x-daily-ratelimit-token-remaining" in (await api.get("/api/v2/persons/1")).headers for _ in range(4)]
        time.sleep(61)
    assert seen == [False, False, True, True] * 2


async def test_legacy_count_of_writes_is_announced_on_request(start: Start) -> None:
    api = start(daily_requests_header=True)
    await api.get("/api/v2/persons/1")
    await api.post("/api/v2/persons", {"name": "x"})
    answer = await api.patch("/api/v2/persons/1", {"name": "y"})
    assert answer.headers["x-daily-requests-left"] == "9999"
    bearer = await api.send("GET", "/v1/users/me", token=None, headers={"authorization": f"Bearer {TOKEN}"})
    assert "x-daily-requests-left" not in bearer.headers


@pytest.mark.parametrize(("choice", "window", "budget"), [("always", 1, 1), ("window", 1, 0), ("budget", 0, 1), ("never", 0, 0)])
async def test_retry_after_is_sent_as_chosen(start: Start, choice: str, window: int, budget: int) -> None:
    api = start(_still(), limits=True, plan="lite", retry_after=choice)
    for _ in range(21):
        full = await api.get("/api/v2/persons/1")
    await api.control("POST", "clock", {"advance_seconds": 3})
    await api.control("POST", "budget", {"remaining": 0})
    empty = await api.get("/api/v2/persons/1")
    assert (full.status, empty.status) == (429, 429)
    assert ("retry-after" in full.headers, "retry-after" in empty.headers) == (window, budget)


@pytest.mark.parametrize(("choice", "body"), [("text", b"Request over limit"), ("empty", b"")])
async def test_body_of_a_refusal_is_a_choice(start: Start, choice: str, body: bytes) -> None:
    api = start(_still(), limits=True, refusal_body=choice)
    await api.control("POST", "budget", {"remaining": 0})
    assert (await api.get("/api/v2/persons/1")).body == body


@pytest.mark.parametrize(("choice", "statuses"), [("token", {200}), ("user", {200, 429})])
async def test_windows_are_of_tokens_or_of_users(start: Start, choice: str, statuses: set[int]) -> None:
    api = start(_still(), limits=True, plan="lite", window_of=choice)
    await api.control("POST", "tokens", {"token": "second"})
    assert {(await api.send("GET", "/api/v2/persons/1", token=token)).status for token in [TOKEN, "second"] * 20} == statuses
    entries = (await api.control("GET", "journal"))["entries"]
    assert {entry["credential"] for entry in entries} == {"user:1:api", "user:1:api:2"}


async def test_windows_can_be_looked_at(start: Start) -> None:
    api = start(_still(), limits=True, plan="lite")
    await api.get("/api/v2/itemSearch", term="Ibarra")
    await api.get("/api/v2/persons/1")
    state = await api.control("GET", "windows")
    assert state["bursts"] == {"user:1:api": {"limit": 20, "taken": 2}}
    assert state["searches"] == {"user:1:api": {"limit": 10, "taken": 1}}
    await api.control("POST", "clock", {"advance_seconds": 3})
    assert (await api.control("GET", "windows"))["bursts"]["user:1:api"]["taken"] == 0


async def test_other_applications_spend_by_the_hour(start: Start) -> None:
    time = FakeTime(1_760_000_400.0)
    api = start(time.clock(), limits=True, plan="lite", seats=1, other_apps=6000, spent=1000)
    assert (await api.control("GET", "budget"))["others"] == 1000
    time.sleep(1800)
    state = await api.control("GET", "budget")
    assert (state["others"], state["used"], state["remaining"]) == (4000, 0, 26_000)
    answer = await api.get("/api/v2/persons/1")
    assert answer.headers["x-daily-ratelimit-token-remaining"] == "25999"
    time.sleep(8 * 3600)
    assert (await api.control("GET", "budget"))["remaining"] == 0
    assert (await api.get("/api/v2/persons/1")).status == 429
    await api.control("POST", "clock", {"to": "midnight"})
    assert (await api.control("GET", "budget"))["others"] <= 100


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 1440), max_size=6), jitter=st.sampled_from([0.0, 0.5, 1.0]))
def test_other_applications_spend_the_same_however_often_one_looks(cuts: list[int], jitter: float) -> None:
    others = OtherApps(1234, jitter, seed=5)
    edges = [0, *sorted(cuts), 1440]
    assert sum(others.spent(begin, end) for begin, end in itertools.pairwise(edges)) == others.spent(0, 1440)
    assert 0 <= others.spent(0, 1440) <= 2 * 1234 * 24


async def test_a_day_that_comes_again_is_found_as_it_was_left(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock(), limits=True)
    await api.control("POST", "budget", {"remaining": 3})
    await api.control("POST", "clock", {"jump_seconds": -86400})
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 200
    await api.control("POST", "clock", {"jump_seconds": 86400})
    assert (await api.control("GET", "budget"))["remaining"] == 3
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 429


async def test_a_faster_clock_brings_midnight_sooner_and_leaves_the_windows_alone(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock(speed=3600.0), limits=True, plan="lite", seats=1)
    await api.control("POST", "budget", {"remaining": 0})
    time.sleep(24)
    assert [(await api.get("/api/v2/persons/1")).status for _ in range(21)] == [200] * 20 + [429]
    time.sleep(1)
    assert (await api.get("/api/v2/persons/1")).status == 429


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


async def test_tokens_given_back_after_midnight_belong_to_the_day_before(start: Start) -> None:
    time = FakeTime(1_760_054_399.0)  # a second before midnight
    api = start(time.clock(), limits=True, charge_errors=False)
    await api.control("POST", "faults", {"kind": "error_before", "seconds": 0.001})
    waiting = asyncio.create_task(api.post("/api/v2/persons", {"name": "x"}))
    await asyncio.sleep(0)
    assert (await api.control("GET", "budget"))["used"] == 5
    time.sleep(2)
    assert (await waiting).status == 500
    days = (await api.control("GET", "journal"))["days"]
    assert [(day, parts["used"]) for day, parts in sorted(days.items())] == [("2025-10-09", 0), ("2025-10-10", 0)]
