"""The account's records: encoded, ordered by id, with the few facts that lists are filtered by kept beside them."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from sandbox.stel_order.schema import MODIFIED

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it is sent."""

    body: bytes
    is_deleted: bool
    modified: float
    """POSIX seconds of the last modification, 0 for records without such a stamp."""

    def record(self) -> Record:
        """Decode the record."""
        decoded: Record = orjson.loads(self.body)
        return decoded


class Store:
    """Records by collection and id."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[int, Row]] = {}
        self._ids: dict[str, list[int]] = {}

    def put(self, collection: str, record: Record) -> None:
        """Insert or replace a record; its `id` decides."""
        rows = self._rows.setdefault(collection, {})
        record_id: int = record["id"]
        if record_id not in rows:
            insort(self._ids.setdefault(collection, []), record_id)
        rows[record_id] = Row(orjson.dumps(record), bool(record.get("deleted")), _modified(record))

    def get(self, collection: str, record_id: int) -> Row | None:
        """Return one record, deleted or not."""
        return self._rows.get(collection, {}).get(record_id)

    def rows(self, collection: str) -> Iterator[Row]:
        """Yield all records by id, deleted ones included."""
        rows = self._rows.get(collection, {})
        for record_id in self._ids.get(collection, []):
            yield rows[record_id]

    def records(self, collection: str) -> Iterator[Record]:
        """Yield all records by id, decoded."""
        for row in self.rows(collection):
            yield row.record()

    def listed_count(self, collection: str) -> int:
        """Return how many records a plain list shows."""
        return sum(not row.is_deleted for row in self.rows(collection))

    def next_id(self, collection: str) -> int:
        """Return an id above all in use."""
        ids = self._ids.get(collection)
        return ids[-1] + 1 if ids and ids[-1] > 0 else 1

    def collections(self) -> list[str]:
        """Return the names of collections that have records."""
        return sorted(self._rows)


def parse_stamp(text: str) -> datetime:
    """Read a stamp with offset, as the interface writes it.

    Raises:
        ValueError: When it is not of the form `yyyy-MM-dd'T'HH:mm:ssZ` with an offset without colon.
    """
    if len(text) != len("2026-01-01T00:00:00+0000"):
        raise ValueError(text)
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")


def stamp(moment: datetime) -> str:
    """Write a moment in UTC as the interface does."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")


def _modified(record: Record) -> float:
    try:
        return parse_stamp(record[MODIFIED]).timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0
