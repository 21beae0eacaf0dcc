"""The review queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.contract import page_position
from services.common.errors import InvalidRequestError
from services.ledger import codec, review
from services.ledger import migration_codec as write
from services.ledger.domain import Resolution, ReviewFilter
from services.ledger.matching.named import find_named
from services.ledger.migration_service.deciding import Deciding, page_size
from services.ledger.migrations import require_migration
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from grpc import aio

    from services.ledger.repository import Transaction

    Context = aio.ServicerContext[Any, Any]


class Reviewing(Deciding):
    """The review queue."""

    async def ListReviewItems(self, request: pb.ListReviewItemsRequest, context: Context) -> pb.ListReviewItemsResponse:  # noqa: N802, ARG002
        """List review items."""
        size = page_size(request.page_size, "records")
        which = ReviewFilter(reason=request.reason, includes_resolved=request.includes_resolved)
        async with self._ledger.read() as reader:
            await require_migration(reader, request.migration_id)
            items = await reader.list_review_items(request.migration_id, which, after_order=page_position(request.page_token), limit=size)
        token = str(items[-1].order) if len(items) == size else ""
        return pb.ListReviewItemsResponse(review_items=[write.review_item_to_proto(item) for item in items], next_page_token=token)

    async def ResolveReviewItems(self, request: pb.ResolveReviewItemsRequest, context: Context) -> pb.ResolveReviewItemsResponse:  # noqa: N802, ARG002
        """Resolve one item, or all open items of a reason."""
        codec.require(request.actor, "actor")
        if request.resolution not in {resolution for resolution in Resolution if resolution}:
            words = ", ".join(resolution for resolution in Resolution if resolution)
            raise InvalidRequestError(f"resolution: one of {words}")
        if not request.review_item_ids and not request.reason:
            raise InvalidRequestError("give review_item_ids, or the reason whose open items are meant")
        if request.candidate and not request.review_item_ids:
            raise InvalidRequestError("candidate: name the review items it is meant for")
        resolution = Resolution(request.resolution)
        named = ""
        if resolution is Resolution.MATCH and request.candidate:
            ids = list(request.review_item_ids)
            named = await find_named(self._ledger, self._tools.loader, request.migration_id, ids, request.candidate)

        async def act(transaction: Transaction) -> pb.ResolveReviewItemsResponse:
            await require_migration(transaction, request.migration_id)
            now = self._tools.clock.now()
            if request.review_item_ids:
                items = await review.items_by_id(transaction, request.migration_id, request.review_item_ids)
                choice = {"candidate": request.candidate, "named": named}
                count = await review.resolve(transaction, request.migration_id, items, resolution=resolution, actor=request.actor, now=now, **choice)
            else:
                count = await review.resolve_all(
                    transaction, request.migration_id, request.reason, resolution=resolution, actor=request.actor, now=now
                )
            return pb.ResolveReviewItemsResponse(resolved_count=count)

        return await self._once("ResolveReviewItems", request.request_id, pb.ResolveReviewItemsResponse, act)
