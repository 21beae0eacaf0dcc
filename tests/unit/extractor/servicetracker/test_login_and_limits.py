"""Logging in, staying logged in, and leaving the customer's other programs their calls."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidRequestError, UnauthorizedError
from services.extractor.connector import Refusal
from services.extractor.connectors.servicetracker.client import Usage
from services.extractor.connectors.servicetracker.connector import ServiceTracker
from services.extractor.connectors.servicetracker.errors import Reaction, failure_of
from services.extractor.connectors.servicetracker.ids import long_id
from services.extractor.http import READING_CALLS, source_client
from tests.fixtures.servicetracker.org import PARTS, URL, org
from tests.unit.extractor.servicetracker.reading import reading


async def test_a_refresh_token_is_used_where_there_is_one() -> None:
    made = org(refresh_token="refresh-me")
    async with reading(made, parts={**PARTS, "refresh_token": "refresh-me"}) as source:
        await source.connector.check()
    assert b"grant_type=refresh_token" in made.requests[0].content
    async with reading(made, parts={**PARTS, "refresh_token": "an old one"}) as source:
        with pytest.raises(UnauthorizedError, match="invalid_grant") as caught:
            await source.connector.check()
    assert "an old one" not in caught.value.message


async def test_a_session_that_ended_is_renewed_once() -> None:
    made = org()
    async with reading(made) as source:
        await source.connector.check()
        made.simulator.sessions.expire()
        assert len(await source.rows("customer")) == len(made.rows("Account"))
        assert made.simulator.sessions.login_count == 2


async def test_a_session_that_ends_at_once_is_an_error_not_a_loop() -> None:
    made = org()
    made.simulator.faults.add({"kind": "expire", "path": "/limits"})
    async with reading(made) as source:
        with pytest.raises(UnauthorizedError, match="ends every session"):
            await source.connector.check()
    assert made.simulator.sessions.login_count == 2


async def test_a_token_does_not_leave_in_the_clear() -> None:
    async with reading(org(), url=URL.replace("http:", "https:")) as source:
        with pytest.raises(UnauthorizedError, match="without encryption"):
            await source.connector.check()


async def test_a_version_the_org_does_not_have_is_named() -> None:
    async with reading(org(), api_version="42.0") as source:
        with pytest.raises(InvalidRequestError, match="api_version"):
            await source.connector.check()


@pytest.mark.requirement("G-03", "L-06")
async def test_the_orgs_own_count_is_believed() -> None:
    made = org(daily_max=1000)
    made.simulator.used = 900
    async with reading(made) as source:
        await source.connector.check()
        assert source.gate.refusals == []
        await source.connector.list_entities()
    assert Refusal.DAY in source.gate.refusals


def test_the_share_is_said_to_be_passed_once() -> None:
    usage = Usage(0.8)
    usage.learn({"Sforce-Limit-Info": "api-usage=799/1000"})
    assert not usage.is_passed()
    usage.learn({"Sforce-Limit-Info": "api-usage=800/1000"})
    assert usage.is_passed()
    assert not usage.is_passed()


@pytest.mark.parametrize(
    ("status", "body", "reaction"),
    [
        (403, b'[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]', Reaction.DAY),
        (
            403,
            b'[{"message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]',
            Reaction.CONCURRENT,
        ),
        (401, b'[{"message":"Session expired","errorCode":"INVALID_SESSION_ID"}]', Reaction.SESSION),
        (400, b'[{"message":"invalid query locator","errorCode":"INVALID_QUERY_LOCATOR"}]', Reaction.CURSOR),
        (400, b'[{"message":"No such column \'X__c\' on entity","errorCode":"INVALID_FIELD"}]', Reaction.FIELD),
        (414, b"<html>too long</html>", Reaction.TOO_LONG),
        (431, b"", Reaction.TOO_LONG),
        (503, b"<html>back soon</html>", Reaction.OUTAGE),
        (420, b"", Reaction.OUTAGE),
        (200, b"<html>back soon</html>", Reaction.OUTAGE),
        (403, b'[{"message":"no","errorCode":"INSUFFICIENT_ACCESS"}]', Reaction.RIGHT),
        (404, b'[{"message":"no","errorCode":"NOT_FOUND"}]', Reaction.RIGHT),
        (400, b'[{"message":"no","errorCode":"SOMETHING_NEW"}]', Reaction.UNEXPECTED),
        (400, b"not json", Reaction.OUTAGE),
    ],
)
def test_failing_answers_are_told_apart(status: int, body: bytes, reaction: Reaction) -> None:
    failure = failure_of(status, body)
    assert failure is not None
    assert failure.reaction is reaction


def test_a_good_answer_is_none() -> None:
    assert failure_of(200, b"{}") is None
    assert failure_of(204, b"") is None


@pytest.mark.parametrize(
    "options", [{"plan": "gold"}, {"daily_share": 0}, {"daily_share": 1.5}, {"bulk_from": -1}, {"api_version": "sixty"}, {"roles": []}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError, match="connector option"):
        ServiceTracker.limits(options)


def test_the_daily_allowance_is_the_share_of_the_editions() -> None:
    assert ServiceTracker.limits({}).calls_per_day == 80_000
    assert ServiceTracker.limits({"plan": "unlimited", "licences": 10, "daily_share": 0.5}).calls_per_day == 75_000
    assert ServiceTracker.limits({"calls_per_day": 7}).calls_per_day == 7


def test_short_ids_are_written_long() -> None:
    assert long_id("001Da00000xnAiy") == "001Da00000xnAiyIAE"
    assert long_id("001Da00000xnAiyIAE") == "001Da00000xnAiyIAE"
    assert long_id("not an id") == "not an id"


@pytest.mark.requirement("X-06")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/services/data/v60.0/sobjects/Account"),
        ("PATCH", "/services/data/v60.0/sobjects/Account/001Da00000xnAiyIAE"),
        ("DELETE", "/services/data/v60.0/sobjects/Account/001Da00000xnAiyIAE"),
        ("POST", "/services/data/v60.0/composite"),
        ("POST", "/services/data/v60.0/jobs/ingest"),
        ("DELETE", "/services/data/v60.0/jobs/ingest/750R0000000zlh9IAA"),
        ("PATCH", "/services/data/v60.0/jobs/query/750R0000000zlh9IAA"),
        ("PUT", "/services/oauth2/token"),
        ("POST", "/services/oauth2/revoke"),
        ("POST", "/services/oauth2/token/more"),
        ("DELETE", "/services/data/v60.0/jobs/query/750R0000000zlh9IAA/../../sobjects"),
    ],
)
async def test_only_a_login_and_query_jobs_are_let_through(method: str, path: str) -> None:
    async with source_client({}, timeout_seconds=1.0, platform="salesforce") as http:
        with pytest.raises(InvalidRequestError, match="only read"):
            await http.request(method, URL + path)


@pytest.mark.requirement("X-06")
def test_the_list_of_reading_calls_is_what_it_was() -> None:
    # Whoever adds to it must be able to say why it cannot change a row.
    assert {platform: {method for method, _ in calls} for platform, calls in READING_CALLS.items()} == {"salesforce": {"POST", "DELETE"}}
    assert sum(len(calls) for calls in READING_CALLS.values()) == 3
