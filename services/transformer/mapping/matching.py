"""How records that exist already are recognised."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from services.transformer.mapping.base import Model


class MatchKey(Model):
    """One key by which records are recognised."""

    key: Literal["domain", "email", "phone", "code", "name", "name_and_postcode", "name_and_organization"]
    fields: list[str] = []
    """Fields of Pipedrive, or ids of custom fields, it is taken from; none: the usual ones of the key."""
    score: float | None = Field(None, ge=0, le=1)
    """How much it says when two records agree in it; none: the usual score."""
    is_enough: bool = False
    """Records that agree in it are one, whatever else differs."""


def _as_key(value: object) -> object:
    return {"key": value} if isinstance(value, str) else value


class EntityMatching(Model):
    """How records of one target entity are recognised that exist already, and what is done with them."""

    policy: Literal["create", "match", "match_and_fill", "update"] = "create"
    """In Pipedrive already: create another one, link to it and change nothing, fill its empty fields, or let the source win."""
    within_source: Literal["keep_all", "merge_into_first", "review"] = "keep_all"
    """Came twice in the source: keep both, take the later one for the first, or ask."""
    certain: float = Field(0.9, ge=0, le=1)
    """Score from which nobody is asked."""
    uncertain: float = Field(0.7, ge=0, le=1)
    """Score from which a person is asked; what has less is another record."""
    keys: list[Annotated[MatchKey, BeforeValidator(_as_key)]] = []
    """Keys in order; none: the usual ones."""
    differ: list[str] = []
    """Fields that must not differ: records that have other values in them are never taken for one without a person."""


class Matching(Model):
    """De-duplication before insert."""

    organization: EntityMatching | None = None
    person: EntityMatching | None = None
    product: EntityMatching | None = None
    free_mail_hosts: list[str] = []
    """Further hosts where anybody has a mailbox."""
    legal_forms: list[str] = []
    """Further words that say what kind of company it is."""
