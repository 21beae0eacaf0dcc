"""One raw record as a page holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Envelope:
    """One raw record as a page holds it.

    `data` is the record exactly as the source gave it and must not be changed; file entities have the page's `file` object in it as well.
    """

    entity: str
    id: str
    data: Mapping[str, Any]
    is_deleted: bool = False
    is_archived: bool = False
    sequence: int = 0
    position: int = 0

    @property
    def source_key(self) -> str:
        """The record as `{entity}/{id}`."""
        return f"{self.entity}/{self.id}"


def parse_envelopes(entity: str, sequence: int, content: bytes) -> Iterator[Envelope]:
    """Read the envelopes of a page's uncompressed content, in order."""
    for position, raw in enumerate(orjson.loads(content)):
        yield envelope_of(entity, raw, sequence=sequence, position=position)


def envelope_of(entity: str, raw: Mapping[str, Any], *, sequence: int = 0, position: int = 0) -> Envelope:
    """Make an envelope from its JSON form."""
    file = raw.get("file")
    return Envelope(
        entity=entity,
        id=str(raw["id"]),
        data=raw["data"] if file is None else {**raw["data"], "file": file},
        is_deleted=bool(raw.get("is_deleted", False)),
        is_archived=bool(raw.get("is_archived", False)),
        sequence=sequence,
        position=position,
    )
