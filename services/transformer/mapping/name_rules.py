"""Models for sources whose field names differ from account to account: what a name in the mapping stands for, and how it is proposed."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator

from services.transformer.mapping.base import Model


def _as_name(value: object) -> object:
    return {"field": value} if isinstance(value, str) else value


class Name(Model):
    """What the first word of a path stands for in the raw record."""

    field: str
    score: float | None = None
    """How sure the proposal is, 0 to 1."""
    reason: str | None = None


NameRef: TypeAlias = Annotated[Name, BeforeValidator(_as_name)]
"""A name; a plain text is short for `{field: ...}`."""


class Meaning(Model):
    """How to tell which field of a record has a meaning. Give some of these; the best field wins."""

    fields: list[str] = []
    """Fields by their own name, where it is known."""
    labels: list[str] = []
    """Labels, the best first. A field's own name without prefix and suffix counts as a label too."""
    types: list[str] = []
    """Types it may have, in the source's words; empty: any."""
    leads_to: list[str] = []
    """Kinds of record of which it must refer to one."""


class NameProposal(Model):
    """How the audit fills in `names` from a list in which the source describes its fields."""

    entity: str
    """Kind of record that describes one field each."""
    of: str
    """In it: the kind of record the field belongs to."""
    name: str
    """In it: the field's own name."""
    label: str
    type: str
    leads_to: str
    """In it: list of the kinds of record it refers to."""
    object: str | None = None
    """In it: what the source calls the kind of record, for people."""
    meaning: str | None = None
    """In it: the meaning, where a person has given it already."""
    meanings: dict[str, dict[str, Meaning]]
    """By kind of record and name in the mapping."""
