"""The grant of tokens, against the official OpenAPI files. It is served beside the API, so it is tested by itself."""

import asyncio
import base64
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.pipedrive.options import Options
from tests.openapi.spec import FORM, requires_spec, validate_request, validate_response
from tests.unit.sandbox_pipedrive.driver import Driver

pytestmark = requires_spec

BACK = "http://127.0.0.1:9/back"


async def _grant(driver: Driver, path: str, form: dict[str, str]) -> dict[str, Any]:
    body = urlencode(form).encode()
    assert validate_request("POST", path, "", FORM, body) == []
    basic = base64.b64encode(b"app:secret").decode()
    answer = await driver.send("POST", path, body, token=None, headers={"authorization": f"Basic {basic}", "content-type": FORM})
    assert validate_response("POST", path, answer.status, answer.body) == []
    assert answer.status == 200
    return dict(answer.body)


async def _tokens() -> tuple[dict[str, Any], dict[str, Any]]:
    driver = Driver(Options(oauth_client="app", oauth_secret="secret"))
    query: dict[str, Any] = {"client_id": "app", "redirect_uri": BACK, "state": "one"}
    assert validate_request("GET", "/oauth/authorize", urlencode(query), "", b"") == []
    asked = await driver.send("GET", "/oauth/authorize", token=None, **query)
    code = parse_qs(urlsplit(asked.headers["location"]).query)["code"][0]
    first = await _grant(driver, "/oauth/token", {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK})
    return first, await _grant(driver, "/oauth/token/", {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})


def test_tokens_are_granted_and_refreshed_as_specified() -> None:
    first, second = asyncio.run(_tokens())
    assert first.keys() == second.keys() == {"access_token", "token_type", "refresh_token", "scope", "expires_in", "api_domain"}
    assert first["access_token"] != second["access_token"]
