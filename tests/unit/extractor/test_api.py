"""The base of connectors of HTTP interfaces: calls, refusals, outages, answers that are none."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from services.common.errors import InvalidRequestError, UnauthorizedError
from services.extractor.api import ApiClient, plan_limits
from services.extractor.connector import EntityForbiddenError, EntityMalformedError, Refusal
from tests.contract.connectors.recording import CountingGate

Answer = httpx.Response | Exception


class Listing(BaseModel):
    items: list[dict[str, Any]]


def client(*answers: Answer) -> tuple[ApiClient, CountingGate]:
    left = list(answers)

    def answer(_: httpx.Request) -> httpx.Response:
        one = left.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    gate = CountingGate()
    return ApiClient(httpx.AsyncClient(transport=httpx.MockTransport(answer)), gate, base_url="http://brook.test"), gate


GOOD = httpx.Response(200, json={"items": [{"id": 1}]})


async def test_a_good_answer_takes_one_call() -> None:
    api, gate = client(GOOD)
    assert (await api.get("/jobs", Listing)).items == [{"id": 1}]
    assert gate.call_count == 1


async def test_refusals_and_outages_are_waited_out_and_counted() -> None:
    api, gate = client(httpx.Response(429), httpx.ConnectError("down"), httpx.Response(503), httpx.Response(408), GOOD)
    assert (await api.get("/jobs", Listing)).items
    assert gate.call_count == 5
    assert gate.refusals == [Refusal.MINUTE]
    assert gate.outages == ["ConnectError", "HTTP 503", "HTTP 408"]


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b'{"items": 1}', b'{"items": [', b"[" * 100_000])
async def test_an_answer_that_is_none_is_asked_for_again_then_named(content: bytes) -> None:
    api, gate = client(*[httpx.Response(200, content=content) for _ in range(3)])
    with pytest.raises(EntityMalformedError, match="/jobs answered what it must not"):
        await api.get("/jobs", Listing)
    assert gate.call_count == 3
    again, _ = client(httpx.Response(200, content=content), GOOD)
    assert (await again.get("/jobs", Listing)).items


async def test_half_of_a_character_does_not_cost_the_page() -> None:
    api, _ = client(httpx.Response(200, content=b'{"items": [{"id": 1, "name": "cut \\ud83d"}]}'))
    assert (await api.get("/jobs", Listing)).items == [{"id": 1, "name": "cut \ufffd"}]


@pytest.mark.parametrize(
    ("status", "error"), [(401, UnauthorizedError), (403, EntityForbiddenError), (404, EntityForbiddenError), (400, EntityMalformedError)]
)
async def test_what_repeating_does_not_help_is_said_at_once(status: int, error: type[Exception]) -> None:
    api, gate = client(httpx.Response(status))
    with pytest.raises(error):
        await api.get("/jobs", Listing)
    assert gate.call_count == 1


def test_the_first_plan_is_assumed_and_its_numbers_may_be_overridden() -> None:
    plans = {"small": (60, 1_000), "large": (600, 0)}
    assert plan_limits(plans, {}).plan == "small"
    limits = plan_limits(plans, {"plan": "Large", "calls_per_day": 7, "day_zone": "Europe/Madrid", "counts_files": False})
    assert (limits.calls_per_minute, limits.calls_per_day, str(limits.day_zone), limits.counts_files) == (600, 7, "Europe/Madrid", False)


@pytest.mark.parametrize(
    "options", [{"plan": "huge"}, {"calls_per_minute": -1}, {"calls_per_day": True}, {"calls_per_day": "7"}, {"day_zone": "Mars/Olympus"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        plan_limits({"small": (60, 1_000)}, options)
