"""Reading one collection: which pages to ask for, in which order, and when it is done.

A listing has no total and no next link, only an offset over a list that may move while it is read. A cursor says in which *pass* the reading
is and at which offset. The passes of an entity:

- `all`: everything in the source's own order (by id, oldest first).
- `closing`: what changed since just before the first page of `all`, because an offset over a moving list can leave rows out. Costs one call,
  and is only made where the list had more than one page (one page cannot shift) and where the filter is known to work.
- `again`: everything once more. Only when it shows that records were deleted meanwhile: each such row shifts the rest by one, and an unchanged row
  that slipped over a page's edge is in no list of changes. The closing pass shows it; where there is none, each page begins with the last row of
  the page before, and when that row is not there, the list has moved.
- `changed`: a delta by filter; every stamp that comes back is verified.
- `newest`: a delta by order, newest change first, until the time is passed; the order is verified.
- `whole`: a delta by reading everything, leaving out what has a stamp from before the time.
"""

import enum
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from services.common import telemetry
from services.common.clock import Clock
from services.extractor.connector import END, Cursor, EntityMalformedError
from services.extractor.connectors.stel_order.client import PAGE_SIZE, FilterRefusedError, StelClient
from services.extractor.connectors.stel_order.entities import ChangeMethod, Collection

STAMP_FIELD: Final = "utc-last-modification-date"
CLOSING_OVERLAP: Final = timedelta(minutes=10)
"""How far before the first page the closing pass begins: our clock and the source's differ."""

AGAIN_MAX: Final = 5
"""Times a list that moves is begun anew before people are told."""

_log = telemetry.get_logger(__name__)


class Pass(enum.StrEnum):
    """See the module's text."""

    ALL = "all"
    CLOSING = "closing"
    AGAIN = "again"
    CHANGED = "changed"
    NEWEST = "newest"
    WHOLE = "whole"


@dataclass(frozen=True, slots=True)
class Position:
    """What a cursor holds."""

    reading: Pass
    start: int = 0
    first: str = ""
    """First id of the page before: a listing that ignores its offset gives the same page for ever."""
    opened: str = ""
    """When the first page was asked for, less the overlap; the closing pass begins there."""
    has_deletions: bool = False
    """Whether the closing pass has met a deleted record."""
    last: str = ""
    """Last id of the page before, which this page begins with; empty where that is not looked at."""

    def to_cursor(self) -> Cursor:
        """Write it as JSON."""
        return Cursor(orjson.dumps(asdict(self)).decode())

    @classmethod
    def from_cursor(cls, cursor: Cursor) -> "Position":
        """Read what `to_cursor` wrote."""
        fields = orjson.loads(cursor)
        return cls(**{**fields, "reading": Pass(fields["reading"])})


@dataclass(frozen=True, slots=True)
class RawPage:
    """One page and where it stands."""

    cursor: Cursor
    next_cursor: Cursor
    records: list[dict[str, Any]]


def stamp_of(record: Mapping[str, Any]) -> datetime | None:
    """Answer when the record was last changed, if it says so in a form we can read. Offsets come without a colon (`+0000`, `+0200`)."""
    text = record.get(STAMP_FIELD)
    if not isinstance(text, str):
        return None
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        return None
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)


def stamp_text(moment: datetime) -> str:
    """Write a time as the filter takes it; the client encodes the `+`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


class CollectionReader:
    """Reads one collection from a cursor to its end."""

    def __init__(self, client: StelClient, collection: Collection, *, changed_since: datetime | None, closes: bool, clock: Clock) -> None:
        self._client = client
        self._collection = collection
        self._path = collection.entity.source_name
        self._since = changed_since
        self._closes = closes and collection.is_filter_proven
        self._clock = clock
        self._again_count = 0  # not in the cursor: whoever resumes has waited for a quieter hour

    async def pages(self, cursor: Cursor) -> AsyncIterator[RawPage]:
        """Yield pages; between two of them nothing is remembered but the cursor."""
        while True:
            position = Position.from_cursor(cursor) if cursor else self._begin()
            page = await self._page(cursor, position)
            if isinstance(page, Position):  # this way of reading does not work here: the same cursor, another way
                _log.info("source.fallback", collection=self._path, reading=position.reading, instead=page.reading)
                page = await self._fallen_back(cursor, page)
            yield page
            cursor = page.next_cursor
            del page  # else two pages would be in memory while the next one comes
            if cursor == END:
                return

    def _begin(self) -> Position:
        if self._since is None:
            return Position(Pass.ALL, opened=(self._clock.now() - CLOSING_OVERLAP).isoformat())
        first_pass = {ChangeMethod.FILTER: Pass.CHANGED, ChangeMethod.SORT: Pass.NEWEST, ChangeMethod.ALL: Pass.WHOLE}
        return Position(first_pass[self._collection.change_method])

    async def _fallen_back(self, cursor: Cursor, position: Position) -> RawPage:
        page = await self._page(cursor, position)
        return page if isinstance(page, RawPage) else await self._fallen_back(cursor, page)

    async def _page(self, cursor: Cursor, position: Position) -> RawPage | Position:
        """Read one page, or answer the position from which another way of reading begins."""
        instead = {Pass.CHANGED: Position(Pass.NEWEST), Pass.NEWEST: Position(Pass.WHOLE)}.get(position.reading)
        try:
            records = await self._client.page(self._path, start=position.start, filters=self._filters(position))
        except FilterRefusedError:
            if instead is not None:
                return instead
            if position.reading is Pass.CLOSING:
                return RawPage(cursor, END, [])
            raise EntityMalformedError(f"collection {self._path} refuses to be listed", metadata={"collection": self._path}) from None
        self._refuse_repetition(position, records)
        if position.last:
            if not records or str(records[0]["id"]) != position.last:
                return self._begin_again()
            return RawPage(cursor, self._next(position, records, is_passed=False), records[1:])
        if instead is not None and not self._keeps_promise(position.reading, records):
            return instead
        position = replace(position, has_deletions=position.has_deletions or (position.reading is Pass.CLOSING and _has_deletions(records)))
        wanted = records if position.reading is Pass.CLOSING else [record for record in records if self._is_wanted(record)]
        return RawPage(cursor, self._next(position, records, is_passed=len(wanted) < len(records)), wanted)

    def _begin_again(self) -> Position:
        self._again_count += 1
        if self._again_count > AGAIN_MAX:
            raise EntityMalformedError(
                f"collection {self._path}: records were deleted each of the {AGAIN_MAX + 1} times it was read; resume when fewer people work in it",
                metadata={"collection": self._path},
            )
        return Position(Pass.AGAIN)

    def _filters(self, position: Position) -> dict[str, str]:
        match position.reading:
            case Pass.CHANGED if self._since is not None:
                return {STAMP_FIELD: stamp_text(self._since)}
            case Pass.CLOSING:
                return {STAMP_FIELD: stamp_text(datetime.fromisoformat(position.opened))}
            case Pass.NEWEST:
                return {"sort": f"{STAMP_FIELD}:desc"}
            case _:
                return {}

    def _refuse_repetition(self, position: Position, records: list[dict[str, Any]]) -> None:
        if position.start and records and str(records[0]["id"]) == position.first:
            raise EntityMalformedError(
                f"collection {self._path}, start {position.start}: the page before came again, so the offset was ignored",
                metadata={"collection": self._path, "start": str(position.start)},
            )

    def _keeps_promise(self, reading: Pass, records: list[dict[str, Any]]) -> bool:
        """Say whether the filter filtered, or the order is in order."""
        stamps = [stamp_of(record) for record in records]
        if self._since is None or None in stamps:
            return False
        known = [stamp for stamp in stamps if stamp is not None]
        if reading is Pass.CHANGED:
            return all(stamp >= self._since.replace(microsecond=0) for stamp in known)
        return all(one >= other for one, other in itertools.pairwise(known))

    def _is_wanted(self, record: Mapping[str, Any]) -> bool:
        stamp = stamp_of(record)
        return self._since is None or stamp is None or stamp >= self._since.replace(microsecond=0)

    def _next(self, position: Position, records: list[dict[str, Any]], *, is_passed: bool) -> Cursor:
        is_last = len(records) < PAGE_SIZE or (position.reading is Pass.NEWEST and is_passed)
        if not is_last and position.reading in {Pass.ALL, Pass.AGAIN} and not self._closes:
            first, last = str(records[0]["id"]), str(records[-1]["id"])
            return replace(position, start=position.start + len(records) - 1, first=first, last=last).to_cursor()
        if not is_last:
            return replace(position, start=position.start + len(records), first=str(records[0]["id"])).to_cursor()
        if position.reading is Pass.ALL and position.start and self._closes:
            return Position(Pass.CLOSING, opened=position.opened).to_cursor()
        if position.reading is Pass.CLOSING and position.has_deletions:
            return Position(Pass.AGAIN).to_cursor()
        return END


def _has_deletions(records: list[dict[str, Any]]) -> bool:
    return any(record.get("deleted") is True for record in records)
