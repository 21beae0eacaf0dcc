"""How source records are linked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.transformer.mapping.base import Model, Scalar


class LinkRule(Model):
    """How to get from one source record to others. Give `id`, or `many`, or `chain`."""

    id: str | None = None
    """Field with the other record's id, or with a list of ids."""
    path: str | None = None
    """Field with the other record's address, which says what kind it is."""
    kind: str | None = None
    """Field with the other record's kind, in our words."""
    entity: str | list[str] | None = None
    """Kinds of record it leads to."""
    many: str | list[str] | None = None
    """Kinds of record that point back here."""
    by: str | list[str] | None = None
    """Field in which they do. With `id`: the other record's field that holds the value instead of its id; several are tried, `@id` is its id."""
    loosely: bool = False
    """With `by`: where no value is the same, one of which letters and digits are."""
    decided: str | None = None
    """Value map in which a person says where it leads: by this record's `{entity}/{id}`, by what is written, by `*` for what leads nowhere."""
    merged_into: str | None = None
    """Field of the other record that names the one it was merged into: where that is deleted, the link leads to the record that stays."""
    chain: Literal["up", "down"] | None = None
    """All ancestors, nearest first, or all descendants, over any number of steps."""
    only: list[str] | None = None
    """Of a chain, only these kinds of record (the others are passed through)."""
    where: dict[str, Scalar | list[Scalar]] = {}
    """Only records with these values, or with one of several; letters' case does not count, null means no value."""
    order_by: str | None = None
    pick: Literal["first", "last"] | None = None
    """Only the first or last record, in the order of `order_by` (default: of ids)."""
    level: int | None = Field(None, ge=1)
    """Of a chain up, only the ancestor at this level; 1 is the root."""
