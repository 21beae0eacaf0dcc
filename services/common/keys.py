"""The key of a mapped record: `{target entity}:{source entity}/{source id}[/{part}]`, e.g. `activity:work_order/77/labour/3`.

Deterministic, so that doing a step twice is doing it once. A source id may hold slashes as the part after it does, so a key alone does not say where
the id ends: whoever needs the source record asks who knows it (the ledger's record, the snapshot), and never cuts the key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from services.common.errors import InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, order=True)
class RecordKey:
    """A mapped record's key, taken apart as far as that is possible.

    Attributes:
        target_entity: snake_case name, e.g. `person`.
        source_entity: snake_case name, e.g. `client`.
        tail: the source's own id, any characters; behind a slash, which of several records of one source record this is, if there are several.
    """

    target_entity: str
    source_entity: str
    tail: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.target_entity) or not _NAME.fullmatch(self.source_entity):
            raise InvalidRequestError(f"the entities of record key {str(self)!r} must be snake_case names")
        if not self.tail:
            raise InvalidRequestError(f"the source id of record key {str(self)!r} must not be empty")

    def __str__(self) -> str:
        return f"{self.target_entity}:{self.place}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a key as `str()` writes it.

        Raises:
            InvalidRequestError: `text` is not a record key.
        """
        target_entity, colon, rest = text.partition(":")
        source_entity, slash, tail = rest.partition("/")
        if not colon or not slash:
            raise InvalidRequestError(f"{text!r} is not a record key: expected target_entity:source_entity/source_id[/part]")
        return cls(target_entity, source_entity, tail)

    @property
    def place(self) -> str:
        """What stands behind the target entity, and in an external id behind the source account: `{entity}/{id}[/{part}]`."""
        return f"{self.source_entity}/{self.tail}"

    def source_ids(self) -> Iterator[str]:
        """Yields every id the source record may have, the shortest first: a slash may belong to the id or begin the part."""
        end = self.tail.find("/")
        while end >= 0:
            if end:
                yield self.tail[:end]
            end = self.tail.find("/", end + 1)
        yield self.tail
