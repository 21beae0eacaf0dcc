"""Finds records by parts of their texts without looking at each record: texts are joined in blocks, and blocks are searched."""

from collections.abc import Callable

from sandbox.pipedrive.pages.look import plain
from sandbox.pipedrive.store.store import Record, Table

_BLOCK = 512
"""Ids whose texts are searched as one."""


class Words:
    """The searchable texts of the records of one kind."""

    def __init__(self, text: Callable[[Record], str]) -> None:
        self._text = text
        """Gives the text of a record in one line."""
        self._table: Table | None = None
        self._blocks: dict[int, tuple[list[int], str]] = {}
        """Ids of a block, and their texts in as many lines."""

    def build(self, table: Table) -> None:
        """Forget all texts; they are read when they are first searched."""
        self._table = table
        self._blocks = {}

    def take(self, before: Record | None, record: Record) -> None:
        """Forget the texts of the block a record belongs to."""
        del before
        self._blocks.pop(record["id"] // _BLOCK, None)

    def find(self, term: str, count: int) -> list[int]:
        """Return the ids of up to `count` records that contain every word of a term, newest first. Deleted ones are not found."""
        words = plain(term).split()
        found: list[int] = []
        last = self._table.order[-1] if self._table is not None and self._table.order else -1
        for number in range(last // _BLOCK, -1, -1) if words else ():
            ids, block = self._blocks.get(number) or self._read(number)
            if not all(word in block for word in words):
                continue
            for record_id, line in reversed(list(zip(ids, block.split("\n"), strict=True))):
                if all(word in line for word in words):
                    found.append(record_id)
                    if len(found) == count:
                        return found
        return found

    def _read(self, number: int) -> tuple[list[int], str]:
        records = self._table.records if self._table is not None else {}
        chosen = [
            record
            for record_id in range(number * _BLOCK, (number + 1) * _BLOCK)
            if (record := records.get(record_id)) is not None and not record["is_deleted"]
        ]
        block = [record["id"] for record in chosen], plain("\n".join(map(self._text, chosen)))
        self._blocks[number] = block
        return block
