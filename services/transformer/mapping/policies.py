"""Decisions that hold for the whole migration, and the choices of a single mapping."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.transformer.mapping.base import Model


class Choice(Model):
    """A decision of this mapping, by name, which conditions read like a policy."""

    value: str
    allowed: list[str]
    says: str = ""
    """What is decided, in words."""


class Policies(Model):
    """Decisions that hold for the whole migration."""

    archived: Literal["skip", "load"] = "skip"
    deleted: Literal["skip", "load"] = "skip"
    deal_value: Literal["chain_end", "every"] = "chain_end"
    unmatched_owner: Literal["fallback", "wait"] = "fallback"
    fallback_owner: str | None = None
    """E-mail of the Pipedrive user who gets what has no owner; null: the user the token belongs to."""
    oversize_files: Literal["flag", "link", "split"] = "flag"
    default_currency: str = "EUR"
    time_zone: str = "UTC"
    phone_format: Literal["as_written", "e164"] = "as_written"
    phone_region: str | None = None
    recurrence_from: str | None = None
    """First day of the window in which what comes again is made; the audit proposes its own day."""
    recurrence_window_months: int = Field(12, ge=0, le=240)
    recurrence_past_months: int = Field(12, ge=0, le=240)
    """How far before the window past occurrences are kept."""
    recurrence_cap: int = Field(50, ge=1, le=1_000)
    """Occurrences of one record at most."""
