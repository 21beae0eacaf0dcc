"""The ledger's closed sets: kinds and states. Their words stand in the database, so a word once used is never changed."""

from enum import StrEnum


class MigrationState(StrEnum):
    """Where a migration stands."""

    CREATED = "created"
    AUDITED = "audited"
    CONFIRMED = "confirmed"
    PREPARED = "prepared"
    SAMPLED = "sampled"
    APPROVED = "approved"
    LOADED = "loaded"
    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"


class PauseKind(StrEnum):
    """Why no work is taken; empty: it is."""

    NONE = ""
    USER = "user"
    TARGET_QUOTA = "target_quota"
    SOURCE_QUOTA = "source_quota"
    ERROR = "error"
    OUTAGE = "outage"


class RunKind(StrEnum):
    """Kind of a run."""

    AUDIT = "audit"
    SCHEMA = "schema"
    SAMPLE = "sample"
    LOAD = "load"
    DELTA = "delta"
    RECONCILE = "reconcile"
    ROLLBACK = "rollback"
    REPAIR = "repair"


class RunState(StrEnum):
    """State of a run."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class ExtractionState(StrEnum):
    """State of an extraction or of one entity in it."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"
    NO_ACCESS = "no_access"
    FAILED = "failed"


class WorkState(StrEnum):
    """State of one page in one phase of a run."""

    ANNOUNCED = "announced"
    """In the outbox or on the stream; what it gives is not known yet."""
    TRANSFORMED = "transformed"
    """Its batches and issues are recorded; batches are open."""
    FINAL = "final"
    """Transformed, and all its batches are final."""


class BatchState(StrEnum):
    """State of a batch."""

    EXPECTED = "expected"
    BEGUN = "begun"
    FINAL = "final"


class RecordState(StrEnum):
    """State of a mapped record."""

    EXPECTED = "expected"
    CLAIMED = "claimed"
    IN_DOUBT = "in_doubt"
    LOADED = "loaded"
    MATCHED = "matched"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    WAITING = "waiting"
    UNDONE = "undone"


class SourceState(StrEnum):
    """State of a source record (X-04), in falling precedence."""

    WAITING = "waiting"
    REJECTED = "rejected"
    PENDING = "pending"
    LOADED = "loaded"
    MATCHED = "matched"
    SKIPPED = "skipped"


class ClaimAction(StrEnum):
    """What the holder of a claim was told to do; empty: no claim."""

    NONE = ""
    CREATE = "create"
    UPDATE = "update"
    RESOLVE = "resolve"
    """An earlier intent has no outcome: find out, then create if it is proven absent."""
    DELETE = "delete"
    RESTORE = "restore"
    MATCH = "match"
    """Link it to a record that was there before us."""


class Resolution(StrEnum):
    """What a person or a policy decided; empty: nothing."""

    NONE = ""
    RETRY = "retry"
    SKIP = "skip"
    WITHOUT_REFERENCE = "without_reference"
    KEEP_TARGET = "keep_target"
    USE_SOURCE = "use_source"
    DELETE = "delete"
    ACCEPT = "accept"
    MATCH = "match"
    """It is the candidate that was named."""
    CREATE = "create"
    """It is none of the candidates."""


class MissingPolicy(StrEnum):
    """How a reference is treated when its target is not in Pipedrive."""

    REVIEW = "review"
    DROP = "drop"
    FALLBACK = "fallback"


class OutcomeResult(StrEnum):
    """What became of a record."""

    CREATED = "created"
    UPDATED = "updated"
    MATCHED = "matched"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    WAITING = "waiting"
    UNKNOWN = "unknown"
    NOT_TRIED = "not_tried"
    DELETED = "deleted"
    RESTORED = "restored"
    KEPT = "kept"
    GONE = "gone"
    """A person deleted it, and by decision it comes again: the next claim creates it."""
    NOTED = "noted"
    """Matched, and what will be written into it is noted: the next claim writes it."""


class IssueKind(StrEnum):
    """What an issue found in mapping does to the record."""

    REJECTED = "rejected"
    SKIPPED = "skipped"
    WAITING = "waiting"
    FLAGGED = "flagged"


class KeptReason(StrEnum):
    """Why a rollback left something, or lists it."""

    EDITED = "edited"
    """Of ours, and changed by somebody since it was loaded."""
    NEEDED = "needed"
    """Of ours, and something that stays refers to it."""
    UNRESTORED = "unrestored"
    """There before us; fields stay as they are."""
    THEIRS = "theirs"
    """A person's own record that refers to records of ours."""
    OUTSIDE = "outside"
    """Of ours and not to be taken back, but refers to what is."""


class ReportKind(StrEnum):
    """Documents kept per migration; all of them can be erased."""

    TARGET = "target"
    """Target account as `InspectTarget` answered it."""
    AUDIT = "audit"
    DIFF = "diff"
    """Head of the diff; its rows are report rows of the same kind."""
    RECONCILIATION = "reconciliation"
    """Head of the reconciliation; its rows are the mismatches."""
    REPAIR = "repair"
    """What a repair does, one row for each record."""
    REPAIRED = "repaired"
    """What a repair left different, until it ends."""
    REPLACED = "replaced"
    """Ids of what was deleted in Pipedrive and is made anew, until all that hung on it is linked anew."""
    LOAD_PLAN = "load_plan"
    """What the migration will spend, as `PlanTokens` answered it for the mapping whose digest it names."""
    PLAN = "plan"
    """Whatever else a run must remember between its steps."""
