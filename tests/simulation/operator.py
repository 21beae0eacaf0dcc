"""The person who takes a migration through all its steps, by the client other programs use; calm about outages, with patience that ends."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc

from transload.client import Client
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.simulation.trace import Trace

MIGRATION: Final = "m"
ACTOR: Final = "operator@example.com"
STEP_SECONDS_MAX: Final = 30 * 3600.0
"""Virtual time one step may take, used-up budgets included."""
RESUME_SECONDS: Final = 30.0
"""How long a person takes to see to an error."""
RESUMES_MAX: Final = 50
REHEARSALS_MAX: Final = 5
ROLLBACKS_MAX: Final = 3
"""How often a sample is taken back until it leaves nothing behind: people do not edit it for ever."""
QUOTA_SECONDS: Final = 240.0
"""How long a person looks on while the source's day is used up."""
LOST: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


class StepFailedError(Exception):
    """A step did not come to its good end; `reason` is the run's, empty when none ended."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class Operator:
    """Knows the ledger only."""

    client: Client
    trace: Trace
    on_step: Callable[[str], None]
    on_rollback_again: Callable[[], None] = lambda: None
    """Is told that a rollback left something and is begun again."""
    seconds: dict[str, float] = field(default_factory=dict)
    resumes: int = 0
    now_at: str = "create"
    patience_seconds: float = STEP_SECONDS_MAX
    """Virtual time one step may take."""
    sample_size: int = 5
    """Source records of the sample; 0: as many as the product chooses."""
    given_up: set[tuple[str, str]] = field(default_factory=set)
    """Target entity and id of what a rehearsal had kept for people's sake and was taken all the same."""
    conflicts: tuple[str, ...] = ()
    """Policy of every delta on what changed on both sides; empty: that of the migration."""
    deletions: tuple[str, ...] = ()
    """Policy of every delta on what the source has no more."""
    _quota_since: float = 0.0

    async def create(self, options: pb.MigrationOptions) -> None:
        """Create the migration."""
        await self._insist(
            lambda: self.client.create_migration(
                connector="stel_order", source_connection="source", target_connection="target", migration_id=MIGRATION, options=options
            ),
            forgiven="ALREADY_EXISTS",
        )

    async def prepare(self) -> None:
        """Go from the audit to the approval."""
        await self.step("audit", self.client.start_audit)
        await self.prepare_audited()

    async def prepare_audited(self) -> None:
        """Go from the end of the audit to the approval."""
        await self._insist(self._confirm)
        await self.step("schema", self.client.apply_schema)
        await self._sample()

    async def _sample(self) -> None:
        """Load the sample and approve its diff."""
        await self.step("sample", lambda migration_id: self.client.run_sample(migration_id, self.sample_size))
        await self._insist(self._approve)

    async def load(self) -> None:
        """Take the full load to its end."""
        await self.step("load", self.client.start_load)

    async def begin_load(self) -> None:
        """Start the full load and leave it to itself."""
        self.on_step("load")
        await self._insist(lambda: self.client.start_load(MIGRATION), forgiven="RUN_ACTIVE")

    async def rehearse(self) -> None:
        """Take the sample back, which unlocks the load: when it left something behind, take that too, and rehearse once more with a new sample."""
        for _ in range(REHEARSALS_MAX):
            await self._take_sample_back(pb.TakeBackScope(is_sample=True))
            migration = await self._insist(lambda: self.client.get_migration(MIGRATION))
            if migration.is_rehearsed:
                return
            self.trace.note(f"sees that the sample left something behind: {migration.kept_count} records kept")
            if migration.kept_count:
                self.given_up |= await self._insist(self._kept)
                await self._take_sample_back(pb.TakeBackScope(is_sample=True, deletes_edited=True))
            await self._sample()
        raise StepFailedError(f"{REHEARSALS_MAX} rehearsals left something behind")

    async def _take_sample_back(self, scope: pb.TakeBackScope) -> None:
        await self._undo("rehearsal", scope)

    async def _kept(self) -> set[tuple[str, str]]:
        return {(kept.target_entity, kept.target_id) async for kept in self.client.iterate_kept(MIGRATION)}

    async def take_back(self, entity: str) -> None:
        """Take one target entity back, with what hangs on it."""
        self.trace.note(f"takes every {entity} back")
        await self._undo("part", pb.TakeBackScope(target_entity=entity))

    async def delta(self, *, includes_rolled_back: bool = False) -> None:
        """Pick up what changed, and what was taken back in parts."""
        policies = {"conflicts": self.conflicts, "deletions": self.deletions}
        await self.step("delta", lambda migration_id: self.client.run_delta(migration_id, includes_rolled_back=includes_rolled_back, **policies))

    async def decide(self, answer: Callable[[pb.ReviewItem], tuple[str, str]]) -> bool:
        """Resolve what is asked about records that may be there already; says whether anything was."""
        items: list[pb.ReviewItem] = await self._insist(self._matches_asked)
        for item in items:
            resolution, candidate = answer(item)
            self.trace.note(f"says {resolution} {candidate} to {item.key}: {item.message}")
            try:
                await self._insist(partial(self._resolve, item.review_item_id, resolution, candidate))
            except TransloadCallError as error:
                if error.reason != "INVALID_REQUEST" or not candidate:
                    raise
                self.trace.note(f"says create, since the candidate is not there any more: {error}")
                await self._insist(partial(self._resolve, item.review_item_id, "create", ""))
        return bool(items)

    async def _matches_asked(self) -> list[pb.ReviewItem]:
        return [item async for item in self.client.iterate_review_items(MIGRATION, reason="MATCH_UNCERTAIN")]

    async def _resolve(self, review_item_id: str, resolution: str, candidate: str) -> int:
        return await self.client.resolve_review_items(MIGRATION, resolution=resolution, review_item_ids=[review_item_id], candidate=candidate)

    async def reconcile(self) -> list[pb.Mismatch]:
        """Read everything back; answers what differs."""
        await self.step("reconcile", self.client.reconcile)
        found: list[pb.Mismatch] = await self._insist(self._mismatches)
        return found

    async def repair(self, keys: Sequence[str]) -> list[pb.Mismatch]:
        """Have mismatches of the last reconciliation repaired; answers what is left of all."""

        async def start(migration_id: str) -> pb.Run:
            return (await self.client.repair(migration_id, keys)).run

        await self.step("repair", start)
        left: list[pb.Mismatch] = await self._insist(self._mismatches)
        return left

    async def _mismatches(self) -> list[pb.Mismatch]:
        return [mismatch async for page in self.client.iterate_mismatches(MIGRATION) for mismatch in page.mismatches]

    async def rollback(self) -> None:
        """Take everything back."""
        await self._undo("rollback", None)

    async def _undo(self, name: str, scope: pb.TakeBackScope | None) -> None:
        """Roll back; again, when the product says so: what Pipedrive answered with errors at every try is left, named, and part of the next one."""
        for left in reversed(range(ROLLBACKS_MAX)):
            try:
                await self.step(name, lambda migration_id: self.client.rollback(migration_id, scope))
            except StepFailedError as error:
                if left == 0 or error.reason != "TARGET_REJECTED":
                    raise
                self.trace.note(f"rolls back again: {error}")
                self.on_rollback_again()
            else:
                return

    async def step(self, name: str, start: Callable[[str], Awaitable[pb.Run]]) -> None:
        """Take one long step to its good end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.now_at = name
        self.on_step(name)
        self.trace.note(f"==== {name}")
        run = await self._insist(lambda: start(MIGRATION), forgiven="RUN_ACTIVE", is_repeat=True)
        if run is None:  # it did begin; only the answer was lost
            run = (await self._insist(lambda: self.client.get_migration(MIGRATION))).latest_run
        async with asyncio.timeout(self.patience_seconds):
            while True:
                migration = await self._insist(lambda: self.client.get_migration(MIGRATION))
                latest = migration.latest_run
                self.now_at = f"{name}: {latest.activity or latest.phase} {migration.pause_message}"
                if latest.run_id == run.run_id and latest.state != pb.RUN_STATE_RUNNING:
                    break
                if migration.pause_kind in {pb.PAUSE_KIND_ERROR, pb.PAUSE_KIND_USER} or self._has_waited_enough(migration):
                    await self._see_to(migration)
                self.watch(migration)
                await asyncio.sleep(2.0)
        if latest.state != pb.RUN_STATE_SUCCEEDED:
            raise StepFailedError(f"{name}: {pb.RunState.Name(latest.state)} {latest.reason} {latest.message}", reason=latest.reason)
        self.seconds[name] = round(loop.time() - began, 1)

    def watch(self, migration: pb.Migration) -> None:
        """Is told how the migration stands while a step runs; for others to build on."""

    def _has_waited_enough(self, migration: pb.Migration) -> bool:
        """Say whether the source's day is long used up: a person has bought calls by then and lets it look again."""
        if migration.pause_kind != pb.PAUSE_KIND_SOURCE_QUOTA:
            self._quota_since = 0.0
            return False
        now = asyncio.get_running_loop().time()
        self._quota_since = self._quota_since or now
        return now - self._quota_since > QUOTA_SECONDS

    async def _see_to(self, migration: pb.Migration) -> None:
        self.resumes += 1
        if self.resumes > RESUMES_MAX:
            raise StepFailedError(f"held again and again: {migration.pause_message}")
        self.trace.note(f"sees that it is held: {migration.pause_message}")
        await asyncio.sleep(RESUME_SECONDS)
        await self._insist(lambda: self.client.resume(MIGRATION), forgiven="WRONG_STATE")

    async def _confirm(self) -> None:
        mapping = await self.client.get_mapping(MIGRATION)
        await self.client.confirm_mapping(MIGRATION, mapping.digest)

    async def _approve(self) -> None:
        first = await anext(aiter(self.client.iterate_diff(MIGRATION)))
        await self.client.approve(MIGRATION, first.diff_digest)

    async def insist(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Call until the ledger answers."""
        return await self._insist(call)

    async def _insist(self, call: Callable[[], Awaitable[Any]], *, forgiven: str = "", is_repeat: bool = False) -> Any:
        """Call until the ledger answers; None for a refusal that is forgiven, `is_repeat`: only after an answer was lost."""
        is_lost = False
        while True:
            try:
                return await call()
            except TransloadCallError as error:
                if error.reason == forgiven and (is_lost or not is_repeat):
                    return None
                if error.code not in LOST:
                    raise
                is_lost = True
                self.trace.note(f"gets no answer: {error}")
            await asyncio.sleep(1.0)


def default_options(
    conflict_policy: str = "", *, skipped: Sequence[str] = (), is_rehearsed: bool = False, overrides: str = ""
) -> pb.MigrationOptions:
    """Answer the options of a migration whose source has no call limits; entities in `skipped` are not read, `overrides` go over the mapping."""
    connector = json.dumps({"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0, "skip_entities": list(skipped)})
    return pb.MigrationOptions(
        connector_json=connector, conflict_policy=conflict_policy, requires_rehearsal=is_rehearsed, mapping_overrides_yaml=overrides
    )
