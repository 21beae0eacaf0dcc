"""HTTP to sources: reading only.

Nothing is ever written to a source (X-06). That is not left to the care of connectors: the transport refuses every method but GET.
"""

from collections.abc import Mapping

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from services.common.errors import InvalidRequestError

REDIRECTS_MAX = 5


class OnceTransport(AiohttpTransport):
    """Sends every request once. aiohttp repeats a GET by itself when the connection broke: the source would count a call that we do not know of."""

    def get_client(self) -> aiohttp.ClientSession:
        """Answer the session."""
        session = super().get_client()
        session._retry_connection = False  # noqa: SLF001 - there is no public switch
        return session


class GetOnlyTransport(httpx.AsyncBaseTransport):
    """Passes GET requests on and refuses all others before a byte is sent."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a GET.

        Raises:
            InvalidRequestError: The request has another method.
        """
        if request.method != "GET":
            raise InvalidRequestError(f"{request.method} to a source was refused: a source is only read")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


def source_client(headers: Mapping[str, str], *, timeout_seconds: float, follow_redirects: bool = False) -> httpx.AsyncClient:
    """Make a client that can only GET. `timeout_seconds` bounds connecting and each pause between bytes."""
    return httpx.AsyncClient(
        transport=GetOnlyTransport(OnceTransport()),
        headers=dict(headers),
        timeout=httpx.Timeout(timeout_seconds),
        follow_redirects=follow_redirects,
        max_redirects=REDIRECTS_MAX,
        trust_env=False,
    )
