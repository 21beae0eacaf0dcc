"""The connector of every source that is read from a bundle. A source is a class with a name, and a `layout.yaml` beside it."""

from __future__ import annotations

import asyncio
import functools
import tempfile
import threading
from contextlib import ExitStack, aclosing, asynccontextmanager
from datetime import UTC
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from services.common import telemetry
from services.common.connections import ConnectionParts
from services.extractor.connector import (
    END,
    CallLimits,
    ConnectorContext,
    Cursor,
    EntityMalformedError,
    FileLink,
    FileMissingError,
    FindingSeverity,
    FrozenPage,
    RawRecord,
    ReadScope,
    SourceEntity,
    SourceFile,
    SourceFinding,
    SourcePage,
)
from services.extractor.connectors.bundle.attachments import FileFinder, open_member, parse_link
from services.extractor.connectors.bundle.bundle import Bundle
from services.extractor.connectors.bundle.check import check_bundle
from services.extractor.connectors.bundle.container import BundleRefusedError
from services.extractor.connectors.bundle.index import LastVersions, Occurrences, PathSet
from services.extractor.connectors.bundle.layout import FINDINGS, Layout, build_layout, parse_layout
from services.extractor.connectors.bundle.options import read_options
from services.extractor.connectors.bundle.profile import Check, Severity, TableFacts
from services.extractor.connectors.bundle.reading import Position, TableReader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

_Answer = TypeVar("_Answer")
_log = telemetry.get_logger(__name__)
FINDINGS_PAGE: Final = 500
"""Findings in a page."""
DELETED_SHARE_MAX: Final = 0.5
"""Part of a table's records that may be missing in a later bundle before it is doubted."""
DELETED_FREE: Final = 10
"""Missing records that are never doubted."""


def source_entities(layout: Layout) -> tuple[SourceEntity, ...]:
    """Answer the entities of a layout in the order they are read, the findings first."""
    return (
        SourceEntity(FINDINGS, "check", is_reference_data=True, is_unrepeated=True),
        *(
            SourceEntity(name, one.source_name, is_reference_data=one.is_reference_data, has_files=one.is_files, is_unrepeated=True)
            for name, one in layout.entities.items()
        ),
    )


class BundleConnector:
    """Reads a bundle. Options: those of `BundleOptions`."""

    name: ClassVar[str]
    entities: ClassVar[tuple[SourceEntity, ...]]
    connection_parts: ClassVar[ConnectionParts] = ConnectionParts(required=())
    default: ClassVar[Mapping[str, Any]]
    """The layout that comes with the source."""

    def __init_subclass__(cls, *, layout: Mapping[str, Any] | None = None) -> None:
        """Take the source's layout: `layout.yaml` beside its module, unless one is given."""
        if layout is not None:
            cls.adopt(layout)
            return
        text = files(cls.__module__.rpartition(".")[0]).joinpath("layout.yaml").read_text(encoding="utf-8")
        cls.adopt(parse_layout(text, place=f"layout.yaml of {cls.name}"))

    @classmethod
    def adopt(cls, default: Mapping[str, Any]) -> None:
        """Take a layout as the source's own."""
        cls.default = default
        cls.entities = source_entities(build_layout([("default", default)]))

    def __init__(self, context: ConnectorContext, folder: Path) -> None:
        self._context = context
        self._options = read_options(context.options)
        self._folder = folder
        self._is_stopped = threading.Event()
        self._bundle: Bundle | None = None
        self._check: Check | None = None
        self._count = 0

    @staticmethod
    def limits(options: Mapping[str, Any]) -> CallLimits:
        """Answer that files have no limits. Raises InvalidRequestError for options that make no sense."""
        read_options(options)
        return CallLimits("files", 0, 0, UTC, counts_files=False)

    @classmethod
    @asynccontextmanager
    async def connect(cls, context: ConnectorContext) -> AsyncIterator[Self]:
        """Open the connector; what it keeps on disk is gone when the block ends."""
        with tempfile.TemporaryDirectory(prefix="transload-bundle-") as folder:
            connector = cls(context, Path(folder))
            try:
                yield connector
            finally:
                connector.close()

    def close(self) -> None:
        """Close the bundle."""
        if self._bundle is not None:
            self._bundle.close()
            self._bundle = None

    async def check(self) -> None:
        """Find the bundle and read its layout and the names of its tables.

        Raises:
            ConfigurationError: There is none.
            BundleRefusedError: It must not be read.
        """
        await self._opened()

    async def list_entities(self) -> Sequence[SourceEntity]:
        """Answer the entities of the layout, with the tenant's differences."""
        return source_entities((await self._opened()).layout)

    async def findings(self) -> Check:
        """Check the whole bundle: every byte and row passes once."""
        bundle = await self._opened()
        if self._check is None:
            self._check = await self._in_thread(functools.partial(check_bundle, bundle, self._folder, is_stopped=self._is_stopped.is_set))
        return self._check

    async def check_content(self) -> Sequence[SourceFinding]:
        """Check the whole bundle; answers what was found."""
        return [
            SourceFinding(
                one.code,
                FindingSeverity(one.severity.value.upper()),
                one.message,
                one.entity,
                one.path,
                one.column,
                one.count,
                one.samples,
                one.option,
            )
            for one in (await self.findings()).findings
        ]

    async def read(self, entity: str, cursor: Cursor, scope: ReadScope) -> AsyncGenerator[SourcePage, None]:
        """Yield an entity's pages from the cursor on."""
        if entity == FINDINGS:
            async for page in self._read_findings(cursor):
                yield page
            return
        bundle, check = await self._opened(), await self._known()
        if check.bundle.stop:
            raise BundleRefusedError(check.bundle.stop)
        position = Position.from_cursor(cursor) if cursor else Position(check.bundle.fingerprint)
        self._insist(bundle, position.bundle)
        table = check.tables.get(entity)
        if table is None:
            yield SourcePage(cursor, END, ())
            return
        if table.stop:
            raise EntityMalformedError(table.stop)
        async for page in self._read_table(bundle, table, cursor, position, scope):
            yield page
            del page

    async def count_files(self, entity: str, scope: ReadScope) -> int | None:
        """Answer the rows of a table of files; in a delta only reading shows how many changed."""
        if scope.changed_since is not None:
            return None
        table = (await self._known()).tables.get(entity)
        return table.row_count if table is not None else 0

    @asynccontextmanager
    async def open_file(self, link: FileLink) -> AsyncIterator[SourceFile]:
        """Open a file of the bundle."""
        bundle = await self._opened()
        entity, path = parse_link(link)
        layout = bundle.layout.entities.get(entity)
        if layout is None or layout.file is None:
            raise FileMissingError("no table of files")
        async with open_member(FileFinder(entity, bundle.container, layout.file, bundle.shares), bundle.container, path) as file:
            yield file

    def version(self, entity: str, data: Mapping[str, Any]) -> str:
        """Answer nothing: no row of a bundle comes twice."""
        del entity, data
        return ""

    async def _opened(self) -> Bundle:
        if self._bundle is None:
            frozen = await self._frozen_check()
            preferred = frozen.bundle.name if frozen is not None else ""
            opening = functools.partial(Bundle.open, self._context.connection.url, self.default, self._options, preferred=preferred)
            self._bundle = await self._in_thread(opening)
        return self._bundle

    async def _known(self) -> Check:
        """Answer what the check found: as it stands on the pages of this extraction, so that all pages are read one way, else found now.

        A check that stopped something is not believed again: whoever starts once more may have mended it.
        """
        if self._check is None and (frozen := await self._frozen_check()) is not None:
            self._insist(await self._opened(), frozen.bundle.fingerprint)
            self._check = frozen
        return await self.findings()

    async def _frozen_check(self) -> Check | None:
        """Answer the check on the pages of this extraction, None where there is none or it stopped something."""
        rows = {one["id"]: one["data"] async for page in self._frozen(FINDINGS) for one in page.envelopes if not one["is_deleted"]}
        check = Check.of_rows(rows)
        return None if check is None or any(finding.severity is Severity.STOP for finding in check.findings) else check

    def _frozen(self, entity: str, *, from_sequence: int = 0, of_all_extractions: bool = False) -> AsyncIterator[FrozenPage]:
        return self._context.frozen.read(entity, from_sequence=from_sequence, of_all_extractions=of_all_extractions)

    @staticmethod
    def _insist(bundle: Bundle, fingerprint: str) -> None:
        """Raise unless the bundle is still the one the reading began with."""
        if not bundle.container.is_same() or bundle.fingerprint != fingerprint:
            raise BundleRefusedError(
                f"{bundle.container.name} is not what it was when reading it began:"
                " put it back as it was and resume, or begin a new migration or delta"
            )

    async def _read_findings(self, cursor: Cursor) -> AsyncGenerator[SourcePage, None]:
        check = await self.findings()
        last = {one["id"] async for page in self._frozen(FINDINGS, of_all_extractions=True) for one in page.envelopes}
        rows = check.rows()
        records = [RawRecord(source_id, data) for source_id, data in rows]
        # What an earlier check found and this one does not is no more.
        records += [RawRecord(one, {"kind": "finding"}, is_deleted=True) for one in sorted(last - {source_id for source_id, _ in rows})]
        done = int(cursor or 0) % max(1, len(records))
        while True:
            page, is_last = records[done : done + FINDINGS_PAGE], done + FINDINGS_PAGE >= len(records)
            # A bundle that cannot be read is looked at again from the start when a person has seen to it.
            end = Cursor("0") if check.bundle.stop else END
            yield SourcePage(cursor, end if is_last else Cursor(str(done + FINDINGS_PAGE)), tuple(page))
            if is_last:
                if check.bundle.stop:
                    raise BundleRefusedError(check.bundle.stop)
                return
            done += FINDINGS_PAGE
            cursor = Cursor(str(done))

    async def _read_table(
        self, bundle: Bundle, table: TableFacts, cursor: Cursor, position: Position, scope: ReadScope
    ) -> AsyncGenerator[SourcePage, None]:
        """Yield the pages of a table. One is held back, because only the next one shows whether it is the last."""
        held: tuple[RawRecord, ...] = ()
        reached: Position | None = None
        async with aclosing(self._batches(bundle, table, position, is_delta=scope.changed_since is not None)) as batches:
            async for place, records in batches:
                self._insist(bundle, position.bundle)
                if reached is not None:
                    next_cursor = reached.to_cursor()
                    yield SourcePage(cursor, next_cursor, held)
                    cursor = next_cursor
                reached, held = place, records
        self._insist(bundle, position.bundle)
        yield SourcePage(cursor, END, held)

    async def _batches(
        self, bundle: Bundle, table: TableFacts, position: Position, *, is_delta: bool
    ) -> AsyncGenerator[tuple[Position, tuple[RawRecord, ...]], None]:
        """Yield records with the place after them: those of rows, then in a delta those that the bundle no longer has."""
        with ExitStack() as stack:
            last = stack.enter_context(LastVersions(self._place("last"))) if is_delta else None
            counts_ids = table.has_repeated_ids or table.uses_row_ids
            occurrences = stack.enter_context(Occurrences(self._place("ids"))) if counts_ids else None
            listed = stack.enter_context(PathSet(self._place("files"))) if table.has_unlisted_files and table.parts else None
            if last is not None:
                async for page in self._frozen(table.entity, of_all_extractions=True):
                    await self._in_thread(functools.partial(last.add, page.sequence, page.envelopes))
            reader = TableReader(bundle, table, after_row=position.row, occurrences=occurrences, last=last, listed=listed)
            rows = reader.pages()
            row = position.row
            while (batch := await self._in_thread(functools.partial(next, rows, None))) is not None:
                row = batch.row
                yield Position(position.bundle, row), batch.records
            if reader.moved_count:
                _log.info("bundle.times_moved", entity=table.entity, count=reader.moved_count)
            if last is None or bundle.is_delta or self._options.deletions == "ignore":
                return
            self._doubt(table.entity, last)
            async for page in self._frozen(table.entity, from_sequence=position.gone + 1, of_all_extractions=True):
                if gone := last.missing(page.sequence):
                    yield Position(position.bundle, row, page.sequence), tuple(_tombstone(one) for one in page.envelopes if one["id"] in gone)

    def _doubt(self, entity: str, last: LastVersions) -> None:
        """Raise when most of a table is gone: rather the export was made with a filter.

        Counted are those that a resumed reading has told already too, so that going on comes to the same.
        """
        known, gone = last.counts()
        if self._options.deletions == "report" and gone >= DELETED_FREE and gone > DELETED_SHARE_MAX * known:
            raise EntityMalformedError(
                f"{gone:,} of {known:,} records of {entity} are missing in this export: was it made with a filter? Export all of it;"
                " or say with the option deletions that they are deleted (all) or stay as they are (ignore)"
            )

    def _place(self, name: str) -> Path:
        """Answer a new file for an index."""
        self._count += 1
        return self._folder / f"{name}-{self._count}.db"

    async def _in_thread(self, work: Callable[[], _Answer]) -> _Answer:
        """Work beside the event loop; when the caller is cancelled the work is ended first, because it uses files that close then."""
        task = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._is_stopped.set()
            await asyncio.wait([task])
            raise


def _tombstone(envelope: Mapping[str, Any]) -> RawRecord:
    return RawRecord(str(envelope["id"]), envelope["data"], is_deleted=True, is_archived=bool(envelope["is_archived"]))
