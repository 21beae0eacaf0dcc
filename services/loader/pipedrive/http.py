"""Sending one request and reading its whole answer, with what its failure proves: nothing left this machine, or nobody knows.

aiohttp is used directly: cookies, redirects and logins Pipedrive's API has no use for, and requests and answers of its own kind for every call
took a client library above it as much time as the call itself.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import aiohttp

from services.common.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class NotSentError(Exception):
    """No byte of the request left this machine."""


class NoAnswerError(Exception):
    """The request may have arrived, but no whole answer came; the message is the kind of failure."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; names of headers are looked up in any case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Http(Protocol):
    """What sends requests."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        """Sends a request once and reads the whole answer.

        Raises:
            NotSentError: nothing was sent. NoAnswerError: it may have been.
            UnavailableError: the URL is malformed (`TARGET_UNREACHABLE`).
        """
        ...


@dataclass(frozen=True, slots=True)
class AiohttpHttp:
    """Sends requests over kept connections."""

    session: aiohttp.ClientSession

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None) -> Reply:
        """Sends a request once and reads the whole answer."""
        try:
            async with self.session.request(method, url, headers=headers, data=content, allow_redirects=False) as response:
                return Reply(response.status, response.headers, await response.read())
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise UnavailableError("the URL of the connection is malformed", reason="TARGET_UNREACHABLE") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSentError(type(error).__name__) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(type(error).__name__) from error


@asynccontextmanager
async def http_client(*, connections_max: int, timeout_seconds: float) -> AsyncIterator[Http]:
    """Opens the HTTP client.

    Args:
        connections_max: connections to one company at a time; further requests wait for one without limit.
        timeout_seconds: longest silence of the other side; connecting takes at most 10 seconds of it.
    """
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=min(10.0, timeout_seconds), sock_read=timeout_seconds)
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=connections_max, keepalive_timeout=30)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout) as session:
        # aiohttp repeats a GET by itself when a kept connection was closed; the quota would not know of that call.
        session._retry_connection = False  # noqa: SLF001 - there is no public switch
        yield AiohttpHttp(session)
