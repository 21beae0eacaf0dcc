"""What the drivers ask of the other services, in the words of the contracts. `clients.py` speaks gRPC; tests put fakes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    from transload.v1 import extractor_service_pb2, loader_service_pb2, quota_service_pb2, transformer_service_pb2


class Extractor(Protocol):
    """Reads the source. Failures arrive as `TransloadError` with the documented reason."""

    async def check_source(self, connector: str, connection: str) -> None:
        """Raise unless the connection's credentials can read the source."""
        ...

    async def describe_source(self, connector: str) -> Sequence[extractor_service_pb2.SourceEntity]:
        """List the entities of a connector in dependency order."""
        ...

    async def start_extraction(self, spec: extractor_service_pb2.ExtractionSpec) -> None:
        """Start an extraction or go on with it; repeating changes nothing."""
        ...

    async def get_extraction(self, extraction_id: str) -> extractor_service_pb2.GetExtractionResponse | None:
        """Say what the extractor does for an extraction; None: it does not work on it."""
        ...

    async def cancel_extraction(self, extraction_id: str) -> None:
        """Stop an extraction; one that does not run is no error."""
        ...


class Transformer(Protocol):
    """Maps and profiles frozen pages."""

    async def propose_mapping(
        self, snapshot: transformer_service_pb2.Snapshot, target_json: bytes, overrides_yaml: str
    ) -> transformer_service_pb2.ProposeMappingResponse:
        """Build the mapping of a migration."""
        ...

    async def validate_mapping(
        self, mapping_yaml: str, snapshot: transformer_service_pb2.Snapshot | None, target_json: bytes
    ) -> transformer_service_pb2.ValidateMappingResponse:
        """Check a mapping."""
        ...

    async def compile_schema(
        self, mapping_yaml: str, *, conflicts: Sequence[str] = (), deletions: Sequence[str] = ()
    ) -> transformer_service_pb2.CompileSchemaResponse:
        """List the schema records a mapping needs, what it does with each entity, and its policies for deltas with those given instead."""
        ...

    async def profile_source(
        self,
        snapshot: transformer_service_pb2.Snapshot,
        target_json: bytes,
        mapping_yaml: str,
        on_progress: Callable[[int], Awaitable[None]],
        *,
        connector_json: str = "",
    ) -> bytes:
        """Profile the snapshot; answers the report as JSON and tells the number of records profiled so far."""
        ...

    async def plan_tokens(
        self,
        snapshot: transformer_service_pb2.Snapshot,
        mapping_yaml: str,
        target_json: bytes,
        sample_size: int,
        on_progress: Callable[[int], Awaitable[None]],
    ) -> bytes:
        """Plan what the migration spends; answers the plan as JSON and tells the number of records mapped so far."""
        ...

    async def describe_mapping(self, snapshot: transformer_service_pb2.Snapshot, mapping_yaml: str, target_json: bytes) -> bytes:
        """Write a mapping as a workbook; answers it as JSON."""
        ...

    async def revise_mapping(
        self,
        snapshot: transformer_service_pb2.Snapshot,
        mapping_yaml: str,
        target_json: bytes,
        changes: Sequence[transformer_service_pb2.MappingChange],
    ) -> transformer_service_pb2.ReviseMappingResponse:
        """Answer what edited cells make of a mapping."""
        ...

    async def select_sample(
        self, snapshot: transformer_service_pb2.Snapshot, mapping_yaml: str, size: int
    ) -> transformer_service_pb2.SelectSampleResponse:
        """Choose the sample."""
        ...

    async def preview_records(
        self, snapshot: transformer_service_pb2.Snapshot, manifest_digest: str, source_keys: Sequence[str]
    ) -> Sequence[transformer_service_pb2.PreviewedRecord]:
        """Map some source records field by field; at most 200 keys."""
        ...

    def export_reference(
        self, snapshot: transformer_service_pb2.Snapshot, mapping_yaml: str
    ) -> AsyncIterator[transformer_service_pb2.ExportReferenceResponse]:
        """Stream the reference exports in chunks."""
        ...


class Loader(Protocol):
    """Looks at the target."""

    async def inspect_target(self, connection: str) -> loader_service_pb2.InspectTargetResponse:
        """Look at the target account."""
        ...

    async def get_quota(self, connection: str) -> quota_service_pb2.GetQuotaResponse:
        """Say how the budget of a target stands now."""
        ...

    def read_back(
        self,
        connection: str,
        target_entity: str,
        *,
        target_ids: Sequence[str] = (),
        parent_ids: Sequence[str] = (),
        edited_since: datetime | None = None,
        is_newest_first: bool = False,
        is_rollback: bool = False,
    ) -> AsyncIterator[loader_service_pb2.ReadBackResponse]:
        """Read records of the target in canonical form, page by page; no ids at all: the whole list, or what was changed since a time."""
        ...

    def list_back(
        self,
        connection: str,
        target_entity: str,
        *,
        changed_since: datetime,
        page_token: str = "",
        first_target_id: str = "",
        is_archived: bool = False,
    ) -> AsyncGenerator[loader_service_pb2.ReadBackResponse, None]:
        """List what was changed since, page by page from a token on; each page has the token to go on after it."""
        ...

    def digest_files(self, connection: str, target_ids: Sequence[str]) -> AsyncIterator[loader_service_pb2.DigestFilesResponse]:
        """Download files, at most 100, and answer the digests of their bytes."""
        ...


class Selections(Protocol):
    """Where lists of source keys are put for the transformer (the staging store)."""

    async def put_selection(self, source_keys: Sequence[str]) -> str:
        """Store a list of source keys and answer its digest."""
        ...
