"""One message of MAPPED: claim, load, settle; only then is it acknowledged."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import trace

from services.common import contract, telemetry
from services.common.backoff import Backoff
from services.common.errors import (
    ClaimHeldError,
    ConfigurationError,
    PausedError,
    PreconditionError,
    RateLimitedError,
    TransientError,
    TransloadError,
    UnauthorizedError,
)
from services.loader.codec import batch_from_proto, calls_to_proto, move_to_proto, outcome_to_proto
from services.loader.hands import Hands
from services.loader.pipedrive.client import CallContext
from services.loader.pipedrive.errors import ClaimExpiredError, OutcomeUnknownError
from services.loader.quota.codec import priority_of_run
from services.loader.quota.leases import Priority
from services.loader.work import Action, Result
from transload.v1.records_pb2 import MappedBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.common.clock import Clock
    from services.loader.targets import Targets
    from services.loader.upsert import Upsert
    from services.loader.work import Batch
    from transload.v1.ledger_service_pb2 import BeginBatchResponse, RecordOutcome, TargetCall, TargetMove

_LOG = telemetry.get_logger(__name__)

# Nothing is sent in the last moments of a claim: a call needs a moment to reach Pipedrive.
_CLAIM_MARGIN_SECONDS: Final = 2.0
# New claims taken within one delivery, when a batch takes longer than one claim lives.
_CLAIMS_MAX: Final = 50
# About a minute, with the pauses of the backoff.
_SETTLES_MAX: Final = 10
_CONNECTIONS_KEPT: Final = 100
_AWAY: Final = "TARGET_UNREACHABLE"
_USED_UP: Final = "TARGET_QUOTA_EXHAUSTED"
# State of a run in which the ledger wants work done.
_RUNNING: Final = "running"
_PAUSING: Final = frozenset({"TARGET_QUOTA_EXHAUSTED", "TARGET_BLOCKED", "TARGET_UNAUTHORIZED"})
# After a stop the ledger is asked again so soon; while it is paused it refuses at no cost, and a person's `resume` is noticed.
_LOOK_AGAIN_SECONDS: Final = 10.0
_REPORTED: Final = frozenset({"TARGET_QUOTA_EXHAUSTED", "TARGET_BLOCKED", "TARGET_UNAUTHORIZED", "TARGET_UNREACHABLE", "STAGING_UNAVAILABLE"})


class BatchLedger(Protocol):
    """What the worker asks the ledger; see `LedgerClient`."""

    async def begin(self, batch: MappedBatch) -> BeginBatchResponse:
        """Claims the records of a batch."""
        ...

    async def settle(
        self,
        batch: MappedBatch,
        outcomes: Sequence[RecordOutcome],
        shared_calls: Sequence[TargetCall],
        *,
        request_id: str,
        moves: Sequence[TargetMove] = (),
    ) -> bool:
        """Stores outcomes, and merges that were found out."""
        ...

    async def report_target(
        self, connection: str, *, reason: str = "", message: str = "", resume_time: datetime | None = None, is_quota_found: bool = False
    ) -> None:
        """Tells people how the target stands; with no reason it goes on, but a pause for its quota ends only when `is_quota_found`."""
        ...


class LoadWorker:
    """Handles mapped batches."""

    def __init__(self, *, ledger: BatchLedger, targets: Targets, upsert: Upsert, clock: Clock, hands: Hands | None = None) -> None:
        self._ledger = ledger
        self._targets = targets
        self._upsert = upsert
        self._clock = clock
        self._hands = hands or Hands(each_max=sys.maxsize, clock=clock)
        # What people were told last, by connection. After a start nothing is known, so the first success takes back whatever stood there.
        self._told: dict[str, tuple[str, str]] = {}
        # Number of times anybody was told.
        self._news = 0
        self._connections: dict[str, str] = {}
        # Connections that stopped us and that one call asks before anything is claimed again: why, and whose calls they were.
        self._stopped: dict[str, tuple[str, Priority]] = {}
        self._looking: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # Batches this process works on. The ledger takes the same batch from the same process for a handling that ended without an outcome.
        self._in_hand: set[str] = set()
        self._backoff = Backoff(base_seconds=0.5, cap_seconds=8.0)

    async def handle(self, payload: bytes) -> None:
        """Loads one batch.

        Raises:
            PausedError: the run does not take work now.
            ClaimHeldError: some records are in the hands of another loader.
            RateLimitedError: the budget is used up, the breaker is open, or the token was refused; what was done is settled.
            TransientError: something did not answer, or outcomes are unknown; what was done is settled.
        """
        message = contract.read_queued(MappedBatch, payload)
        if message.batch_id in self._in_hand:
            raise ClaimHeldError("this process works on the batch already: the message came twice")
        self._in_hand.add(message.batch_id)
        try:
            async with self._hands.of(self._connections.get(message.migration_id, message.migration_id)):
                await self._handle(message)
        except PreconditionError as error:
            # A message that came twice may outlive its run; handed back it would come again for ever. What is wanted is announced again.
            if error.metadata.get("allowed") != _RUNNING:
                raise
            _LOG.info("batch.unwanted", migration_id=message.migration_id, batch_id=message.batch_id, run_state=error.metadata.get("state", ""))
        except (RateLimitedError, TransientError) as error:
            # What concerns one target is marked with it: batches for others do not wait.
            connection = self._connections.get(message.migration_id, "")
            if connection and error.reason.startswith("TARGET_"):
                error.metadata["connection"] = connection
            raise
        finally:
            self._in_hand.discard(message.batch_id)

    async def _handle(self, message: MappedBatch) -> None:
        span = trace.get_current_span()
        if span.is_recording():
            # Calls made for several records at once are found from each of them. Keys of the schema hold words of the customer and stay out.
            span.set_attribute("transload.record.keys", [record.key for record in message.records if ":schema/" not in record.key])
        await self._look(self._connections.get(message.migration_id, ""))
        for _ in range(_CLAIMS_MAX):
            # The claim is not older than the question; the clocks of ledger and loader need not agree.
            asked, news = self._clock.monotonic(), self._news
            response = await self._begin(message)
            self._remember(message.migration_id, response.connection)
            if news == self._news:
                # Work handed out before the ledger knew of a stop says nothing: trying would spend what is kept back.
                self._resume(response.connection)
            stop = await self._load(
                message, response, claim_ends=asked + response.claim_duration.ToTimedelta().total_seconds() - _CLAIM_MARGIN_SECONDS
            )
            if stop is None:
                return
            if not isinstance(stop, ClaimExpiredError):
                raise stop
        raise TransientError("the batch outlived its claims", reason="CLAIM_HELD")

    def _remember(self, migration_id: str, connection: str) -> None:
        self._connections[migration_id] = connection
        if len(self._connections) > _CONNECTIONS_KEPT:
            del self._connections[next(iter(self._connections))]

    def _resume(self, connection: str) -> None:
        """The ledger hands out work although we had told it of a stop: the time has come, or a person said so. Then we try, and tell it anew."""
        if self._told.get(connection, ("", ""))[0] in _PAUSING:
            del self._told[connection]
            self._stopped.pop(connection, None)
            self._targets.client(connection).resume()

    async def _begin(self, message: MappedBatch) -> BeginBatchResponse:
        """Claims. What the ledger knows of a used-up budget and this process does not, because it is new, is kept for the next look."""
        try:
            return await self._ledger.begin(message)
        except PausedError as error:
            connection = error.metadata.get("connection", "")
            if connection and error.metadata.get("reason") == _USED_UP:
                self._remember(message.migration_id, connection)
                self._stopped.setdefault(connection, (_USED_UP, Priority.BULK))
            raise

    async def _look(self, connection: str) -> None:
        """Asks a target that stopped us before anything is claimed: claims and releases of an outage would fill the trail.

        While a budget is used up the quota lets such a call pass now and then only. When it finds tokens, the ledger is told, which ends the pause.

        Raises:
            UnavailableError, RateLimitedError: it is still away.
        """
        if connection not in self._stopped:
            return
        async with self._looking[connection]:
            if connection not in self._stopped:
                return
            reason, priority = self._stopped[connection]
            try:
                await self._targets.client(connection).look(CallContext(priority=priority))
            except UnauthorizedError as error:
                raise RateLimitedError(error.message, retry_after_seconds=_LOOK_AGAIN_SECONDS, reason=error.reason) from error
            except RateLimitedError as error:
                if reason == _USED_UP:
                    return  # the ledger holds the work back, unless a person resumed it or the time has come
                raise RateLimitedError(
                    error.message, retry_after_seconds=min(_LOOK_AGAIN_SECONDS, error.retry_after_seconds), reason=error.reason
                ) from error
            if reason == _USED_UP:
                await self._tell(connection, is_quota_found=True)
            self._stopped.pop(connection, None)

    async def _load(self, message: MappedBatch, response: BeginBatchResponse, *, claim_ends: float) -> TransloadError | None:
        """Does one round under one claim that lasts until `claim_ends` (monotonic); answers why it must come back, or None."""
        started = self._clock.monotonic()
        context = CallContext(priority=priority_of_run(response.run_kind), claim_ends=claim_ends)
        try:
            client = self._targets.client(response.connection)
        except ConfigurationError as error:
            # Claims end by themselves; nothing was sent.
            await self._tell(response.connection, reason=error.reason, message=error.message)
            return RateLimitedError(error.message, retry_after_seconds=_LOOK_AGAIN_SECONDS, reason=error.reason)
        batch = batch_from_proto(message, response, client=client, context=context, started=started)
        moved = await self._upsert.follow_references(batch)
        if moved:
            for key, target_id in moved.items():
                response.reference_ids[key] = target_id
            referred = batch
            batch = batch_from_proto(message, response, client=client, context=context, started=started)
            batch.moves, batch.stop = referred.moves, referred.stop
        with self._upsert.unsettled(batch):
            await self._upsert.apply(batch)
            outcomes = [outcome_to_proto(work, work.outcome) for work in batch.works if work.outcome is not None]
            is_held = any(work.action is Action.HELD for work in batch.works)
            is_final = True
            if outcomes or not is_held:
                moves = [move_to_proto(move) for move in dict.fromkeys(batch.moves)]
                is_final = await self._settle(message, outcomes, calls_to_proto(batch.shared.log), moves)
        _LOG.info(
            "batch.settled",
            migration_id=message.migration_id,
            batch_id=message.batch_id,
            outcomes=len(outcomes),
            tokens=batch.shared.token_count + sum(work.context.token_count for work in batch.works),
        )
        await self._report(response.connection, batch)
        return self._next(batch, is_held=is_held, is_final=is_final)

    async def _settle(self, message: MappedBatch, outcomes: list[RecordOutcome], calls: list[TargetCall], moves: list[TargetMove]) -> bool:
        """Settles, for a while also past an outage of the ledger: what is not settled has to be found out again by listing.

        Answers whether nothing of the batch is open.
        """
        request_id = str(uuid.uuid4())
        for attempt in range(1, _SETTLES_MAX):
            try:
                return await self._ledger.settle(message, outcomes, calls, request_id=request_id, moves=moves)
            except TransientError:
                await self._clock.sleep(self._backoff.delay_seconds(attempt))
        return await self._ledger.settle(message, outcomes, calls, request_id=request_id, moves=moves)

    @staticmethod
    def _next(batch: Batch, *, is_held: bool, is_final: bool) -> TransloadError | None:
        stop = batch.stop
        if isinstance(stop, UnauthorizedError | RateLimitedError):
            seconds = min(_LOOK_AGAIN_SECONDS, stop.retry_after_seconds if isinstance(stop, RateLimitedError) else _LOOK_AGAIN_SECONDS)
            return RateLimitedError(stop.message, retry_after_seconds=seconds, reason=stop.reason, metadata=stop.metadata)
        if batch.stop is not None:
            return batch.stop
        if any(work.outcome is not None and work.outcome.result is Result.UNKNOWN for work in batch.works):
            return OutcomeUnknownError("some outcomes are not known yet")
        if any(work.outcome is not None and work.outcome.result in {Result.GONE, Result.NOTED} for work in batch.works):
            # Created again, or changed, under a claim of its own, with its intent or what stood there written first.
            return ClaimExpiredError("records that were deleted in Pipedrive are created again, and those noted are changed")
        if is_held:
            return ClaimHeldError("another loader has some records of this batch")
        # The ledger knows better than we do, e.g. that an object we found belongs to a twin.
        return None if is_final else OutcomeUnknownError("the ledger holds records of this batch open")

    async def _report(self, connection: str, batch: Batch) -> None:
        """Tells people when the target stops work and when it goes on."""
        stop = batch.stop
        if stop is not None and stop.reason in {_AWAY, _USED_UP}:
            self._stopped[connection] = (stop.reason, batch.shared.priority)
        if stop is None:
            if self._stopped.get(connection, ("", None))[0] == _USED_UP:
                return  # made before another batch found the budget used up; whether there are tokens again is found out by a look
            if any(call.status for work in batch.works for call in work.context.log) or any(call.status for call in batch.shared.log):
                await self._tell(connection)
            return
        if stop.reason in _REPORTED:
            resume_time = None
            if isinstance(stop, RateLimitedError):
                resume_time = self._clock.now() + timedelta(seconds=stop.retry_after_seconds)
            await self._tell(connection, reason=stop.reason, message=stop.message, resume_time=resume_time)

    async def _tell(
        self, connection: str, *, reason: str = "", message: str = "", resume_time: datetime | None = None, is_quota_found: bool = False
    ) -> None:
        news = (reason, f"{resume_time:%Y-%m-%dT%H:%M}" if resume_time else "")
        if self._told.get(connection) == news:
            return
        await self._ledger.report_target(connection, reason=reason, message=message, resume_time=resume_time, is_quota_found=is_quota_found)
        self._told[connection] = news
        self._news += 1
        _LOG.info("target.reported", connection=connection, reason=reason)
