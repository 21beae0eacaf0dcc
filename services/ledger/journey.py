"""The whole journey of one record: pages, what it became, values field by field, events, review items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common import telemetry
from services.common.errors import NotFoundError, TransloadError
from services.ledger.codec import page_to, split_source_key
from services.ledger.domain import RecordFilter, RecordState, ReviewFilter
from services.ledger.migration_codec import event_to_proto, issue_to_proto, record_to_proto, review_item_to_proto
from services.ledger.origins import source_key_of
from services.ledger.runs.driver import snapshot_of
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record, SourceIssue
    from services.ledger.repository import Ledger, Reader
    from services.ledger.runs.ports import Transformer
    from transload.v1.transformer_service_pb2 import PreviewedRecord

_LOG = telemetry.get_logger(__name__)
_ISSUES, _RECORDS = "i", "r"


async def describe_journey(ledger: Ledger, transformer: Transformer, migration: Migration, key: str) -> pb.GetRecordResponse:
    """Answer all that is known of one record.

    Raises:
        NotFoundError: Nothing is known of it.
    """
    async with ledger.read() as reader:
        source_key = await source_key_of(reader, migration.migration_id, key)
        response = await _known(reader, migration, source_key)
        sequence = await reader.page_sequence(migration.migration_id)
    if migration.manifest_digest and response.pages:
        response.lineage.extend(await _lineage(transformer, migration, sequence, source_key))
    return response


async def _known(reader: Reader, migration: Migration, source_key: str) -> pb.GetRecordResponse:
    migration_id = migration.migration_id
    entity, source_id = split_source_key(source_key, "key")
    source = await reader.get_source_record(migration_id, entity, source_id)
    records = await reader.list_records_of_source(migration_id, entity, source_id)
    issues = await reader.list_source_issues(migration_id, entity=entity, source_id=source_id)
    items = await reader.list_review_items(migration_id, ReviewFilter(source_key=source_key, includes_resolved=True))
    if source is None and not records and not items:
        raise NotFoundError(f"migration {migration_id} knows no record {source_key}: it was not read, or the key is misspelt")
    pages = await reader.get_pages(migration_id, [source.page_id]) if source else []
    events = await reader.list_events_of_source(migration_id, source_key)
    return pb.GetRecordResponse(
        source_key=source_key,
        source_state=await reader.source_state(migration_id, entity, source_id),
        pages=[page_to(page) for page in pages],
        records=[*(issue_to_proto(issue) for issue in issues), *(record_to_proto(record) for record in records)],
        events=[event_to_proto(event) for event in events],
        review_items=[review_item_to_proto(item) for item in items],
    )


async def _lineage(transformer: Transformer, migration: Migration, sequence: int, source_key: str) -> Sequence[PreviewedRecord]:
    """Answer where each value comes from; nothing while the transformer is away, the rest of the journey does not depend on it."""
    try:
        return await transformer.preview_records(snapshot_of(migration, sequence), migration.manifest_digest, [source_key])
    except TransloadError as error:
        _LOG.warning("lineage.missing", migration_id=migration.migration_id, key=source_key, reason=error.reason)
        return ()


async def list_views(reader: Reader, request: pb.ListRecordsRequest, limit: int) -> pb.ListRecordsResponse:
    """Answer a page of records: first the source records that became nothing, by source key, then mapped records, by key."""
    kind, _, after = request.page_token.partition(":")
    views: list[pb.RecordView] = []
    token = ""
    if kind != _RECORDS and not request.target_entity:
        issues = await _issues(reader, request, after, limit)
        views = [issue_to_proto(issue) for issue in issues]
        token = f"{_ISSUES}:{issues[-1].source_key}" if len(issues) >= limit else ""
    if not token:
        rest = limit - len(views)
        records = await _records(reader, request, after if kind == _RECORDS else "", rest) if rest else []
        views.extend(record_to_proto(record) for record in records)
        token = f"{_RECORDS}:{records[-1].key}" if records and len(records) == rest else "" if rest else f"{_RECORDS}:"
    return pb.ListRecordsResponse(records=views, next_page_token=token)


async def _issues(reader: Reader, request: pb.ListRecordsRequest, after: str, limit: int) -> list[SourceIssue]:
    """Answer issues of whole source records; a page does not end between two issues of the same record."""
    issues = list(
        await reader.list_source_issues(
            request.migration_id, entity=request.source_entity, state=request.state, reason=request.reason, after=after, limit=limit
        )
    )
    if len(issues) == limit and issues[0].source_key != issues[-1].source_key:
        last = issues[-1].source_key
        while issues[-1].source_key == last:
            issues.pop()
        issues.extend(
            await reader.list_source_issues(
                request.migration_id,
                entity=last.partition("/")[0],
                source_id=last.partition("/")[2],
                state=request.state,
                reason=request.reason,
            )
        )
    return issues


async def _records(reader: Reader, request: pb.ListRecordsRequest, after: str, limit: int) -> Sequence[Record]:
    which = RecordFilter(
        states=(RecordState(request.state),) if request.state else (),
        source_entity=request.source_entity,
        target_entity=request.target_entity,
        reason=request.reason,
    )
    return await reader.list_records(request.migration_id, which, after_key=after, limit=limit)
