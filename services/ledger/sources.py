"""What the extractor tells: pages, how an extraction stands, calls it makes. And what it may ask: how far it came, what budget is left."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import orjson

from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger.domain import EventDraft, ExtractionEntity, ExtractionState, Migration, Page, PauseKind, ReviewItem, SourceRecord, review_item
from services.ledger.outcomes import DUPLICATE
from services.ledger.repository import Transaction

ACTOR = "extractor"
_USED_UP = "TARGET_QUOTA_EXHAUSTED"
_QUOTA = "SOURCE_QUOTA_EXHAUSTED"


@dataclass(frozen=True, slots=True)
class StateReport:
    """How an extraction or one entity of it stands."""

    state: ExtractionState
    reason: str
    message: str
    resume_time: datetime | None


async def record_page(tx: Transaction, page: Page, source_ids: Sequence[str], now: datetime) -> int:
    """Record a page and its source records; answers its sequence. The same page again changes nothing.

    A record that comes twice in one extraction is flagged: the later page counts, because it was read later.

    Raises:
        NotFoundError: no such extraction in this migration.
        InvalidRequestError: the number of ids is not the page's number of records.
    """
    extraction = await tx.get_extraction(page.extraction_id)
    if extraction is None or extraction.migration_id != page.migration_id:
        raise NotFoundError(f"migration {page.migration_id} has no extraction {page.extraction_id}")
    known = await tx.get_pages(page.migration_id, [page.page_id])
    if known:
        return known[0].sequence
    if len(source_ids) != page.record_count:
        raise InvalidRequestError(f"page {page.page_id} has {page.record_count} records and {len(source_ids)} source ids")
    sequence = await tx.add_page(page)
    before = await tx.get_source_records(page.migration_id, page.entity, set(source_ids))
    twice = {source_id for source_id, record in before.items() if record.extraction_id == page.extraction_id}
    seen: set[str] = set()
    for source_id in source_ids:
        (twice if source_id in seen else seen).add(source_id)
    records = [SourceRecord(page.migration_id, page.entity, source_id, page.page_id, sequence, page.extraction_id) for source_id in sorted(seen)]
    await tx.save_source_records(records)
    await _move_on(tx, page)
    payload = {"page_id": page.page_id, "sequence": sequence, "digest": page.digest, "record_count": page.record_count, "entity": page.entity}
    if twice:
        payload["duplicates"] = sorted(twice)
        await tx.open_review_items([_duplicate(page, source_id, now) for source_id in sorted(twice)])
    await tx.append_event(page.migration_id, EventDraft("page.recorded", ACTOR, result="recorded", payload=payload))
    return sequence


def _duplicate(page: Page, source_id: str, now: datetime) -> ReviewItem:
    source_key = f"{page.entity}/{source_id}"
    message = f"{source_key} came twice in one extraction (again in page {page.page_id}); the version read last counts"
    return review_item(page.migration_id, source_key, DUPLICATE, message, now, is_blocking=False)


async def _move_on(tx: Transaction, page: Page) -> None:
    """Move the checkpoint of the page's entity behind the page."""
    entities = {entity.entity: entity for entity in await tx.list_extraction_entities(page.extraction_id)}
    entity = entities.get(page.entity) or ExtractionEntity(page.extraction_id, page.entity, page.migration_id)
    if page.page_number < entity.next_page_number:
        return
    moved = replace(
        entity,
        cursor=page.next_cursor,
        next_page_number=page.page_number + 1,
        record_count=entity.record_count + page.record_count,
        is_read=not page.next_cursor,
    )
    await tx.save_extraction_entity(moved)


async def report_extraction(tx: Transaction, extraction_id: str, entity: str, report: StateReport, now: datetime) -> None:
    """Store how an extraction or one entity of it stands. An extraction that waits shows as a pause of its migration.

    Raises:
        NotFoundError: no such extraction.
    """
    extraction = await tx.get_extraction(extraction_id)
    if extraction is None:
        raise NotFoundError(f"there is no extraction {extraction_id}")
    fields = {"state": report.state, "reason": report.reason, "message": report.message, "resume_time": report.resume_time}
    if entity:
        entities = {known.entity: known for known in await tx.list_extraction_entities(extraction_id)}
        before = entities.get(entity) or ExtractionEntity(extraction_id, entity, extraction.migration_id)
        changed = replace(before, **fields)  # type: ignore[arg-type]
        if changed == before and entity in entities:
            return
        await tx.save_extraction_entity(changed)
    else:
        updated = replace(extraction, **fields)  # type: ignore[arg-type]
        if updated == extraction and extraction.update_time is not None:
            return
        await tx.save_extraction(replace(updated, update_time=now))
        await _show_pause(tx, extraction.migration_id, report)
    payload = {"extraction_id": extraction_id, "entity": entity, "reason": report.reason, "message": report.message}
    await tx.append_event(extraction.migration_id, EventDraft("extraction.reported", ACTOR, result=str(report.state), payload=payload))


async def _show_pause(tx: Transaction, migration_id: str, report: StateReport) -> None:
    migration = await tx.get_migration(migration_id)
    if migration is None:
        return
    is_ours = migration.pause_kind is PauseKind.SOURCE_QUOTA or (
        migration.pause_kind is PauseKind.OUTAGE and migration.pause_reason.startswith("SOURCE_")
    )
    if report.state is ExtractionState.WAITING and (is_ours or migration.pause_kind is PauseKind.NONE):
        kind = PauseKind.SOURCE_QUOTA if report.reason in {"", _QUOTA} else PauseKind.OUTAGE
        await tx.save_migration(paused(migration, kind, report.reason or _QUOTA, report.message, report.resume_time))
    elif report.state is not ExtractionState.WAITING and is_ours:
        await tx.save_migration(resumed(migration))


def paused(migration: Migration, kind: PauseKind, reason: str, message: str, resume_time: datetime | None) -> Migration:
    """Answer a migration that is paused."""
    return replace(migration, pause_kind=kind, pause_reason=reason, pause_message=message, resume_time=resume_time)


def resumed(migration: Migration) -> Migration:
    """Answer a migration that is not paused."""
    return replace(migration, pause_kind=PauseKind.NONE, pause_reason="", pause_message="", resume_time=None)


@dataclass(frozen=True, slots=True)
class Debit:
    """Calls about to be made to a source."""

    connection: str
    day: str
    call_count: int
    daily_limit: int
    """0: no limit."""
    extraction_id: str
    request_id: str


async def debit_source_calls(tx: Transaction, debit: Debit, now: datetime) -> tuple[int, int]:
    """Take calls from a day's budget; answers (granted, used so far). The same request id again answers the same."""
    identity = f"debit/{debit.request_id}"
    if debit.request_id and (answer := await tx.get_response(identity)) is not None:
        granted, used = orjson.loads(answer)
        return int(granted), int(used)
    used = await tx.source_calls_used(debit.connection, debit.day)
    granted = debit.call_count if not debit.daily_limit else max(0, min(debit.call_count, debit.daily_limit - used))
    if granted:
        await tx.debit_source_calls(debit.connection, debit.day, granted)
        await tx.add_source_calls(debit.extraction_id, granted)
    if debit.request_id:
        await tx.save_response(identity, orjson.dumps([granted, used + granted]), now)
    return granted, used + granted


TARGET_PAUSES = {
    "TARGET_QUOTA_EXHAUSTED": PauseKind.TARGET_QUOTA,
    "TARGET_BLOCKED": PauseKind.OUTAGE,
    "TARGET_UNREACHABLE": PauseKind.OUTAGE,
    "UNAVAILABLE": PauseKind.OUTAGE,
}
"""How a reason of the target shows; every other reason is an error a person must see to."""


async def report_target(
    tx: Transaction, connection: str, reason: str, message: str, resume_time: datetime | None, *, is_quota_found: bool = False
) -> list[str]:
    """Pause every running migration into a target, or let those go on that were paused for its sake; answers which changed.

    A person's pause and an error of another kind stay as they are. So does a pause for the quota unless tokens were found: a call that went well
    may be older than the pause.
    """
    changed: list[str] = []
    for migration in await tx.list_migrations_of_target(connection):
        is_ours = (
            migration.pause_kind is not PauseKind.NONE and migration.pause_reason.startswith("TARGET_") and migration.pause_kind is not PauseKind.USER
        )
        if reason:
            run = await tx.latest_run(migration.migration_id)
            if run is None or run.end_time is not None or not (is_ours or migration.pause_kind is PauseKind.NONE):
                continue
            after = paused(migration, TARGET_PAUSES.get(reason, PauseKind.ERROR), reason, message, resume_time)
        elif is_ours and (is_quota_found or migration.pause_reason != _USED_UP):
            after = resumed(migration)
        else:
            continue
        if after == migration:
            continue
        await tx.save_migration(after)
        kind = "migration.paused" if reason else "migration.resumed"
        payload = {"reason": reason, "message": message}
        if resume_time is not None:
            payload["resume_time"] = resume_time.isoformat(timespec="seconds")
        await tx.append_event(migration.migration_id, EventDraft(kind, "loader", result=str(after.pause_kind) or "running", payload=payload))
        changed.append(migration.migration_id)
    return changed
