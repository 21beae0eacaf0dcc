"""OAuth: grant, tokens that expire by the account's clock, scopes; compared with the official specifications where these are there."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import yaml

from sandbox.pipedrive.gateway.oauth_scopes import scopes_of
from sandbox.pipedrive.gateway.operations import build_routes
from sandbox.pipedrive.options import parse
from tests.unit.sandbox_pipedrive.driver import Answer, Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

CLIENT, SECRET, BACK = "app-1", "secret-1", "http://127.0.0.1:9/back?x=1"
SPECS = Path(__file__).parents[4] / "shared" / "reference" / "pipedrive"
DAY = 86_400


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture
def app(start: Start, time: FakeTime) -> Driver:
    return start(time.clock(), oauth_client=CLIENT, oauth_secret=SECRET)


async def _authorize(api: Driver, **query: Any) -> Answer:
    query = {"client_id": CLIENT, "redirect_uri": BACK, "state": "s t", **query}
    return await api.send("GET", "/oauth/authorize", token=None, **query)


async def _code(api: Driver, **query: str) -> str:
    answer = await _authorize(api, **query)
    assert answer.status == 302
    given = parse_qs(urlsplit(answer.headers["location"]).query)
    assert given["state"] == ["s t"]
    assert given["x"] == ["1"]
    return given["code"][0]


async def _ask(api: Driver, form: dict[str, str], secret: str = SECRET, path: str = "/oauth/token") -> Answer:
    basic = base64.b64encode(f"{CLIENT}:{secret}".encode()).decode()
    headers = {"authorization": f"Basic {basic}", "host": "127.0.0.1:8090", "content-type": "application/x-www-form-urlencoded"}
    return await api.send("POST", path, urlencode(form).encode(), token=None, headers=headers)


async def _grant(api: Driver, **query: str) -> dict[str, Any]:
    answer = await _ask(api, {"grant_type": "authorization_code", "code": await _code(api, **query), "redirect_uri": BACK})
    assert answer.status == 200, answer.body
    return dict(answer.body)


async def _call(api: Driver, access: str, method: str = "GET", path: str = "/v1/users/me", body: Any = None) -> Answer:
    return await api.send(method, path, body, token=None, headers={"authorization": f"Bearer {access}"})


async def test_code_becomes_tokens_that_let_the_user_in(app: Driver) -> None:
    tokens = await _grant(app, user_id="3")
    assert {name: tokens[name] for name in ("token_type", "expires_in", "api_domain")} == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "api_domain": "http://127.0.0.1:8090",
    }
    assert "deals:full" in tokens["scope"].split(",")
    answer = await _call(app, tokens["access_token"])
    assert answer.data["id"] == 3
    assert (await app.control("GET", "budget"))["used"] == 2  # the OAuth calls cost nothing
    entries = (await app.control("GET", "journal"))["entries"]
    assert [entry["credential"] for entry in entries] == ["user:3:oauth"]


async def test_access_ends_and_a_refresh_with_the_same_string_gives_another(app: Driver, time: FakeTime) -> None:
    tokens = await _grant(app)
    time.sleep(3601)
    assert (await _call(app, tokens["access_token"])).status == 401
    answer = await _ask(app, {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]})
    assert answer.body["refresh_token"] == tokens["refresh_token"]
    assert answer.body["access_token"] != tokens["access_token"]
    assert (await _call(app, answer.body["access_token"])).status == 200


async def test_refresh_token_dies_after_60_days_without_use(app: Driver, time: FakeTime) -> None:
    tokens = await _grant(app)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    for _ in range(3):
        time.sleep(59 * DAY)
        assert (await _ask(app, form)).status == 200
    time.sleep(61 * DAY)
    refused = await _ask(app, form)
    assert (refused.status, refused.body["error"]) == (400, "invalid_grant")


async def test_code_is_good_once_for_five_minutes_and_for_its_address(app: Driver, time: FakeTime) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": BACK}
    code = await _code(app)
    assert (await _ask(app, {**form, "code": code})).status == 200
    assert (await _ask(app, {**form, "code": code})).status == 400
    assert (await _ask(app, {**form, "code": await _code(app), "redirect_uri": "http://other"})).status == 400
    late = await _code(app)
    time.sleep(301)
    assert (await _ask(app, {**form, "code": late})).body["error"] == "invalid_grant"


async def test_wrong_client_and_wrong_calls_are_refused(app: Driver) -> None:
    assert (await _ask(app, {"grant_type": "refresh_token"}, secret="wrong")).status == 401
    assert (await app.send("POST", "/oauth/token", b"", token=None)).status == 401
    assert (await app.send("POST", "/oauth/token", b"", token=None, headers={"authorization": "Basic ???"})).status == 401
    assert (await _ask(app, {"grant_type": "password"})).body["error"] == "unsupported_grant_type"
    assert (await _authorize(app, client_id="other")).status == 400
    assert (await _authorize(app, redirect_uri="javascript:alert(1)")).status == 400
    assert (await _authorize(app, user_id="6")).status == 400
    assert (await app.send("GET", "/oauth/nonsense", token=None)).status == 404


async def test_grants_can_be_revoked(app: Driver) -> None:
    tokens = await _grant(app)
    assert (await _ask(app, {"token": tokens["refresh_token"]}, path="/oauth/revoke")).status == 200
    assert (await _call(app, tokens["access_token"])).status == 401
    tokens = await _grant(app)
    assert (await app.control("POST", "revoke", {"token": tokens["access_token"]})) == {"revoked": True}
    assert (await _call(app, tokens["access_token"])).status == 401


async def test_what_the_scopes_do_not_cover_is_refused_and_costs_nothing(start: Start) -> None:
    api = start(oauth_client=CLIENT, oauth_secret=SECRET, oauth_scopes="base,deals:read,contacts:full")
    access = (await _grant(api))["access_token"]
    assert (await _call(api, access, path="/api/v2/deals/1")).status == 200
    assert (await _call(api, access, "POST", "/api/v2/persons", {"name": "x"})).status == 200
    refused = await _call(api, access, "POST", "/api/v2/deals", {"title": "x"})
    assert (refused.status, refused.error) == (403, "Scope and URL mismatch")
    assert (await _call(api, access, path="/api/v2/itemSearch")).status == 403
    assert (await api.control("GET", "budget"))["used"] == 6


async def test_page_asks_who_grants_what(start: Start) -> None:
    api = start(oauth_client=CLIENT, oauth_secret=SECRET, oauth_consent="page")
    page = (await _authorize(api, state='"><script>')).body.decode()
    assert "<script>" not in page
    assert "deals:full" in page
    form = {"client_id": CLIENT, "redirect_uri": BACK, "state": "s t", "user_id": "2"}
    for decision, word in (("allow", "code="), ("deny", "error=user_denied")):
        answer = await api.send("POST", "/oauth/authorize", urlencode({**form, "decision": decision}).encode(), token=None)
        assert (answer.status, word in answer.headers["location"]) == (302, True)


async def test_without_an_application_there_is_no_oauth(api: Driver) -> None:
    assert (await api.send("GET", "/oauth/authorize", token=None)).status == 401


def test_secret_is_made_up_and_kept_and_needs_its_client(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--oauth-client", CLIENT, "--oauth-secret-file", str(tmp_path / "secret"), "--oauth-scopes", "base,deals:read"]
    first, second = parse(arguments)[0], parse(arguments)[0]
    assert first.oauth_secret == second.oauth_secret == (tmp_path / "secret").read_text(encoding="utf-8").strip()
    for wrong in (["--oauth-client", CLIENT], ["--oauth-scopes", "everything"]):
        with pytest.raises(SystemExit):
            parse(wrong)
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_scopes_are_the_official_ones(api: Driver) -> None:
    files = {1: SPECS / "openapi-v1.yaml", 2: SPECS / "openapi-v2.yaml"}
    if not all(file.exists() for file in files.values()):
        pytest.skip(f"{SPECS} has no specifications")
    prefix = {1: "/v1", 2: "/api/v2"}
    official: dict[tuple[str, str], set[str]] = {}
    for version, file in files.items():
        for path, operations in yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["paths"].items():
            for method, operation in operations.items():
                for entry in operation.get("security", []) if isinstance(operation, dict) else []:
                    if "oauth2" in entry:
                        official[method.upper(), prefix[version] + path] = set(entry["oauth2"])
    routes = [route for route in build_routes(api.account) if (route.method, route.template) in official]
    assert len(routes) > 150
    different = {
        route.operation: (sorted(scopes_of(route.method, route.template, route.version)), sorted(official[route.method, route.template]))
        for route in routes
        if scopes_of(route.method, route.template, route.version) != official[route.method, route.template]
    }
    assert different == {}, "\n".join(f"{k} {v}" for k, v in different.items())
