"""Pages of listings: cursors in version 2, offsets in version 1 (API.md 3.2, 3.3)."""

from __future__ import annotations

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
    cursor = ""
    for _ in range(_PAGES_MAX):
        wanted: dict[str, str | int] = {"limit": PAGE_MAX, **(query or {})}
        if cursor:
            wanted["cursor"] = cursor
        answer = await client.call(name, context, query=wanted)
        if answer.data:
            yield answer.data
        following = str(answer.additional.get("next_cursor") or "")
        if not following or following == cursor:
            return
        cursor = following


async def by_offset(
    client: PipedriveClient, name: str, context: CallContext, query: Mapping[str, str | int] | None = None, *, page_size: int = PAGE_MAX
) -> AsyncGenerator[list[Raw], None]:
    """Yields the pages of a version 1 listing."""
    start = 0
    for _ in range(_PAGES_MAX):
        answer = await client.call(name, context, query={"start": start, "limit": page_size, **(query or {})})
        # An empty version 1 listing may be null (API.md 10, pitfall 23).
        records: list[Raw] = answer.data or []
        if records:
            yield records
        pagination = answer.additional.get("pagination") or answer.additional
        if not pagination.get("more_items_in_collection") or not records:
            return
        start = int(pagination.get("next_start") or start + len(records))


async def by_ids(
    client: PipedriveClient, name: str, context: CallContext, ids: Sequence[str], query: Mapping[str, str | int] | None = None
) -> AsyncGenerator[list[Raw], None]:
    """Yields the records of the given ids, 100 a call. Those that are deleted or cannot be seen are silently left out by Pipedrive."""
    for begin in range(0, len(ids), IDS_MAX):
        chunk = ids[begin : begin + IDS_MAX]
        answer = await client.call(name, context, query={"ids": ",".join(chunk), "limit": PAGE_MAX, **(query or {})})
        if answer.data:
            yield answer.data
