"""What others may ask of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from services.transformer.snapshot.envelope import Envelope


class Lookup(Protocol):
    """What mapping, profile, sample and exports may ask of a snapshot. All answers leave deleted records in; callers look at `is_deleted`."""

    def get(self, entity: str, source_id: str) -> Envelope | None:
        """Answer the newest version of a record, None when the snapshot has no such record."""

    def children(self, entity: str | Sequence[str], field_name: str, parent_id: str) -> list[Envelope]:
        """Answer the records of one or several entities whose `field_name` holds `parent_id`, by entity and id (as a number where it is one)."""

    def find(self, entity: str, field_name: str, value: str, *, loosely: bool = False) -> list[Envelope]:
        """Answer the records that hold a value in any field, in a list also; capitals and blanks do not count, `loosely` nor do marks."""

    def iterate(self, entity: str) -> Iterator[Envelope]:
        """Go through the newest versions of all records of `entity` in the order they were read."""


class Snapshot(Lookup, Protocol):
    """The same of the whole index, which can name its entities."""

    def entities(self) -> list[str]:
        """Answer the names of all entities."""
