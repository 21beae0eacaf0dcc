"""Posts webhook payloads over HTTP."""

from types import TracebackType
from typing import Self

import aiohttp

from sandbox.pipedrive.store.store import Record

TIMEOUT_SECONDS = 10


class HttpSender:
    """One HTTP client for all webhooks; redirects are not followed."""

    async def __aenter__(self) -> Self:
        """Open the client."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
        self._session = aiohttp.ClientSession(timeout=timeout, headers={"user-agent": "Pipedrive Webhooks"}, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the client."""
        await self._session.close()

    async def send(self, webhook: Record, body: bytes) -> int | None:
        """Post a payload; return the status, None for no answer in time."""
        auth = None
        if webhook["http_auth_user"] is not None:
            auth = aiohttp.BasicAuth(webhook["http_auth_user"], webhook["http_auth_password"] or "")
        headers = {"content-type": "application/json"}
        try:
            async with self._session.post(webhook["subscription_url"], data=body, headers=headers, auth=auth, allow_redirects=False) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
