"""Extractions, pages, source records and the source's budget."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import case, func, literal, select, union_all, update

from services.ledger.domain import EntityCount, Extraction, ExtractionEntity, Page, RecordState, Resolution, SourceIssue, SourceRecord, SourceState
from services.ledger.sql.rows import RowCodec, to_micros
from services.ledger.sql.session import chunks, table_of
from services.ledger.sql.tables import (
    ExtractionEntityRow,
    ExtractionRow,
    PageRow,
    RecordRow,
    SourceBudgetRow,
    SourceIssueRow,
    SourceRecordRow,
)
from services.ledger.sql.trail import TrailReader, TrailWriter

_EXTRACTIONS, _ENTITIES, _PAGES = table_of(ExtractionRow), table_of(ExtractionEntityRow), table_of(PageRow)
_BUDGETS, _SOURCES, _ISSUES, _RECORDS = table_of(SourceBudgetRow), table_of(SourceRecordRow), table_of(SourceIssueRow), table_of(RecordRow)
_EXTRACTION, _ENTITY, _PAGE = RowCodec(Extraction), RowCodec(ExtractionEntity), RowCodec(Page)
_SOURCE, _ISSUE = RowCodec(SourceRecord), RowCodec(SourceIssue)

_RANKS: dict[SourceState, int] = {state: rank for rank, state in enumerate(reversed(SourceState), 1)}
_STATES = {rank: state for state, rank in _RANKS.items()}
_PENDING = _RANKS[SourceState.PENDING]


class ExtractionReader(TrailReader):
    """Queries of extractions, pages and source records."""

    async def get_extraction(self, extraction_id: str) -> Extraction | None:
        """Answer one extraction."""
        row = await self._first(select(_EXTRACTIONS).where(_EXTRACTIONS.c.extraction_id == extraction_id))
        return _EXTRACTION.from_row(row) if row else None

    async def list_extractions(self, migration_id: str) -> Sequence[Extraction]:
        """List the extractions of a migration, oldest first."""
        statement = select(_EXTRACTIONS).where(_EXTRACTIONS.c.migration_id == migration_id)
        rows = await self._all(statement.order_by(_EXTRACTIONS.c.start_time, _EXTRACTIONS.c.extraction_id))
        return [_EXTRACTION.from_row(row) for row in rows]

    async def list_extraction_entities(self, extraction_id: str) -> Sequence[ExtractionEntity]:
        """List the entities of an extraction that were begun."""
        rows = await self._all(select(_ENTITIES).where(_ENTITIES.c.extraction_id == extraction_id).order_by(_ENTITIES.c.entity))
        return [_ENTITY.from_row(row) for row in rows]

    async def get_pages(self, migration_id: str, page_ids: Collection[str]) -> Sequence[Page]:
        """Answer pages by id, ordered by sequence."""
        pages: list[Page] = []
        for part in chunks(page_ids):
            rows = await self._all(select(_PAGES).where(_PAGES.c.migration_id == migration_id, _PAGES.c.page_id.in_(part)))
            pages.extend(_PAGE.from_row(row) for row in rows)
        return sorted(pages, key=lambda page: page.sequence)

    async def list_pages(
        self, migration_id: str, *, after_sequence: int = 0, until_sequence: int = 0, limit: int = 1000, entity: str = ""
    ) -> Sequence[Page]:
        """List pages by sequence."""
        statement = select(_PAGES).where(_PAGES.c.migration_id == migration_id, _PAGES.c.sequence > after_sequence)
        if until_sequence:
            statement = statement.where(_PAGES.c.sequence <= until_sequence)
        if entity:
            statement = statement.where(_PAGES.c.entity == entity)
        return [_PAGE.from_row(row) for row in await self._all(statement.order_by(_PAGES.c.sequence).limit(limit))]

    async def source_calls_used(self, connection: str, day: str) -> int:
        """Answer the calls taken from a source connection's budget of a day."""
        row = await self._first(select(_BUDGETS.c.used_count).where(_BUDGETS.c.connection == connection, _BUDGETS.c.day == day))
        return int(row["used_count"]) if row else 0

    async def get_source_record(self, migration_id: str, entity: str, source_id: str) -> SourceRecord | None:
        """Answer one source record."""
        return (await self.get_source_records(migration_id, entity, [source_id])).get(source_id)

    async def get_source_records(self, migration_id: str, entity: str, source_ids: Collection[str]) -> dict[str, SourceRecord]:
        """Answer source records of one entity by source id."""
        found: dict[str, SourceRecord] = {}
        for part in chunks(source_ids):
            where = (_SOURCES.c.migration_id == migration_id, _SOURCES.c.entity == entity, _SOURCES.c.source_id.in_(part))
            found.update((row["source_id"], _SOURCE.from_row(row)) for row in await self._all(select(_SOURCES).where(*where)))
        return found

    async def list_source_ids(self, migration_id: str, page_id: str) -> Sequence[str]:
        """List source ids whose latest version stands in this page."""
        statement = select(_SOURCES.c.source_id).where(_SOURCES.c.migration_id == migration_id, _SOURCES.c.page_id == page_id)
        return [row["source_id"] for row in await self._all(statement.order_by(_SOURCES.c.source_id))]

    async def get_source_issues(self, migration_id: str, phase: int, entity: str, source_ids: Collection[str]) -> Sequence[SourceIssue]:
        """Answer the issues a phase has with source records of one entity."""
        found: list[SourceIssue] = []
        for part in chunks(source_ids):
            where = (_ISSUES.c.migration_id == migration_id, _ISSUES.c.phase == phase, _ISSUES.c.entity == entity, _ISSUES.c.source_id.in_(part))
            found.extend(_ISSUE.from_row(row) for row in await self._all(select(_ISSUES).where(*where)))
        return found

    async def list_source_issues(
        self, migration_id: str, *, entity: str = "", source_id: str = "", state: str = "", reason: str = "", after: str = "", limit: int = 1000
    ) -> Sequence[SourceIssue]:
        """List issues of source records as a whole, ordered by source key."""
        source_key = _ISSUES.c.entity + "/" + _ISSUES.c.source_id
        statement = select(_ISSUES).where(_ISSUES.c.migration_id == migration_id)
        for column, wanted in ((_ISSUES.c.entity, entity), (_ISSUES.c.source_id, source_id), (_ISSUES.c.state, state), (_ISSUES.c.reason, reason)):
            if wanted:
                statement = statement.where(column == wanted)
        if after:
            statement = statement.where(source_key > after)
        return [_ISSUE.from_row(row) for row in await self._all(statement.order_by(source_key, _ISSUES.c.phase).limit(limit))]

    async def summarize_sources(self, migration_id: str) -> Sequence[EntityCount]:
        """Count source records by entity and state (X-04), ordered by entity."""
        ranks = _ranks(migration_id).subquery()
        joined = _SOURCES.outerjoin(ranks, (ranks.c.entity == _SOURCES.c.entity) & (ranks.c.source_id == _SOURCES.c.source_id))
        rank = func.coalesce(ranks.c.rank, _PENDING).label("rank")
        statement = select(_SOURCES.c.entity, rank, func.count().label("count")).select_from(joined).where(_SOURCES.c.migration_id == migration_id)
        counts: dict[str, dict[str, int]] = {}
        for row in await self._all(statement.group_by(_SOURCES.c.entity, rank).order_by(_SOURCES.c.entity)):
            counts.setdefault(row["entity"], {})[f"{_STATES[row['rank']]}_count"] = row["count"]
        return [EntityCount(source_entity=entity, extracted_count=sum(states.values()), **states) for entity, states in counts.items()]

    async def source_state(self, migration_id: str, entity: str, source_id: str) -> str:
        """Answer the X-04 state of one source record; empty: unknown record."""
        if await self.get_source_record(migration_id, entity, source_id) is None:
            return ""
        row = await self._first(_ranks(migration_id, entity, source_id))
        return str(_STATES[row["rank"]] if row else SourceState.PENDING)


def _ranks(migration_id: str, entity: str = "", source_id: str = "") -> Any:
    """Select the rank of the state that counts, for each source record with mapped records or issues."""
    # What was taken back on its own stays out until asked; what a whole rollback took back is open again.
    is_left_out = (_RECORDS.c.state == "undone") & (_RECORDS.c.resolution == str(Resolution.SKIP))
    of_state = case(
        {
            "waiting": _RANKS[SourceState.WAITING],
            "rejected": _RANKS[SourceState.REJECTED],
            "loaded": _RANKS[SourceState.LOADED],
            "matched": _RANKS[SourceState.MATCHED],
            "skipped": _RANKS[SourceState.SKIPPED],
        },
        value=case((is_left_out, literal("skipped")), else_=_RECORDS.c.state),
        else_=literal(_PENDING),
    )
    # What was deleted because the source has it no more is settled.
    is_removed = (_RECORDS.c.state == str(RecordState.UNDONE)) & (_RECORDS.c.gone != "")
    of_record = case((is_removed, literal(_RANKS[SourceState.SKIPPED])), else_=of_state)
    of_issue = case(
        {"waiting": _RANKS[SourceState.WAITING], "rejected": _RANKS[SourceState.REJECTED]},
        value=_ISSUES.c.state,
        else_=literal(_RANKS[SourceState.SKIPPED]),
    )
    records = (
        select(_RECORDS.c.source_entity.label("entity"), _RECORDS.c.source_id.label("source_id"), of_record.label("rank"))
        .where(_RECORDS.c.migration_id == migration_id)
        .where(*([_RECORDS.c.source_entity == entity, _RECORDS.c.source_id == source_id] if entity else []))
    )
    issues = (
        select(_ISSUES.c.entity, _ISSUES.c.source_id, of_issue.label("rank"))
        .where(_ISSUES.c.migration_id == migration_id)
        .where(*([_ISSUES.c.entity == entity, _ISSUES.c.source_id == source_id] if entity else []))
    )
    both = union_all(records, issues).subquery()
    return select(both.c.entity, both.c.source_id, func.max(both.c.rank).label("rank")).group_by(both.c.entity, both.c.source_id)


class ExtractionWriter(ExtractionReader, TrailWriter):
    """Writes of extractions, pages and source records."""

    async def save_extraction(self, extraction: Extraction) -> None:
        """Write an extraction, new or changed; its `source_call_count` is left alone."""
        await self._upsert(_EXTRACTIONS, [_EXTRACTION.to_row(extraction)], keep=("source_call_count",))

    async def save_extraction_entity(self, entity: ExtractionEntity) -> None:
        """Write how far an entity has been read."""
        await self._upsert(_ENTITIES, [_ENTITY.to_row(entity)])

    async def add_page(self, page: Page) -> int:
        """Write a new page and answer the sequence given to it."""
        sequence = await self._next(page.migration_id, "page_sequence")
        await self._run(_PAGES.insert(), [{**_PAGE.to_row(page), "sequence": sequence}])
        return sequence

    async def save_source_records(self, records: Sequence[SourceRecord]) -> None:
        """Write source records, new or with a newer page."""
        await self._upsert(_SOURCES, [_SOURCE.to_row(record) for record in records])

    async def debit_source_calls(self, connection: str, day: str, call_count: int) -> None:
        """Add calls to the used budget of a day."""
        await self._insert_new(_BUDGETS, [{"connection": connection, "day": day, "used_count": 0}])
        where = (_BUDGETS.c.connection == connection, _BUDGETS.c.day == day)
        await self._run(update(_BUDGETS).where(*where).values(used_count=_BUDGETS.c.used_count + call_count))

    async def add_source_calls(self, extraction_id: str, call_count: int) -> None:
        """Add calls to an extraction's count; an unknown extraction is no error."""
        statement = update(_EXTRACTIONS).where(_EXTRACTIONS.c.extraction_id == extraction_id)
        await self._run(statement.values(source_call_count=_EXTRACTIONS.c.source_call_count + call_count))

    async def replace_source_issues(
        self, migration_id: str, phase: int, entity: str, source_ids: Collection[str], issues: Sequence[SourceIssue]
    ) -> None:
        """Replace the issues a phase has with source records of one entity."""
        for part in chunks(source_ids):
            where = (_ISSUES.c.migration_id == migration_id, _ISSUES.c.phase == phase, _ISSUES.c.entity == entity, _ISSUES.c.source_id.in_(part))
            await self._delete(_ISSUES, *where)
        await self._upsert(_ISSUES, [_ISSUE.to_row(issue) for issue in issues])

    async def skip_entity(self, migration_id: str, entity: str, reason: str, now: Any) -> int:
        """Skip all source records of an entity that no phase takes; answer how many were new."""
        known = select(_ISSUES.c.source_id).where(
            _ISSUES.c.migration_id == migration_id, _ISSUES.c.entity == entity, _ISSUES.c.phase == 0, _ISSUES.c.source_id == _SOURCES.c.source_id
        )
        values = [literal(0), literal(str(SourceState.SKIPPED)), literal(reason), literal(""), literal(to_micros(now))]
        chosen = (
            select(_SOURCES.c.migration_id, _SOURCES.c.entity, _SOURCES.c.source_id, *values)
            .where(_SOURCES.c.migration_id == migration_id, _SOURCES.c.entity == entity)
            .where(~known.exists())
        )
        columns = ["migration_id", "entity", "source_id", "phase", "state", "reason", "message", "update_time"]
        return await self._run(_ISSUES.insert().from_select(columns, chosen))
