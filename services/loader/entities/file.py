"""Files, version 1 only (API.md 5.6): uploaded by streaming from staging, never held whole."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from services.common.canonical import digest as digest_of_bytes
from services.common.errors import UnavailableError
from services.loader import canonical
from services.loader.entities.base import OffsetEntity, required
from services.loader.pipedrive import lists
from services.loader.pipedrive.client import Body
from services.loader.pipedrive.errors import GoneError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from services.loader.canonical import Image
    from services.loader.pipedrive.client import CallContext, PipedriveClient

STAGING_PREFIX: Final = "files/"
_EMPTY_ANSWERS_MAX: Final = 3
LINKS: Final = ("deal_id", "person_id", "org_id", "product_id", "activity_id", "lead_id", "project_id")


class Read(Protocol):
    """Opens staged bytes by their digest: all of them, or a range."""

    def __call__(self, digest: str, *, first_byte: int = 0, byte_count: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes."""


@dataclass(frozen=True, slots=True)
class FileEntity(OffsetEntity):
    """Files: one a call, no time or author to set; content cannot be changed, a new version is a new file."""

    # `update_time` moves with every edit, `add_time` is the server's.
    update_time_fields: ClassVar[tuple[str, ...]] = ("add_time",)

    def image(self, raw: Mapping[str, Any]) -> Image:
        """Answers the image; the size stands as `byte_count` in our payloads and as `file_size` in answers."""
        size = raw.get("byte_count", raw.get("file_size"))
        return OffsetEntity.image(self, {**raw, "byte_count": size})


FILE: Final = FileEntity(
    name="file",
    operations="files",
    fields={
        "name": canonical.text,
        "byte_count": canonical.number,
        "deal_id": canonical.reference,
        "person_id": canonical.reference,
        "org_id": canonical.reference,
        "product_id": canonical.reference,
        "activity_id": canonical.reference,
        "lead_id": canonical.text,
        "project_id": canonical.reference,
    },
    fingerprint=("name", "byte_count", *LINKS),
    has_ids_filter=False,
    page_size=lists.FILES_PAGE_MAX,
)
"""Told apart by name, size and the record they hang on."""


async def download(client: PipedriveClient, context: CallContext, target_id: str) -> bytes | None:
    """Answers the bytes of a file, held whole; None: the file, or its content, is not there.

    The bytes may come from a storage Pipedrive sends us to (API.md 5.6). An answer without any is asked for again before it is believed: an
    outage may answer so, too, and the file would be reported as another one.
    """
    for _ in range(_EMPTY_ANSWERS_MAX):
        try:
            answer = await client.call("files.download", context, ids={"id": target_id})
        except GoneError:
            return None
        location = str(answer.additional.get("location") or "")
        content = await client.fetch(location) if location else bytes(answer.data)
        if content:
            return content
    return b""


async def has_bytes(client: PipedriveClient, context: CallContext, target_id: str, digest: str) -> bool:
    """Says whether a file has the bytes of this digest.

    Raises:
        UnavailableError: Pipedrive gives no bytes of it now, so nothing can be said.
    """
    content = await download(client, context, target_id)
    if content == b"":
        raise UnavailableError(f"Pipedrive gives no bytes of the file {target_id}, so it cannot be told whether it is ours")
    return content is not None and digest_of_bytes(content) == digest


def staged_bytes(payload: Mapping[str, Any], read: Read) -> AsyncIterator[bytes]:
    """Opens what a payload has in staging: a whole file, or with `first_byte` the range that is one part of a file that was split."""
    digest = str(required(payload, "staging_name")).removeprefix(STAGING_PREFIX)
    if payload.get("first_byte") is None:
        return read(digest)
    return read(digest, first_byte=int(payload["first_byte"]), byte_count=int(required(payload, "byte_count")))


def upload_body(payload: Mapping[str, Any], read: Read) -> Body:
    """Answers the multipart body of an upload: its length is known from the payload, its bytes are read while they are sent.

    Args:
        payload: `{name, staging_name, first_byte?, byte_count, content_type, deal_id | ...}`.
        read: opens staged bytes by digest.
    """
    boundary = f"transload-{uuid.uuid4().hex}"
    head = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{payload[name]}\r\n' for name in LINKS if payload.get(name))
    content_type = str(payload.get("content_type") or "application/octet-stream").replace("\r", "").replace("\n", "")
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{_quoted(str(required(payload, "name")))}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    opening, closing = head.encode(), f"\r\n--{boundary}--\r\n".encode()

    async def parts() -> AsyncIterator[bytes]:
        yield opening
        async for chunk in staged_bytes(payload, read):
            yield chunk
        yield closing

    byte_count = len(opening) + int(required(payload, "byte_count")) + len(closing)
    return Body(content_type=f"multipart/form-data; boundary={boundary}", byte_count=byte_count, open=parts)


def _quoted(name: str) -> str:
    """Writes a file name for a multipart header: UTF-8 as it is, quote and backslash as quoted pairs; line ends cannot stand in a header."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return escaped.replace("\r", " ").replace("\n", " ")
