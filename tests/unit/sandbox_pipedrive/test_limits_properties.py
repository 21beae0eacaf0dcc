"""Whatever arrives whenever, on however strange a day: no window and no day grants more than its limit, and the journal shows it."""

import asyncio
import copy
import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.control.check_journal import violations
from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

pytestmark = pytest.mark.requirement("G-03")

ROOT = Path(__file__).parents[3]
MOMENTS = (
    ("2026-03-28T22:59:00+00:00", "Europe/Madrid"),
    ("2026-10-24T21:59:30+00:00", "Europe/Madrid"),
    ("2024-04-25T21:59:30+00:00", "Africa/Cairo"),
    ("2018-11-04T02:59:30+00:00", "America/Sao_Paulo"),
    ("2018-02-18T01:59:30+00:00", "America/Sao_Paulo"),
    ("2006-10-29T02:00:30+00:00", "America/St_Johns"),
    ("2011-12-30T09:59:30+00:00", "Pacific/Apia"),
    ("2026-06-01T23:59:55+00:00", "UTC"),
)
REQUESTS = (
    ("GET", "/api/v2/persons/1"),
    ("GET", "/api/v2/persons"),
    ("GET", "/api/v2/itemSearch?term=Ibarra"),
    ("POST", "/api/v2/persons"),
    ("GET", "/api/v2/nonsense"),
    ("PUT", "/v1/nonsense"),
)
CALLERS: tuple[dict[bytes, bytes], ...] = (
    {b"x-api-token": TOKEN.encode()},
    {b"x-api-token": b"second"},
    {b"x-api-token": b"of-another-user"},
    {b"authorization": b"Bearer second"},
    {b"x-api-token": b"wrong"},
)

moves = st.one_of(
    st.tuples(st.just("sleep"), st.floats(0, 3)),
    st.tuples(st.just("sleep"), st.floats(0, 7200)),
    st.tuples(st.just("jump"), st.floats(-200_000, 200_000)),
    st.tuples(st.just("advance"), st.floats(0, 100_000)),
    st.tuples(st.just("speed"), st.floats(0.01, 100_000)),
    st.tuples(st.just("top_up"), st.integers(0, 40)),
)
bursts = st.tuples(st.just("send"), st.tuples(st.sampled_from(range(len(REQUESTS))), st.sampled_from(range(len(CALLERS))), st.integers(1, 25)))


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.one_of(bursts, bursts, moves), max_size=25),
    day=st.sampled_from(MOMENTS),
    other_apps=st.sampled_from([0, 100, 5000]),
    other_apps_jitter=st.sampled_from([0.0, 1.0]),
    charge_errors=st.booleans(),
    window_of=st.sampled_from(["token", "user"]),
    spent=st.sampled_from([0, 29_900, 10**6]),
)
def test_no_window_and_no_day_is_ever_overrun(steps: list[Any], day: tuple[str, str], **options: Any) -> None:
    asyncio.run(_act(steps, day, options))


async def _act(steps: list[Any], day: tuple[str, str], options: dict[str, Any]) -> None:
    time = FakeTime()
    clock = time.clock(start=datetime.fromisoformat(day[0]).timestamp())
    api = Driver(Options(token=TOKEN, control_key=CONTROL_KEY, plan="lite", seats=1, cloudflare_after=0, reset_zone=day[1], **options), clock)
    await api.control("POST", "tokens", {"token": "second"})
    await api.control("POST", "tokens", {"token": "of-another-user", "user_id": 2})
    granted: dict[int, list[float]] = {}
    for kind, value in steps:
        match kind:
            case "sleep":
                time.sleep(value)
            case "jump":
                clock.jump(value)
            case "advance":
                clock.advance(value)
            case "speed":
                clock.set_speed(value)
            case "top_up":
                await api.control("POST", "budget", {"top_up": value})
            case "send":
                await _send(api, value, granted, clock.monotonic())
    journal = await _journal(api)
    assert violations(journal) == []
    for caller, moments in granted.items():
        limit = 80 if caller == 3 else 20
        assert all(sum(0 <= other - moment <= 2.0 for other in moments) <= limit for moment in moments)
    for parts in journal["days"].values():
        assert parts["used"] + parts["others"] <= 30_000 + parts["extra"]
        assert parts["used"] >= 0
    assert sum(parts["used"] for parts in journal["days"].values()) == sum(entry["tokens"] for entry in journal["entries"])


async def _journal(api: Driver) -> dict[str, Any]:
    answer = await api.send("GET", "/_sandbox/journal", token=None, headers={"x-sandbox-key": CONTROL_KEY}, limit="100000")
    return dict(answer.body)


async def _send(api: Driver, value: tuple[int, int, int], granted: dict[int, list[float]], now: float) -> None:
    request, caller, count = value
    method, path = REQUESTS[request]
    path, _, query = path.partition("?")
    headers = {name.decode(): text.decode() for name, text in CALLERS[caller].items()}
    for _ in range(count):
        body = {"name": "x"} if method == "POST" else None
        answer = await api.send(method, path, body, token=None, headers=headers, **dict([query.split("=")] if query else []))
        if answer.status not in {401, 429}:
            granted.setdefault(caller, []).append(now)


async def _some_journal() -> dict[str, Any]:
    time = FakeTime()
    api = Driver(Options(token=TOKEN, control_key=CONTROL_KEY, plan="lite", seats=1, cloudflare_after=0), time.clock())
    for number in range(60):
        await api.get("/api/v2/itemSearch" if number % 6 == 0 else "/api/v2/persons", **({"term": "xx"} if number % 6 == 0 else {}))
        time.sleep(0.05)
    return await _journal(api)


def _squeeze(journal: dict[str, Any]) -> None:
    for entry in journal["entries"]:
        entry["time"] /= 10.0


def _overspend(journal: dict[str, Any]) -> None:
    journal["entries"][0]["tokens"] += 30_000


def _misdate(journal: dict[str, Any]) -> None:
    journal["entries"][0]["day"] = "2001-01-01"
    journal["days"]["2001-01-01"] = {"used": 0, "others": 0, "extra": 0}


def _charge_a_refusal(journal: dict[str, Any]) -> None:
    next(entry for entry in journal["entries"] if entry["status"] == 429)["tokens"] = 10


def _others_overspend(journal: dict[str, Any]) -> None:
    next(iter(journal["days"].values()))["others"] = 30_000


def _search_more(journal: dict[str, Any]) -> None:
    for entry in journal["entries"]:
        entry["is_search"] = True


def _lose_one(journal: dict[str, Any]) -> None:
    del journal["entries"][5]


@pytest.mark.parametrize("spoil", [_squeeze, _overspend, _misdate, _charge_a_refusal, _others_overspend, _search_more, _lose_one])
async def test_checker_sees_what_is_wrong(spoil: Any) -> None:
    journal = await _some_journal()
    assert violations(journal) == []
    assert {entry["status"] for entry in journal["entries"]} == {200, 429}
    spoilt = copy.deepcopy(journal)
    spoil(spoilt)
    assert violations(spoilt) != []


def test_checker_is_a_program(tmp_path: Path) -> None:
    journal = asyncio.run(_some_journal())
    file = tmp_path / "journal.json"
    for spoil, code in ((False, 0), (True, 1)):
        if spoil:
            _squeeze(journal)
        file.write_text(json.dumps(journal), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "sandbox.pipedrive.control.check_journal", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "no limit was overrun" in done.stdout) == (code, not spoil)
    wrong = subprocess.run(
        [sys.executable, "-m", "sandbox.pipedrive.control.check_journal", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert len(wrong.stderr.splitlines()) == 1
