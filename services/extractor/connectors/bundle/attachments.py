"""Files of a bundle: where the one of a row lies, whose it is, and opening it."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import re
import zipfile
import zlib
from contextlib import asynccontextmanager, closing
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any, Final

from services.extractor.connector import FileBrokenOffError, FileLink, FileMissingError, RawRecord, SourceFile
from services.extractor.connectors.bundle.container import safe_path

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from services.extractor.connectors.bundle.container import Container, Member
    from services.extractor.connectors.bundle.layout import FileRule

CHUNK_BYTES: Final = 1024 * 1024
OWNER_ENTITY: Final = "owner_entity"
OWNER_ID: Final = "owner_id"
NAME: Final = "name"
_SCHEME: Final = "bundle:"
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


class FileFinder:
    """Finds the files of a table's rows."""

    def __init__(self, entity: str, container: Container, rule: FileRule, shares: Mapping[str, str]) -> None:
        self._entity = entity
        self._container = container
        self._rule = rule
        self._shares = [(prefix.replace("\\", "/").rstrip("/").casefold(), folder.strip("/")) for prefix, folder in shares.items()]

    def record(self, source_id: str, data: Mapping[str, Any], *, is_deleted: bool = False, is_archived: bool = False) -> RawRecord:
        """Make the record of a file: its row, whose it is, its name, and where its bytes are."""
        rule = self._rule
        path = self.path_of(data)
        name = str(data.get(rule.name or "") or (PurePosixPath(path.replace("\\", "/")).name if path else "") or source_id)
        kind = str(data.get(rule.kind_column or "", ""))
        if is_link(told := str(data.get(rule.path or "") or "")):
            # What lets one download stands behind the question mark.
            data = {**data, str(rule.path): re.split(r"[?#]", told, maxsplit=1)[0]}
        owned = {**data, OWNER_ENTITY: rule.owner_of(kind), OWNER_ID: str(data.get(rule.id_column or "", "")), NAME: name}
        return RawRecord(source_id, owned, is_deleted, is_archived, FileLink(f"{_SCHEME}{self._entity}:{path}", name))

    def path_of(self, data: Mapping[str, Any]) -> str:
        """Answer the path a row says its file has; empty where it says none."""
        told = str(data.get(self._rule.path or "") or "").strip()
        if told:
            return self._local(told)
        parts = {name: str(data.get(name) or "") for name in self._rule.placeholders}
        if self._rule.folder and all(parts.values()):
            return _PLACEHOLDER.sub(lambda match: parts[match[1]].replace("/", "_"), self._rule.folder)
        return ""

    def find(self, path: str) -> Member | None:
        """Find a file by its path: from the bundle, or from the folder of files on; letter case and the form of accents do not count."""
        folder = (self._rule.folder or "").partition("{")[0].strip("/")
        for place in (path, f"{folder}/{path}" if folder else ""):
            if place and safe_path(place) is not None and (member := self._container.resolve(place)) is not None:
                return member
        return None

    def loose(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the files that lie where the layout says, with the columns their paths show."""
        pattern = _backwards(self._rule.folder or "")
        for member in self._container.members():
            if match := pattern.fullmatch(member.path):
                yield member.path, {**match.groupdict(), **({self._rule.path: member.path} if self._rule.path else {})}

    def _local(self, path: str) -> str:
        plain = path.replace("\\", "/")
        for prefix, folder in self._shares:
            if plain.casefold().startswith(f"{prefix}/"):
                return f"{folder}/{plain[len(prefix) + 1 :]}".strip("/")
        return plain


def is_link(path: str) -> bool:
    """Say whether a path is an address in the network: nothing is fetched from there."""
    return re.match(r"\s*[A-Za-z][A-Za-z+.-]+://", path) is not None


def _backwards(folder: str) -> re.Pattern[str]:
    """Turn `attachments/{module}/{record_id}/{file_name}` into a pattern; the last column may hold folders."""
    pieces = re.split(r"(\{\w+\})", folder)
    last = max((place for place, piece in enumerate(pieces) if piece.startswith("{")), default=-1)
    pattern = "".join(
        (rf"(?P<{piece[1:-1]}>.+)" if place == last else rf"(?P<{piece[1:-1]}>[^/]+)") if piece.startswith("{") else re.escape(piece)
        for place, piece in enumerate(pieces)
    )
    return re.compile(pattern, re.IGNORECASE)


def parse_link(link: FileLink) -> tuple[str, str]:
    """Answer the entity and the path a link was made of."""
    entity, _, path = link.url.removeprefix(_SCHEME).partition(":")
    return entity, path


@asynccontextmanager
async def open_member(finder: FileFinder, container: Container, path: str) -> AsyncGenerator[SourceFile]:
    """Open the file a row says is at a path.

    Raises:
        FileMissingError: It is not in the bundle, or its path leads out of it.
        FileBrokenOffError: It cannot be read to its end.
    """
    member = await asyncio.to_thread(finder.find, path) if path else None
    if member is None:
        raise FileMissingError("not in the bundle")
    try:
        stream = await asyncio.to_thread(container.open, member.path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, KeyError) as error:
        raise FileMissingError(type(error).__name__) from error
    try:
        yield SourceFile(_chunks(stream), content_type=mimetypes.guess_type(member.path)[0] or "", byte_count=member.byte_count)
    finally:
        await asyncio.to_thread(stream.close)


def member_digest(container: Container, member: Member) -> str:
    """Answer the SHA-256 of a file's bytes as staging names it; empty where they cannot be read."""
    sha256 = hashlib.sha256()
    try:
        with closing(container.open(member.path)) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                sha256.update(chunk)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError, KeyError):
        return ""
    return sha256.hexdigest()


async def _chunks(stream: IO[bytes]) -> AsyncIterator[bytes]:
    try:
        while chunk := await asyncio.to_thread(stream.read, CHUNK_BYTES):
            yield chunk
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileBrokenOffError(type(error).__name__) from error
