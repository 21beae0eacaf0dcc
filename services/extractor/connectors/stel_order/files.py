"""Files of STEL Order: attachments, images of catalogue items and assets, PDFs of signed work orders and invoices.

Links are bearer secrets: they leave this module only inside `FileLink`. What a file record keeps in their place is a digest of the link, by
which a later extraction sees that the file is the same. Images and PDFs are no collection: they hang on records that were frozen before, and
are read from those pages, a few at a time, so that a crash costs few repeated downloads.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from services.extractor.connector import END, Cursor, FileLink, FrozenPages, RawRecord, ReadScope, SourcePage
from services.extractor.connectors.stel_order.entities import BY_SOURCE_NAME, DERIVED_BY_NAME
from services.extractor.connectors.stel_order.reading import STAMP_FIELD

CHUNK_SIZE: Final = 20
"""Files in a page: each is a call, and an interrupted page is downloaded again."""
_UNAVAILABLE: Final = "FILE_UNAVAILABLE"
_RETRIES: Final = Cursor('{"retries":true}')
_PATH_REF: Final = re.compile(r"app/([A-Za-z]+)/(-?\d+)$")
_LINK_KEYS: Final = ("file-url", "file-path", "attachment-path", "entity-attachment-path", "url", "download-url", "path")
_NAME_KEYS: Final = ("name", "file-name", "filename", "title")
_SECRET_KEY: Final = re.compile(r"url|path|link|token", re.IGNORECASE)


def link_digest(url: str) -> str:
    """Stand in for a link: equal for equal links, and says nothing of them."""
    return hashlib.sha256(url.encode()).hexdigest()[:32]


def file_version(data: Mapping[str, Any]) -> str:
    """Answer which version of a file its record stands for."""
    return f"{data.get('link_digest', '')}/{data.get('owner_version', '')}"


def attachment_record(data: Mapping[str, Any]) -> RawRecord:
    """Make a file record of an `entityAttachments` row. The shape of that row is not public, so keys are read defensively."""
    source_id = str(data["id"])
    url = _link_in(data)
    owner_entity, owner_id = _owner_of(data)
    name = next((value for key in _NAME_KEYS if isinstance(value := data.get(key), str) and value.strip()), f"attachment-{source_id}")
    kept = {key: value for key, value in data.items() if not _is_secret(key, value)}
    return RawRecord(
        source_id=source_id,
        data={
            **kept,
            "owner_entity": owner_entity,
            "owner_id": owner_id,
            "name": name,
            "link_digest": link_digest(url) if url else "",
            "owner_version": str(data.get(STAMP_FIELD) or ""),
        },
        is_deleted=data.get("deleted") is True,
        link=FileLink(url, name) if url else None,
    )


async def derived_pages(entity: str, cursor: Cursor, scope: ReadScope, frozen: FrozenPages) -> AsyncIterator[SourcePage]:
    """Yield file records in chunks of `CHUNK_SIZE`; the cursor names an owner's page and the files of it that are done.

    In a delta, files that could not be had before follow, although their owners did not change.
    """
    owners = DERIVED_BY_NAME[entity].owners
    place: dict[str, Any] = orjson.loads(cursor) if cursor else {"owner": owners[0], "sequence": 0, "done": 0}
    chunk: list[RawRecord] = []
    if place.get("retries"):
        async for retried in _retried_pages(entity, cursor, scope, frozen):
            yield retried
        return
    for owner in owners[owners.index(place["owner"]) :]:
        is_resumed_owner = owner == place["owner"]
        async for page in frozen.read(owner, from_sequence=place["sequence"] if is_resumed_owner else 0):
            skip = place["done"] if is_resumed_owner and page.sequence == place["sequence"] else 0
            for number, record in enumerate(_files_of_page(entity, owner, page.envelopes, scope), start=1):
                if number <= skip:
                    continue
                chunk.append(record)
                if len(chunk) == CHUNK_SIZE:
                    next_cursor = Cursor(orjson.dumps({"owner": owner, "sequence": page.sequence, "done": number}).decode())
                    yield SourcePage(cursor, next_cursor, tuple(chunk))
                    cursor, chunk = next_cursor, []
    if scope.changed_since is None or not await _failed_ids(entity, frozen):
        yield SourcePage(cursor, END, tuple(chunk))
        return
    yield SourcePage(cursor, _RETRIES, tuple(chunk))
    async for retried in _retried_pages(entity, _RETRIES, scope, frozen):
        yield retried


async def _failed_ids(entity: str, frozen: FrozenPages) -> set[str]:
    """Answer the files whose last download failed and that were not tried in this extraction."""
    failed: set[str] = set()
    async for page in frozen.read(entity, of_all_extractions=True):
        for envelope in page.envelopes:
            is_failed = (envelope.get("file") or {}).get("problem") == _UNAVAILABLE
            (failed.add if is_failed else failed.discard)(envelope["id"])
    if failed:
        async for page in frozen.read(entity):
            failed.difference_update(envelope["id"] for envelope in page.envelopes)
    return failed


async def _retried_pages(entity: str, cursor: Cursor, scope: ReadScope, frozen: FrozenPages) -> AsyncIterator[SourcePage]:
    failed = await _failed_ids(entity, frozen)
    found: dict[str, RawRecord] = {}
    for owner in DERIVED_BY_NAME[entity].owners if failed else ():
        async for page in frozen.read(owner, of_all_extractions=True):
            found.update({record.source_id: record for record in _files_of_page(entity, owner, page.envelopes, scope) if record.source_id in failed})
    waiting = [found[source_id] for source_id in sorted(found)]
    while len(waiting) > CHUNK_SIZE:
        chunk, waiting = waiting[:CHUNK_SIZE], waiting[CHUNK_SIZE:]
        # Where to go on is seen from the pages: what was tried in this extraction is not tried again.
        next_cursor = Cursor(orjson.dumps({"retries": True, "after": chunk[-1].source_id}).decode())
        yield SourcePage(cursor, next_cursor, tuple(chunk))
        cursor = next_cursor
    yield SourcePage(cursor, END, tuple(waiting))


async def count_derived(entity: str, scope: ReadScope, frozen: FrozenPages) -> int:
    """Count the file records `derived_pages` gives from the start."""
    count = 0
    for owner in DERIVED_BY_NAME[entity].owners:
        async for page in frozen.read(owner):
            count += sum(1 for _ in _files_of_page(entity, owner, page.envelopes, scope))
    return count


def _files_of_page(entity: str, owner: str, envelopes: Any, scope: ReadScope) -> Iterator[RawRecord]:
    for envelope in envelopes:
        # No call is spent on files of records that will be left out.
        if (envelope["is_deleted"] and not scope.includes_deleted) or (envelope["is_archived"] and not scope.includes_archived):
            continue
        data = envelope["data"]
        for number, (url, name) in enumerate(_links(entity, data), start=1):
            yield RawRecord(
                source_id=f"{owner}-{envelope['id']}-{number}",
                data={
                    "owner_entity": owner,
                    "owner_id": envelope["id"],
                    "name": name,
                    "link_digest": link_digest(url),
                    # The link of a PDF stays the same when the document changes; the link of an image does not outlive it.
                    "owner_version": str(data.get(STAMP_FIELD) or "") if entity == "document_pdf" else "",
                },
                link=FileLink(url, name),
            )


def _links(entity: str, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    label = str(data.get("full-reference") or data.get("reference") or data.get("id"))
    if entity == "document_pdf":
        url = data.get("pdf-path")
        is_wanted = data.get("signed") is True or "ordinaryInvoices/" in str(data.get("path"))
        if isinstance(url, str) and url.strip() and is_wanted:
            yield url.strip(), f"{label}.pdf"
        return
    list_key, path_key = ("item-images", "item-image-path") if entity == "item_image" else ("asset-images", "asset-image-path")
    images = data.get(list_key)
    rows = [row for row in images if isinstance(row, dict)] if isinstance(images, list) else []
    for number, row in enumerate(sorted(rows, key=_order), start=1):
        url = row.get(path_key)
        if isinstance(url, str) and url.strip():
            yield url.strip(), f"{label}-{number}"


def _order(row: Mapping[str, Any]) -> float:
    order = row.get("order")
    return float(order) if isinstance(order, int | float) else float("inf")


def _link_in(data: Mapping[str, Any]) -> str:
    for key in _LINK_KEYS:
        value = data.get(key)
        # `path` is the record's own address in the interface, without scheme: not a place to download from.
        if isinstance(value, str) and urlsplit(value.strip()).scheme in {"http", "https"}:
            return value.strip()
    return ""


def _owner_of(data: Mapping[str, Any]) -> tuple[str, str]:
    for key in ("entity-path", "document-path", "account-path", "item-path", "asset-path"):
        if match := _PATH_REF.search(str(data.get(key) or "")):
            return BY_SOURCE_NAME.get(match[1], match[1]), match[2]
    owner_id = data.get("entity-id")
    return _entity_of_type(str(data.get("entity-type") or "")), "" if owner_id is None else str(owner_id)


def _entity_of_type(entity_type: str) -> str:
    """Turn `WORKORDER` into `work_order`; what is not known stays as it came."""
    singular = {name.replace("_", "").upper(): name for name in BY_SOURCE_NAME.values()}
    return singular.get(entity_type.replace("_", "").replace("-", "").upper(), entity_type.lower())


def _is_secret(key: str, value: Any) -> bool:
    is_reference = isinstance(value, str) and _PATH_REF.search(value) is not None
    return not is_reference and (_SECRET_KEY.search(key) is not None or "://" in str(value))
