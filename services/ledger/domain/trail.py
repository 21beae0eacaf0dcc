"""Events of the audit trail."""

from collections.abc import Mapping as Map
from dataclasses import dataclass
from datetime import datetime
from typing import Any

__all__ = ["AuditVerdict", "Event", "EventDraft"]


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event to append. No personal data outside the payload."""

    kind: str
    actor: str
    key: str = ""
    source_key: str = ""
    target_id: str = ""
    result: str = ""
    payload: Map[str, Any] | None = None
    """Details, made canonical JSON; can be erased later."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail."""

    migration_id: str
    sequence: int
    event_time: datetime
    kind: str
    actor: str
    key: str
    source_key: str
    target_id: str
    result: str
    payload_digest: str
    previous_hash: str
    hash: str
    payload: bytes = b""
    """Canonical JSON; empty once erased."""
    salt: str = ""
    """Hex; empty once erased."""


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """Result of a walk along the hash chain."""

    is_whole: bool
    event_count: int
    broken_sequence: int
    """First event that does not fit; 0 when whole."""
    head_hash: str
    message: str
