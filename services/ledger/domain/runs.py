"""Runs of the long steps, what they spend, and who may grant from a budget."""

from dataclasses import dataclass
from datetime import datetime

from services.ledger.kinds import RunKind, RunState

__all__ = ["EVERYTHING", "BudgetTerm", "PhaseProgress", "Run", "RunCost", "Scope"]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a long step."""

    run_id: str
    migration_id: str
    kind: RunKind
    start_time: datetime
    state: RunState = RunState.RUNNING
    phase: int = 0
    """The open phase. Work of later phases (in a rollback: earlier ones) is not taken yet."""
    activity: str = ""
    end_time: datetime | None = None
    reason: str = ""
    message: str = ""
    token_count: int = 0
    """Tokens spent; changed by `Transaction.add_run_tokens` only, `save_run` leaves it alone."""
    planned_token_count: int = 0
    extraction_id: str = ""
    manifest_digest: str = ""
    snapshot_sequence: int = 0
    selection_digest: str = ""
    after_sequence: int = 0
    """Pages above this sequence are the run's own (delta)."""
    context_json: str = "{}"
    """What the run must remember between its steps (sample size, step reached)."""


@dataclass(frozen=True, slots=True)
class RunCost:
    """What a run spent on one target entity."""

    run_id: str
    target_entity: str
    """`account` for looks at the account, `diff` for reading the sample back."""
    token_count: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """How many records of one target entity a run brought to one result."""

    run_id: str
    target_entity: str
    result: str
    count: int


@dataclass(frozen=True, slots=True)
class BudgetTerm:
    """Who may grant from a target connection's budget, and until when."""

    connection: str
    term_number: int
    holder: str
    """`{replica}/{incarnation}` of the arbiter."""
    expire_time: datetime
    kept: bytes = b""
    """`KeptBudget` as the holder noted it last; empty: nothing yet."""

    @property
    def replica(self) -> str:
        """The holder without its incarnation."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True)
class PhaseProgress:
    """How far a run's phase has come. It is done when `open_page_count` and `open_batch_count` are 0."""

    page_count: int
    open_page_count: int
    """Pages not transformed, or with open batches."""
    untransformed_page_count: int
    batch_count: int
    open_batch_count: int
    record_count: int
    """Records in all batches of the phase."""
    done_record_count: int
    """Records in its final batches."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a rollback takes back, as in the contract's `TakeBackScope`; nothing set: everything."""

    target_entity: str = ""
    key: str = ""
    is_sample: bool = False
    deletes_edited: bool = False

    @property
    def is_whole(self) -> bool:
        """True when everything is meant, schema and users too."""
        return not (self.target_entity or self.key or self.is_sample)

    @property
    def is_partial(self) -> bool:
        """True when a part of the loaded records is meant: what is taken back stays out until asked."""
        return bool(self.target_entity or self.key)


EVERYTHING = Scope()
"""The scope of a rollback of everything."""
