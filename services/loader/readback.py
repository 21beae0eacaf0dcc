"""Reading loaded records back (L-08, L-13) the way that costs least tokens, page by page, in canonical form.

`pages` reads what is asked for: by `ids=` 100 records cost 10 tokens, by a scan 500 do - but a scan also passes records that are not ours. How many
those are is not known; the
largest id wanted is a bound for the records up to it, so a scan costs at most that many pages, and it ends at that id.

`listing` reads everything that was changed since a time, for whoever checks all records of a load: 500 a page and no older record but in the list
of files, whose end is an id. It can be taken up again after any page.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Final

from services.common.contract import page_position
from services.common.errors import InvalidRequestError
from services.loader.entities import NAMED_ENTITIES, RECORD_ENTITIES, schema
from services.loader.entities.base import LIST_FROM, Found, OffsetEntity, stamp
from services.loader.entities.deal import DEAL
from services.loader.entities.file import FILE
from services.loader.entities.line_item import LINE_ITEM
from services.loader.entities.organization_relation import ORGANIZATION_RELATION
from services.loader.pipedrive import lists
from services.loader.values import value_image

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable, Sequence
    from datetime import datetime

    from services.loader.canonical import Image
    from services.loader.entities.base import Entity
    from services.loader.pipedrive.client import CallContext, PipedriveClient
    from services.loader.pipedrive.lists import Raw

Page = list[tuple[str, "Image"]]

_LIST_TOKENS_V2: Final = 10
_LIST_TOKENS_V1: Final = 20
_GET_TOKENS_V1: Final = 2
_OPTION_FIELDS: Final = frozenset({"label_ids", "category"})


@dataclass(frozen=True, slots=True)
class Listing:
    """Which part of a list is read.

    Attributes:
        changed_since: what was not changed since is left out where the list can.
        page_token: go on after this page; empty: from the start.
        first_target_id: of files: the lowest id wanted.
        is_archived: of deals: the archived ones.
    """

    changed_since: datetime
    page_token: str = ""
    first_target_id: str = ""
    is_archived: bool = False


class ReadBack:
    """Reads records of one target account."""

    def __init__(self, *, client: PipedriveClient, context: CallContext) -> None:
        self._client = client
        self._context = context

    async def changed(self, target_entity: str, since: datetime) -> AsyncGenerator[Page, None]:
        """Yields what was changed at or after `since`, archived deals last.

        Raises:
            InvalidRequestError: no such entity, or one that has no list of its own.
        """
        entity = RECORD_ENTITIES.get(target_entity)
        if entity is None or entity is LINE_ITEM or entity is ORGANIZATION_RELATION:
            raise InvalidRequestError(f"target_entity {target_entity!r} has no list by time of change")
        listings = [entity.scan_changed(self._client, self._context, since)]
        if entity is DEAL:
            listings.append(DEAL.scan_archived(self._client, self._context, since=since))
        for listing in listings:
            async with aclosing(listing) as pages:
                async for page in pages:
                    yield [(found.target_id, found.image) for found in page]

    async def newest(self, target_entity: str, target_ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        """Yields notes or files by falling id until all wanted ones were passed.

        Raises:
            InvalidRequestError: another entity.
        """
        entity = RECORD_ENTITIES.get(target_entity)
        if not isinstance(entity, OffsetEntity) or entity is ORGANIZATION_RELATION:
            raise InvalidRequestError(f"target_entity {target_entity!r} is read by its ids")
        wanted = set(target_ids)
        lowest = min(map(_number, wanted), default=0)
        query: dict[str, str | int] = {"sort": "id DESC"}
        name = f"{entity.operations}.list"
        async with aclosing(lists.by_offset(self._client, name, self._context, query, page_size=entity.page_size)) as pages:
            async for page in pages:
                found = [entity.found(raw) for raw in page if entity.is_live(raw)]
                yield [(one.target_id, one.image) for one in found if one.target_id in wanted]
                wanted.difference_update(one.target_id for one in found)
                if not wanted or _number(str(page[-1]["id"])) <= lowest:
                    return

    async def pages(self, target_entity: str, target_ids: Sequence[str], parent_ids: Sequence[str]) -> AsyncGenerator[Page, None]:
        """Yields (target id, canonical image) in pages by rising target id.

        Args:
            target_entity: kind of record; `field`: custom and built-in fields with their options.
            target_ids: wanted; empty: all.
            parent_ids: for line items and relations: the records they hang on; for fields: the entities whose fields are read, empty: all.

        Raises:
            InvalidRequestError: no such entity, or an entity without listing was asked for as a whole.
        """
        if target_entity in RECORD_ENTITIES or target_entity == "deal_value":
            wanted = sorted(set(target_ids), key=_number)
            pages = self._records(
                DEAL if target_entity == "deal_value" else RECORD_ENTITIES[target_entity], wanted, sorted(set(parent_ids), key=_number)
            )
            async with aclosing(pages):
                async for page in pages:
                    if page:
                        yield [(found.target_id, value_image(found.image) if target_entity == "deal_value" else found.image) for found in page]
            return
        images = await self._definitions(target_entity, parent_ids)
        wanted_ids = set(target_ids)
        page_all = [(target_id, image) for target_id, image in images if not wanted_ids or target_id in wanted_ids]
        for begin in range(0, len(page_all), lists.PAGE_MAX):
            yield page_all[begin : begin + lists.PAGE_MAX]

    def _records(self, entity: Entity, wanted: list[str], parents: list[str]) -> AsyncGenerator[list[Found], None]:
        if entity is LINE_ITEM:
            return self._lines(wanted, parents)
        if entity is ORGANIZATION_RELATION:
            return self._relations(wanted, parents)
        if wanted and not _is_scan_cheaper(entity, wanted):
            return self._by_ids(entity, wanted)
        return self._scan(entity, wanted)

    async def _by_ids(self, entity: Entity, wanted: list[str]) -> AsyncGenerator[list[Found], None]:
        for begin in range(0, len(wanted), lists.IDS_MAX):
            found = await entity.read(self._client, self._context, wanted[begin : begin + lists.IDS_MAX])
            yield _sorted(found.values())

    async def _scan(self, entity: Entity, wanted: list[str]) -> AsyncGenerator[list[Found], None]:
        missing = set(wanted)
        last = _number(wanted[-1]) if wanted else None
        late: list[Found] = []
        async with aclosing(entity.scan(self._client, self._context)) as pages:
            async for page in pages:
                hits = [found for found in page if not wanted or found.target_id in missing]
                missing.difference_update(found.target_id for found in hits)
                yield _sorted(hits)
                if last is not None and (not missing or (page and _number(page[-1].target_id) >= last)):
                    break
        if missing and entity is DEAL:
            # Archived deals are not in the plain listing.
            late = [found async for page in self._by_ids(entity, sorted(missing, key=_number)) for found in page]
        if late:
            yield late

    async def listing(self, target_entity: str, mark: Listing) -> AsyncGenerator[tuple[Page, str], None]:
        """Yields (target id, canonical image) in pages, each with the token to go on after it; empty with the last.

        Raises:
            InvalidRequestError: no such list, or no such token.
        """
        entity = RECORD_ENTITIES.get(target_entity)
        if entity is None or entity is LINE_ITEM or entity is ORGANIZATION_RELATION:
            raise InvalidRequestError(f"there is no list of all {target_entity!r}")
        since = stamp(mark.changed_since)
        if isinstance(entity, OffsetEntity):
            page_position(mark.page_token)
            is_file = entity is FILE
            query: dict[str, str | int] = {"sort": "id DESC"} if is_file else {"sort": "id ASC", "updated_since": since}
            start = int(mark.page_token or 0)
            offsets = lists.from_offset(self._client, f"{entity.operations}.list", self._context, query, page_size=entity.page_size, start=start)
            async with aclosing(offsets) as found:
                async for page, following in found:
                    is_below = is_file and page and _number(str(page[-1]["id"])) < _number(mark.first_target_id)
                    yield _page(entity, page), "" if is_below or not following else str(following)
                    if is_below:
                        return
            return
        name = "deals.list_archived" if mark.is_archived else f"{entity.operations}.list"
        query = {"sort_by": "id", "sort_direction": "asc", "updated_since": since}
        async with aclosing(lists.from_cursor(self._client, name, self._context, query, cursor=mark.page_token)) as cursors:
            async for page, after in cursors:
                yield _page(entity, page), after

    async def _lines(self, wanted: list[str], parents: list[str]) -> AsyncGenerator[list[Found], None]:
        if not parents:
            raise InvalidRequestError("line items are read by their deals: parent_ids must be set")
        missing = set(wanted)
        async with aclosing(LINE_ITEM.of_deals(self._client, self._context, parents)) as pages:
            async for page in pages:
                yield [line for line in page if not missing or line.target_id in missing]

    async def _relations(self, wanted: list[str], parents: list[str]) -> AsyncGenerator[list[Found], None]:
        if wanted and (not parents or len(wanted) * _GET_TOKENS_V1 <= len(parents) * _LIST_TOKENS_V1):
            async with aclosing(self._by_ids(ORGANIZATION_RELATION, wanted)) as pages:
                async for page in pages:
                    yield page
            return
        if not parents:
            raise InvalidRequestError("organization relations are read by id or by organization: target_ids or parent_ids must be set")
        seen: set[str] = set()
        for parent in parents:
            async with aclosing(ORGANIZATION_RELATION.of_parent(self._client, self._context, parent)) as listed:
                async for page in listed:
                    fresh = [found for found in page if found.target_id not in seen and (not wanted or found.target_id in wanted)]
                    seen.update(found.target_id for found in fresh)
                    yield fresh

    async def _definitions(self, target_entity: str, parents: Collection[str]) -> Page:
        if target_entity in NAMED_ENTITIES:
            entity = NAMED_ENTITIES[target_entity]
            return [(str(raw["id"]), entity.image(raw)) for raw in await entity.list_all(self._client, self._context)]
        if target_entity == "user":
            users = await schema.list_users(self._client, self._context)
            return [(str(user["id"]), {"id": user["id"], "email": str(user.get("email") or "").casefold()}) for user in users]
        if target_entity not in {"custom_field", "field_option", "field"}:
            raise InvalidRequestError(f"target_entity {target_entity!r} is not known")
        listed = [entity for entity in schema.FIELD_ENTITIES if not parents or entity in parents]
        fields = [field for entity in listed for field in await schema.list_fields(self._client, self._context, entity)]
        if target_entity == "field":
            return [(field.code, field.image()) for field in fields]
        if target_entity == "custom_field":
            return [(field.code, field.image()) for field in fields if field.raw.get("is_custom_field")]
        return [
            (str(number), {"entity": field.entity, "field_code": field.code, "id": number, "label": label})
            for field in fields
            if field.code in _OPTION_FIELDS
            for label, number in field.options.items()
        ]


def _is_scan_cheaper(entity: Entity, wanted: Sequence[str]) -> bool:
    last = _number(wanted[-1])
    if isinstance(entity, OffsetEntity):
        return ceil(last / entity.page_size) * _LIST_TOKENS_V1 < len(wanted) * _GET_TOKENS_V1
    by_ids = len(wanted) if len(wanted) < LIST_FROM else ceil(len(wanted) / lists.IDS_MAX) * _LIST_TOKENS_V2
    return ceil(last / lists.PAGE_MAX) * _LIST_TOKENS_V2 < by_ids


def _page(entity: Entity, raws: Iterable[Raw]) -> Page:
    records = (entity.found(raw) for raw in raws if entity.is_live(raw))
    return [(record.target_id, record.image) for record in records]


def _sorted(found: Iterable[Found]) -> list[Found]:
    return sorted(found, key=lambda record: _number(record.target_id))


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
