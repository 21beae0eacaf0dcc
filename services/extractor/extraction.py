"""One extraction (L-06): every entity read to its end, page by page, each page frozen in staging before the ledger hears of it.

Order of acts for a page, never changed: read, put into staging, record in the ledger. A crash between any two of them costs the page in hand
and nothing else: it is read again from the last recorded cursor and gets the same page id.
"""

import asyncio
import functools
import hashlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import orjson
from opentelemetry import trace

from services.common import instruments, telemetry
from services.common.backoff import Backoff
from services.common.clock import Clock
from services.common.errors import InvalidRequestError, TransientError, TransloadError
from services.extractor.connector import (
    END,
    Connector,
    Cursor,
    EntityForbiddenError,
    EntityMalformedError,
    FrozenPage,
    RawRecord,
    ReadScope,
    SourceEntity,
    SourcePage,
)
from services.extractor.files import Downloader, FileStore, StagedFile
from services.extractor.ports import Checkpoint, ExtractionLedger, PageRecord, Report, State

FILES_AT_ONCE: Final = 4
"""Downloads that run side by side."""

_Answer = TypeVar("_Answer")
_log = telemetry.get_logger(__name__)
_STAGING_BACKOFF: Final = Backoff(base_seconds=1.0, cap_seconds=60.0)


class CallPlanner(Protocol):
    """Says what reading costs and how long it takes, for people."""

    def __call__(self, *, collection_count: int = 0, file_count: int = 0) -> str:
        """Answer one line."""
        ...


class PageStore(FileStore, Protocol):
    """The part of staging that extractions need."""

    async def put_page(self, data: bytes) -> str:
        """Store a page and answer its digest; the same page again changes nothing."""
        ...

    async def get_page(self, digest: str) -> bytes:
        """Answer a page's bytes."""
        ...


@dataclass(frozen=True, slots=True)
class ExtractionSpec:
    """What an extraction shall read; see the contract."""

    migration_id: str
    extraction_id: str
    connector: str
    connection: str
    scope: ReadScope = field(default_factory=ReadScope)
    entities: frozenset[str] = frozenset()
    """Empty: all."""
    file_bytes_max: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    large_file_bytes_max: int = 0
    """Larger files than `file_bytes_max` are fetched up to this size, with a list of their parts; 0: they are not."""

    def wants(self, entity: SourceEntity) -> bool:
        """Say whether an entity is to be read: asked for, and not left out by the option `skip_entities`."""
        return (not self.entities or entity.name in self.entities) and entity.name not in (self.options.get("skip_entities") or ())


class StagedPages:
    """The pages an extraction has frozen so far."""

    def __init__(self, spec: ExtractionSpec, *, ledger: ExtractionLedger, store: PageStore, waits: "WaitState") -> None:
        self._spec = spec
        self._ledger = ledger
        self._store = store
        self._waits = waits

    async def read(self, entity: str, *, from_sequence: int = 0, of_all_extractions: bool = False) -> AsyncIterator[FrozenPage]:
        """Yield an entity's pages by sequence, one in memory at a time."""
        if not self._spec.migration_id:
            return  # a check of the connection, which belongs to no migration
        async for page in self._ledger.pages(self._spec.migration_id, after_sequence=max(0, from_sequence - 1)):
            if page.entity == entity and page.record_count and (of_all_extractions or page.extraction_id == self._spec.extraction_id):
                content = await self._waits.out(functools.partial(self._store.get_page, page.digest))
                yield FrozenPage(page.sequence, orjson.loads(content))


class SeenRecords:
    """Which rows of an entity were read already, by id and version: a listing that moves under an offset gives some twice.

    Eight bytes a row stand for it; what was seen before a restart is learned again from the frozen pages.
    """

    def __init__(self) -> None:
        self._marks: set[int] = set()

    def is_new(self, source_id: str, version: str) -> bool:
        """Remember a row and say whether it is the first of its kind."""
        mark = int.from_bytes(hashlib.blake2b(f"{source_id}\0{version}".encode(errors="replace"), digest_size=8).digest())
        is_new = mark not in self._marks
        self._marks.add(mark)
        return is_new


class Extraction:
    """Reads what a spec asks for, from where the ledger says it stands."""

    def __init__(
        self,
        spec: ExtractionSpec,
        *,
        entities: Sequence[SourceEntity],
        connector: Connector,
        ledger: ExtractionLedger,
        store: PageStore,
        frozen: StagedPages,
        downloader: Downloader,
        waits: "WaitState",
        plan: CallPlanner,
        clock: Clock,
        trace_parent: str = "",
    ) -> None:
        self._spec = spec
        self._entities = entities
        self._connector = connector
        self._ledger = ledger
        self._store = store
        self._frozen = frozen
        self._downloader = downloader
        self._waits = waits
        self._plan = plan
        self._clock = clock
        self._links = telemetry.links_from([trace_parent])
        self._page_counter = instruments.counter(instruments.SOURCE_PAGES)
        self._record_counter = instruments.counter(instruments.SOURCE_READ)

    async def run(self) -> None:
        """Read all entities that are not done. An entity that cannot be read is reported; the others go on.

        Raises:
            TransloadError: The extraction as a whole cannot go on (key refused, ledger refuses it).
        """
        if unknown := sorted(self._spec.entities - {entity.name for entity in self._entities}):
            raise InvalidRequestError(f"the source has no {', '.join(unknown)}; it has {', '.join(entity.name for entity in self._entities)}")
        checkpoints = await self._ledger.checkpoints(self._spec.extraction_id)
        unread = [one for one in self._entities if self._spec.wants(one) and not _is_final(checkpoints.get(one.name))]
        await self._report(State.RUNNING, message=self._plan(collection_count=sum(not one.has_files for one in unread)))
        for entity in unread:
            checkpoint = checkpoints.get(entity.name, Checkpoint("", 0, is_final=False))
            self._waits.entity = entity.name
            try:
                await self._read_entity(entity, checkpoint)
            except EntityForbiddenError as error:
                await self._report_unread(State.NO_ACCESS, entity.name, error)
            except EntityMalformedError as error:
                await self._report_unread(State.FAILED, entity.name, error)
            else:
                await self._report(State.DONE, entity.name)
        await self._report(State.DONE)

    async def _read_entity(self, entity: SourceEntity, checkpoint: Checkpoint) -> None:
        if checkpoint.next_page_number and not checkpoint.cursor:
            return  # the last page is recorded; only the report was lost
        file_count = await self._connector.count_files(entity.name, self._spec.scope) if entity.has_files else None
        await self._report(State.RUNNING, entity.name, message="" if file_count is None else self._plan(file_count=file_count))
        seen = await self._seen(entity, checkpoint)
        async with aclosing(self._connector.read(entity.name, Cursor(checkpoint.cursor), self._spec.scope)) as pages:
            for page_number in itertools.count(checkpoint.next_page_number):
                facts: dict[str, str | int] = {
                    instruments.MIGRATION: self._spec.migration_id,
                    instruments.ENTITY: entity.name,
                    "transload.page_number": page_number,
                }
                with telemetry.tracer().start_as_current_span("extractor.page", attributes=facts, links=self._links) as span:
                    page = await anext(pages)
                    await self._freeze(entity, page, page_number, seen, span)
                is_last = page.next_cursor == END
                del page  # before the next one comes
                if is_last:
                    return

    async def _freeze(self, entity: SourceEntity, page: SourcePage, page_number: int, seen: SeenRecords, span: trace.Span) -> None:
        read_time = self._clock.now()
        records = [
            record
            for record in page.records
            if entity.is_unrepeated or seen.is_new(record.source_id, self._connector.version(entity.name, record.data))
        ]
        content = _page_bytes(await self._envelopes(entity, records))
        digest = await self._waits.out(functools.partial(self._store.put_page, content))
        await self._ledger.record_page(
            self._spec.migration_id,
            PageRecord(
                extraction_id=self._spec.extraction_id,
                entity=entity.name,
                page_number=page_number,
                digest=digest,
                cursor=page.cursor,
                next_cursor=page.next_cursor,
                read_time=read_time,
                source_ids=[record.source_id for record in records],
                trace_parent=telemetry.current_traceparent(),
            ),
        )
        span.set_attribute("transload.record_count", len(records))
        self._page_counter.add(1, {instruments.ENTITY: entity.name})
        self._record_counter.add(len(records), {instruments.ENTITY: entity.name})
        if self._waits.resume_time is not None:
            self._waits.resume_time = None
            await self._report(State.RUNNING)

    async def _envelopes(self, entity: SourceEntity, records: Sequence[RawRecord]) -> list[dict[str, Any]]:
        envelopes = [_envelope(record) for record in records]
        if entity.has_files:
            turns = asyncio.Semaphore(FILES_AT_ONCE)
            downloads = [asyncio.ensure_future(self._fetch_in_turn(record, turns)) for record in records]
            try:
                for envelope, staged in zip(envelopes, await asyncio.gather(*downloads), strict=True):
                    envelope["file"] = staged.to_json()
            finally:
                for download in downloads:
                    download.cancel()
        return envelopes

    async def _fetch_in_turn(self, record: RawRecord, turns: asyncio.Semaphore) -> StagedFile:
        async with turns:
            return await self._fetch(record)

    async def _fetch(self, record: RawRecord) -> StagedFile:
        name = str(record.data.get("name") or record.source_id)
        return await self._waits.out(functools.partial(self._downloader.fetch, record.link, name))

    async def _seen(self, entity: SourceEntity, checkpoint: Checkpoint) -> SeenRecords:
        seen = SeenRecords()
        # Files are heavy: what an earlier extraction downloaded and did not change since is not downloaded again.
        is_of_all = entity.has_files
        if entity.is_unrepeated:
            return seen
        if not checkpoint.next_page_number and not is_of_all:
            return seen
        async for page in self._frozen.read(entity.name, of_all_extractions=is_of_all):
            for envelope in page.envelopes:
                file = envelope.get("file") or {}
                if not file.get("problem") or file.get("digest"):
                    seen.is_new(str(envelope["id"]), self._connector.version(entity.name, envelope["data"]))
        return seen

    async def _report(self, state: State, entity: str = "", *, reason: str = "", message: str = "") -> None:
        await self._ledger.report(Report(self._spec.extraction_id, state, entity, reason, message))

    async def _report_unread(self, state: State, entity: str, error: TransloadError) -> None:
        _log.warning("extraction.entity_ended", migration_id=self._spec.migration_id, entity=entity, state=state.value, reason=error.reason)
        await self._report(state, entity, reason=error.reason, message=error.message)


def _envelope(record: RawRecord) -> dict[str, Any]:
    envelope = {"id": record.source_id, "is_deleted": record.is_deleted, "is_archived": record.is_archived, "data": record.data}
    return {**envelope, "references": record.references} if record.references else envelope


def _is_final(checkpoint: Checkpoint | None) -> bool:
    return checkpoint is not None and checkpoint.is_final


def _page_bytes(envelopes: list[dict[str, Any]]) -> bytes:
    try:
        return orjson.dumps(envelopes)
    except TypeError:  # numbers beyond 64 bits
        return json.dumps(envelopes, ensure_ascii=False, separators=(",", ":")).encode()


class WaitState:
    """What an extraction is waiting for, told to the ledger once for each wait."""

    def __init__(self, extraction_id: str, *, ledger: ExtractionLedger, clock: Clock) -> None:
        self._extraction_id = extraction_id
        self._ledger = ledger
        self._clock = clock
        self.entity = ""
        self.resume_time: datetime | None = None
        self._counter = instruments.counter(instruments.SOURCE_WAITS)

    async def tell(self, reason: str, message: str, resume_time: datetime) -> None:
        """Report that reading waits until `resume_time`; the first page after it reports that it goes on."""
        self._counter.add(1, {instruments.REASON: reason})
        _log.info("extraction.waiting", extraction_id=self._extraction_id, entity=self.entity, reason=reason, resume_time=resume_time.isoformat())
        await self._ledger.report(Report(self._extraction_id, State.WAITING, "", reason, message, resume_time))
        # After the report: who sees the ledger say "running" and us waiting takes it for a resumption by a person.
        self.resume_time = resume_time

    async def out(self, act: Callable[[], Awaitable[_Answer]]) -> _Answer:
        """Do what staging may refuse, until it does not: a full disk is emptied by a person, and no page may be lost meanwhile."""
        attempt = 0
        while True:
            try:
                return await act()
            except TransientError as error:
                attempt += 1
                seconds = _STAGING_BACKOFF.delay_seconds(attempt)
                message = f"{error.message}; nothing is lost, it is tried again by itself"
                await self.tell(error.reason, message, self._clock.now() + timedelta(seconds=seconds))
                await self._clock.sleep(seconds)
