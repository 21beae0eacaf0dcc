"""Downloads from a source to staging: streamed, never larger than the limit, kept once by the digest of their content."""

import mimetypes
import re
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
import httpx
from opentelemetry.trace import SpanKind

from services.common import telemetry
from services.extractor.connector import CallGate, FileLink, Refusal

FILE_BYTES_MAX: Final = 25 * 1024 * 1024
"""Largest file downloaded when nothing else is asked for: what Pipedrive takes."""
TRIES_MAX: Final = 3
"""Downloads of one file that break off before it is called unavailable."""
NAME_CHARACTERS_MAX: Final = 255
"""Longest file name kept."""
TOO_LARGE: Final = "FILE_TOO_LARGE"
UNAVAILABLE: Final = "FILE_UNAVAILABLE"

_REFUSAL_BYTES_MAX: Final = 16_384
_NETWORK_ERRORS: Final = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, TimeoutError, ValueError)
_FILE_NAME: Final = re.compile(r"""filename\*?=(?:UTF-8'[^']*')?"?([^";]+)"?""", re.IGNORECASE)
_log = telemetry.get_logger(__name__)


class FileStore(Protocol):
    """The part of staging that files need."""

    async def put_file(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store a file and answer its digest and size; an error in `chunks` leaves nothing behind."""
        ...


@dataclass(frozen=True, slots=True)
class StagedFile:
    """What became of a download; `digest` is empty with a `problem`."""

    name: str
    byte_count: int = 0
    content_type: str = ""
    digest: str = ""
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Write it as the `file` of an envelope."""
        body = {"byte_count": self.byte_count, "name": self.name, "content_type": self.content_type, "problem": self.problem or None}
        return {"digest": self.digest, **body} if self.digest else body


class _TooLargeError(Exception):
    def __init__(self, byte_count: int) -> None:
        super().__init__()
        self.byte_count = byte_count


class _BrokenOffError(Exception):
    """The download did not come to its end; another try may."""


class Downloader:
    """Fetches files. A file that cannot be had is a result, not an error."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        store: FileStore,
        gate: CallGate,
        counts_calls: bool,
        bytes_max: int,
        refusal: Callable[[int, bytes], Refusal | None],
        was_source_away: Callable[[], Awaitable[bool]],
    ) -> None:
        self._http = http
        self._store = store
        self._gate = gate
        self._counts_calls = counts_calls
        self._bytes_max = bytes_max or FILE_BYTES_MAX
        self._refusal = refusal
        self._was_source_away = was_source_away
        self._byte_counter = telemetry.meter().create_counter("transload.source.file.bytes", unit="By")

    async def fetch(self, link: FileLink | None, fallback_name: str) -> StagedFile:
        """Download one file.

        Raises:
            UnavailableError: Staging refused the write (`STAGING_UNAVAILABLE`).
        """
        if link is None or not link.url.startswith(("http://", "https://")):
            return StagedFile(safe_name(link.name if link else fallback_name), problem=UNAVAILABLE)
        while True:
            for _ in range(TRIES_MAX):
                if (staged := await self._try(link)) is not None:
                    return staged
            # A file that cannot be had during an outage of the whole source says nothing of the file.
            if not await self._was_source_away():
                return StagedFile(safe_name(link.name), problem=UNAVAILABLE)

    async def _try(self, link: FileLink) -> StagedFile | None:
        """Download once; None when it broke off."""
        while True:
            if self._counts_calls:
                await self._gate.enter()
            attributes = {"http.request.method": "GET", "url.template": "(file)"}
            with telemetry.tracer().start_as_current_span("source.file", kind=SpanKind.CLIENT, attributes=attributes) as span:
                try:
                    staged = await self._download(link)
                except _BrokenOffError as error:
                    span.set_attribute("error.type", str(error))
                    # The link itself stays out of the log: whoever reads it could download.
                    _log.warning("source.file_broken_off", problem=str(error))
                    return None
            if staged is not None:
                return staged

    async def _download(self, link: FileLink) -> StagedFile | None:
        """Make one try; None when the source refused it for its call limits, which is waited out by the gate."""
        progress = _Progress(self._bytes_max)
        name = safe_name(link.name)
        try:
            # Compressed bytes would make the announced length mean something else.
            async with self._http.stream("GET", link.url, headers={"Accept-Encoding": "identity"}) as response:
                if response.status_code != httpx.codes.OK:
                    return await self._failed(response, name)
                content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                name = safe_name(_disposition_name(response) or link.name, content_type)
                announced = response.headers.get("Content-Length", "")
                if announced.isdigit() and int(announced) > self._bytes_max:
                    return StagedFile(name, int(announced), content_type, problem=TOO_LARGE)
                digest, byte_count = await self._store.put_file(progress.watch(response.aiter_bytes()))
        except _TooLargeError as error:
            return StagedFile(name, error.byte_count, content_type, problem=TOO_LARGE)
        except _NETWORK_ERRORS as error:
            raise _BrokenOffError(type(error).__name__) from error
        self._byte_counter.add(byte_count)
        return StagedFile(name, byte_count, content_type, digest)

    async def _failed(self, response: httpx.Response, name: str) -> StagedFile | None:
        content = await _head(response)
        refusal = self._refusal(response.status_code, content)
        if refusal is not None:
            await self._gate.refused(refusal)
            return None
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or response.status_code == httpx.codes.REQUEST_TIMEOUT:
            raise _BrokenOffError(f"HTTP {response.status_code}")
        _log.warning("source.file_unavailable", status=response.status_code)
        return StagedFile(name, problem=UNAVAILABLE)


class _Progress:
    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._byte_count = 0

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self._byte_count += len(chunk)
                if self._byte_count > self._bytes_max:
                    raise _TooLargeError(self._byte_count)
                yield chunk
        except _NETWORK_ERRORS as error:
            # Said here, because inside staging an error of the network would pass for one of the disk.
            raise _BrokenOffError(type(error).__name__) from error


async def _head(response: httpx.Response) -> bytes:
    content = b""
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > _REFUSAL_BYTES_MAX:
            break
    return content


def _disposition_name(response: httpx.Response) -> str:
    """Answer the name the server gives the file. The last part of the URL is never used: it may be the secret."""
    header = response.headers.get("Content-Disposition", "")
    match = _FILE_NAME.search(header)
    if match is None:
        return ""
    name = match[1].strip()
    return httpx.URL(f"http://x/{name}").path.removeprefix("/") if "%" in name and "*=" in header else name


def safe_name(name: str, content_type: str = "") -> str:
    """Make a name that is one: no folders, no control characters, not longer than the target takes, an extension when the type is known.

    All else stays as it is, whatever the script; files in staging are named by digest, so no name can do harm there.
    """
    plain = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in name)
    plain = re.sub(r"[\\/]+", "_", plain).strip()
    if not plain.strip("."):
        plain = "file"
    stem, dot, extension = plain.rpartition(".")
    if not dot or not 1 <= len(extension) <= 8 or " " in extension:  # noqa: PLR2004 - longest extension in use
        stem, extension = plain, (mimetypes.guess_extension(content_type) or "").removeprefix(".")
    tail = f".{extension}" if extension else ""
    return stem[: NAME_CHARACTERS_MAX - len(tail)] + tail
