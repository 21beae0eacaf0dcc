"""Which records a list has shown so far: one bit each, by creation order, small enough to stand in the run's row with every page.

Lists go by id and records are made in the order of their ids, near enough, so what was seen is nearly one run of ones and packs to a few hundred
bytes for a million records.
"""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.ledger.domain import Record


class Seen:
    """A set of records."""

    def __init__(self, packed: str = "") -> None:
        """Unpack what `pack` gave."""
        self._bits = bytearray(zlib.decompress(base64.b85decode(packed))) if packed else bytearray()

    def add(self, record: Record) -> None:
        """Remember a record."""
        place, bit = divmod(record.create_order, 8)
        if place >= len(self._bits):
            self._bits.extend(bytes(place + 1 - len(self._bits)))
        self._bits[place] |= 1 << bit

    def __contains__(self, record: Record) -> bool:
        """Say whether a record was seen."""
        place, bit = divmod(record.create_order, 8)
        return place < len(self._bits) and bool(self._bits[place] & (1 << bit))

    def pack(self) -> str:
        """Answer the set as text."""
        return base64.b85encode(zlib.compress(bytes(self._bits), 1)).decode() if self._bits else ""
