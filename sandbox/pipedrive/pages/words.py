"""Finds records by parts of their texts without looking at each record: texts are joined in blocks, and blocks are searched."""

from collections.abc import Callable, Iterable

from sandbox.pipedrive.pages.look import folded
from sandbox.pipedrive.store import Record

_BLOCK = 512
"""Records whose texts are searched as one."""


class Words:
    """The searchable texts of the records of one kind."""

    def __init__(self, texts: Callable[[Record], Iterable[str]]) -> None:
        self._texts = texts
        self._lines: dict[int, dict[int, str]] = {}
        self._blocks: dict[int, str] = {}

    def build(self, records: Iterable[Record]) -> None:
        """Read the texts of all records."""
        self._lines, self._blocks = {}, {}
        for record in records:
            self.take(record)

    def take(self, record: Record) -> None:
        """Read the texts of one record; a deleted one is not found any more."""
        number, record_id = record["id"] // _BLOCK, record["id"]
        lines = self._lines.setdefault(number, {})
        if record["is_deleted"]:
            lines.pop(record_id, None)
        else:
            lines[record_id] = "\t".join(folded(text) for text in self._texts(record))
        self._blocks.pop(number, None)

    def find(self, term: str, count: int) -> list[int]:
        """Return the ids of up to `count` records that contain every word of a term, newest first."""
        words = folded(term).split()
        found: list[int] = []
        for number in sorted(self._lines, reverse=True) if words else ():
            block = self._blocks.get(number)
            if block is None:
                block = self._blocks[number] = "\n".join(self._lines[number].values())
            if not all(word in block for word in words):
                continue
            lines = self._lines[number]
            for record_id in sorted(lines, reverse=True):
                if all(word in lines[record_id] for word in words):
                    found.append(record_id)
                    if len(found) == count:
                        return found
        return found
