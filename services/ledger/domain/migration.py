"""A migration and the options it was made with."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import MigrationState, PauseKind

__all__ = ["Migration", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a migration, as in the contract's `MigrationOptions`."""

    includes_archived: bool = False
    includes_deleted: bool = False
    file_bytes_max: int = 0
    """Bytes; 0: 25 MB."""
    source_account: str = ""
    connector_json: str = ""
    mapping_overrides_yaml: str = ""
    conflict_policy: str = ""
    """`source`, `target`, or empty and `ask`: a person decides."""
    large_file_bytes_max: int = 0
    """Bytes up to which files above the limit are fetched, to be split; 0: they are not."""
    requires_rehearsal: bool = False
    """The full load is locked until the approved sample was taken back and the account compared clean."""
    requires_four_eyes: bool = False
    """Who confirmed the mapping may not approve the diff."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration."""

    migration_id: str
    display_name: str
    connector: str
    source_connection: str
    target_connection: str
    create_time: datetime
    state: MigrationState = MigrationState.CREATED
    pause_kind: PauseKind = PauseKind.NONE
    pause_reason: str = ""
    """`ErrorReason` name without prefix."""
    pause_message: str = ""
    resume_time: datetime | None = None
    options: Options = Options()
    mapping_version: int = 0
    mapping_digest: str = ""
    confirmed_digest: str = ""
    """Digest of the mapping that was confirmed; empty: none is."""
    manifest_digest: str = ""
    diff_digest: str = ""
    """Digest of the last sample's diff."""
    approved_digest: str = ""
    """Digest of the diff that was approved; empty: none is."""
    approver: str = ""
    approve_time: datetime | None = None
    rehearsed_digest: str = ""
    """Digest of the approved diff whose sample was taken back with a clean comparison; empty: none was."""

    @property
    def source_account(self) -> str:
        """Label of the source account in external ids."""
        return self.options.source_account or self.source_connection
