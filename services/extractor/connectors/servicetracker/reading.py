"""Reading one object's rows, page by page: by query in the order of their last change, or by a bulk job.

A query's cursor holds the key of the last row and the org's own next address. The address dies after some days, or when the user has too many;
then the reading goes on from the key. Rows changed meanwhile come again at the end, because a change moves a row's stamp forward only.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from services.common import telemetry
from services.extractor.connector import END, START, Cursor, EntityMalformedError
from services.extractor.connectors.servicetracker.client import CallRefusedError, OrgClient, forbidden
from services.extractor.connectors.servicetracker.describe import Objects
from services.extractor.connectors.servicetracker.errors import Reaction
from services.extractor.connectors.servicetracker.ids import is_id, long_id
from services.extractor.connectors.servicetracker.soql import Key, after, id_in, select, split_columns, time_literal, up_to

_IDS_AT_ONCE = 200
_SPLITS_MAX = 6
"""Times a query is halved when the org calls it too wide."""
_log = telemetry.get_logger(__name__)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowPage:
    """One page of rows and where it stands."""

    cursor: Cursor
    next_cursor: Cursor
    rows: list[Row]


class QueryReader:
    """Reads an object by query.

    Args:
        described: the object, as frozen.
        conditions: which rows, beside the position.
        columns: fields to select; None: all.
    """

    def __init__(
        self,
        client: OrgClient,
        described: Mapping[str, Any],
        *,
        address_bytes: int,
        conditions: tuple[str, ...] = (),
        columns: list[str] | None = None,
    ) -> None:
        self._client = client
        self._name = described["name"]
        self._stamp = Objects.stamp(described)
        self._conditions = conditions
        self._columns = columns or Objects.columns(described)
        self._address_bytes = address_bytes
        self._references = {one["name"] for one in described["fields"] if one["type"] in {"id", "reference"}}

    async def pages(self, cursor: Cursor) -> AsyncIterator[RowPage]:
        """Yield pages from a cursor on; between two of them nothing is remembered but the cursor."""
        while True:
            key, following = _position(cursor)
            answer = await self._first_columns(key, following)
            rows = [self._clean(row) for row in answer["records"]]
            self._refuse_repetition(key, rows)
            last = self._key(rows[-1]) if rows else key
            rows = await self._with_other_columns(rows, key)
            is_done = bool(answer.get("done", True)) or last is None
            next_cursor = END if is_done else _cursor(last, answer.get("nextRecordsUrl") or "")
            yield RowPage(cursor, next_cursor, rows)
            cursor = next_cursor
            del answer, rows
            if cursor == END:
                return

    async def _first_columns(self, key: Key | None, following: str) -> dict[str, Any]:
        if following:
            try:
                answer: dict[str, Any] = await self._client.get(following)
            except CallRefusedError as error:
                if error.failure.reaction not in {Reaction.CURSOR, Reaction.RIGHT}:
                    raise forbidden(self._name, error.failure) from error
                _log.info("source.cursor_lost", object=self._name)
            else:
                return answer
        return await self._query(lambda: self._groups()[0], (after(key, self._stamp), *self._conditions), is_ordered=True)

    def _keys(self) -> list[str]:
        return ["Id", self._stamp] if self._stamp else ["Id"]

    def _order(self) -> list[str]:
        return [self._stamp, "Id"] if self._stamp else ["Id"]

    def _groups(self) -> list[list[str]]:
        return split_columns(self._columns, self._keys(), address_bytes=self._address_bytes, extra=" AND ".join(self._conditions))

    async def _query(self, columns: Any, conditions: tuple[str, ...], *, is_ordered: bool) -> dict[str, Any]:
        """Ask once; a column that is gone is left out, a query that is too wide is split. `columns` answers them anew after that."""
        for _ in range(_SPLITS_MAX + len(self._columns)):
            text = select(columns(), self._name, conditions, order=self._order() if is_ordered else ())
            try:
                answer: dict[str, Any] = await self._client.get("/queryAll", {"q": text})
            except CallRefusedError as error:
                self._adapt(error)
            else:
                return answer
        raise EntityMalformedError(f"{self._name}: every query is refused", metadata={"object": self._name})

    def _adapt(self, error: CallRefusedError) -> None:
        failure = error.failure
        if failure.reaction is Reaction.FIELD and failure.field in self._columns:
            _log.warning("source.field_gone", object=self._name, field=failure.field)
            self._columns = [one for one in self._columns if one != failure.field]
        elif failure.reaction is Reaction.TOO_LONG and self._address_bytes > 1_000:  # noqa: PLR2004 - shorter than any useful query
            self._address_bytes //= 2
        elif failure.reaction is Reaction.RIGHT:
            raise forbidden(self._name, failure) from error
        else:
            raise EntityMalformedError(
                f"{self._name} answered a query with {failure}: leave fields or rows out by the connector option roles",
                metadata={"object": self._name},
            ) from error

    async def _with_other_columns(self, rows: list[Row], key: Key | None) -> list[Row]:
        """Fetch the columns that had no room in the first query, for the same stretch of rows."""
        if not rows:
            return rows
        found = {row["Id"]: row for row in rows}
        number = 1
        while number < len(self._groups()):
            position = number

            def columns(position: int = position) -> list[str]:
                return self._groups()[min(position, len(self._groups()) - 1)]

            stretch = (after(key, self._stamp), up_to(self._key(rows[-1]), self._stamp), *self._conditions)
            more = await self._all(columns, stretch)
            # A row that changed between two queries stands further on now; its columns are asked for by id.
            missing = [row_id for row_id in found if row_id not in more]
            for start in range(0, len(missing), _IDS_AT_ONCE):
                more |= await self._all(columns, (id_in("Id", missing[start : start + _IDS_AT_ONCE]),))
            for row_id, row in found.items():
                row.update({name: value for name, value in more.get(row_id, {}).items() if name not in row})
            number += 1
        return rows

    async def _all(self, columns: Any, conditions: tuple[str, ...]) -> dict[str, Row]:
        answer = await self._query(columns, conditions, is_ordered=False)
        rows = list(answer["records"])
        while not answer.get("done", True):
            answer = await self._client.get(answer["nextRecordsUrl"])
            rows += answer["records"]
        return {long_id(row["Id"]): self._clean(row) for row in rows}

    def _clean(self, row: Row) -> Row:
        """Take the platform's own remarks off a row, and write references in the long form."""
        if not is_id(row.get("Id")):
            raise EntityMalformedError(f"{self._name} answered a row without an id", metadata={"object": self._name})
        return {
            name: long_id(value) if name in self._references and isinstance(value, str) else value
            for name, value in row.items()
            if name != "attributes"
        }

    def _key(self, row: Row) -> Key:
        return Key(str(row.get(self._stamp) or "") if self._stamp else "", row["Id"])

    def _refuse_repetition(self, key: Key | None, rows: list[Row]) -> None:
        if key is None or not rows:
            return
        first = self._key(rows[0])
        is_later = first.row_id > key.row_id if not self._stamp else (_moment(first.stamp), first.row_id) > (_moment(key.stamp), key.row_id)
        if not is_later:
            raise EntityMalformedError(f"{self._name}: the page before came again", metadata={"object": self._name})


def changed_since(described: Mapping[str, Any], moment: datetime | None) -> str:
    """Write the condition of what changed since a time; empty for all, and where an object does not tell."""
    stamp = Objects.stamp(described)
    return f"{stamp} >= {time_literal(moment)}" if moment is not None and stamp else ""


def _moment(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except ValueError:
        return 0.0


def _position(cursor: Cursor) -> tuple[Key | None, str]:
    if cursor == START:
        return None, ""
    found = orjson.loads(cursor)
    return Key(*found["after"]), found["next"]


def _cursor(key: Key | None, following: str) -> Cursor:
    position = {"after": [key.stamp, key.row_id] if key else ["", ""], "next": following}
    return Cursor(orjson.dumps(position).decode())
