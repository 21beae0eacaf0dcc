"""A migration in the middle of a load, in few words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.common.canonical import digest
from services.ledger.domain import (
    Batch,
    Extraction,
    Migration,
    Options,
    Page,
    PageWork,
    Record,
    RecordState,
    Run,
    RunKind,
    SourceRecord,
)
from services.ledger.ledger_servicer import LedgerServicer
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import records_pb2
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.sql.ledger import SqlLedger
    from tests.fakes.clock import FakeClock

M, RUN, EXTRACTION, TARGET = "acme", "run-load", "ext-1", "pipedrive-acme"
CONTEXT: Any = None  # the servicer asks nothing of it
ORGANIZATIONS, PERSONS, DEALS = Phase.PHASE_ORGANIZATIONS, Phase.PHASE_PERSONS, Phase.PHASE_DEALS


class World:
    """Sets up what a test needs and speaks to the servicer like a worker."""

    def __init__(self, ledger: SqlLedger, clock: FakeClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.servicer = LedgerServicer(ledger=ledger, clock=clock)
        self._requests = 0

    def restart(self) -> None:
        """Start the ledger again, as after its process died."""
        self.servicer = LedgerServicer(ledger=self.ledger, clock=self.clock)

    async def begin(self, *, phase: int = PERSONS, kind: RunKind = RunKind.LOAD, options: Options | None = None) -> None:
        """A migration with an extraction and a running run."""
        async with self.ledger.transaction() as tx:
            await tx.save_migration(self.migration(options=options or Options()))
            await tx.save_extraction(Extraction(EXTRACTION, M, "run-audit", self.clock.now()))
            await tx.save_run(self.run(phase=phase, kind=kind))

    def migration(self, migration_id: str = M, *, options: Options | None = None, **changes: Any) -> Migration:
        values = {"source_connection": "stel-acme", "target_connection": TARGET, **changes}
        return Migration(migration_id, migration_id.title(), "stel_order", create_time=self.clock.now(), options=options or Options(), **values)

    def run(self, run_id: str = RUN, *, phase: int = PERSONS, kind: RunKind = RunKind.LOAD, **changes: Any) -> Run:
        return Run(run_id, M, kind, self.clock.now(), phase=phase, **changes)

    def page(self, entity: str = "client", number: int = 0, *, next_cursor: str = "", count: int = 2, extraction_id: str = EXTRACTION) -> Page:
        page_id = f"{extraction_id}/{entity}/{number}"
        return Page(M, page_id, extraction_id, entity, number, digest(page_id.encode()), count, str(number or ""), next_cursor, self.clock.now())

    def record(self, key: str, state: RecordState = RecordState.EXPECTED, **changes: Any) -> Record:
        target, _, rest = key.partition(":")
        entity, source_id = rest.split("/")[:2]
        return Record(M, key, target, entity, source_id, changes.pop("phase", PERSONS), state, **changes)

    async def know(self, *records: Record) -> None:
        """Put mapped records into the ledger."""
        async with self.ledger.transaction() as tx:
            await tx.save_records(records)

    async def read_sources(self, *keys: str) -> None:
        """Put source records into the ledger as if one page had held each entity's."""
        async with self.ledger.transaction() as tx:
            pairs = [key.split("/") for key in keys]
            await tx.save_source_records([SourceRecord(M, entity, identity, f"{EXTRACTION}/{entity}/0", 1, EXTRACTION) for entity, identity in pairs])

    async def state(self, key: str) -> str:
        async with self.ledger.read() as reader:
            record = (await reader.get_records(M, [key])).get(key)
        return str(record.state) if record else ""

    async def get(self, key: str) -> Record:
        async with self.ledger.read() as reader:
            return (await reader.get_records(M, [key]))[key]

    async def event_kinds(self) -> list[str]:
        async with self.ledger.read() as reader:
            return [event.kind for event in await reader.list_events(M)]

    # as a worker

    async def record_page(self, page: Page, *source_ids: str) -> int:
        message = records_pb2.Page(
            page_id=page.page_id,
            extraction_id=page.extraction_id,
            entity=page.entity,
            page_number=page.page_number,
            digest=page.digest,
            record_count=len(source_ids),
            cursor=page.cursor,
            next_cursor=page.next_cursor,
        )
        answer = await self.servicer.RecordPage(pb.RecordPageRequest(migration_id=M, page=message, source_ids=source_ids), CONTEXT)
        return answer.sequence

    async def announce(self, page: Page, phase: Phase.ValueType = PERSONS, run_id: str = RUN) -> records_pb2.PageAnnouncement:
        async with self.ledger.transaction() as tx:
            await tx.save_page_work([PageWork(run_id, page.page_id, phase, M)])
        message = records_pb2.Page(page_id=page.page_id, extraction_id=page.extraction_id, entity=page.entity)
        return records_pb2.PageAnnouncement(migration_id=M, run_id=run_id, phase=phase, page=message, manifest_digest="m1")

    async def transform(
        self, announcement: records_pb2.PageAnnouncement, keys: Sequence[str] = (), issues: Sequence[pb.RecordIssue] = (), *, batch_id: str = "b1"
    ) -> bool:
        batches = []
        if keys:
            sources = ["/".join(key.partition(":")[2].split("/")[:2]) for key in keys]
            batches = [pb.ExpectedBatch(batch_id=batch_id, target_entity=keys[0].partition(":")[0], keys=keys, source_keys=sources)]
        answer = await self.servicer.RecordTransform(pb.RecordTransformRequest(announcement=announcement, batches=batches, issues=issues), CONTEXT)
        return answer.is_wanted

    async def expect(self, *keys: str, batch_id: str = "b1", phase: Phase.ValueType = PERSONS, run_id: str = RUN, is_undo: bool = False) -> None:
        """Register a batch as the coordinator does."""
        async with self.ledger.transaction() as tx:
            await tx.add_records([self.record(key, phase=phase) for key in keys])
            await tx.add_batches([Batch(batch_id, M, run_id, phase, keys[0].partition(":")[0], keys, is_undo=is_undo)])

    async def begin_batch(
        self,
        *records: records_pb2.MappedRecord,
        batch_id: str = "b1",
        holder: str = "loader-1/a",
        request_id: str | None = None,
        phase: Phase.ValueType = PERSONS,
        run_id: str = RUN,
        is_undo: bool = False,
    ) -> pb.BeginBatchResponse:
        self._requests += 1
        batch = records_pb2.MappedBatch(batch_id=batch_id, migration_id=M, run_id=run_id, phase=phase, records=records, is_undo=is_undo)
        if records:
            batch.target_entity = records[0].target_entity
        token = f"begin-{self._requests}" if request_id is None else request_id
        return await self.servicer.BeginBatch(pb.BeginBatchRequest(batch=batch, holder=holder, request_id=token), CONTEXT)

    async def settle(
        self,
        *outcomes: pb.RecordOutcome,
        batch_id: str = "b1",
        holder: str = "loader-1/a",
        request_id: str = "",
        run_id: str = RUN,
        shared_calls: Sequence[pb.TargetCall] = (),
    ) -> bool:
        request = pb.SettleBatchRequest(
            migration_id=M, run_id=run_id, batch_id=batch_id, holder=holder, outcomes=outcomes, request_id=request_id, shared_calls=shared_calls
        )
        return (await self.servicer.SettleBatch(request, CONTEXT)).is_final


def mapped(key: str, references: Sequence[records_pb2.Reference] = (), **payload: Any) -> records_pb2.MappedRecord:
    """A mapped record with this payload."""
    target, _, rest = key.partition(":")
    entity, source_id = rest.split("/")[:2]
    body = json.dumps(payload, sort_keys=True).encode()
    return records_pb2.MappedRecord(
        key=key,
        target_entity=target,
        source_entity=entity,
        source_id=source_id,
        payload_json=body,
        payload_digest=digest(body),
        references=references,
    )


def reference(key: str, policy: str = "REVIEW", fallback_key: str = "") -> records_pb2.Reference:
    return records_pb2.Reference(key=key, missing_policy=records_pb2.MissingPolicy.Value(f"MISSING_POLICY_{policy}"), fallback_key=fallback_key)


def outcome(key: str, result: str, *, tokens: int = 0, **fields: Any) -> pb.RecordOutcome:
    calls = [pb.TargetCall(method="POST", path="/api/v2/persons", status=201, token_count=tokens)] if tokens else []
    return pb.RecordOutcome(key=key, result=pb.OutcomeResult.Value(f"OUTCOME_RESULT_{result}"), calls=calls, **fields)


def issue(kind: str, source_key: str, reason: str, *, key: str = "", message: str = "look") -> pb.RecordIssue:
    return pb.RecordIssue(kind=pb.IssueKind.Value(f"ISSUE_KIND_{kind}"), source_key=source_key, key=key, reason=reason, message=message)


def actions(answer: pb.BeginBatchResponse) -> dict[str, str]:
    """Key → action, in words."""
    return {decision.key: pb.RecordAction.Name(decision.action).removeprefix("RECORD_ACTION_") for decision in answer.decisions}
