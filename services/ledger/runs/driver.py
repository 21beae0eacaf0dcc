"""What all drivers share: their dependencies, how a step is saved, and how a run ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from services.common.clock import SteadyClock
from services.common.errors import TransloadError
from services.ledger.audit import sign_head
from services.ledger.claims import CLAIM_TTL
from services.ledger.domain import EventDraft, Migration, PauseKind, Run, RunState
from services.ledger.refusals import RefusalTrail
from services.ledger.runs.context import RunContext
from services.ledger.states import state_after_run
from transload.v1.transformer_service_pb2 import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from services.common.clock import Clock
    from services.ledger.repository import Ledger, Reader, Transaction
    from services.ledger.runs.ports import Extractor, Loader, Selections, Transformer
    from transload.audit.heads import Signer

AT_ONCE = 0.0
"""Look again at once: the step did something."""
ON_CHANGE_SECONDS = 1.0
"""Nothing to do until the ledger changes; look again after this long at the latest."""


class RunGoneError(Exception):
    """The run ended while its driver was at work (a rollback began); the driver stops without a trace."""


class RunFailedError(Exception):
    """The run cannot succeed any more; the step must be started again after a person saw to the cause."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


def after(known: Iterable[datetime], now: datetime) -> datetime:
    """Answer now, or the next moment after the latest known one: what begins later stays later when somebody sets the clock back."""
    return max([now, *(moment + timedelta(microseconds=1) for moment in known)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a driver works with.

    Attributes:
        signer: signs how far a migration's trail reaches.
        actor: the ledger's own name in events.
        poll_seconds: pause between two questions whether an extraction is alive.
        steady: measures how long claims last; a jump of the wall clock must not end them.
        claim_ttl: how long a claim lasts.
        refusals: writes refused calls on the trail.
    """

    ledger: Ledger
    clock: Clock
    extractor: Extractor
    transformer: Transformer
    loader: Loader
    selections: Selections
    signer: Signer
    actor: str = "ledger"
    poll_seconds: float = 2.0
    claim_ttl: timedelta = CLAIM_TTL
    steady: SteadyClock = field(init=False)
    refusals: RefusalTrail = field(init=False)

    def __post_init__(self) -> None:
        """Start the steady clock."""
        object.__setattr__(self, "steady", SteadyClock(self.clock))
        object.__setattr__(self, "refusals", RefusalTrail(self.ledger, self.clock))


class Driver(Protocol):
    """Drives runs of one kind. Keeps no state that matters between calls."""

    async def advance(self, migration: Migration, run: Run) -> float:
        """Do the next thing and answer after how many seconds to look again; a change of the migration comes first.

        Raises:
            RunGoneError: The run is over.
            RunFailedError: The run must end as failed.
            TransloadError: A port failed; the coordinator decides between trying again and pausing.
        """
        ...

    async def announce_again(self, migration: Migration, run: Run, *, untransformed_only: bool = False) -> int:
        """Announce work again that is on its way to the workers and may be lost; answers how much.

        A transformer that meets a paused migration drops the page; a loader keeps the batch. So after a pause `untransformed_only` suffices.
        """
        ...


async def fresh(reader: Reader, run: Run) -> Run:
    """Answer the run as it stands now, for a decision in this transaction.

    Raises:
        RunGoneError: It is not running any more.
    """
    now = await reader.get_run(run.run_id)
    if now is None or now.state is not RunState.RUNNING:
        raise RunGoneError
    return now


async def current_migration(reader: Reader, migration_id: str) -> Migration:
    """Answer the migration as it stands now; it exists, because a run of it does."""
    migration = await reader.get_migration(migration_id)
    if migration is None:
        raise RunGoneError
    return migration


async def save_step(transaction: Transaction, run: Run, context: RunContext, *, activity: str = "", **changes: Any) -> Run:
    """Write where a run stands."""
    saved = replace(run, context_json=context.to_json(), activity=activity or run.activity, **changes)
    await transaction.save_run(saved)
    return saved


async def say(tools: Tools, run: Run, activity: str) -> None:
    """Show what a run is doing, if that changed."""
    if run.activity == activity:
        return
    async with tools.ledger.transaction() as transaction:
        await transaction.save_run(replace(await fresh(transaction, run), activity=activity))


async def end_run(
    transaction: Transaction, run: Run, end: RunState, *, tools: Tools, reason: str = "", message: str = "", **payload: Any
) -> Migration:
    """End a run that is still running: its row, the migration's state, and the event, in this transaction."""
    run = await fresh(transaction, run)
    migration = await current_migration(transaction, run.migration_id)
    await transaction.save_run(replace(run, state=end, end_time=tools.clock.now(), reason=reason, message=message, activity="", phase=0))
    is_whole = RunContext.of(run).scope.is_whole
    migration = replace(migration, state=state_after_run(run.kind, end, migration.state, is_whole=is_whole), **unpaused())
    await transaction.save_migration(migration)
    facts = {"run_id": run.run_id, "run_kind": run.kind.value, "state": migration.state.value, "reason": reason, **payload}
    await transaction.append_event(
        migration.migration_id,
        EventDraft(kind=f"run.{end.value}", actor=tools.actor, result=run.kind.value, payload={**facts, "message": message} if message else facts),
    )
    await sign_head(transaction, tools.signer, migration.migration_id, tools.clock.now())
    return migration


def unpaused() -> dict[str, Any]:
    """Answer the fields of a migration that takes work."""
    return {"pause_kind": PauseKind.NONE, "pause_reason": "", "pause_message": "", "resume_time": None}


def snapshot_of(migration: Migration, sequence: int) -> Snapshot:
    """Answer the snapshot of a migration up to a page sequence."""
    return Snapshot(migration_id=migration.migration_id, connector=migration.connector, sequence=sequence)


async def mapping_yaml_of(tools: Tools, migration: Migration) -> str:
    """Answer the latest mapping of a migration."""
    async with tools.ledger.read() as reader:
        mapping = await reader.get_mapping(migration.migration_id)
    if mapping is None:
        raise TransloadError(f"migration {migration.migration_id} has no mapping")
    return mapping.mapping_yaml
