"""What a failure of one request proves, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from services.common.errors import UnavailableError
from services.loader.pipedrive.http import NoAnswerError, NotSentError, http_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.requirement("L-10")


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    """Answers every request with the bytes given and hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    opened = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with opened:
        yield f"http://127.0.0.1:{opened.sockets[0].getsockname()[1]}"


async def test_a_refused_connection_sent_nothing() -> None:
    async with server(b"") as url:
        pass
    async with http_client(connections_max=1, timeout_seconds=5.0) as http:
        with pytest.raises(NotSentError):
            await http.send("POST", f"{url}/deals", {}, b"{}")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 201 Created\r\ncontent-length: 90\r\n\r\n{", b"nonsense\r\n\r\n"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_answer_that_is_cut_or_no_http_proves_nothing(answer: bytes, method: str) -> None:
    async with server(answer) as url, http_client(connections_max=1, timeout_seconds=5.0) as http:
        with pytest.raises(NoAnswerError):
            await http.send(method, f"{url}/deals", {}, None)


@pytest.mark.parametrize("url", ["http://[pipedrive", "pipedrive.test", "ftp://pipedrive.test", "http://pipedrive.test:port"])
async def test_a_malformed_url_is_told(url: str) -> None:
    async with http_client(connections_max=1, timeout_seconds=5.0) as http:
        with pytest.raises(UnavailableError):
            await http.send("GET", url, {}, None)


async def test_a_packed_answer_is_unpacked_and_its_headers_are_found_in_any_case() -> None:
    packed = gzip.compress(b'{"success":true}')
    head = f"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nx-RateLimit-limit: 20\r\ncontent-length: {len(packed)}\r\n\r\n"
    async with server(head.encode() + packed) as url, http_client(connections_max=1, timeout_seconds=5.0) as http:
        reply = await http.send("GET", f"{url}/deals", {}, None)
    assert (reply.status, reply.headers.get("X-RateLimit-Limit"), reply.content) == (200, "20", b'{"success":true}')
