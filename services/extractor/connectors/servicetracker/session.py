"""The login: an access token from client credentials or a refresh token, renewed once when the platform says that it has ended."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import httpx
import orjson

from services.common.connections import Connection
from services.common.errors import UnauthorizedError
from services.common.secrecy import masked, remember
from services.extractor.calls import NETWORK_ERRORS, Outages
from services.extractor.connector import CallGate

TOKEN_PATH: Final = "/services/oauth2/token"  # noqa: S105 - an address


@dataclass(frozen=True, slots=True)
class Session:
    """A login that is good until the platform ends it."""

    instance_url: str
    token: str = field(repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers of a call in this session."""
        return {"Authorization": f"Bearer {self.token}"}


class Login:
    """Gets sessions for one connection. A refresh token is used where there is one, else the client's own credentials."""

    def __init__(self, http: httpx.AsyncClient, connection: Connection, gate: CallGate) -> None:
        self._http = http
        self._url = connection.url
        self._parts = connection.parts
        self._gate = gate
        self._turn = asyncio.Lock()
        self._session: Session | None = None

    async def session(self, *, ended: Session | None = None) -> Session:
        """Answer a session, a new one when `ended` is the one in use: of several calls that find it ended, one logs in.

        Raises:
            UnauthorizedError: The platform refused the credentials.
        """
        async with self._turn:
            if self._session is None or self._session is ended:
                self._session = await self._open()
            return self._session

    async def _open(self) -> Session:
        fields = {"client_id": self._parts["client_id"], "client_secret": self._parts["client_secret"]}
        if refresh_token := self._parts.get("refresh_token", ""):
            fields |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
        else:
            fields["grant_type"] = "client_credentials"
        outages = Outages(self._gate, "source.login_failed")
        while True:
            await self._gate.enter()
            problem = ""
            try:
                response = await self._http.post(self._url + TOKEN_PATH, data=fields)
            except NETWORK_ERRORS as error:
                problem = type(error).__name__
            else:
                if session := self._session_of(response):
                    return session
                problem = f"HTTP {response.status_code} without a token"
            await outages.wait(problem)

    def _session_of(self, response: httpx.Response) -> Session | None:
        """Answer the session; None when the answer is none a login gives."""
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(body, dict):
            return None
        error = str(body.get("error") or "")
        if error and response.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
            raise UnauthorizedError(
                f"the org refused the login ({masked(error)[:40]}): put the right client_id, client_secret and refresh_token in, then resume",
                reason="SOURCE_UNAUTHORIZED",
            )
        token, instance_url = body.get("access_token"), body.get("instance_url")
        if not isinstance(token, str) or not isinstance(instance_url, str):
            return None
        # A token must not leave in the clear because an answer says so.
        if urlsplit(instance_url).scheme != "https" and urlsplit(self._url).scheme == "https":
            raise UnauthorizedError("the org's login names an address without encryption: it was not used", reason="SOURCE_UNAUTHORIZED")
        remember(token)
        return Session(instance_url.rstrip("/"), token)
