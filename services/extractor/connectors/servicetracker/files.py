"""Files and rich notes: where they hang, and where their bytes are.

Classic attachments say it themselves. Files of the newer kind are linked to records apart, and one may be linked to several: each link is a record.
Links may only be asked for by id, so they are read for a page's documents, 200 at a time. (Known: the platform's documentation.)
"""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from services.extractor.connector import END, START, Cursor, FileLink, FileMissingError, FrozenPages, RawRecord, SourceFile, SourcePage
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient, forbidden
from services.extractor.connectors.servicetracker.describe import Objects
from services.extractor.connectors.servicetracker.errors import Reaction
from services.extractor.connectors.servicetracker.ids import long_id
from services.extractor.connectors.servicetracker.reading import Row
from services.extractor.connectors.servicetracker.soql import id_in, select

OWNERS: Final = (
    "work_order",
    "invoice",
    "visit",
    "service_record",
    "sign_off",
    "part",
    "contract",
    "asset",
    "site",
    "contact",
    "customer",
    "task",
    "event",
)
"""Entities that files and notes may hang on, the most telling first."""
NOTE_TYPE: Final = "SNOTE"
"""File type of rich notes, which are versions of files too."""
_DOCUMENTS_AT_ONCE: Final = 200
_IMAGES_IN_PAGE: Final = 50
_IMAGE: Final = re.compile(r"<img\b[^>]*?\bsrc\s*=\s*([\"'])(?P<src>.*?)\1", re.IGNORECASE | re.DOTALL)
_VERSION: Final = re.compile(r"\b(068[A-Za-z0-9]{12}(?:[A-Za-z0-9]{3})?)\b")
_DATA: Final = re.compile(r"data:(?P<type>[\w/+.-]*)(?:;[\w=-]+)*?(?P<base64>;base64)?,(?P<body>.*)", re.DOTALL)


def attachment_record(row: Row, objects: Objects, base: str) -> RawRecord:
    """Make the record of a classic attachment."""
    is_deleted = row.get("IsDeleted") is True
    parent_id = str(row.get("ParentId") or "")
    name = str(row.get("Name") or row["Id"])
    data = {**row, "owner_entity": objects.entity_of(parent_id), "owner_id": parent_id, "name": name}
    link = None if is_deleted else FileLink(f"{base}/sobjects/Attachment/{row['Id']}/Body", name)
    return RawRecord(row["Id"], data, is_deleted=is_deleted, link=link)


async def version_records(rows: Sequence[Row], objects: Objects, client: OrgClient) -> list[RawRecord]:
    """Make the records of files: one for each record a file is linked to. Files that hang on nothing that is read are no part of the account."""
    links = await _links(client, objects, [row["ContentDocumentId"] for row in rows if row.get("ContentDocumentId")])
    records = []
    for row in rows:
        extension = str(row.get("FileExtension") or "")
        name = str(row.get("Title") or row["Id"])
        if extension and not name.lower().endswith(f".{extension.lower()}"):
            name = f"{name}.{extension}"
        is_deleted = row.get("IsDeleted") is True
        link = None if is_deleted else FileLink(f"{client.base}/sobjects/ContentVersion/{row['Id']}/VersionData", name)
        for entity, owner_id in links.get(row.get("ContentDocumentId") or "", []):
            data = {**row, "owner_entity": entity, "owner_id": owner_id, "name": name}
            records.append(RawRecord(f"{row['Id']}-{owner_id}", data, is_deleted=is_deleted, link=link))
    return records


async def rich_note_records(rows: Sequence[Row], objects: Objects, client: OrgClient) -> list[RawRecord]:
    """Make the records of rich notes with their HTML; each costs a call, because rows hold only where it is."""
    links = await _links(client, objects, [row["Id"] for row in rows])
    records = []
    for row in rows:
        owners = links.get(row["Id"], [])
        if not owners:
            continue
        is_deleted = row.get("IsDeleted") is True
        html = "" if is_deleted else await _content(client, row["Id"])
        for entity, owner_id in owners:
            data = {**row, "html": html, "owner_entity": entity, "owner_id": owner_id}
            records.append(RawRecord(f"{row['Id']}-{owner_id}", data, is_deleted=is_deleted))
    return records


async def _content(client: OrgClient, note_id: str) -> str:
    try:
        response = await client.get_text(f"/sobjects/ContentNote/{note_id}/Content", {}, accept="*/*")
    except CallRefusedError as error:
        if error.failure.reaction is not Reaction.RIGHT:
            raise forbidden("ContentNote", error.failure) from error
        return ""
    return response.content.decode("utf-8", "replace")


async def _links(client: OrgClient, objects: Objects, document_ids: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Answer by document the records it is linked to, as (entity, id), the most telling first."""
    found: dict[str, set[tuple[str, str]]] = {}
    wanted = list(dict.fromkeys(long_id(one) for one in document_ids))
    for start in range(0, len(wanted), _DOCUMENTS_AT_ONCE):
        chunk = wanted[start : start + _DOCUMENTS_AT_ONCE]
        text = select(["ContentDocumentId", "LinkedEntityId"], "ContentDocumentLink", [id_in("ContentDocumentId", chunk)])
        try:
            answer = await client.get("/query", {"q": text})
            rows = list(answer["records"])
            while not answer.get("done", True):
                answer = await client.get(answer["nextRecordsUrl"])
                rows += answer["records"]
        except CallRefusedError as error:
            raise forbidden("ContentDocumentLink", error.failure) from error
        for row in rows:
            owner_id = long_id(str(row["LinkedEntityId"]))
            if (entity := objects.entity_of(owner_id)) in OWNERS:
                found.setdefault(long_id(str(row["ContentDocumentId"])), set()).add((entity, owner_id))
    return {document: sorted(links, key=lambda one: (OWNERS.index(one[0]), one[1])) for document, links in found.items()}


# Images inside rich notes


async def image_pages(cursor: Cursor, frozen: FrozenPages, base: str) -> AsyncIterator[SourcePage]:
    """Yield the images of the rich notes that are frozen, some notes at a time. A cursor is the page and the note after which to go on."""
    start = (0, 0) if cursor == START else tuple(orjson.loads(cursor))
    chunk: list[RawRecord] = []
    async for page in frozen.read("content_note", from_sequence=start[0]):
        for position, envelope in enumerate(page.envelopes):
            if (page.sequence, position) < start or envelope["is_deleted"]:
                continue
            if len(chunk) >= _IMAGES_IN_PAGE:
                following = Cursor(orjson.dumps([page.sequence, position]).decode())
                yield SourcePage(cursor, following, tuple(chunk))
                cursor, chunk = following, []
            chunk.extend(_images(envelope, base))
    yield SourcePage(cursor, END, tuple(chunk))


async def count_images(frozen: FrozenPages, base: str) -> int:
    """Count the images of the rich notes that are frozen."""
    count = 0
    async for page in frozen.read("content_note"):
        count += sum(1 for envelope in page.envelopes if not envelope["is_deleted"] for _ in _images(envelope, base))
    return count


def _images(envelope: Mapping[str, Any], base: str) -> Iterator[RawRecord]:
    for number, match in enumerate(_IMAGE.finditer(str(envelope["data"].get("html") or "")), start=1):
        source = match["src"].replace("&amp;", "&")
        found = _VERSION.search(source)
        is_inside = source.startswith("data:")
        if found is None and not is_inside:
            continue
        name = f"image {number} of {envelope['data'].get('Title') or envelope['id']}"
        data = {
            "owner_entity": envelope["data"].get("owner_entity") or "",
            "owner_id": envelope["data"].get("owner_id") or "",
            "note_id": envelope["id"],
            "name": name,
            "number": number,
            # What stands in the text itself is told by its digest, so that the row stays small and a changed image is seen.
            "source": hashlib.sha256(source.encode()).hexdigest() if is_inside else long_id(found[1] if found else ""),
        }
        url = source if is_inside else f"{base}/sobjects/ContentVersion/{data['source']}/VersionData"
        yield RawRecord(f"{envelope['id']}-{number}", data, link=FileLink(url, name))


def inside_file(url: str) -> SourceFile:
    """Open a file that stands in its own address (`data:`).

    Raises:
        FileMissingError: It cannot be read.
    """
    match = _DATA.fullmatch(url)
    if match is None:
        raise FileMissingError("an image in a text that cannot be read")
    try:
        body = base64.b64decode(match["body"], validate=False) if match["base64"] else unquote_to_bytes(match["body"])
    except (binascii.Error, ValueError) as error:
        raise FileMissingError("an image in a text that cannot be read") from error
    return SourceFile(_once(body), content_type=match["type"] or "text/plain", byte_count=len(body))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


def file_version(data: Mapping[str, Any], stamp: str) -> str:
    """Say which version of a file a record is."""
    parts: Iterable[object] = (data.get("Checksum") or data.get("source") or "", stamp, data.get("owner_id"))
    return "/".join(str(one) for one in parts)
