"""The object store that holds pages and files: a local folder or S3, Google Cloud, Azure by URL.

`pages/{digest}` and `files/{digest}` are named by the SHA-256 of their content, so writing one twice is writing it once.
Whatever has its final name is whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import obstore
import zstandard
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from services.common.canonical import digest as digest_of_bytes
from services.common.errors import ConfigurationError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obstore import GetOptions

COMPRESSION_LEVEL: Final = 6
CHUNK_BYTES: Final = 1024 * 1024
PROBLEM_CHARACTERS_MAX: Final = 300
_INCOMING: Final = "incoming"
_NAME_CHARACTERS_MAX: Final = 300
_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9._-]+(?:/(?!\.)[A-Za-z0-9._-]+)*")


class Staging:
    """Reads and writes blobs by name, pages and files by digest. No call blocks the event loop.

    Every call raises UnavailableError (`STAGING_UNAVAILABLE`) when the store refuses (disk full, no permission, no answer); reading what is not there
    raises NotFoundError.
    """

    def __init__(self, store: Any, folder: Path | None) -> None:
        self._store = store
        self._folder = folder

    @classmethod
    def open(cls, url: str) -> Self:
        """Opens the store at `url`; a local folder is made if missing. Credentials of clouds come from their usual variables.

        Raises:
            ConfigurationError: the URL is not one of a store we know.
            UnavailableError: the local folder cannot be made.
        """
        if url.startswith("file://"):
            try:
                store = LocalStore.from_url(url, mkdir=True)
            except (OSError, BaseError) as error:
                raise _unavailable("open", "the store", error) from error
            return cls(store, Path(store.prefix) if store.prefix else Path("/"))
        try:
            return cls(from_url(url), None)
        except (OSError, ValueError, BaseError) as error:
            setting = "TRANSLOAD_STAGING_URL"
            raise ConfigurationError(f"{setting} is not the URL of a store: {_problem(error)}", metadata={"setting": setting}) from error

    async def ping(self) -> None:
        """Checks that the store takes writes."""
        await self.put_blob("ping", b"ping")

    async def exists(self, name: str) -> bool:
        """Whether something has this name."""
        try:
            await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return False
        except (OSError, BaseError) as error:
            raise _unavailable("look for", name, error) from error
        return True

    async def put_blob(self, name: str, data: bytes) -> None:
        """Writes `data` under `name`, replacing what was there, whole or not at all."""
        try:
            if self._folder is None:
                await obstore.put_async(self._store, name, data)
                return
            incoming = _incoming_name()
            await obstore.put_async(self._store, incoming, data)
            await self._publish(incoming, name)
        except (OSError, BaseError) as error:
            raise _unavailable("write", name, error) from error

    async def get_blob(self, name: str) -> bytes:
        """Reads everything under `name`."""
        _check_name(name)
        try:
            result = await obstore.get_async(self._store, name)
            return bytes(await result.bytes_async())
        except FileNotFoundError as error:
            raise NotFoundError(f"{name} is not in staging", metadata={"name": name}) from error
        except (OSError, BaseError) as error:
            raise _unavailable("read", name, error) from error

    async def put_page(self, data: bytes) -> str:
        """Writes a page compressed, once, and answers its digest (of the uncompressed bytes)."""
        digest, compressed = await asyncio.to_thread(_compress, data)
        name = f"pages/{digest}"
        if not await self.exists(name):
            await self.put_blob(name, compressed)
        return digest

    async def get_page(self, digest: str) -> bytes:
        """Reads a page and checks that it is what was written."""
        name = f"pages/{digest}"
        compressed = await self.get_blob(name)
        try:
            data = await asyncio.to_thread(_decompress, compressed)
        except zstandard.ZstdError as error:
            raise _damaged(name) from error
        if digest_of_bytes(data) != digest:
            raise _damaged(name)
        return data

    async def put_file(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Writes a file of any size as it comes and answers its digest and byte count. When `chunks` fails, nothing is kept."""
        incoming = _incoming_name()
        hasher = hashlib.sha256()
        byte_count = 0
        try:
            writer = obstore.open_writer_async(self._store, incoming)
            try:
                async for chunk in chunks:
                    hasher.update(chunk)
                    byte_count += len(chunk)
                    try:
                        await writer.write(chunk)
                    except (OSError, BaseError) as error:
                        raise _unavailable("write", "a file", error) from error
            finally:
                await _close(writer)
            digest = hasher.hexdigest()
            if await self.exists(f"files/{digest}"):
                await self._discard(incoming)
            else:
                await self._publish(incoming, f"files/{digest}")
        except (OSError, BaseError) as error:
            await self._discard(incoming)
            raise _unavailable("write", "a file", error) from error
        except BaseException:
            await self._discard(incoming)
            raise
        return digest, byte_count

    async def read_file(self, digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        """Yields a file's bytes in chunks of about 1 MiB.

        Args:
            digest: names the file.
            first_byte: where to begin.
            byte_count: how many bytes; None: the whole file, from its beginning.
        """
        name = f"files/{digest}"
        _check_name(name)
        options: GetOptions = {} if byte_count is None else {"range": (first_byte, first_byte + byte_count)}
        try:
            result = await obstore.get_async(self._store, name, options=options)
            async for chunk in result.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise NotFoundError(f"{name} is not in staging", metadata={"name": name}) from error
        except (OSError, BaseError) as error:
            raise _unavailable("read", name, error) from error

    async def _publish(self, incoming: str, name: str) -> None:
        """Gives a finished upload its final name; on a local disk only after its bytes are on it."""
        folder = self._folder
        if folder is not None:
            await asyncio.to_thread(_sync, folder / incoming)
        await obstore.rename_async(self._store, incoming, name)
        if folder is not None:
            await asyncio.to_thread(_sync, (folder / name).parent)

    async def _discard(self, incoming: str) -> None:
        try:
            await obstore.delete_async(self._store, incoming)
        except (OSError, BaseError):
            return  # a leftover in `incoming/` has no name anybody looks for


async def _close(writer: obstore.AsyncWritableFile) -> None:
    try:
        await writer.close()
    except (OSError, BaseError) as error:
        raise _unavailable("write", "a file", error) from error


def _incoming_name() -> str:
    return f"{_INCOMING}/{uuid.uuid4().hex}"


def _check_name(name: str) -> None:
    """Refuses what nothing is ever written under: names come in messages of other processes, and stores differ in what they make of odd ones.

    Raises:
        NotFoundError: it cannot be there.
    """
    if len(name) > _NAME_CHARACTERS_MAX or not _NAME.fullmatch(name):
        raise NotFoundError("there is nothing of this name in staging", metadata={"name": name[:_NAME_CHARACTERS_MAX]})


def _compress(data: bytes) -> tuple[str, bytes]:
    return digest_of_bytes(data), zstandard.ZstdCompressor(level=COMPRESSION_LEVEL).compress(data)


def _decompress(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(data)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(what: str, name: str, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"staging could not {what} {name}: {_problem(error)}; make room or give access, work goes on by itself",
        reason="STAGING_UNAVAILABLE",
        metadata={"name": name},
    )


def _damaged(name: str) -> UnavailableError:
    return UnavailableError(
        f"{name} in staging is not what was written; restore it or extract again", reason="STAGING_UNAVAILABLE", metadata={"name": name}
    )


def _problem(error: Exception) -> str:
    """Answers the first line of what a store says; the rest is its own debug output."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:PROBLEM_CHARACTERS_MAX]
