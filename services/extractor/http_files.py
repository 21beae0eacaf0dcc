"""Files that are behind a URL: opened with one GET, and every way it can fail told apart."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

import httpx

from services.extractor.calls import NETWORK_ERRORS
from services.extractor.connector import FileBrokenOffError, FileMissingError, FileRefusedError, Refusal, SourceFile

_REFUSAL_BYTES_MAX: Final = 16_384
_NO_ANSWER: Final = (*NETWORK_ERRORS, httpx.InvalidURL, ValueError)
"""What fails for one file alone: a record may hold any text as its address."""
_FILE_NAME: Final = re.compile(r"""filename\*?=(?:UTF-8'[^']*')?"?([^";]+)"?""", re.IGNORECASE)


@asynccontextmanager
async def open_url(
    http: httpx.AsyncClient, url: str, *, refusal: Callable[[int, bytes], Refusal | None], headers: Mapping[str, str] | None = None
) -> AsyncGenerator[SourceFile]:
    """Open what is behind a URL.

    Args:
        http: the client; its headers go along.
        url: which may be a bearer secret: it stands in no error.
        refusal: says whether an answer means that a call limit is passed.
        headers: of this call alone.

    Raises:
        FileMissingError: The server does not give it, or the URL is none of HTTP.
        FileBrokenOffError: The network or the server failed.
        FileRefusedError: A call limit is passed.
    """
    if not url.startswith(("http://", "https://")):
        raise FileMissingError("no HTTP address")
    try:
        # Compressed bytes would make the announced length mean something else.
        request = http.build_request("GET", url, headers={**(headers or {}), "Accept-Encoding": "identity"})
        response = await http.send(request, stream=True)
    except _NO_ANSWER as error:
        raise FileBrokenOffError(type(error).__name__) from error
    try:
        if response.status_code != httpx.codes.OK:
            await _fail(response, refusal)
        announced = response.headers.get("Content-Length", "")
        yield SourceFile(
            _chunks(response),
            name=_disposition_name(response),
            content_type=response.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            byte_count=int(announced) if announced.isdigit() else None,
        )
    finally:
        await response.aclose()


async def _fail(response: httpx.Response, refusal: Callable[[int, bytes], Refusal | None]) -> None:
    content = b""
    async for chunk in _chunks(response):
        content += chunk
        if len(content) > _REFUSAL_BYTES_MAX:
            break
    limit = refusal(response.status_code, content)
    if limit is not None:
        raise FileRefusedError(limit)
    problem = f"HTTP {response.status_code}"
    if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or response.status_code == httpx.codes.REQUEST_TIMEOUT:
        raise FileBrokenOffError(problem)
    raise FileMissingError(problem)


async def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in response.aiter_bytes():
            yield chunk
    except _NO_ANSWER as error:
        # Said here, because inside staging an error of the network would pass for one of the disk.
        raise FileBrokenOffError(type(error).__name__) from error


def _disposition_name(response: httpx.Response) -> str:
    """Answer the name the server gives the file. The last part of the URL is never used: it may be the secret."""
    header = response.headers.get("Content-Disposition", "")
    match = _FILE_NAME.search(header)
    if match is None:
        return ""
    name = match[1].strip()
    return httpx.URL(f"http://x/{name}").path.removeprefix("/") if "%" in name and "*=" in header else name
