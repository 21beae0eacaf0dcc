"""Drives runs: one task per running run, everything it knows read from the database before each step.

What a step raises decides how the run goes on, never whether its work is kept: an outage is tried again with growing pauses, a used-up budget
waits, an error a person must see to pauses the migration until `ResumeMigration`. Only a driver that says so ends a run as failed.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from services.common import telemetry
from services.common.backoff import Backoff
from services.common.errors import ClaimHeldError, PausedError, RateLimitedError, TransientError, TransloadError
from services.ledger.claims import is_paused
from services.ledger.domain import EventDraft, Migration, PauseKind, Run, RunKind, RunState
from services.ledger.runs.driver import ON_CHANGE_SECONDS, RunFailedError, RunGoneError, current_migration, end_run, fresh, unpaused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from services.ledger.repository import Reader
    from services.ledger.runs.driver import Driver, Tools

_LOG = telemetry.get_logger(__name__)

HOLDING_PAUSES: Final = frozenset({PauseKind.USER, PauseKind.ERROR})
"""Pauses that only a person ends."""
_RETRYABLE: Final = (TransientError, ClaimHeldError, PausedError)
# A step is followed by a rest of this many times its own length, so that watching work never takes more than a part of a core.
REST_FACTOR: Final = 6.0
REST_SECONDS_MIN: Final = 0.02
# A new run waits at most this long for its task.
LOOK_SECONDS_MIN: Final = 0.1
REST_SECONDS_MAX: Final = 2.0
WAIT_SECONDS_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When to look again.

    Attributes:
        tick_seconds: longest time between two looks without a change.
        reannounce_seconds: work is announced again when nothing happened for that long.
        restart_seconds: the same, right after this process started: what was on its way may be lost.
    """

    tick_seconds: float = ON_CHANGE_SECONDS
    reannounce_seconds: float = 60.0
    restart_seconds: float = 5.0


@dataclass(slots=True)
class _Watch:
    """What this process remembers of a run; losing it costs one early announcement."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    has_advanced: bool = False
    signature: tuple[int, int] = (-1, -1)
    still_since: float = 0.0
    patience_seconds: float = 0.0
    was_paused: bool = False
    has_shown_work: bool = False
    """Work was announced again since the run moved last."""
    is_cut_off: bool = False
    """An outage of NATS was shown for this run; the first good step without one takes it back."""
    is_rate_limited: bool = False
    """The last step of this run met a used-up budget; the next good one shows that the wait is over, whatever time was named."""


class Coordinator:
    """Starts a task for every running run and keeps it going."""

    def __init__(
        self,
        *,
        tools: Tools,
        drivers: Mapping[RunKind, Driver],
        incarnation: Callable[[], Awaitable[str]],
        timing: Timing | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._tools = tools
        self._drivers = drivers
        self._incarnation = incarnation
        self._timing = timing or Timing()
        self._backoff = backoff or Backoff(0.5, 15.0)
        self._wake = asyncio.Event()
        self._watches: dict[str, _Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._streams = ""
        self._streams_problem = ""
        self._looked_time = float("-inf")

    async def run(self) -> None:
        """Drive runs until cancelled."""
        unsubscribe = self._tools.ledger.subscribe(self._on_change)
        try:
            while True:
                self._wake.clear()
                if self._tools.clock.monotonic() - self._looked_time >= self._timing.tick_seconds:
                    await self._look_at_streams()
                    self._looked_time = self._tools.clock.monotonic()
                await self._start_tasks()
                await self._wait(self._wake, self._timing.tick_seconds)
                await self._tools.clock.sleep(LOOK_SECONDS_MIN)
        finally:
            unsubscribe()
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def step(self, run_id: str) -> float | None:
        """Take one step of a run; answers after how many seconds to look again, None when the run is over."""
        watch = self._watches.setdefault(run_id, _Watch(patience_seconds=self._timing.restart_seconds, still_since=self._tools.clock.monotonic()))
        run, migration = await self._tools.ledger.look(lambda reader: _run_with_migration(reader, run_id))
        if run is None or migration is None or run.state is not RunState.RUNNING:
            return None
        if migration.pause_kind in HOLDING_PAUSES:
            if not watch.was_paused:
                watch.was_paused = True
                await self._stop_reading(run)
            return self._timing.tick_seconds
        try:
            delay = await self._drivers[run.kind].advance(migration, run)
            await self._after_success(migration, run, watch, is_waiting=delay > 0)
        except RunGoneError:
            return None
        except RunFailedError as error:
            await self._fail(run, error)
            return None
        except TransloadError as error:
            return await self._after_failure(run, watch, error)
        return delay

    def _on_change(self, migration_id: str) -> None:
        self._wake.set()
        for run_id, task in self._tasks.items():
            if task.get_name() == migration_id and run_id in self._watches:
                self._watches[run_id].changed.set()

    async def _start_tasks(self) -> None:
        try:
            runs = await self._tools.ledger.look(lambda reader: reader.list_runs_by_state(RunState.RUNNING))
        except TransientError as error:
            _LOG.warning("coordinator.blind", reason=error.reason, problem=error.message)
            return
        for run_id in [run_id for run_id, task in self._tasks.items() if task.done()]:
            del self._tasks[run_id]
            self._watches.pop(run_id, None)
        for run in runs:
            if run.run_id not in self._tasks:
                self._tasks[run.run_id] = asyncio.create_task(self._drive(run.run_id), name=run.migration_id)

    async def _drive(self, run_id: str) -> None:
        clock = self._tools.clock
        while True:
            watch = self._watches.get(run_id)
            if watch is not None:
                watch.changed.clear()
            began = clock.monotonic()
            try:
                delay = await self.step(run_id)
            except Exception as error:  # noqa: BLE001 - a bug in one run must not stop the others, nor lose the run
                _LOG.exception("run.stumbled", error, run_id=run_id)
                delay = await self._show_bug(run_id, error)
            if delay is None:
                return
            rest = min(REST_SECONDS_MAX, max(REST_SECONDS_MIN, (clock.monotonic() - began) * REST_FACTOR))
            if delay > 0:
                await self._wait(self._watches[run_id].changed, delay)
                await clock.sleep(rest)
            else:
                await clock.sleep(0)

    async def _wait(self, event: asyncio.Event, seconds: float) -> None:
        """Wait for a change, at most so long."""
        waiting = {asyncio.create_task(event.wait()), asyncio.create_task(self._tools.clock.sleep(seconds))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _stop_reading(self, run: Run) -> None:
        """Let a held run read no more of the source; its checkpoints stay, and the driver starts the extraction again after the pause."""
        if not run.extraction_id:
            return
        try:
            if await self._tools.extractor.get_extraction(run.extraction_id) is not None:
                await self._tools.extractor.cancel_extraction(run.extraction_id)
        except TransloadError as error:
            _LOG.warning("extraction.not_stopped", migration_id=run.migration_id, run_id=run.run_id, reason=error.reason)

    async def _after_success(self, migration: Migration, run: Run, watch: _Watch, *, is_waiting: bool) -> None:
        """End a pause that is over, show an outage of NATS, and announce work again that does not move."""
        is_own_outage = migration.pause_kind is PauseKind.OUTAGE and migration.resume_time is None
        is_own_outage = is_own_outage and (watch.failures > 0 or not watch.has_advanced or watch.is_cut_off)
        is_due = migration.resume_time is not None and migration.resume_time <= self._tools.clock.now()
        is_own_wait = watch.is_rate_limited and migration.pause_kind in {PauseKind.TARGET_QUOTA, PauseKind.SOURCE_QUOTA}
        watch.failures = 0
        watch.has_advanced = True
        watch.is_rate_limited = False
        is_cut_off = bool(self._streams_problem and run.phase)
        watch.is_cut_off = is_cut_off
        if is_cut_off:
            await self._pause(run, PauseKind.OUTAGE, "UNAVAILABLE", self._streams_problem)
        elif migration.pause_kind is not PauseKind.NONE and (is_own_outage or is_own_wait or is_due):
            await self._unpause(run)
        was_paused, watch.was_paused = watch.was_paused, is_paused(migration, self._tools.clock.now())
        if was_paused and not watch.was_paused and run.phase:
            await self._announce_again(migration, run, "the pause is over", untransformed_only=True)
        if is_waiting and run.phase and not self._streams_problem:
            await self._watch_progress(migration, run, watch)

    async def _watch_progress(self, migration: Migration, run: Run, watch: _Watch) -> None:
        sequence = await self._tools.ledger.look(lambda reader: reader.event_sequence(migration.migration_id))
        # Who is refused again and again must not keep lost work from being announced.
        signature = (run.phase, sequence - self._tools.refusals.written_count(migration.migration_id))
        moment = self._tools.clock.monotonic()
        if migration.pause_kind is PauseKind.NONE:
            watch.has_shown_work = False
        # While the target's budget is used up, once: a loader needs work in hand to look whether it is back, and this process may have come after
        # streams were lost. More often would fill them.
        is_watched = migration.pause_kind is PauseKind.NONE or (migration.pause_kind is PauseKind.TARGET_QUOTA and not watch.has_shown_work)
        if signature != watch.signature or not is_watched:
            if watch.signature != (-1, -1):
                watch.patience_seconds = self._timing.reannounce_seconds
            watch.signature, watch.still_since = signature, moment
            return
        if moment - watch.still_since < watch.patience_seconds:
            return
        async with self._tools.ledger.read() as reader:
            is_queued = bool(await reader.list_outbox(limit=1))
        watch.still_since, watch.patience_seconds = moment, self._timing.reannounce_seconds
        if not is_queued:
            watch.has_shown_work = True
            await self._announce_again(migration, run, "nothing moved")

    async def _announce_again(self, migration: Migration, run: Run, why: str, *, untransformed_only: bool = False) -> None:
        count = await self._drivers[run.kind].announce_again(migration, run, untransformed_only=untransformed_only)
        if count:
            _LOG.warning("work.announced_again", migration_id=run.migration_id, run_id=run.run_id, count=count, why=why)

    async def _look_at_streams(self) -> None:
        """Notice that a stream was created anew: what waited in the old one is announced again."""
        try:
            streams = await self._incarnation()
        except TransloadError as error:
            self._streams_problem = f"NATS does not answer; work goes on as soon as it does ({error.message})"
            return
        is_new = bool(self._streams) and streams != self._streams
        self._streams, self._streams_problem = streams, ""
        if not is_new:
            return
        try:
            async with self._tools.ledger.read() as reader:
                runs = await reader.list_runs_by_state(RunState.RUNNING)
                migrations = {run.migration_id: await reader.get_migration(run.migration_id) for run in runs}
            for run in runs:
                migration = migrations[run.migration_id]
                if migration is not None and run.phase:
                    await self._announce_again(migration, run, "the streams are new")
        except (TransloadError, RunGoneError) as error:
            self._streams = ""  # looked at as unknown, the drivers' own patience takes over
            _LOG.warning("streams.not_refilled", problem=str(error))

    async def _after_failure(self, run: Run, watch: _Watch, error: TransloadError) -> float:
        watch.failures += 1
        watch.is_rate_limited = isinstance(error, RateLimitedError)
        _LOG.warning("run.held_up", migration_id=run.migration_id, run_id=run.run_id, reason=error.reason, problem=error.message)
        try:
            if isinstance(error, RateLimitedError):
                kind = PauseKind.SOURCE_QUOTA if error.reason.startswith("SOURCE_") else PauseKind.TARGET_QUOTA
                resume_time = self._tools.clock.now() + timedelta(seconds=error.retry_after_seconds)
                await self._pause(run, kind, error.reason, error.message, resume_time)
                return min(WAIT_SECONDS_MAX, max(self._timing.tick_seconds, error.retry_after_seconds))
            if isinstance(error, _RETRYABLE):
                await self._pause(run, PauseKind.OUTAGE, error.reason, f"{error.message}; tried again by itself")
                return self._backoff.delay_seconds(watch.failures)
            advice = "" if "resume" in error.message else ". See to it, then resume the migration"
            await self._pause(run, PauseKind.ERROR, error.reason, error.message + advice)
        except TransientError as problem:  # the ledger's own database: nothing can be shown, everything is still there
            _LOG.warning("run.not_shown", run_id=run.run_id, problem=problem.message)
        except RunGoneError:
            return 0.0
        return self._timing.tick_seconds

    async def _show_bug(self, run_id: str, error: Exception) -> float | None:
        """Hold a run that met a bug, so that a person sees it and can have it tried again."""
        self._watches.setdefault(run_id, _Watch())
        try:
            async with self._tools.ledger.read() as reader:
                run = await reader.get_run(run_id)
            if run is None:
                return None
            words = f"a bug in the ledger stopped the run ({type(error).__name__}); its log has the traceback. Nothing is lost: resume tries again"
            await self._pause(run, PauseKind.ERROR, "INTERNAL", words)
        except RunGoneError:
            return None
        except TransloadError as problem:
            _LOG.warning("run.not_shown", run_id=run_id, problem=problem.message)
        return self._timing.tick_seconds

    async def _pause(self, run: Run, kind: PauseKind, reason: str, message: str, resume_time: datetime | None = None) -> None:
        """Show why a run does not go on. A person's pause stays; so does a reported one, unless an error weighs more."""
        async with self._tools.ledger.transaction() as transaction:
            await fresh(transaction, run)
            migration = await current_migration(transaction, run.migration_id)
            is_same = (migration.pause_kind, migration.pause_reason, migration.pause_message) == (kind, reason, message)
            is_weaker = migration.pause_kind is not PauseKind.NONE and kind is not PauseKind.ERROR and migration.pause_kind is not kind
            if is_same or is_weaker or migration.pause_kind in HOLDING_PAUSES:
                return
            paused = replace(migration, pause_kind=kind, pause_reason=reason, pause_message=message, resume_time=resume_time)
            await transaction.save_migration(paused)
            if migration.pause_kind is kind:
                return
            payload = {"run_id": run.run_id, "reason": reason, "message": message}
            event = EventDraft(kind="migration.paused", actor=self._tools.actor, result=kind.value, payload=payload)
            await transaction.append_event(migration.migration_id, event)

    async def _unpause(self, run: Run) -> None:
        async with self._tools.ledger.transaction() as transaction:
            await fresh(transaction, run)
            migration = await current_migration(transaction, run.migration_id)
            if migration.pause_kind is PauseKind.NONE or migration.pause_kind in HOLDING_PAUSES:
                return
            await transaction.save_migration(replace(migration, **unpaused()))
            event = EventDraft(kind="migration.resumed", actor=self._tools.actor, result="running", payload={"run_id": run.run_id})
            await transaction.append_event(migration.migration_id, event)

    async def _fail(self, run: Run, error: RunFailedError) -> None:
        _LOG.warning("run.failed", migration_id=run.migration_id, run_id=run.run_id, reason=error.reason)
        try:
            async with self._tools.ledger.transaction() as transaction:
                await end_run(transaction, run, RunState.FAILED, tools=self._tools, reason=error.reason, message=error.message)
        except RunGoneError:
            return


async def _run_with_migration(reader: Reader, run_id: str) -> tuple[Run | None, Migration | None]:
    run = await reader.get_run(run_id)
    return run, await reader.get_migration(run.migration_id) if run else None
