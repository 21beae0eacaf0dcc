"""Records that changed although they do not say so.

An edit of a receipt may leave the stamp of its invoice as it was, while the invoice's paid and remaining amounts change. So a delta asks again for
what the changed records of another entity, read before, belong to: by `full-reference=in:...`, many with one call. An answer with something else in
it means that the filter is not honoured, and a refusal that there is none: then the collection is read as a whole, and the wanted records are picked
out.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any, Final

import orjson

from services.common import telemetry
from services.extractor.connector import END, Cursor, FrozenPages
from services.extractor.connectors.stel_order.client import PAGE_SIZE, FilterRefusedError, StelClient
from services.extractor.connectors.stel_order.entities import Collection, TouchedBy
from services.extractor.connectors.stel_order.reading import RawPage

REFERENCES_PER_CALL_MAX: Final = 50
"""So that addresses stay below 2,000 characters; references have about ten."""
_REFERENCE: Final = "full-reference"
_READING: Final = "touched"

_log = telemetry.get_logger(__name__)


class TouchedRecords:
    """The records of one collection that changed records of another one belong to."""

    def __init__(self, client: StelClient, collection: Collection, frozen: FrozenPages) -> None:
        self._client = client
        self._collection = collection
        self._path = collection.entity.source_name
        self._frozen = frozen

    async def follow(self, pages: AsyncIterator[RawPage]) -> AsyncIterator[RawPage]:
        """Yield a delta's own pages, then the touched records; nothing is asked where nothing was touched."""
        async for page in pages:
            if page.next_cursor != END or not await self._references():
                yield page
                continue
            first = _cursor(0)
            yield replace(page, next_cursor=first)
            async for touched in self.pages(first):
                yield touched

    @staticmethod
    def is_place(cursor: Cursor) -> bool:
        """Say whether a cursor stands among the touched records."""
        return bool(cursor) and orjson.loads(cursor).get("reading") == _READING

    async def pages(self, cursor: Cursor) -> AsyncIterator[RawPage]:
        """Yield the touched records from a cursor on. What they are follows from frozen pages, so it is the same after a restart."""
        references = await self._references()
        place = orjson.loads(cursor)
        is_whole, start = bool(place.get("whole")), int(place["start"])
        batches = list(_batches(sorted(set(references.values()))))
        while not is_whole:
            records = await self._asked(batches[start]) if start < len(batches) else []
            if records is None:
                _log.info("source.fallback", collection=self._path, reading=_READING, instead="whole")
                is_whole, start = True, 0
                break
            start += 1
            next_cursor = _cursor(start) if start < len(batches) else END
            yield RawPage(cursor, next_cursor, [record for record in records if str(record["id"]) in references])
            if next_cursor == END:
                return
            cursor = next_cursor
        while True:
            records = await self._client.page(self._path, start=start)
            start += len(records)
            next_cursor = _cursor(start, is_whole=True) if len(records) == PAGE_SIZE else END
            yield RawPage(cursor, next_cursor, [record for record in records if str(record["id"]) in references])
            if next_cursor == END:
                return
            cursor = next_cursor

    async def _asked(self, references: list[str]) -> list[dict[str, Any]] | None:
        """Answer the records with these references; None where the filter is refused or not honoured."""
        # A reference with a comma in it is asked for alone, and not as a list.
        value = references[0] if len(references) == 1 else f"in:{','.join(references)}"
        try:
            records = await self._client.page(self._path, filters={_REFERENCE: value})
        except FilterRefusedError:
            return None
        return records if all(record.get(_REFERENCE) in references for record in records) else None

    async def _references(self) -> dict[str, str]:
        """Answer the references of the touched records by id: of those read before. New ones are in the delta by themselves."""
        rule = self._collection.touched_by
        if rule is None:
            return {}
        ids = await self._touched_ids(rule)
        found: dict[str, str] = {}
        if ids:
            async for page in self._frozen.read(self._collection.entity.name, of_all_extractions=True):
                for envelope in page.envelopes:
                    if str(envelope["id"]) in ids and (reference := envelope["data"].get(_REFERENCE)):
                        found[str(envelope["id"])] = str(reference)
        return found

    async def _touched_ids(self, rule: TouchedBy) -> set[str]:
        found: set[str] = set()
        async for page in self._frozen.read(rule.entity):
            found |= {str(envelope["data"][rule.id_field]) for envelope in page.envelopes if envelope["data"].get(rule.id_field) is not None}
        return found


def _cursor(start: int, *, is_whole: bool = False) -> Cursor:
    return Cursor(orjson.dumps({"reading": _READING, "start": start, **({"whole": True} if is_whole else {})}).decode())


def _batches(references: list[str]) -> Iterator[list[str]]:
    plain = [one for one in references if "," not in one]
    for begin in range(0, len(plain), REFERENCES_PER_CALL_MAX):
        yield plain[begin : begin + REFERENCES_PER_CALL_MAX]
    yield from ([one] for one in references if "," in one)
