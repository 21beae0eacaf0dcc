"""Downloads from a source to staging: streamed, never larger than the limit, kept once by the digest of their content.

Two limits: `bytes_max` is what the target takes in one file; what is larger counts as too large, but up to `large_bytes_max` it is fetched all the
same, with a list of its parts, so that a mapping can have it split.
"""

import mimetypes
import re
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from opentelemetry.trace import SpanKind

from services.common import telemetry
from services.extractor.connector import CallGate, FileError, FileLink, FileMissingError, FileRefusedError, SourceFile
from services.extractor.parts import JOINING_SUFFIX, FilePart, PartHasher, joining_text, part_bytes, with_suffix

FILE_BYTES_MAX: Final = 25 * 1024 * 1024
"""Largest file downloaded when nothing else is asked for: what Pipedrive takes."""
TRIES_MAX: Final = 3
"""Downloads of one file that break off before it is called unavailable."""
NAME_CHARACTERS_MAX: Final = 255
"""Longest file name kept."""
TOO_LARGE: Final = "FILE_TOO_LARGE"
UNAVAILABLE: Final = "FILE_UNAVAILABLE"

_log = telemetry.get_logger(__name__)


class FileStore(Protocol):
    """The part of staging that files need."""

    async def put_file(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Store a file and answer its digest and size; an error in `chunks` leaves nothing behind."""
        ...


@dataclass(frozen=True, slots=True)
class StagedFile:
    """What became of a download; with a `problem` the `digest` is empty, unless the file is too large but was fetched in view of its `parts`."""

    name: str
    byte_count: int = 0
    content_type: str = ""
    digest: str = ""
    problem: str = ""
    parts: tuple[FilePart, ...] = ()
    joining: Mapping[str, Any] = field(default_factory=dict)
    """The staged text that says how the parts are joined: name, digest, byte_count, content_type and the text itself."""

    def to_json(self) -> dict[str, Any]:
        """Write it as the `file` of an envelope."""
        body = {"byte_count": self.byte_count, "name": self.name, "content_type": self.content_type, "problem": self.problem or None}
        if self.parts:
            body |= {"parts": [part.to_json() for part in self.parts], "joining": dict(self.joining)}
        return {"digest": self.digest, **body} if self.digest else body


class _TooLargeError(Exception):
    def __init__(self, byte_count: int) -> None:
        super().__init__()
        self.byte_count = byte_count


class Downloader:
    """Fetches files. A file that cannot be had is a result, not an error."""

    def __init__(
        self,
        open_file: Callable[[FileLink], AbstractAsyncContextManager[SourceFile]],
        *,
        store: FileStore,
        gate: CallGate,
        counts_calls: bool,
        bytes_max: int,
        was_source_away: Callable[[], Awaitable[bool]],
        large_bytes_max: int = 0,
    ) -> None:
        self._open_file = open_file
        self._store = store
        self._gate = gate
        self._counts_calls = counts_calls
        self._bytes_max = bytes_max or FILE_BYTES_MAX
        self._fetched_max = max(self._bytes_max, large_bytes_max)
        self._was_source_away = was_source_away
        self._byte_counter = telemetry.meter().create_counter("transload.source.file.bytes", unit="By")

    async def fetch(self, link: FileLink | None, fallback_name: str) -> StagedFile:
        """Download one file.

        Raises:
            UnavailableError: Staging refused the write (`STAGING_UNAVAILABLE`).
        """
        if link is None:
            return StagedFile(safe_name(fallback_name), problem=UNAVAILABLE)
        while True:
            for _ in range(TRIES_MAX):
                if (staged := await self._try(link)) is not None:
                    return staged
            # A file that cannot be had during an outage of the whole source says nothing of the file.
            if not await self._was_source_away():
                return StagedFile(safe_name(link.name), problem=UNAVAILABLE)

    async def _try(self, link: FileLink) -> StagedFile | None:
        """Download once, after the pauses the source wants; None when it broke off."""
        while True:
            if self._counts_calls:
                await self._gate.enter()
            with telemetry.tracer().start_as_current_span("source.file", kind=SpanKind.CLIENT) as span:
                try:
                    return await self._download(link)
                except FileRefusedError as error:
                    refusal = error.refusal
                except FileError as error:
                    span.set_attribute("error.type", str(error))
                    # The link itself stays out of the log: whoever reads it could download.
                    if isinstance(error, FileMissingError):
                        _log.warning("source.file_unavailable", problem=str(error))
                        return StagedFile(safe_name(link.name), problem=UNAVAILABLE)
                    _log.warning("source.file_broken_off", problem=str(error))
                    return None
            await self._gate.refused(refusal)

    async def _download(self, link: FileLink) -> StagedFile:
        progress = _Progress(self._fetched_max, PartHasher(part_bytes(self._bytes_max)) if self._fetched_max > self._bytes_max else None)
        async with self._open_file(link) as file:
            name = safe_name(file.name or link.name, file.content_type)
            if file.byte_count is not None and file.byte_count > self._fetched_max:
                return StagedFile(name, file.byte_count, file.content_type, problem=TOO_LARGE)
            try:
                digest, byte_count = await self._store.put_file(progress.watch(file.chunks))
            except _TooLargeError as error:
                return StagedFile(name, error.byte_count, file.content_type, problem=TOO_LARGE)
        self._byte_counter.add(byte_count)
        # What came counts, whatever was announced.
        if progress.parts is None or byte_count <= self._bytes_max:
            return StagedFile(name, byte_count, file.content_type, digest)
        parts = progress.parts.parts(name)
        joining = await self._stage_joining(name, byte_count, digest, parts)
        return StagedFile(name, byte_count, file.content_type, digest, TOO_LARGE, tuple(parts), joining)

    async def _stage_joining(self, name: str, byte_count: int, digest: str, parts: Sequence[FilePart]) -> dict[str, Any]:
        """Stage the text that goes with the parts; a file like any other, because not every record takes notes."""
        text = joining_text(name, byte_count, digest, parts)
        text_digest, text_bytes = await self._store.put_file(_once(text.encode()))
        joining_name = with_suffix(name, JOINING_SUFFIX)
        return {"name": joining_name, "digest": text_digest, "byte_count": text_bytes, "content_type": "text/plain; charset=utf-8", "text": text}


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


class _Progress:
    def __init__(self, bytes_max: int, parts: PartHasher | None) -> None:
        self.parts = parts
        self._bytes_max = bytes_max
        self._byte_count = 0

    async def watch(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self._byte_count += len(chunk)
            if self._byte_count > self._bytes_max:
                raise _TooLargeError(self._byte_count)
            if self.parts is not None:
                self.parts.update(chunk)
            yield chunk


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
