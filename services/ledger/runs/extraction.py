"""Reading the source within a run: starts the extraction, keeps it alive, and takes note of how it ended.

The extractor reports to the ledger; this module only looks. An extractor that died is found by asking it, and told to go on from its checkpoints.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.common.errors import ConfigurationError, PermanentError, RateLimitedError, TransloadError, UnauthorizedError
from services.ledger.codec import to_timestamp
from services.ledger.domain import EventDraft, Extraction, ExtractionState, ReviewItem, Run, review_item
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, after, fresh, save_step, say
from transload.v1.extractor_service_pb2 import ExtractionSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from services.ledger.domain import ExtractionEntity, Migration
    from services.ledger.repository import Reader

_UNREAD = frozenset({ExtractionState.FAILED, ExtractionState.NO_ACCESS})


class ExtractionWork:
    """Drives one extraction of a run to its end."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        # When each extraction was last asked for; lost with the process, which only costs one question.
        self._asked: dict[str, float] = {}

    async def begin(self, run: Run, *, name: str, step: str, changed_since: datetime | None, entities: Sequence[str] = ()) -> None:
        """Write a new extraction of this run and go to the step that waits for it."""
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            earlier = await transaction.list_extractions(now.migration_id)
            extraction = Extraction(
                extraction_id=f"{now.run_id}-{name}",
                migration_id=now.migration_id,
                run_id=now.run_id,
                start_time=after((known.start_time for known in earlier), tools.clock.now()),
                changed_since=changed_since,
                update_time=tools.clock.now(),
            )
            await transaction.save_extraction(extraction)
            context = replace(RunContext.of(now).at(step), entities=tuple(entities))
            await save_step(transaction, now, context, extraction_id=extraction.extraction_id, activity="reading the source")
            payload = {
                "run_id": now.run_id,
                "extraction_id": extraction.extraction_id,
                "changed_since": changed_since.isoformat() if changed_since else "",
                "entities": list(entities),
            }
            await transaction.append_event(now.migration_id, EventDraft(kind="extraction.started", actor=tools.actor, payload=payload))

    async def advance(self, migration: Migration, run: Run, *, next_step: str) -> float:
        """Do the next thing for the run's extraction; when it is done, the run's step becomes `next_step`.

        Raises:
            RateLimitedError: The source's budget is used up; the extractor goes on by itself.
            TransloadError: The extraction failed as a whole, or the extractor does not answer.
        """
        async with self._tools.ledger.read() as reader:
            extraction = await reader.get_extraction(run.extraction_id)
        if extraction is None:
            raise TransloadError(f"run {run.run_id} lost its extraction {run.extraction_id}")
        if extraction.state is ExtractionState.DONE:
            await self._close(run, extraction, next_step)
            return AT_ONCE
        if extraction.state in _UNREAD:
            raise failure_of(extraction)
        await self._keep_alive(migration, run, extraction)
        now = self._tools.clock.now()
        if extraction.state is ExtractionState.WAITING and extraction.resume_time is not None and extraction.resume_time > now:
            raise RateLimitedError(
                extraction.message or "the source's call budget is used up; reading goes on by itself",
                retry_after_seconds=(extraction.resume_time - now).total_seconds(),
                reason="SOURCE_QUOTA_EXHAUSTED",
            )
        return self._tools.poll_seconds

    async def _keep_alive(self, migration: Migration, run: Run, extraction: Extraction) -> None:
        tools = self._tools
        moment = tools.clock.monotonic()
        if moment - self._asked.get(extraction.extraction_id, -tools.poll_seconds) < tools.poll_seconds:
            return
        status = await tools.extractor.get_extraction(extraction.extraction_id)
        # Resumed by a person while the extractor still waits for the source: being asked again wakes it.
        is_asleep = status is not None and status.HasField("resume_time") and extraction.state is ExtractionState.RUNNING
        if status is None or is_asleep:
            await tools.extractor.start_extraction(_spec(migration, extraction, RunContext.of(run).entities))
        elif status.entity:
            await say(tools, run, f"reading {status.entity}")
        self._asked[extraction.extraction_id] = moment

    async def _close(self, run: Run, extraction: Extraction, next_step: str) -> None:
        tools = self._tools
        async with tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            entities = await transaction.list_extraction_entities(extraction.extraction_id)
            failed = [entity for entity in entities if entity.state in _UNREAD]
            await transaction.open_review_items([_flag(entity, tools.clock.now()) for entity in failed])
            payload = {
                "run_id": now.run_id,
                "extraction_id": extraction.extraction_id,
                "source_call_count": extraction.source_call_count,
                "entities": {entity.entity: {"state": entity.state.value, "record_count": entity.record_count} for entity in entities},
            }
            await transaction.append_event(now.migration_id, EventDraft(kind="extraction.finished", actor=tools.actor, payload=payload))
            sequence = await transaction.page_sequence(now.migration_id)
            await save_step(transaction, now, RunContext.of(now).at(next_step), snapshot_sequence=sequence)


async def unread_entities(reader: Reader, migration_id: str) -> list[str]:
    """Answer entities whose last reading failed, so that a reading of changes alone would miss records."""
    unread: dict[str, bool] = {}
    for extraction in await reader.list_extractions(migration_id):
        for entity in await reader.list_extraction_entities(extraction.extraction_id):
            if entity.state in _UNREAD:
                unread[entity.entity] = True
            elif extraction.changed_since is None and entity.is_final:
                unread[entity.entity] = False
    return [entity for entity, is_unread in unread.items() if is_unread]


def failure_of(extraction: Extraction) -> TransloadError:
    """Answer the error that says why an extraction stopped as a whole."""
    message = extraction.message or "the extraction stopped; see the extractor's log"
    if extraction.reason in {"SOURCE_UNAUTHORIZED", "SOURCE_FORBIDDEN"}:
        return UnauthorizedError(message, reason=extraction.reason)
    if extraction.reason == "CONFIGURATION":
        return ConfigurationError(message)
    return PermanentError(message, reason=extraction.reason or "INTERNAL")


def _spec(migration: Migration, extraction: Extraction, entities: Sequence[str]) -> ExtractionSpec:
    return ExtractionSpec(
        migration_id=migration.migration_id,
        extraction_id=extraction.extraction_id,
        connector=migration.connector,
        connection=migration.source_connection,
        changed_since=to_timestamp(extraction.changed_since),
        includes_archived=migration.options.includes_archived,
        includes_deleted=migration.options.includes_deleted,
        entities=entities,
        file_bytes_max=migration.options.file_bytes_max,
        large_file_bytes_max=migration.options.large_file_bytes_max,
        options_json=migration.options.connector_json,
    )


def _flag(entity: ExtractionEntity, now: datetime) -> ReviewItem:
    """Make the flag that shows an entity which was not read to its end."""
    source_key = f"{entity.entity}/*"
    reason = entity.reason or "SOURCE_MALFORMED"
    message = f"{entity.entity} was not read to its end: {entity.message or reason}. What was read is kept; a delta or a new audit reads the rest."
    return review_item(entity.migration_id, source_key, reason, message, now, is_blocking=False)
