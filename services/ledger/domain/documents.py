"""Documents about a migration: mappings, manifests, reports."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import ReportKind

__all__ = ["Manifest", "Mapping", "Report"]


@dataclass(frozen=True, slots=True)
class Mapping:
    """One version of a migration's mapping."""

    migration_id: str
    version: int
    digest: str
    mapping_yaml: str
    findings_json: str
    """JSON list of `{"severity", "path", "message", "requirement"}`."""
    actor: str
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Manifest:
    """A confirmed mapping bound to one target account."""

    digest: str
    migration_id: str
    content: bytes
    """Canonical JSON."""
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """A document about a migration; can be erased."""

    migration_id: str
    kind: ReportKind
    content: bytes
    """JSON."""
    create_time: datetime
    run_id: str = ""
