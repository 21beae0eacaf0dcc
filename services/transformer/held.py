"""Remembers which records of a page are held back, so that not every phase has to find out again."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from transload.v1 import records_pb2

PAGES_MAX: Final = 2048

UNKNOWN: Final = 0
FREE: Final = 1
HELD: Final = 2


class HeldRecords:
    """One byte for each record of the pages mapped last. What it says depends on page, snapshot and manifest alone, so it is never out of date."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[str, str, int, str], bytearray] = OrderedDict()

    def of_page(self, announcement: records_pb2.PageAnnouncement, record_count: int) -> bytearray:
        """Answer what is known about a page's records, by position; the caller writes down what it finds out."""
        key = (announcement.migration_id, announcement.manifest_digest, announcement.snapshot_sequence, announcement.page.page_id)
        known = self._pages.get(key)
        if known is None or len(known) != record_count:
            known = self._pages[key] = bytearray(record_count)
            if len(self._pages) > PAGES_MAX:
                self._pages.popitem(last=False)
        self._pages.move_to_end(key)
        return known
