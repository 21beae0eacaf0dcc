"""The ledger over gRPC, as the transformer sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.common.canonical import digest
from services.common.errors import UnavailableError
from transload.v1 import ledger_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from transload.v1 import records_pb2
    from transload.v1.ledger_service_pb2_grpc import LedgerServiceStub

_PAGES_PER_CALL: Final = 500
_KEYS_PER_CALL: Final = 1000


class LedgerClient:
    """Asks for pages and manifests, tells what mapping gave."""

    def __init__(self, stub: LedgerServiceStub) -> None:
        self._stub = stub

    async def list_pages(self, migration_id: str, *, after_sequence: int, until_sequence: int) -> AsyncIterator[records_pb2.Page]:
        """Go through the pages of a migration by sequence; `until_sequence` 0 means all."""
        token = ""
        while True:
            response = await self._stub.ListPages(
                pb.ListPagesRequest(
                    migration_id=migration_id,
                    after_sequence=after_sequence,
                    until_sequence=until_sequence,
                    page_size=_PAGES_PER_CALL,
                    page_token=token,
                )
            )
            for page in response.pages:
                yield page
            token = response.next_page_token
            if not token:
                return

    async def get_manifest(self, manifest_digest: str) -> bytes:
        """Answer a manifest's canonical bytes.

        Raises:
            UnavailableError: what came is not what was asked for; asking again helps.
        """
        response = await self._stub.GetManifest(pb.GetManifestRequest(manifest_digest=manifest_digest))
        if digest(response.manifest_json) != manifest_digest:
            raise UnavailableError(f"the manifest {manifest_digest} came damaged")
        return response.manifest_json

    async def record_transform(
        self, announcement: records_pb2.PageAnnouncement, batches: Sequence[pb.ExpectedBatch], issues: Sequence[pb.RecordIssue]
    ) -> bool:
        """Tell what mapping a page gave; answers whether the batches are wanted."""
        response = await self._stub.RecordTransform(pb.RecordTransformRequest(announcement=announcement, batches=batches, issues=issues))
        return response.is_wanted

    async def list_released(self, migration_id: str, keys: Sequence[str]) -> frozenset[str]:
        """Answer which of these mapped records a person said to move without the references that are not found."""
        released: set[str] = set()
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _KEYS_PER_CALL):
            part = wanted[start : start + _KEYS_PER_CALL]
            response = await self._stub.ListReleased(pb.ListReleasedRequest(migration_id=migration_id, keys=part))
            released.update(response.keys)
        return frozenset(released)
