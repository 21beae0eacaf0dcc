"""The key of a mapped record: `{target entity}:{source entity}/{source id}[/{part}]`, e.g. `activity:work_order/77/labour/3`.

Deterministic, so that doing a step twice is doing it once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from services.common.errors import InvalidRequestError

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, order=True)
class RecordKey:
    """A mapped record's key, taken apart.

    Attributes:
        target_entity: snake_case name, e.g. `person`.
        source_entity: snake_case name, e.g. `client`.
        source_id: the source's own id, any characters but `/`.
        part: says which of several records of one source record this is; may hold `/`; empty for the main one.
    """

    target_entity: str
    source_entity: str
    source_id: str
    part: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.target_entity) or not _NAME.fullmatch(self.source_entity):
            raise InvalidRequestError(f"the entities of record key {str(self)!r} must be snake_case names")
        if not self.source_id or "/" in self.source_id:
            raise InvalidRequestError(f"the source id of record key {str(self)!r} must not be empty or hold a slash")

    def __str__(self) -> str:
        tail = f"/{self.part}" if self.part else ""
        return f"{self.target_entity}:{self.source_entity}/{self.source_id}{tail}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a key as `str()` writes it.

        Raises:
            InvalidRequestError: `text` is not a record key.
        """
        target_entity, colon, rest = text.partition(":")
        source_entity, slash, rest = rest.partition("/")
        source_id, part_slash, part = rest.partition("/")
        if not colon or not slash or (part_slash and not part):
            raise InvalidRequestError(f"{text!r} is not a record key: expected target_entity:source_entity/source_id[/part]")
        return cls(target_entity, source_entity, source_id, part)

    @property
    def source_key(self) -> str:
        """The source record's key, `{entity}/{id}`."""
        return f"{self.source_entity}/{self.source_id}"
