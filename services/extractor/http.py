"""HTTP to sources: reading only.

Nothing is ever written to a source (X-06). That is not left to the care of connectors: the transport refuses every method but GET, and of all other
calls passes those alone that a source wants for reading: logging in, and asking for a big query or taking it back. They are listed here, so that a
connector cannot allow itself more.
"""

import re
from collections.abc import Mapping
from typing import Final

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from services.common.errors import InvalidRequestError

REDIRECTS_MAX = 5

READING_CALLS: Final[Mapping[str, tuple[tuple[str, re.Pattern[str]], ...]]] = {
    "salesforce": (
        ("POST", re.compile(r"/services/oauth2/token")),
        ("POST", re.compile(r"/services/data/v\d{2,3}\.0/jobs/query")),
        ("DELETE", re.compile(r"/services/data/v\d{2,3}\.0/jobs/query/[A-Za-z0-9]{15,18}")),
    ),
}
"""Calls that are no GET and read all the same, by platform: method and whole path. A query job is made of a query, so it cannot change a row."""


class OnceTransport(AiohttpTransport):
    """Sends every request once. aiohttp repeats a GET by itself when the connection broke: the source would count a call that we do not know of."""

    def get_client(self) -> aiohttp.ClientSession:
        """Answer the session."""
        session = super().get_client()
        session._retry_connection = False  # noqa: SLF001 - there is no public switch
        return session


class GetOnlyTransport(httpx.AsyncBaseTransport):
    """Passes GET requests on, and the reading calls of a platform, and refuses all others before a byte is sent."""

    def __init__(self, inner: httpx.AsyncBaseTransport, platform: str = "") -> None:
        self._inner = inner
        self._allowed = READING_CALLS[platform] if platform else ()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a GET, or a call of the list.

        Raises:
            InvalidRequestError: The request has another method.
        """
        is_allowed = any(request.method == method and path.fullmatch(request.url.path) for method, path in self._allowed)
        if request.method != "GET" and not is_allowed:
            raise InvalidRequestError(f"{request.method} to a source was refused: a source is only read")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def source_client(headers: Mapping[str, str], *, timeout_seconds: float, follow_redirects: bool = False, platform: str = "") -> httpx.AsyncClient:
    """Make a client that can only read: GET, and what is listed for `platform`. `timeout_seconds` bounds connecting and each pause between bytes."""
    return httpx.AsyncClient(
        transport=GetOnlyTransport(OnceTransport(), platform),
        headers=dict(headers),
        timeout=httpx.Timeout(timeout_seconds),
        follow_redirects=follow_redirects,
        max_redirects=REDIRECTS_MAX,
        trust_env=False,
    )
