"""OAuth 2.0 as Pipedrive's marketplace has it: authorization codes, access tokens that expire, refresh tokens that stay the same.

Life times count on the account's clock. Documented: 5 minutes for a code, about an hour for an access token, 60 days without use for a
refresh token. Assumed: an access token outlives the refresh that gives its successor; the texts of errors.
"""

import base64
import binascii
import hashlib
import hmac
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from sandbox.common.asgi import Request, Response, html_response, json_response
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.store.store import Record

PREFIX = "/oauth/"
CODE_SECONDS = 300.0
UNUSED_SECONDS = 60 * 86_400.0
_GRANTS = "oauth_grants"
"""Name of the store's value that holds, by refresh token: user, scopes, last use, and access tokens with their ends."""
_CODES = "oauth_codes"


class OAuthError(Exception):
    """A call to the token end point is refused.

    Args:
        error: The code RFC 6749 has for it.
        message: A line for a person.
        status: HTTP status.
    """

    def __init__(self, error: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.error = error
        self.status = status


class OAuth:
    """The authorization server of one company."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def answer(self, request: Request) -> Response:
        """Answer a request below `/oauth/`. It costs nothing and counts for no window."""
        form = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
        match (request.method, request.path.removeprefix(PREFIX).rstrip("/")):
            case ("GET", "authorize"):
                return self._authorize(request.query(), is_asked=self._account.options.oauth_consent == "page")
            case ("POST", "authorize"):
                return self._authorize(form, is_asked=False)
            case ("POST", "token"):
                return self._guarded(request, form, self._token)
            case ("POST", "revoke"):
                return self._guarded(request, form, self._revoke)
            case _:
                return json_response(404, {"success": False, "error": "not_found", "message": "There is no such OAuth address"})

    def find(self, token: str) -> tuple[int, frozenset[str]] | None:
        """Return the user and the scopes of an access token, None when it is unknown or has expired."""
        now = self._account.clock.epoch()
        for grant in self._grants().values():
            if grant["access"].get(token, 0.0) > now:
                return grant["user_id"], frozenset(grant["scope"].split(","))
        return None

    # The page a user sees

    def _authorize(self, query: dict[str, str], *, is_asked: bool) -> Response:
        options = self._account.options
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != options.oauth_client or urlsplit(redirect).scheme not in {"http", "https"}:
            return html_response(400, "<h1>Unknown application</h1><p>client_id or redirect_uri is missing or wrong.</p>")
        if is_asked:
            return html_response(200, self._page(query))
        if query.get("decision") == "deny":
            return _redirect(redirect, {"error": "user_denied", "state": query.get("state")})
        user_id = query.get("user_id", "1")
        if not user_id.isdigit() or not self._account.exists("user", int(user_id)):
            return html_response(400, "<h1>Unknown user</h1>")
        code = self._new_secret("code")
        codes = {known: value for known, value in self._codes().items() if value["ends"] > self._account.clock.epoch()}
        codes[code] = {"user_id": int(user_id), "redirect_uri": redirect, "ends": self._account.clock.epoch() + CODE_SECONDS}
        self._account.store.set_meta(_CODES, codes)
        self._account.store.commit()
        return _redirect(redirect, {"code": code, "state": query.get("state")})

    def _page(self, query: dict[str, str]) -> str:
        hidden = "".join(
            f"<input type=hidden name={name} value='{escape(query.get(name, ''), quote=True)}'>" for name in ("client_id", "redirect_uri", "state")
        )
        users = "".join(f"<option value={user['id']}>{escape(user['name'])}</option>" for user in self._account.store["user"] if user["active_flag"])
        company = escape(self._account.store.meta["company"]["company_name"])
        scopes = "".join(f"<li>{escape(scope)}</li>" for scope in self._account.options.oauth_scopes.split(","))
        return (
            "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            "<title>Allow access</title></head>"
            f"<body><h1>Allow {escape(query['client_id'])} to use {company}?</h1><ul>{scopes}</ul>"
            f"<form method=post action='/oauth/authorize'>{hidden}"
            f"<label>As <select name=user_id>{users}</select></label> <button name=decision value=allow>Allow</button> "
            "<button name=decision value=deny>Cancel</button></form></body></html>"
        )

    # The end points a program calls

    def _guarded(self, request: Request, form: dict[str, str], action: Any) -> Response:
        try:
            self._check_client(request)
            response: Response = action(request, form)
        except OAuthError as error:
            return json_response(error.status, {"success": False, "error": error.error, "message": str(error)})
        self._account.store.commit()
        return response

    def _check_client(self, request: Request) -> None:
        options = self._account.options
        scheme, _, given = request.header(b"authorization").partition(" ")
        try:
            client, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            client = secret = ""
        is_known = options.oauth_client is not None and hmac.compare_digest(
            f"{client}:{secret}".encode(), f"{options.oauth_client}:{options.oauth_secret}".encode()
        )
        if scheme.lower() != "basic" or not is_known:
            raise OAuthError("invalid_client", "Client id and secret must be given by HTTP Basic and be right", 401)

    def _token(self, request: Request, form: dict[str, str]) -> Response:
        match form.get("grant_type"):
            case "authorization_code":
                refresh, grant = self._redeem(form)
            case "refresh_token":
                refresh, grant = self._refreshed(form)
            case kind:
                raise OAuthError("unsupported_grant_type", f"grant_type {kind} is not served")
        options, now = self._account.options, self._account.clock.epoch()
        access = self._new_secret("access")
        live = {token: end for token, end in grant["access"].items() if end > now}
        grant = {**grant, "used": now, "access": {**live, access: now + options.oauth_seconds}}
        self._account.store.set_meta(_GRANTS, {**self._grants(), refresh: grant})
        host = request.header(b"host") or "127.0.0.1"
        return json_response(
            200,
            {
                "access_token": access,
                "token_type": "Bearer",
                "refresh_token": refresh,
                "scope": grant["scope"],
                "expires_in": int(options.oauth_seconds),
                "api_domain": f"http://{host}",
            },
        )

    def _redeem(self, form: dict[str, str]) -> tuple[str, Record]:
        """Take an authorization code, which is good once."""
        codes = dict(self._codes())
        code = codes.pop(form.get("code", ""), None)
        self._account.store.set_meta(_CODES, codes)
        if code is None or code["ends"] <= self._account.clock.epoch() or code["redirect_uri"] != form.get("redirect_uri"):
            raise OAuthError("invalid_grant", "The code is unknown, used or expired, or redirect_uri is another")
        return self._new_secret("refresh"), {"user_id": code["user_id"], "scope": self._account.options.oauth_scopes, "access": {}}

    def _refreshed(self, form: dict[str, str]) -> tuple[str, Record]:
        refresh = form.get("refresh_token", "")
        grant = self._grants().get(refresh)
        if grant is None or self._account.clock.epoch() - grant["used"] > UNUSED_SECONDS:
            raise OAuthError("invalid_grant", "The refresh token is unknown or was not used for 60 days")
        return refresh, grant

    def _revoke(self, request: Request, form: dict[str, str]) -> Response:
        del request
        revoke_grant(self._account, form.get("token", ""))
        return json_response(200, {"success": True})

    def _grants(self) -> dict[str, Record]:
        return self._account.store.meta.get(_GRANTS) or {}

    def _codes(self) -> dict[str, Record]:
        return self._account.store.meta.get(_CODES) or {}

    def _new_secret(self, kind: str) -> str:
        """Return a code or token that depends on the account and the number of those before alone."""
        store = self._account.store
        number = int(store.meta.get("oauth_secrets", 0)) + 1
        store.set_meta("oauth_secrets", number)
        digest = hashlib.sha1(f"{store.meta['salt']}:{kind}:{number}".encode(), usedforsecurity=False).hexdigest()
        return f"{self._account.store.meta['company']['company_id']}:{number}:{digest}"


def revoke_grant(account: Account, token: str) -> bool:
    """End the grant of an access or refresh token; return whether there was one."""
    grants = account.store.meta.get(_GRANTS) or {}
    kept = {refresh: grant for refresh, grant in grants.items() if token != refresh and token not in grant["access"]}
    account.store.set_meta(_GRANTS, kept)
    return len(kept) < len(grants)


def _redirect(address: str, values: dict[str, str | None]) -> Response:
    query = urlencode({name: value for name, value in values.items() if value})
    location = f"{address}{'&' if urlsplit(address).query else '?'}{query}"
    return Response(302, headers=[(b"location", location.encode("latin-1", "replace"))])
