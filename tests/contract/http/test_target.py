"""What the loader relies on of HTTP to Pipedrive, shown over sockets and on the stand-in of the simulation alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
import pytest

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options
from services.loader.entities.file import upload_body
from services.loader.pipedrive.http import Http, NoAnswerError, NotSentError
from tests.contract.http.sites import TIMEOUT_SECONDS, Site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.requirement("L-10")
TOKEN = {"x-api-token": "sandbox", "content-type": "application/json"}


@pytest.fixture
def app() -> PipedriveApp:
    return PipedriveApp(Account(Options(seed=3)))


def names(app: PipedriveApp) -> list[str]:
    return [record["name"] for record in app.account.store["organization"]]


async def create(http: Http, url: str, name: str) -> Any:
    return await http.send("POST", f"{url}/api/v2/organizations", TOKEN, orjson.dumps({"name": name}))


def test_an_answer_has_its_status_headers_in_any_case_and_body(site: Site, app: PipedriveApp) -> None:
    async def scenario(http: Http, url: str) -> None:
        reply = await http.send("GET", f"{url}/api/v2/organizations?limit=2&ids={quote('1,2')}", TOKEN, None)
        assert reply.status == 200
        assert [one["id"] for one in orjson.loads(reply.content)["data"]] == [1, 2]
        assert reply.headers.get("X-RateLimit-Limit") == reply.headers.get("x-ratelimit-limit") == "120"
        assert str(reply.headers.get("Content-Type")).startswith("application/json")

    site.target(app, scenario)


def test_a_body_arrives_in_any_script(site: Site, app: PipedriveApp) -> None:
    async def scenario(http: Http, url: str) -> None:
        reply = await create(http, url, "Ärzte & Söhne 株式会社")
        assert reply.status < 300

    site.target(app, scenario)
    assert names(app)[-1] == "Ärzte & Söhne 株式会社"


def test_a_wrong_token_is_told(site: Site, app: PipedriveApp) -> None:
    async def scenario(http: Http, url: str) -> None:
        assert (await http.send("GET", f"{url}/v1/users/me", {"x-api-token": "another"}, None)).status == 401

    site.target(app, scenario)


def test_a_file_is_sent_piece_by_piece(site: Site, app: PipedriveApp) -> None:
    data = bytes(range(256)) * 1000

    async def read(digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        assert (digest, first_byte, byte_count) == ("abc", 0, None)
        for start in range(0, len(data), 65_536):
            yield data[start : start + 65_536]

    async def scenario(http: Http, url: str) -> None:
        body = upload_body({"name": "Bericht ü.bin", "staging_name": "files/abc", "byte_count": len(data), "org_id": 1}, read)
        headers = {**TOKEN, "content-type": body.content_type, "content-length": str(body.byte_count)}
        reply = await http.send("POST", f"{url}/v1/files", headers, body.open())
        assert orjson.loads(reply.content)["data"]["file_size"] == len(data)

    site.target(app, scenario)


@pytest.mark.parametrize(
    ("rule", "status", "content"),
    [
        ({"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>"}, 502, b"<html>Bad Gateway</html>"),
        ({"kind": "empty_200"}, 200, b""),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "2"}, "body": {}}, 429, b"{}"),
    ],
)
def test_an_odd_answer_comes_as_it_is(site: Site, app: PipedriveApp, rule: dict[str, Any], status: int, content: bytes) -> None:
    app.faults.add(rule)

    async def scenario(http: Http, url: str) -> None:
        reply = await create(http, url, "odd")
        assert (reply.status, reply.content) == (status, content)
        assert reply.headers.get("retry-AFTER") == (rule.get("headers") or {}).get("Retry-After")

    site.target(app, scenario)
    assert "odd" not in names(app)


@pytest.mark.parametrize(("kind", "is_made"), [("cut_before", False), ("cut_after", True)])
def test_a_connection_that_is_cut_proves_nothing(site: Site, app: PipedriveApp, kind: str, is_made: bool) -> None:
    app.faults.add({"kind": kind, "times": 1})

    async def scenario(http: Http, url: str) -> None:
        with pytest.raises(NoAnswerError):
            await create(http, url, "cut")
        assert (await create(http, url, "after it")).status < 300  # the next call finds a connection

    site.target(app, scenario)
    assert ("cut" in names(app)) is is_made


def test_an_answer_that_takes_too_long_is_none_and_the_server_goes_on(site: Site, app: PipedriveApp) -> None:
    app.faults.add({"kind": "slow", "seconds": 2 * TIMEOUT_SECONDS, "times": 1})

    async def scenario(http: Http, url: str) -> None:
        with pytest.raises(NoAnswerError):
            await create(http, url, "late")
        assert "late" not in names(app)
        async with asyncio.timeout(5.0):
            while "late" not in names(app):  # noqa: ASYNC110 - a server sets no event
                await asyncio.sleep(0.05)

    site.target(app, scenario)


def test_a_caller_who_goes_away_does_not_stop_the_server(site: Site, app: PipedriveApp) -> None:
    app.faults.add({"kind": "slow", "seconds": 0.3, "times": 1})

    async def scenario(http: Http, url: str) -> None:
        call = asyncio.create_task(create(http, url, "left alone"))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(5.0):
            while "left alone" not in names(app):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    site.target(app, scenario)


def test_where_nobody_listens_nothing_was_sent(site: Site, app: PipedriveApp) -> None:
    async def scenario(http: Http, url: str) -> None:
        with pytest.raises(NotSentError):
            await create(http, url, "nobody")

    site.target(app, scenario, breakage="not_sent")
    assert "nobody" not in names(app)


def test_an_upload_that_breaks_off_proves_nothing_and_makes_nothing(site: Site, app: PipedriveApp) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield bytes(65_536)
            await asyncio.sleep(0)

    async def scenario(http: Http, url: str) -> None:
        with pytest.raises(NoAnswerError):
            await http.send("POST", f"{url}/v1/files", {**TOKEN, "content-type": "multipart/form-data; boundary=b"}, parts())

    site.target(app, scenario, breakage="cut_upload")
    assert not list(app.account.store["file"])
