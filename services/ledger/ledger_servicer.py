"""The workers' side of the ledger: RPC in, one transaction, RPC out."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

from grpc import aio

from services.common.canonical import canonical_json
from services.common.clock import Clock, SteadyClock
from services.common.contract import page_position
from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger import budgets, codec, sources
from services.ledger.batches import Begin, Settle, begin_batch, settle_batch
from services.ledger.claims import CLAIM_TTL, is_paused
from services.ledger.domain import Migration, Resolution, RunKind
from services.ledger.merges import READ_ALONE, Move, links_to
from services.ledger.repository import Ledger, Reader
from services.ledger.transforms import Transform, record_transform
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import ledger_service_pb2_grpc

TERM_MIN: Final = timedelta(seconds=1)
TERM_MAX: Final = timedelta(seconds=600)
PAGES_DEFAULT: Final = 500
PAGES_MAX: Final = 1000
LOOKUP_MAX: Final = 1000
CALLS_MAX: Final = 1_000_000
"""Calls of a source debited at once: more than any plan allows a day."""
_INT32_MAX: Final = 2**31 - 1

Context = aio.ServicerContext[Any, Any]


class LedgerServicer(ledger_service_pb2_grpc.LedgerServiceServicer):
    """`LedgerService` on a repository."""

    def __init__(self, *, ledger: Ledger, clock: Clock, claim_ttl: timedelta = CLAIM_TTL, steady: SteadyClock | None = None) -> None:
        self._ledger = ledger
        self._steady = steady or SteadyClock(clock)
        self._clock = clock
        self._claim_ttl = claim_ttl

    async def GetWorkContext(self, request: pb.GetWorkContextRequest, context: Context) -> pb.GetWorkContextResponse:  # noqa: N802, ARG002
        """Answer what a worker needs to know of a migration."""
        async with self._ledger.read() as reader:
            migration = await _migration(reader, request.migration_id)
        options = asdict(migration.options)
        # The overrides are a document of their own and of no use to workers.
        del options["mapping_overrides_yaml"]
        return pb.GetWorkContextResponse(
            connector=migration.connector,
            source_connection=migration.source_connection,
            target_connection=migration.target_connection,
            options_json=canonical_json(options).decode(),
            source_account=migration.source_account,
            is_paused=is_paused(migration, self._clock.now()),
        )

    async def GetManifest(self, request: pb.GetManifestRequest, context: Context) -> pb.GetManifestResponse:  # noqa: N802, ARG002
        """Answer a manifest by its digest."""
        async with self._ledger.read() as reader:
            manifest = await reader.get_manifest(codec.require(request.manifest_digest, "manifest_digest"))
        if manifest is None:
            raise NotFoundError(f"there is no manifest {request.manifest_digest}")
        return pb.GetManifestResponse(manifest_json=manifest.content)

    async def ListCheckpoints(self, request: pb.ListCheckpointsRequest, context: Context) -> pb.ListCheckpointsResponse:  # noqa: N802, ARG002
        """Answer how far each entity of an extraction has been read."""
        async with self._ledger.read() as reader:
            if await reader.get_extraction(codec.require(request.extraction_id, "extraction_id")) is None:
                raise NotFoundError(f"there is no extraction {request.extraction_id}")
            entities = await reader.list_extraction_entities(request.extraction_id)
        checkpoints = [
            pb.Checkpoint(entity=entity.entity, cursor=entity.cursor, next_page_number=entity.next_page_number, is_final=entity.is_final)
            for entity in entities
        ]
        return pb.ListCheckpointsResponse(checkpoints=checkpoints)

    async def RecordPage(self, request: pb.RecordPageRequest, context: Context) -> pb.RecordPageResponse:  # noqa: N802, ARG002
        """Record a page that stands in staging."""
        now = self._clock.now()
        page = codec.page_from(codec.require(request.migration_id, "migration_id"), request.page, now)
        async with self._ledger.transaction() as tx:
            await _migration(tx, request.migration_id)
            sequence = await sources.record_page(tx, page, list(request.source_ids), now)
        return pb.RecordPageResponse(sequence=sequence)

    async def ReportExtraction(self, request: pb.ReportExtractionRequest, context: Context) -> pb.ReportExtractionResponse:  # noqa: N802, ARG002
        """Store how an extraction stands."""
        report = sources.StateReport(
            state=codec.extraction_state_from(request.state),
            reason=codec.check_reason(request.reason, "reason"),
            message=codec.words(request.message),
            resume_time=codec.from_timestamp(request, "resume_time"),
        )
        async with self._ledger.transaction() as tx:
            extraction_id = codec.require(request.extraction_id, "extraction_id")
            await sources.report_extraction(tx, extraction_id, request.entity, report, self._clock.now())
        return pb.ReportExtractionResponse()

    async def DebitSourceCalls(self, request: pb.DebitSourceCallsRequest, context: Context) -> pb.DebitSourceCallsResponse:  # noqa: N802, ARG002
        """Take calls from a source connection's budget of the day."""
        if request.call_count < 0 or request.daily_limit < 0:
            raise InvalidRequestError("call_count and daily_limit must not be negative")
        if request.call_count > CALLS_MAX:
            raise InvalidRequestError(f"call_count: at most {CALLS_MAX} at once, not {request.call_count}")
        debit = sources.Debit(
            connection=codec.require(request.connection, "connection"),
            day=codec.require(request.day, "day"),
            call_count=request.call_count,
            daily_limit=request.daily_limit,
            extraction_id=request.extraction_id,
            request_id=request.request_id,
        )
        granted, used = await self._ledger.transact(lambda tx: sources.debit_source_calls(tx, debit, self._clock.now()))
        return pb.DebitSourceCallsResponse(granted_count=granted, used_count=min(used, _INT32_MAX))

    async def ListPages(self, request: pb.ListPagesRequest, context: Context) -> pb.ListPagesResponse:  # noqa: N802, ARG002
        """List pages in the order of their sequence."""
        if request.page_size < 0:
            raise InvalidRequestError("page_size: must not be negative")
        size = min(request.page_size or PAGES_DEFAULT, PAGES_MAX)
        after = max(request.after_sequence, page_position(request.page_token))
        async with self._ledger.read() as reader:
            await _migration(reader, request.migration_id)
            pages = await reader.list_pages(request.migration_id, after_sequence=after, until_sequence=request.until_sequence, limit=size + 1)
        more = len(pages) > size
        pages = pages[:size]
        return pb.ListPagesResponse(pages=[codec.page_to(page) for page in pages], next_page_token=str(pages[-1].sequence) if more else "")

    async def RecordTransform(self, request: pb.RecordTransformRequest, context: Context) -> pb.RecordTransformResponse:  # noqa: N802, ARG002
        """Record what mapping a page for a phase gave."""
        announcement = request.announcement
        batches, records = codec.batches_from(request)
        transform = Transform(
            migration_id=codec.require(announcement.migration_id, "announcement.migration_id"),
            run_id=codec.require(announcement.run_id, "announcement.run_id"),
            page_id=codec.require(announcement.page.page_id, "announcement.page.page_id"),
            entity=announcement.page.entity,
            phase=announcement.phase,
            manifest_digest=announcement.manifest_digest,
            is_selection=bool(announcement.selection_digest),
            batches=batches,
            records=records,
            issues=codec.issues_from(request.issues),
        )
        is_wanted = await self._ledger.transact(lambda tx: record_transform(tx, transform, self._clock.now()))
        return pb.RecordTransformResponse(is_wanted=is_wanted)

    async def ListReleased(self, request: pb.ListReleasedRequest, context: Context) -> pb.ListReleasedResponse:  # noqa: N802, ARG002
        """Say which mapped records are to move without the references that mapping does not find."""
        if len(request.keys) > LOOKUP_MAX:
            raise InvalidRequestError(f"keys: at most {LOOKUP_MAX} a call, not {len(request.keys)}")
        async with self._ledger.read() as reader:
            await _migration(reader, request.migration_id)
            records = await reader.get_records(request.migration_id, list(request.keys))
        released = sorted(key for key, record in records.items() if record.resolution is Resolution.WITHOUT_REFERENCE)
        return pb.ListReleasedResponse(keys=released)

    async def BeginBatch(self, request: pb.BeginBatchRequest, context: Context) -> pb.BeginBatchResponse:  # noqa: N802, ARG002
        """Claim the records of a batch and write the intents."""
        batch = request.batch
        begin = Begin(
            migration_id=codec.require(batch.migration_id, "batch.migration_id"),
            run_id=codec.require(batch.run_id, "batch.run_id"),
            batch_id=codec.require(batch.batch_id, "batch.batch_id"),
            wanted=[codec.wanted_from(record) for record in batch.records],
            holder=codec.require(request.holder, "holder"),
            token=request.request_id,
        )
        begun = await self._ledger.transact(lambda tx: begin_batch(tx, begin, self._clock.now(), self._claim_ttl, steady=self._steady))
        return pb.BeginBatchResponse(
            decisions=[codec.decision_to(decision, guards_edits=begun.run.kind is RunKind.DELTA) for decision in begun.decisions],
            field_policies=begun.field_policies,
            referred={
                key: pb.Referred(target_entity=one.target_entity, target_id=one.target_id, load_time=codec.to_timestamp(one.load_time))
                for key, one in begun.referred.items()
            },
            reference_ids=begun.references.ids,
            dropped_references=begun.dropped,
            claim_expire_time=codec.to_timestamp(begun.claim.expire_time),
            claim_duration=codec.to_duration(self._claim_ttl),
            connection=begun.migration.target_connection,
            run_kind=codec.run_kind_to(begun.run.kind),
            deletes_edited=begun.deletes_edited,
            look_age=None if begun.look_age is None else codec.to_duration(begun.look_age),
        )

    async def SettleBatch(self, request: pb.SettleBatchRequest, context: Context) -> pb.SettleBatchResponse:  # noqa: N802, ARG002
        """Store the outcomes of a batch."""
        settle = Settle(
            migration_id=codec.require(request.migration_id, "migration_id"),
            run_id=codec.require(request.run_id, "run_id"),
            batch_id=codec.require(request.batch_id, "batch_id"),
            holder=codec.require(request.holder, "holder"),
            outcomes=[codec.outcome_from(outcome) for outcome in request.outcomes],
            shared_calls=[codec.call_from(call) for call in request.shared_calls],
            request_id=request.request_id,
            moves=[Move(move.target_entity, move.from_target_id, move.to_target_id, move.evidence) for move in request.moves],
        )
        is_final = await self._ledger.transact(lambda tx: settle_batch(tx, settle, self._clock.now()))
        return pb.SettleBatchResponse(is_final=is_final)

    async def LookupTargets(self, request: pb.LookupTargetsRequest, context: Context) -> pb.LookupTargetsResponse:  # noqa: N802, ARG002
        """Say which target ids belong to records of any migration into this target."""
        if len(request.target_ids) > LOOKUP_MAX:
            raise InvalidRequestError(f"target_ids: at most {LOOKUP_MAX} a call, not {len(request.target_ids)}")
        async with self._ledger.read() as reader:
            migration = await _migration(reader, request.migration_id)
            entity = codec.require(request.target_entity, "target_entity")
            found = await reader.find_targets(migration.target_connection, entity, list(request.target_ids))
        return pb.LookupTargetsResponse(targets=[pb.KnownTarget(target_id=target_id, key=key) for target_id, key in found.items()])

    async def ListLinks(self, request: pb.ListLinksRequest, context: Context) -> pb.ListLinksResponse:  # noqa: N802, ARG002
        """Say which records were loaded with a link to some target ids."""
        if len(request.target_ids) > LOOKUP_MAX:
            raise InvalidRequestError(f"target_ids: at most {LOOKUP_MAX} a call, not {len(request.target_ids)}")
        async with self._ledger.read() as reader:
            await _migration(reader, request.migration_id)
            entity = codec.require(request.target_entity, "target_entity")
            links = await links_to(reader, request.migration_id, entity, list(request.target_ids), entities=READ_ALONE)
        return pb.ListLinksResponse(
            links=[
                pb.TargetLink(
                    target_id=link.target_id, from_target_entity=link.record.target_entity, from_target_id=link.record.target_id, field=link.field
                )
                for link in links
            ]
        )

    async def HoldBudget(self, request: pb.HoldBudgetRequest, context: Context) -> pb.HoldBudgetResponse:  # noqa: N802, ARG002
        """Give an arbiter its term."""
        term = request.term.ToTimedelta()
        if not TERM_MIN <= term <= TERM_MAX:
            raise InvalidRequestError(f"term: {TERM_MIN.total_seconds():g} to {TERM_MAX.total_seconds():g} s")
        hold = budgets.Hold(
            connection=codec.require(request.connection, "connection"),
            holder=codec.require(request.holder, "holder"),
            term=term,
            kept=request.kept.SerializeToString(deterministic=True) if request.HasField("kept") else None,
        )
        # How long a term lasts must not depend on a wall clock that may be set.
        now = self._steady.now()
        held = await self._ledger.transact(lambda tx: budgets.hold_budget(tx, hold, now, lambda moment: self._steady.end_of(moment, term)))
        response = pb.HoldBudgetResponse(is_granted=held.is_granted, term_number=held.term.term_number)
        if not held.is_granted:
            response.retry_delay.FromTimedelta(max(timedelta(), held.term.expire_time - now))
        elif held.before is not None:
            response.kept.ParseFromString(held.before.kept)
            response.idle_duration.FromTimedelta(max(timedelta(), now - held.before.expire_time))
            response.is_same_replica = held.before.replica == hold.replica
        return response

    async def ReportTarget(self, request: pb.ReportTargetRequest, context: Context) -> pb.ReportTargetResponse:  # noqa: N802, ARG002
        """Pause or let go on the migrations into a target."""
        connection = codec.require(request.connection, "connection")
        reason = codec.check_reason(request.reason, "reason")
        async with self._ledger.transaction() as tx:
            resume_time = codec.from_timestamp(request, "resume_time")
            await sources.report_target(tx, connection, reason, codec.words(request.message), resume_time, is_quota_found=request.is_quota_found)
        return pb.ReportTargetResponse()


async def _migration(reader: Reader, migration_id: str) -> Migration:
    migration = await reader.get_migration(codec.require(migration_id, "migration_id"))
    if migration is None:
        raise NotFoundError(f"there is no migration {migration_id}", reason="MIGRATION_NOT_FOUND")
    return migration
