"""Logins: client credentials, refresh tokens, and sessions that end."""

import secrets
from urllib.parse import parse_qsl

from sandbox.common.asgi import Request, Response, json_response


class Sessions:
    """Who may call, and until when."""

    def __init__(self, client_id: str, client_secret: str, refresh_token: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.refresh_token = refresh_token
        self.tokens: set[str] = set()
        self.login_count = 0

    def is_open(self, request: Request) -> bool:
        """Say whether a call carries a token that is still good."""
        kind, _, token = request.header(b"authorization").partition(" ")
        return kind == "Bearer" and token in self.tokens

    def expire(self) -> None:
        """End all sessions."""
        self.tokens.clear()

    def login(self, request: Request, base_url: str) -> Response:
        """Answer a call for a token."""
        if request.method != "POST":
            return json_response(400, {"error": "invalid_request", "error_description": "must use HTTP POST"})
        fields = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        grant = fields.get("grant_type", "")
        if fields.get("client_id") != self.client_id:
            return json_response(400, {"error": "invalid_client_id", "error_description": "client identifier invalid"})
        if fields.get("client_secret") != self.client_secret:
            return json_response(400, {"error": "invalid_client", "error_description": "invalid client credentials"})
        if grant == "refresh_token" and (not self.refresh_token or fields.get("refresh_token") != self.refresh_token):
            return json_response(400, {"error": "invalid_grant", "error_description": "expired access/refresh token"})
        if grant not in {"refresh_token", "client_credentials"}:
            return json_response(400, {"error": "unsupported_grant_type", "error_description": "grant type not supported"})
        token = f"00DDa!{secrets.token_urlsafe(40)}"
        self.tokens.add(token)
        self.login_count += 1
        body = {
            "access_token": token,
            "instance_url": base_url,
            "id": f"{base_url}/id/00DDa0000000001/005Da0000000001",
            "token_type": "Bearer",
            "issued_at": "1767225600000",
            "signature": "sandbox",
            "scope": "api refresh_token",
        }
        return json_response(200, body)
