"""Limits under real traffic: several impatient clients on real connections, and a journal that proves what was granted."""

import asyncio
from collections import Counter
from pathlib import Path

import aiohttp
import httpx
import pytest

from sandbox.pipedrive.control.check_journal import violations
from tests.integration.sandbox_pipedrive.running import CONTROL, TOKEN, running

REQUESTS = 400


async def _hurry(url: str, token: str) -> Counter[int]:
    """Ask as fast as the connection takes it."""
    statuses: Counter[int] = Counter()
    async with aiohttp.ClientSession(headers={"x-api-token": token}) as session:
        for number in range(REQUESTS):
            path = "/api/v2/itemSearch?term=Ibarra" if number % 5 == 0 else "/api/v2/persons/1"
            async with session.get(url + path) as answer:
                statuses[answer.status] += 1
                await answer.read()
    return statuses


@pytest.mark.requirement("G-03")
def test_nobody_gets_more_than_the_limits_however_fast_they_ask(tmp_path: Path) -> None:
    arguments = ("--plan", "lite", "--seats", "1", "--seed", "1", "--cloudflare-after", "0", "--other-apps", "6000", "--spent", "29900")
    with running(tmp_path, *arguments) as (url, _), httpx.Client(base_url=url, headers=CONTROL) as control:
        tokens = [TOKEN] + [control.post("/_sandbox/tokens", json={"user_id": user}).json()["token"] for user in (1, 2)]

        async def all_at_once() -> list[Counter[int]]:
            return await asyncio.gather(*(_hurry(url, token) for token in tokens))

        statuses = sum(asyncio.run(all_at_once()), Counter())
        journal = control.get("/_sandbox/journal", params={"limit": 100_000}).json()
    assert set(statuses) == {200, 429}
    assert violations(journal) == []
    assert journal["total"] == 3 * REQUESTS
    assert sum(entry["tokens"] for entry in journal["entries"]) <= 100


def test_clock_budget_and_others_go_on_after_a_kill(tmp_path: Path) -> None:
    arguments = (
        "--db",
        str(tmp_path / "account.db"),
        "--clock-start",
        "2031-05-05T10:00:00Z",
        "--clock-speed",
        "60",
        "--other-apps",
        "600",
        "--seed",
        "1",
    )
    with running(tmp_path, *arguments) as (url, process), httpx.Client(base_url=url, headers={"x-api-token": TOKEN, **CONTROL}) as client:
        client.post("/api/v2/persons", json={"name": "x"}).raise_for_status()
        client.post("/_sandbox/budget", json={"spend": 100_000}).raise_for_status()
        client.post("/_sandbox/clock", json={"advance_seconds": 3600}).raise_for_status()
        before = client.get("/_sandbox/budget").json()
        process.kill()
    with running(tmp_path, *arguments) as (url, _), httpx.Client(base_url=url, headers=CONTROL) as client:
        after, clock = client.get("/_sandbox/budget").json(), client.get("/_sandbox/clock").json()
        assert after["used"] == before["used"] == 5
        assert after["others"] >= before["others"] > 100_500
        assert clock["now"] >= "2031-05-05T11:00:00Z"
        assert clock["speed"] == 60
