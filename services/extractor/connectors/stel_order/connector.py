"""The STEL Order connector: collections page by page, files from where records point to."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, Final

import httpx

from services.common.connections import ConnectionParts
from services.extractor.api import plan_limits
from services.extractor.connector import (
    CallLimits,
    ConnectorContext,
    Cursor,
    EntityForbiddenError,
    FileLink,
    RawRecord,
    ReadScope,
    SourceEntity,
    SourceFile,
    SourcePage,
)
from services.extractor.connectors.stel_order.client import StelClient
from services.extractor.connectors.stel_order.compared import only_changed
from services.extractor.connectors.stel_order.entities import BY_NAME, DERIVED_BY_NAME, ENTITIES
from services.extractor.connectors.stel_order.errors import refusal_of
from services.extractor.connectors.stel_order.files import attachment_record, count_derived, derived_pages, file_version
from services.extractor.connectors.stel_order.reading import STAMP_FIELD, CollectionReader
from services.extractor.connectors.stel_order.touched import TouchedRecords
from services.extractor.http_files import open_url

PLANS: Final[Mapping[str, tuple[int, int]]] = {"lite": (60, 300), "business": (60, 1_000), "pro": (60, 2_000)}
"""Calls a minute and a day by plan; on the first nobody is refused."""


class StelOrder:
    """Reads a STEL Order account.

    Options: `plan`, `calls_per_minute`, `calls_per_day`, `day_zone`, `counts_files`, `closing_pass`, `full_compare`.
    """

    name: ClassVar[str] = "stel_order"
    entities: ClassVar[tuple[SourceEntity, ...]] = ENTITIES
    connection_parts: ClassVar[ConnectionParts] = ConnectionParts()

    def __init__(self, context: ConnectorContext, client: StelClient, files_http: httpx.AsyncClient) -> None:
        self._context = context
        self._client = client
        self._files_http = files_http
        self._closes = bool(context.options.get("closing_pass", True))
        self._compares = bool(context.options.get("full_compare", False))

    @staticmethod
    def limits(options: Mapping[str, Any]) -> CallLimits:
        """Answer the plan's limits; `calls_per_minute` and `calls_per_day` override the plan's, 0 means none."""
        return plan_limits(PLANS, options)

    @staticmethod
    @asynccontextmanager
    async def connect(context: ConnectorContext) -> AsyncIterator["StelOrder"]:
        """Open the connector. The key goes into a header, never into the address."""
        headers = {"APIKEY": context.connection.key, "Accept": "application/json"}
        # Downloads never carry the key: their addresses may be anywhere.
        async with context.http_client(headers) as http, context.http_client({}, follow_redirects=True) as files_http:
            yield StelOrder(context, StelClient(http, base_url=context.connection.url, gate=context.gate), files_http)

    async def check(self) -> None:
        """Read one employee: `/errorCodes` would answer even a wrong key. A key without the right to employees is a right key."""
        try:
            await self._client.page(BY_NAME["employee"].entity.source_name, limit=1)
        except EntityForbiddenError:
            return

    async def list_entities(self) -> Sequence[SourceEntity]:
        """Answer the collections: they are the same in every account."""
        return self.entities

    async def read(self, entity: str, cursor: Cursor, scope: ReadScope) -> AsyncGenerator[SourcePage, None]:
        """Yield an entity's pages from the cursor on."""
        if entity in DERIVED_BY_NAME:
            async for page in derived_pages(entity, cursor, scope, self._context.frozen):
                yield page
            return
        collection = BY_NAME[entity]
        compares = self._compares and collection.has_lines and scope.changed_since is not None
        since = None if compares else scope.changed_since
        reader = CollectionReader(self._client, collection, changed_since=since, closes=self._closes, clock=self._context.clock)
        make = attachment_record if collection.entity.has_files else _record
        touched = TouchedRecords(self._client, collection, self._context.frozen)
        pages = touched.pages(cursor) if touched.is_place(cursor) else reader.pages(cursor)
        if compares and not touched.is_place(cursor):
            pages = only_changed(pages, entity, self._context.frozen)
        elif scope.changed_since is not None and collection.touched_by is not None and not touched.is_place(cursor):
            pages = touched.follow(pages)
        async for raw in pages:
            page = SourcePage(raw.cursor, raw.next_cursor, tuple(make(data) for data in raw.records))
            del raw  # nobody holds a page while the next one comes
            yield page
            del page

    def open_file(self, link: FileLink) -> AbstractAsyncContextManager[SourceFile]:
        """Open an attachment, image or document."""
        return open_url(self._files_http, link.url, refusal=refusal_of)

    async def count_files(self, entity: str, scope: ReadScope) -> int | None:
        """Count images and PDFs on the frozen pages; attachments are only known once their collection is read."""
        return await count_derived(entity, scope, self._context.frozen) if entity in DERIVED_BY_NAME else None

    def version(self, entity: str, data: Mapping[str, Any]) -> str:
        """Answer the modification stamp with the deletion mark, or for files the digest of the link with the owner's stamp."""
        collection = BY_NAME.get(entity)
        if collection is None or collection.entity.has_files:
            return file_version(data)
        return f"{data.get(STAMP_FIELD) or ''}/{data.get('deleted') is True}"


def _record(data: Mapping[str, Any]) -> RawRecord:
    return RawRecord(source_id=str(data["id"]), data=data, is_deleted=data.get("deleted") is True, is_archived=data.get("inactive") is True)
