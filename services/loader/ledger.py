"""The ledger as the loader sees it, through `LedgerService`."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from services.common.secrecy import masked
from services.loader.codec import manifest_from_json
from services.loader.quota.codec import kept_from_proto, kept_to_proto
from services.loader.quota.keeper import Term
from services.loader.work import Link
from transload.v1 import ledger_service_pb2
from transload.v1.ledger_service_pb2_grpc import LedgerServiceStub

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from grpc import aio

    from services.loader.quota.tokens import Kept
    from services.loader.work import Manifest
    from transload.v1.records_pb2 import MappedBatch

# One for each migration under way and some to spare; a manifest never changes.
_MANIFESTS_KEPT: Final = 16


class LedgerClient:
    """Asks before an effect and tells after it."""

    def __init__(self, *, channel: aio.Channel, holder: str) -> None:
        self._stub = LedgerServiceStub(channel)
        self._holder = holder
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()

    async def begin(self, batch: MappedBatch) -> ledger_service_pb2.BeginBatchResponse:
        """Claims the records of a batch. Raises PausedError, PreconditionError, UnavailableError."""
        request = ledger_service_pb2.BeginBatchRequest(batch=batch, holder=self._holder, request_id=str(uuid.uuid4()))
        return await self._stub.BeginBatch(request)

    async def settle(
        self,
        batch: MappedBatch,
        outcomes: Sequence[ledger_service_pb2.RecordOutcome],
        shared_calls: Sequence[ledger_service_pb2.TargetCall],
        *,
        request_id: str,
        moves: Sequence[ledger_service_pb2.TargetMove] = (),
    ) -> bool:
        """Stores outcomes and merges; answers whether the batch is final. Raises UnavailableError."""
        response = await self._stub.SettleBatch(
            ledger_service_pb2.SettleBatchRequest(
                migration_id=batch.migration_id,
                run_id=batch.run_id,
                batch_id=batch.batch_id,
                holder=self._holder,
                outcomes=outcomes,
                request_id=request_id,
                shared_calls=shared_calls,
                moves=moves,
            )
        )
        return response.is_final

    async def known_targets(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Mapping[str, str]:
        """Answers target id → key of those that belong to records."""
        request = ledger_service_pb2.LookupTargetsRequest(migration_id=migration_id, target_entity=target_entity, target_ids=target_ids)
        response = await self._stub.LookupTargets(request)
        return {target.target_id: target.key for target in response.targets}

    async def links_to(self, migration_id: str, target_entity: str, target_ids: Sequence[str]) -> Sequence[Link]:
        """Answers some records that were loaded with a link to each of the target ids."""
        request = ledger_service_pb2.ListLinksRequest(migration_id=migration_id, target_entity=target_entity, target_ids=target_ids)
        response = await self._stub.ListLinks(request)
        return [Link(link.target_id, link.from_target_entity, link.from_target_id, link.field) for link in response.links]

    async def manifest(self, manifest_digest: str) -> Manifest:
        """Answers what the loader needs of a manifest; kept, as it never changes."""
        known = self._manifests.get(manifest_digest)
        if known is None:
            data = b""
            if manifest_digest:
                data = (await self._stub.GetManifest(ledger_service_pb2.GetManifestRequest(manifest_digest=manifest_digest))).manifest_json
            known = self._manifests[manifest_digest] = manifest_from_json(data)
            if len(self._manifests) > _MANIFESTS_KEPT:
                self._manifests.popitem(last=False)
        return known

    async def hold_budget(self, connection: str, *, term_seconds: float, kept: Kept | None) -> Term:
        """Begins or renews the term in which this process grants from a connection's budget."""
        request = ledger_service_pb2.HoldBudgetRequest(connection=connection, holder=self._holder)
        request.term.FromTimedelta(timedelta(seconds=term_seconds))
        if kept is not None:
            request.kept.CopyFrom(kept_to_proto(kept))
        response = await self._stub.HoldBudget(request, timeout=term_seconds)
        return Term(
            is_granted=response.is_granted,
            kept=kept_from_proto(response.kept) if response.kept.HasField("reset_time") else None,
            idle_seconds=response.idle_duration.ToTimedelta().total_seconds(),
            is_same_replica=response.is_same_replica,
            retry_seconds=response.retry_delay.ToTimedelta().total_seconds(),
        )

    async def report_target(
        self, connection: str, *, reason: str = "", message: str = "", resume_time: datetime | None = None, is_quota_found: bool = False
    ) -> None:
        """Tells people that the target stopped work, or with no reason that it goes on."""
        request = ledger_service_pb2.ReportTargetRequest(connection=connection, reason=reason, message=masked(message), is_quota_found=is_quota_found)
        if resume_time is not None:
            request.resume_time.FromDatetime(resume_time)
        await self._stub.ReportTarget(request)
