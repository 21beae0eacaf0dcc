"""Pages of listings: cursors in version 2, offsets in version 1 (API.md 3.2, 3.3)."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from services.loader.pipedrive.client import CallContext, PipedriveClient

PAGE_MAX: Final = 500
FILES_PAGE_MAX: Final = 100
IDS_MAX: Final = 100
# No listing has more pages than this; a cursor that runs in a circle ends here.
_PAGES_MAX: Final = 1_000_000

Raw = dict[str, Any]


async def by_cursor(
    client: PipedriveClient, name: str, context: CallContext, query: Mapping[str, str | int] | None = None
) -> AsyncGenerator[list[Raw], None]:
    """Yields the pages of a version 2 listing, 500 records each."""
    async with aclosing(from_cursor(client, name, context, query)) as pages:
        async for page, _ in pages:
            if page:
                yield page


async def from_cursor(
    client: PipedriveClient, name: str, context: CallContext, query: Mapping[str, str | int] | None = None, *, cursor: str = ""
) -> AsyncGenerator[tuple[list[Raw], str], None]:
    """Yields the pages of a version 2 listing from a cursor on, each with the cursor after it; empty with the last."""
    for _ in range(_PAGES_MAX):
        wanted: dict[str, str | int] = {"limit": PAGE_MAX, **(query or {})}
        if cursor:
            wanted["cursor"] = cursor
        answer = await client.call(name, context, query=wanted)
        following = str(answer.additional.get("next_cursor") or "")
        is_last = not following or following == cursor
        yield answer.data or [], "" if is_last else following
        if is_last:
            return
        cursor = following


async def by_offset(
    client: PipedriveClient, name: str, context: CallContext, query: Mapping[str, str | int] | None = None, *, page_size: int = PAGE_MAX
) -> AsyncGenerator[list[Raw], None]:
    """Yields the pages of a version 1 listing."""
    async with aclosing(from_offset(client, name, context, query, page_size=page_size)) as pages:
        async for page, _ in pages:
            if page:
                yield page


async def from_offset(
    client: PipedriveClient,
    name: str,
    context: CallContext,
    query: Mapping[str, str | int] | None = None,
    *,
    page_size: int = PAGE_MAX,
    start: int = 0,
) -> AsyncGenerator[tuple[list[Raw], int], None]:
    """Yields the pages of a version 1 listing from an offset on, each with the offset after it; 0 with the last."""
    for _ in range(_PAGES_MAX):
        answer = await client.call(name, context, query={"start": start, "limit": page_size, **(query or {})})
        # An empty version 1 listing may be null (API.md 10, pitfall 23).
        records: list[Raw] = answer.data or []
        pagination = answer.additional.get("pagination") or answer.additional
        is_last = not pagination.get("more_items_in_collection") or not records
        following = 0 if is_last else int(pagination.get("next_start") or start + len(records))
        yield records, following
        if is_last:
            return
        start = following


async def by_ids(
    client: PipedriveClient, name: str, context: CallContext, ids: Sequence[str], query: Mapping[str, str | int] | None = None
) -> AsyncGenerator[list[Raw], None]:
    """Yields the records of the given ids, 100 a call. Those that are deleted or cannot be seen are silently left out by Pipedrive."""
    for begin in range(0, len(ids), IDS_MAX):
        chunk = ids[begin : begin + IDS_MAX]
        answer = await client.call(name, context, query={"ids": ",".join(chunk), "limit": PAGE_MAX, **(query or {})})
        if answer.data:
            yield answer.data
