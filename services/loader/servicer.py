"""`LoaderService`: looks at the target and reads back; batches come by the stream."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from services.common.canonical import digest
from services.common.errors import InvalidRequestError
from services.loader.canonical import image_bytes
from services.loader.entities.file import download
from services.loader.inspection import Inspection, target_json
from services.loader.pipedrive.client import CallContext
from services.loader.quota.leases import Priority
from services.loader.readback import Listing, ReadBack
from transload.v1 import loader_service_pb2, quota_service_pb2
from transload.v1.loader_service_pb2_grpc import LoaderServiceServicer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable

    from grpc import aio

    from services.loader.readback import Page
    from services.loader.targets import Targets

FILES_MAX: Final = 100
"""Files one call may ask for."""


class LoaderServicer(LoaderServiceServicer):
    """Answers audit, diff and reconciliation."""

    def __init__(self, *, targets: Targets, quota: Callable[[str], Awaitable[quota_service_pb2.GetQuotaResponse]]) -> None:
        self._targets = targets
        self._quota = quota

    async def InspectTarget(  # noqa: N802 - the contract's name
        self, request: loader_service_pb2.InspectTargetRequest, context: aio.ServicerContext[Any, Any]
    ) -> loader_service_pb2.InspectTargetResponse:
        """Looks at the account."""
        del context
        if not request.connection:
            raise InvalidRequestError("connection must be set")
        inspection = Inspection(self._targets.client(request.connection))
        account = await inspection.look()
        quota = await self._quota(request.connection)
        facts = {
            "daily_token_limit": quota.daily_token_limit,
            "daily_token_remaining": quota.daily_token_remaining,
            "window_limit": quota.window_limit,
            "rollback_reserve": quota.rollback_reserve,
            "others_reserve": quota.others_reserve,
            "others_tokens_per_hour": quota.others_tokens_per_hour,
            "others_tokens_per_day": quota.others_tokens_per_day,
            "call_seconds": round(quota.call_seconds, 4),
            "cost_version": quota.cost_version,
            "reset_time": quota.reset_time.ToJsonString() if quota.HasField("reset_time") else "",
        }
        return loader_service_pb2.InspectTargetResponse(target_json=target_json(account, quota=facts), token_count=inspection.token_count)

    async def ReadBack(  # noqa: N802
        self, request: loader_service_pb2.ReadBackRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[loader_service_pb2.ReadBackResponse]:
        """Reads records back."""
        del context
        if not request.connection or not request.target_entity:
            raise InvalidRequestError("connection and target_entity must be set")
        calls = CallContext(priority=Priority.ROLLBACK if request.is_rollback else Priority.VERIFY)
        reader = ReadBack(client=self._targets.client(request.connection), context=calls)
        tokens = 0
        async with aclosing(_pages(reader, request)) as pages:
            async for page, following in pages:
                tokens += calls.token_count
                calls.log.clear()
                records = [loader_service_pb2.TargetRecord(target_id=target_id, image_json=image_bytes(image)) for target_id, image in page]
                yield loader_service_pb2.ReadBackResponse(records=records, token_count=tokens, next_page_token=following)
        if calls.log:
            yield loader_service_pb2.ReadBackResponse(token_count=tokens + calls.token_count)

    async def DigestFiles(  # noqa: N802
        self, request: loader_service_pb2.DigestFilesRequest, context: aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[loader_service_pb2.DigestFilesResponse]:
        """Downloads files and answers what their bytes are."""
        del context
        if not request.connection or len(request.target_ids) > FILES_MAX:
            raise InvalidRequestError(f"connection must be set, and at most {FILES_MAX} target_ids")
        calls = CallContext(priority=Priority.VERIFY)
        client = self._targets.client(request.connection)
        for target_id in request.target_ids:
            content = await download(client, calls, target_id)
            yield loader_service_pb2.DigestFilesResponse(
                target_id=target_id,
                digest=digest(content) if content is not None else "",
                byte_count=len(content or b""),
                token_count=calls.token_count,
            )


async def _pages(reader: ReadBack, request: loader_service_pb2.ReadBackRequest) -> AsyncGenerator[tuple[Page, str], None]:
    """Answers the pages asked for, each with the token to go on after it."""
    if not request.HasField("changed_since"):
        if request.HasField("edited_since"):
            listing = reader.changed(request.target_entity, request.edited_since.ToDatetime(UTC))
        elif request.is_newest_first and request.target_ids:
            listing = reader.newest(request.target_entity, request.target_ids)
        else:
            listing = reader.pages(request.target_entity, request.target_ids, request.parent_ids)
        async with aclosing(listing) as pages:
            async for page in pages:
                yield page, ""
        return
    mark = Listing(
        changed_since=request.changed_since.ToDatetime(UTC),
        page_token=request.page_token,
        first_target_id=request.first_target_id,
        is_archived=request.is_archived,
    )
    async with aclosing(reader.listing(request.target_entity, mark)) as listed:
        async for page, following in listed:
            yield page, following
