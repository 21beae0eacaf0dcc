"""Versions of the mapping: as YAML, as a workbook, confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.errors import MappingError, NotFoundError, PreconditionError
from services.ledger import codec, migrations
from services.ledger import migration_codec as write
from services.ledger.domain import Mapping, Migration
from services.ledger.migration_service.deciding import Deciding
from services.ledger.migrations import require_migration
from services.ledger.runs.audit import target_json_of
from services.ledger.runs.driver import snapshot_of
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    from services.ledger.repository import Transaction
    from transload.v1 import transformer_service_pb2 as transformer_pb

    Context = aio.ServicerContext[Any, Any]


class Mappings(Deciding):
    """Versions of the mapping: as YAML, as a workbook, confirmed."""

    async def GetMapping(self, request: pb.GetMappingRequest, context: Context) -> pb.GetMappingResponse:  # noqa: N802, ARG002
        """Answer a version of the mapping."""
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            mapping = await reader.get_mapping(request.migration_id, request.version)
        if mapping is None:
            which = f"version {request.version} of the mapping" if request.version else "a mapping: the audit proposes the first"
            raise NotFoundError(f"migration {request.migration_id} does not have {which}")
        return pb.GetMappingResponse(mapping=write.mapping_to_proto(mapping, is_confirmed=_is_confirmed(migration, mapping)))

    async def EditMapping(self, request: pb.EditMappingRequest, context: Context) -> pb.EditMappingResponse:  # noqa: N802, ARG002
        """Store a new version of the mapping."""
        codec.require(request.mapping_yaml, "mapping_yaml")
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, request.migration_id)
            sequence = await reader.page_sequence(request.migration_id)
        target_json = await target_json_of(self._tools, migration)
        checked = await self._tools.transformer.validate_mapping(request.mapping_yaml, snapshot_of(migration, sequence), target_json)
        if not checked.mapping_digest:
            problem = checked.findings[0].message if checked.findings else "it cannot be read"
            raise MappingError(f"the mapping was not stored: {problem}")
        mapping = Mapping(
            migration_id=request.migration_id,
            version=0,
            digest=checked.mapping_digest,
            mapping_yaml=request.mapping_yaml,
            findings_json=write.findings_to_json(list(checked.findings)),
            actor=request.actor,
            create_time=self._tools.clock.now(),
        )

        async def act(transaction: Transaction) -> pb.EditMappingResponse:
            added = await migrations.add_mapping(transaction, mapping, base_digest=request.base_digest)
            after = await require_migration(transaction, request.migration_id)
            return pb.EditMappingResponse(mapping=write.mapping_to_proto(added, is_confirmed=_is_confirmed(after, added)))

        return await self._once("EditMapping", request.request_id, pb.EditMappingResponse, act)

    async def GetMappingWorkbook(self, request: pb.GetMappingWorkbookRequest, context: Context) -> pb.GetMappingWorkbookResponse:  # noqa: N802, ARG002
        """Answer the latest mapping as a workbook."""
        mapping, snapshot, target_json = await self._latest_mapping(request.migration_id)
        workbook = await self._tools.transformer.describe_mapping(snapshot, mapping.mapping_yaml, target_json)
        return pb.GetMappingWorkbookResponse(mapping_version=mapping.version, mapping_digest=mapping.digest, workbook_json=workbook)

    async def CheckMappingWorkbook(  # noqa: N802
        self,
        request: pb.CheckMappingWorkbookRequest,
        context: Context,  # noqa: ARG002
    ) -> pb.CheckMappingWorkbookResponse:
        """Answer what edited cells make of the latest mapping."""
        mapping, snapshot, target_json = await self._latest_mapping(request.migration_id)
        if request.base_version and request.base_version != mapping.version:
            raise PreconditionError(
                f"the workbook was made of version {request.base_version} of the mapping, and the latest is {mapping.version}: export it again",
                reason="DIGEST_MISMATCH",
            )
        result = await self._tools.transformer.revise_mapping(snapshot, mapping.mapping_yaml, target_json, request.changes)
        return pb.CheckMappingWorkbookResponse(result=result, base_digest=mapping.digest)

    async def _latest_mapping(self, migration_id: str) -> tuple[Mapping, transformer_pb.Snapshot, bytes]:
        async with self._ledger.read() as reader:
            migration = await require_migration(reader, migration_id)
            mapping = await reader.get_mapping(migration_id, 0)
            sequence = await reader.page_sequence(migration_id)
        if mapping is None:
            raise NotFoundError("there is no mapping yet: start an audit and wait for its end")
        return mapping, snapshot_of(migration, sequence), await target_json_of(self._tools, migration)

    async def ConfirmMapping(self, request: pb.ConfirmMappingRequest, context: Context) -> pb.ConfirmMappingResponse:  # noqa: N802, ARG002
        """Confirm the mapping of a digest."""

        async def act(transaction: Transaction) -> pb.ConfirmMappingResponse:
            confirmed = await migrations.confirm_mapping(transaction, request.migration_id, request.mapping_digest, actor=request.actor)
            return pb.ConfirmMappingResponse(migration=await self._view(transaction, confirmed))

        return await self._once("ConfirmMapping", request.request_id, pb.ConfirmMappingResponse, act)


def _is_confirmed(migration: Migration, mapping: Mapping) -> bool:
    return bool(migration.confirmed_digest) and migration.confirmed_digest == mapping.digest and migration.mapping_version == mapping.version
