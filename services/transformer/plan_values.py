"""What Pipedrive makes of the lines of deals, and which values the load therefore sets."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from transload.v1.records_pb2 import MappedRecord

_DIGITS: Final[Mapping[str, int]] = {"CLP": 0, "JPY": 0, "KRW": 0, "KWD": 3}
"""Currencies whose amounts do not have two digits after the decimal point."""


def short(key: str) -> int:
    """Answer a key's 64-bit digest, which takes eight bytes however long the key is."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


class DealValues:
    """Sums of lines by deal, as they stand after each step."""

    def __init__(self, *, is_whole_at_once: bool = True) -> None:
        """Begin without lines.

        Args:
            is_whole_at_once: a deal and its lines are made of one source record, so that one without lines here has none, and is worth 0 in
                Pipedrive. Otherwise it keeps the value it was created with.
        """
        self._is_whole_at_once = is_whole_at_once
        self._sums: dict[tuple[str, int], float] = {}
        self._set: set[tuple[str, int]] = set()

    def take(self, step: str, lines: Iterable[MappedRecord]) -> None:
        """Count lines into their deals: each enabled line rounded, then their sum."""
        for record in lines:
            line = orjson.loads(record.payload_json)
            place = (step, short(record.group))
            self._sums[place] = self._sums.get(place, 0.0) + (line_sum(line) if line.get("is_enabled", True) else 0.0)

    def count_set(self, step: str, batch: Iterable[MappedRecord]) -> int:
        """Count which `deal_value`s of a batch are written: one for each deal whose value is not what its lines make, unless an earlier batch did."""
        places = {place for record in batch if (place := self._differing(step, record)) is not None}
        self._set.update(places)
        return len(places)

    def _differing(self, step: str, record: MappedRecord) -> tuple[str, int] | None:
        wanted: dict[str, Any] = orjson.loads(record.payload_json)
        place = (step, short(wanted["deal_id"]["$ref"]))
        made = self._sums.get(place, 0.0 if self._is_whole_at_once else None)
        digits = _DIGITS.get(str(wanted.get("currency")), 2)
        is_equal = made is None or float(wanted.get("value") or 0) == round(made, digits)
        return None if is_equal or place in self._set else place


def line_sum(line: Mapping[str, Any], digits: int = 2) -> float:
    """Answer the sum of a line as Pipedrive is taken to compute it: price times quantity, less discount, plus tax where the price excludes it."""
    total = float(line["item_price"]) * float(line["quantity"])
    discount = float(line.get("discount") or 0)
    total -= total * discount / 100 if line.get("discount_type", "percentage") == "percentage" else discount
    if line.get("tax_method", "exclusive") == "exclusive":
        total += total * float(line.get("tax") or 0) / 100
    return round(total, digits)
