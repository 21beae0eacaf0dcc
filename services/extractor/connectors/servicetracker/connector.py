"""The ServiceTracker connector: roles found by describe, rows by query or bulk job, files by their own calls."""

import mimetypes
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar, Final

import orjson

from services.common.connections import ConnectionParts
from services.common.errors import InvalidRequestError, UnauthorizedError
from services.extractor.connector import (
    END,
    START,
    CallLimits,
    ConnectorContext,
    Cursor,
    FileLink,
    RawRecord,
    ReadScope,
    SourceEntity,
    SourceFile,
    SourcePage,
)
from services.extractor.connectors.servicetracker import files
from services.extractor.connectors.servicetracker.bulk import BulkReader, BulkRefusedError, is_bulk
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient
from services.extractor.connectors.servicetracker.describe import CUSTOM_RECORD, Objects, discover, field_rows, joined, object_rows
from services.extractor.connectors.servicetracker.options import Options, limits_of, read_options
from services.extractor.connectors.servicetracker.reading import QueryReader, Row, RowPage, changed_since
from services.extractor.connectors.servicetracker.removal import removed_records
from services.extractor.connectors.servicetracker.roles import ROLES
from services.extractor.connectors.servicetracker.session import Login

FIELD_DESCRIPTION: Final = "field_description"
DESCRIPTION: Final = "object_description"
_IMAGE: Final = "inline_image"
_STAMPS: Final = ("SystemModstamp", "LastModifiedDate")
_PARENTS: Final[Mapping[str, tuple[str, ...]]] = {"task": ("WhatId", "WhoId"), "event": ("WhatId", "WhoId"), "note": ("ParentId",)}
"""Fields that may lead to any kind of record, first the more telling."""
_WHERE: Final[Mapping[str, str]] = {"content_version": f"IsLatest = true AND FileType != '{files.NOTE_TYPE}'"}


def _entities() -> tuple[SourceEntity, ...]:
    """List everything that can be read: what the others are understood by, then the roles, then what hangs on them."""
    roles = [SourceEntity(role.name, role.standard[0] if role.standard else role.words[0]) for role in ROLES]
    return (
        SourceEntity(FIELD_DESCRIPTION, "fields", is_reference_data=True),
        SourceEntity(DESCRIPTION, "objects", is_reference_data=True),
        SourceEntity("record_type", "RecordType", is_reference_data=True),
        *roles,
        SourceEntity("content_note", "ContentNote"),
        SourceEntity(CUSTOM_RECORD, "objects without a role"),
        SourceEntity("attachment", "Attachment", has_files=True),
        SourceEntity("content_version", "ContentVersion", has_files=True),
        SourceEntity(_IMAGE, "images in notes", has_files=True),
    )


class ServiceTracker:
    """Reads a ServiceTracker org. For its options see `options.py`; docs/sources/servicetracker.md explains them."""

    name: ClassVar[str] = "servicetracker"
    entities: ClassVar[tuple[SourceEntity, ...]] = _entities()
    connection_parts: ClassVar[ConnectionParts] = ConnectionParts(required=("client_id", "client_secret"), optional=("refresh_token",))

    def __init__(self, context: ConnectorContext, client: OrgClient, options: Options) -> None:
        self._context = context
        self._client = client
        self._options = options
        self._objects: Objects | None = None

    @staticmethod
    def limits(options: Mapping[str, Any]) -> CallLimits:
        """Answer the share of the edition's daily allowance that may be used; checks the other options too."""
        read_options(options)
        return limits_of(options)

    @staticmethod
    @asynccontextmanager
    async def connect(context: ConnectorContext) -> AsyncIterator["ServiceTracker"]:
        """Open the connector. It logs in with the first call."""
        options = read_options(context.options)
        async with context.http_client({"Accept": "application/json"}, platform="salesforce") as http:
            login = Login(http, context.connection, context.gate)
            client = OrgClient(http, login=login, gate=context.gate, version=options.version, share=options.share)
            yield ServiceTracker(context, client, options)

    async def check(self) -> None:
        """Log in and ask for the limits, which every user of the interface may see."""
        try:
            await self._client.get("/limits")
        except CallRefusedError as error:
            if error.failure.status == 404:  # noqa: PLR2004 - not found
                raise InvalidRequestError(
                    f"the org has no version {self._options.version} of the interface: set the connector option api_version"
                ) from error
            raise UnauthorizedError(
                f"the org's user may not use the interface ({error.failure}): grant the right to it, then resume", reason="SOURCE_UNAUTHORIZED"
            ) from error

    async def list_entities(self) -> Sequence[SourceEntity]:
        """Answer the entities this org has: roles somebody plays, and what is read besides."""
        objects = await self._described()
        listed = []
        for one in self.entities:
            described = objects.by_entity.get(one.name)
            if described:
                listed.append(SourceEntity(one.name, ", ".join(each["name"] for each in described), one.is_reference_data, one.has_files))
            elif one.name in {FIELD_DESCRIPTION, DESCRIPTION} or (one.name == _IMAGE and "content_note" in objects.by_entity):
                listed.append(one)
        return listed

    async def _described(self) -> Objects:
        """Answer the org's objects: those frozen in this extraction, so that a restart reads by the same roles, else asked for anew."""
        if self._objects is None:
            frozen = [envelope["data"] async for page in self._context.frozen.read(DESCRIPTION) for envelope in page.envelopes]
            fields = (
                [envelope["data"] async for page in self._context.frozen.read(FIELD_DESCRIPTION) for envelope in page.envelopes] if frozen else []
            )
            self._objects = Objects(joined(frozen, fields) if frozen else await discover(self._client, self._options))
        return self._objects

    async def read(self, entity: str, cursor: Cursor, scope: ReadScope) -> AsyncGenerator[SourcePage, None]:
        """Yield an entity's pages from the cursor on."""
        objects = await self._described()
        if entity in {FIELD_DESCRIPTION, DESCRIPTION}:
            described_rows = field_rows(objects.all) if entity == FIELD_DESCRIPTION else object_rows(objects.all)
            yield SourcePage(START, END, tuple(RawRecord(row_id, row) for row_id, row in described_rows))
            return
        if entity == _IMAGE:
            async for page in files.image_pages(cursor, self._context.frozen, self._client.base):
                yield page
            return
        described = objects.by_entity.get(entity, [])
        if not described:
            yield SourcePage(cursor, END, ())
            return
        async for page in self._pages(entity, described, cursor, scope, objects):
            yield page

    async def _pages(
        self, entity: str, described: Sequence[Mapping[str, Any]], cursor: Cursor, scope: ReadScope, objects: Objects
    ) -> AsyncIterator[SourcePage]:
        """Read the objects of an entity in turn. A cursor names the object by its place, `-1` for the rows that are gone, and where in it."""
        place, inner = (0, START) if cursor == START else _opened(cursor)
        while 0 <= place < len(described):
            one = described[place]
            async for rows in self._rows(one, inner, scope):
                following = place + 1 if rows.next_cursor == END else place
                is_last = following == len(described)
                if is_last:
                    next_cursor = END if scope.changed_since is None or not self._tells_removals(entity) else _closed(-1, START)
                else:
                    next_cursor = _closed(following, rows.next_cursor)
                yield SourcePage(cursor, next_cursor, tuple(await self._records(entity, one, rows.rows, objects)))
                cursor = next_cursor
            place, inner = place + 1, START
        if cursor != END and scope.changed_since is not None:
            yield SourcePage(cursor, END, tuple(await self._removed(entity, described, scope)))

    async def _rows(self, described: Mapping[str, Any], cursor: Cursor, scope: ReadScope) -> AsyncIterator[RowPage]:
        since = None if scope.changed_since is None else scope.changed_since - self._overlap()
        wanted = (changed_since(described, since), described["filter"] and f"({described['filter']})", _WHERE.get(described["entity"], ""))
        conditions = tuple(one for one in wanted if one)
        is_large = since is None and self._options.bulk_from and (described["count"] or 0) >= self._options.bulk_from
        if is_bulk(cursor) or (cursor == START and is_large):
            bulk = BulkReader(self._client, described, clock=self._context.clock, rows_at_once=self._options.bulk_rows, conditions=conditions)
            try:
                async for page in bulk.pages(cursor):
                    yield page
            except BulkRefusedError:
                first = cursor
            else:
                return
            # What the job gave before comes again; the cursors still form one chain.
            async for page in self._query(described, START, conditions):
                yield RowPage(first, page.next_cursor, page.rows)
                first = page.next_cursor
            return
        async for page in self._query(described, cursor, conditions):
            yield page

    def _query(self, described: Mapping[str, Any], cursor: Cursor, conditions: tuple[str, ...]) -> AsyncIterator[RowPage]:
        return QueryReader(self._client, described, address_bytes=self._options.address_bytes, conditions=conditions).pages(cursor)

    async def _records(self, entity: str, described: Mapping[str, Any], rows: Sequence[Row], objects: Objects) -> list[RawRecord]:
        match entity:
            case "attachment":
                return [files.attachment_record(row, objects, self._client.base) for row in rows]
            case "content_version":
                return await files.version_records(rows, objects, self._client)
            case "content_note":
                return await files.rich_note_records(rows, objects, self._client)
            case "custom_record":
                return [_custom_record(row, described, objects) for row in rows]
            case _:
                references = tuple(one["name"] for one in described["fields"] if one["leads_to"] and not one["name"].endswith("Id"))
                return [_record(_with_owner(row, entity, objects), references) for row in rows]

    def _tells_removals(self, entity: str) -> bool:
        return not any(one.name == entity and (one.has_files or one.is_reference_data) for one in self.entities)

    async def _removed(self, entity: str, described: Sequence[Mapping[str, Any]], scope: ReadScope) -> list[RawRecord]:
        since = scope.changed_since
        if since is None:
            return []
        found = []
        for one in described:
            found += await removed_records(
                one,
                entity,
                since,
                client=self._client,
                frozen=self._context.frozen,
                clock=self._context.clock,
                address_bytes=self._options.address_bytes,
                compares=self._options.full_compare,
            )
        return found

    def _overlap(self) -> timedelta:
        return timedelta(seconds=self._options.overlap_seconds)

    @asynccontextmanager
    async def open_file(self, link: FileLink) -> AsyncGenerator[SourceFile]:
        """Open a file by its address in the org, or one that stands in its address."""
        if link.url.startswith("data:"):
            yield files.inside_file(link.url)
            return
        async with self._client.open_file(link.url) as file:
            # The platform calls every file plain bytes and gives no name.
            yield SourceFile(file.chunks, name=link.name, content_type=_content_type(link.name) or file.content_type, byte_count=file.byte_count)

    async def count_files(self, entity: str, scope: ReadScope) -> int | None:  # noqa: ARG002 - part of the protocol
        """Answer what the org counted when it was described; images are counted in the frozen notes."""
        if entity == _IMAGE:
            return await files.count_images(self._context.frozen, self._client.base)
        described = (await self._described()).by_entity.get(entity, [])
        counts = [one["count"] for one in described if one["count"] is not None]
        return sum(counts) if counts else None

    def version(self, entity: str, data: Mapping[str, Any]) -> str:
        """Answer the stamp of the last change with the deletion mark; for files with their checksum."""
        stamp = next((str(data[name]) for name in _STAMPS if data.get(name)), "")
        if any(one.name == entity and one.has_files for one in self.entities):
            return files.file_version(data, stamp)
        return f"{stamp}/{data.get('IsDeleted') is True}"


def _record(data: Mapping[str, Any], references: tuple[str, ...] = ()) -> RawRecord:
    is_archived = data.get("IsArchived") is True
    return RawRecord(str(data["Id"]), data, is_deleted=data.get("IsDeleted") is True, is_archived=is_archived, references=references)


def _with_owner(row: Row, entity: str, objects: Objects) -> Row:
    """Say what a row hangs on where a field may lead to any kind of record."""
    for field in _PARENTS.get(entity, ()):
        parent_id = str(row.get(field) or "")
        if parent_id and (parent := objects.entity_of(parent_id)) in files.OWNERS:
            return {**row, "owner_entity": parent, "owner_id": parent_id}
    return {**row, "owner_entity": "", "owner_id": ""} if entity in _PARENTS else row


def _custom_record(row: Row, described: Mapping[str, Any], objects: Objects) -> RawRecord:
    """Write a row of an object without a role so that a note can be made of it: what it is, what it hangs on, and its fields by label."""
    owner: tuple[str, str] = ("", "")
    shown: dict[str, Any] = {}
    for field in described["fields"]:
        value = row.get(field["name"])
        if value is None or not field["is_custom"]:
            continue
        if field["type"] == "reference":
            entity = objects.entity_of(str(value))
            if entity in files.OWNERS and (not owner[0] or files.OWNERS.index(entity) < files.OWNERS.index(owner[0])):
                owner = (entity, str(value))
        else:
            shown[field["label"]] = value
    head = {name: row.get(name) for name in ("Id", "Name", "IsDeleted", "CreatedDate", "OwnerId", *_STAMPS) if row.get(name) is not None}
    extra = {"object": described["name"], "object_label": described["label"], "owner_entity": owner[0], "owner_id": owner[1], "fields": shown}
    return _record(head | extra)


def _opened(cursor: Cursor) -> tuple[int, Cursor]:
    found = orjson.loads(cursor)
    return found["place"], Cursor(orjson.dumps(found["at"]).decode()) if found["at"] else START


def _closed(place: int, inner: Cursor) -> Cursor:
    return Cursor(orjson.dumps({"place": place, "at": orjson.loads(inner) if inner else None}).decode())


def _content_type(name: str) -> str:
    return mimetypes.guess_type(name)[0] or ""
