"""The audit trail: exported, signed, proven, verified, erased."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from services.common.errors import NotFoundError
from services.ledger import codec, erasure
from services.ledger import migration_codec as write
from services.ledger.audit import inclusion_paths, verify_trail
from services.ledger.domain import Mentions
from services.ledger.migration_service.deciding import Deciding
from services.ledger.migrations import require_migration
from services.ledger.origins import source_key_of
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc import aio

    from services.ledger.repository import Transaction

    Context = aio.ServicerContext[Any, Any]


EVENTS_PER_MESSAGE: Final = 500
EVENTS_PER_PROOF: Final = 10_000
"""Events of one record that a proof holds at most; none comes near it."""


class Trail(Deciding):
    """The audit trail: exported, signed, proven, verified, erased."""

    async def ExportAudit(self, request: pb.ExportAuditRequest, context: Context) -> AsyncIterator[pb.ExportAuditResponse]:  # noqa: N802, ARG002
        """Stream the audit trail up to where it reaches now, and the signed heads on the way."""
        await self._sign_head(request.migration_id)
        after = request.after_sequence
        async with self._ledger.read() as reader:
            heads = await reader.list_audit_heads(request.migration_id, from_size=after)
        for head in heads:
            while after < head.tree_size:
                async with self._ledger.read() as reader:
                    events = await reader.list_events(
                        request.migration_id, after_sequence=after, limit=min(EVENTS_PER_MESSAGE, head.tree_size - after)
                    )
                if not events:
                    break  # the trail is cut: its readers find what is missing by the head
                yield pb.ExportAuditResponse(events=[write.event_to_proto(event) for event in events])
                after = events[-1].sequence
            yield pb.ExportAuditResponse(heads=[write.audit_head_to_proto(head)])

    async def GetAuditHead(self, request: pb.GetAuditHeadRequest, context: Context) -> pb.GetAuditHeadResponse:  # noqa: N802, ARG002
        """Sign how far the trail reaches now."""
        return pb.GetAuditHeadResponse(head=write.audit_head_to_proto(await self._sign_head(request.migration_id)))

    async def ProveRecord(self, request: pb.ProveRecordRequest, context: Context) -> pb.ProveRecordResponse:  # noqa: N802, ARG002
        """Prove the journey of one record."""
        head = await self._sign_head(request.migration_id)
        async with self._ledger.read() as reader:
            source_key = await source_key_of(reader, request.migration_id, request.key)
            events = [
                event
                for event in await reader.list_events_of_source(request.migration_id, source_key, limit=EVENTS_PER_PROOF)
                if event.sequence <= head.tree_size
            ]
            if not events:
                raise NotFoundError(f"migration {request.migration_id} has no event of record {source_key}: it was not read, or the key is misspelt")
            paths = await inclusion_paths(reader, request.migration_id, head.tree_size, [event.sequence for event in events])
        proven = [pb.ProvenEvent(event=write.event_to_proto(event), path=path) for event, path in zip(events, paths, strict=True)]
        return pb.ProveRecordResponse(source_key=source_key, head=write.audit_head_to_proto(head), events=proven)

    async def ErasePayloads(self, request: pb.ErasePayloadsRequest, context: Context) -> pb.ErasePayloadsResponse:  # noqa: N802, ARG002
        """Erase personal data; what is proven stays proven."""
        wanted = erasure.Erase(
            migration_id=codec.require(request.migration_id, "migration_id"),
            actor=codec.require(request.actor, "actor"),
            reason=request.reason,
            source_key=request.key,
            text=request.text,
            is_everything=request.is_everything,
            with_images=request.with_rollback_data,
        )
        erasure.check_request(wanted)
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            if request.key:
                wanted = replace(wanted, source_key=await source_key_of(reader, request.migration_id, request.key))
        # A retry finds nothing any more: it gets the first answer.
        subject = Mentions()
        if not await self._is_answered("ErasePayloads", request.request_id):
            subject = await self._ledger.look(lambda reader: erasure.find_subject(reader, wanted))

        async def act(transaction: Transaction) -> pb.ErasePayloadsResponse:
            return write.erased_to_proto(await erasure.erase(transaction, wanted, subject))

        if request.is_dry_run:
            return await self._tried(act)
        response = await self._once("ErasePayloads", request.request_id, pb.ErasePayloadsResponse, act)
        await self._ledger.scrub()
        return response

    async def VerifyAudit(self, request: pb.VerifyAuditRequest, context: Context) -> pb.VerifyAuditResponse:  # noqa: N802, ARG002
        """Walk the hash chain."""
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            verdict = await verify_trail(reader, request.migration_id)
        return pb.VerifyAuditResponse(
            is_whole=verdict.is_whole,
            event_count=verdict.event_count,
            broken_sequence=verdict.broken_sequence,
            head_hash=verdict.head_hash,
            message=verdict.message,
        )
