"""The one table of who may call what. `docs/access.md` is made from it, and a test fails when an RPC of the contracts is not in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a caller is. Of the first four each may do all the ones before it may; `service` is for our own services and may do nothing else."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    SERVICE = "service"

    def reaches(self, least: Role) -> bool:
        """Whether this role is at least `least`. A service's is no person's, whichever way round."""
        if Role.SERVICE in (self, least):
            return self is least
        return _ORDER.index(self) >= _ORDER.index(least)


_ORDER: Final = (Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN)
SERVICES: Final = ("extractor", "transformer", "loader", "ledger")


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may call one RPC.

    Attributes:
        role: the least role of a person or program outside; None: nobody outside.
        services: which of our services may.
    """

    role: Role | None = None
    services: frozenset[str] = frozenset()

    def allows(self, role: Role, services: frozenset[str]) -> bool:
        """Whether a caller of this role, being these services, may call."""
        if role is Role.SERVICE:
            return bool(self.services & services)
        return self.role is not None and role.reaches(self.role)

    @property
    def needed(self) -> str:
        """What a caller would have to be, in words."""
        words = [str(self.role)] if self.role is not None else []
        return " or ".join(words + [f"service {name}" for name in SERVICES if name in self.services])


def _by(*services: str, role: Role | None = None) -> Rule:
    return Rule(role, frozenset(services))


_VIEWER: Final = Rule(Role.VIEWER)
_OPERATOR: Final = Rule(Role.OPERATOR)
_APPROVER: Final = Rule(Role.APPROVER)
_ADMIN: Final = Rule(Role.ADMIN)
_BY_LEDGER: Final = _by("ledger")

_MIGRATIONS: Final = {
    "CreateMigration": _OPERATOR,
    "GetMigration": _VIEWER,
    "ListMigrations": _VIEWER,
    "WatchMigration": _VIEWER,
    "StartAudit": _OPERATOR,
    "GetAudit": _VIEWER,
    "PlanLoad": _VIEWER,
    "GetTargetQuota": _VIEWER,
    "GetMapping": _VIEWER,
    "EditMapping": _OPERATOR,
    "GetMappingWorkbook": _VIEWER,
    "CheckMappingWorkbook": _VIEWER,
    "ConfirmMapping": _OPERATOR,
    "ApplySchema": _OPERATOR,
    "RunSample": _OPERATOR,
    "GetDiff": _VIEWER,
    "ApproveMigration": _APPROVER,
    "StartLoad": _OPERATOR,
    "PauseMigration": _OPERATOR,
    "ResumeMigration": _OPERATOR,
    "RunDelta": _OPERATOR,
    "Reconcile": _OPERATOR,
    "ListMismatches": _VIEWER,
    "GetReconciliation": _VIEWER,
    "RepairMismatches": _OPERATOR,
    "AcceptMismatches": _APPROVER,
    "PlanRollback": _VIEWER,
    "RollbackMigration": _OPERATOR,
    "ListKept": _VIEWER,
    "CompleteMigration": _APPROVER,
    "ListReviewItems": _VIEWER,
    "ResolveReviewItems": _OPERATOR,
    "GetRecord": _VIEWER,
    "ListRecords": _VIEWER,
    "GetSummary": _VIEWER,
    "ExportAudit": _VIEWER,
    "VerifyAudit": _VIEWER,
    "GetAuditHead": _VIEWER,
    "ProveRecord": _VIEWER,
    "ErasePayloads": _ADMIN,
    # All reference data of a company at once.
    "ExportReferenceFiles": _OPERATOR,
}
_WORK: Final = {
    "GetWorkContext": _by("extractor", "transformer", "loader"),
    "GetManifest": _by("transformer", "loader"),
    "ListCheckpoints": _by("extractor"),
    "RecordPage": _by("extractor"),
    "ReportExtraction": _by("extractor"),
    "DebitSourceCalls": _by("extractor"),
    "ListPages": _by("extractor", "transformer"),
    "RecordTransform": _by("transformer"),
    "ListReleased": _by("transformer"),
    "BeginBatch": _by("loader"),
    "SettleBatch": _by("loader"),
    "LookupTargets": _by("loader"),
    "ListLinks": _by("loader"),
    "HoldBudget": _by("loader"),
    "ReportTarget": _by("loader"),
}
_EXTRACTION: Final = {
    # `transload source check` asks the extractor itself, before there is a migration.
    "CheckSource": _by("ledger", role=Role.OPERATOR),
    "DescribeSource": _by("ledger", role=Role.VIEWER),
    "StartExtraction": _BY_LEDGER,
    "GetExtraction": _BY_LEDGER,
    "CancelExtraction": _BY_LEDGER,
}
_MAPPING: Final = dict.fromkeys(
    (
        "ProposeMapping",
        "ValidateMapping",
        "CompileSchema",
        "ProfileSource",
        "PlanTokens",
        "SelectSample",
        "PreviewRecords",
        "DescribeMapping",
        "ReviseMapping",
        "ExportReference",
    ),
    _BY_LEDGER,
)
_LOADING: Final = dict.fromkeys(("InspectTarget", "ReadBack", "DigestFiles"), _BY_LEDGER)
_QUOTA: Final = {
    "AcquireLease": _by("loader"),
    "ReleaseLease": _by("loader"),
    "GetQuota": _by("ledger", "loader", role=Role.VIEWER),
}
_REFLECTION: Final = {"ServerReflectionInfo": _VIEWER}

OPEN: Final = frozenset({"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/List"})
"""What everybody may call: probes carry no credentials, and it says nothing but whether work is welcome."""

RULES: Final[dict[str, Rule]] = {
    f"/{service}/{name}": rule
    for service, rules in (
        ("transload.v1.MigrationService", _MIGRATIONS),
        ("transload.v1.LedgerService", _WORK),
        ("transload.v1.ExtractorService", _EXTRACTION),
        ("transload.v1.TransformerService", _MAPPING),
        ("transload.v1.LoaderService", _LOADING),
        ("transload.v1.QuotaService", _QUOTA),
        ("grpc.reflection.v1alpha.ServerReflection", _REFLECTION),
    )
    for name, rule in rules.items()
}
"""By the RPC's full path. What is not in it nobody may call."""


def page_rows() -> list[str]:
    """Answers the table as `docs/access.md` shows it, one line each."""
    rows = ["| RPC | Role of people and programs outside | Our services |", "|---|---|---|"]
    for path, rule in RULES.items():
        services = ", ".join(name for name in SERVICES if name in rule.services)
        rows.append(f"| `{path.removeprefix('/').removeprefix('transload.v1.')}` | {rule.role or 'nobody'} | {services or 'none'} |")
    return rows
