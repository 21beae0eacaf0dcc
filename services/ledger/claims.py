"""Who may load a record, and what is to be done with it: pure decisions of `BeginBatch`.

An intent (`intent_time`) is written with the claim of every create. As long as an intent has no outcome the record may stand in Pipedrive, so the
next claim is told to find out first. Updates and deletes are repeated freely and need no intent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import orjson

from services.common.canonical import canonical_json
from services.common.clock import lasting_until
from services.common.errors import PausedError, PreconditionError, UnavailableError
from services.ledger.domain import (
    OPEN_RECORD_STATES,
    Batch,
    ClaimAction,
    Migration,
    MissingPolicy,
    PauseKind,
    Record,
    RecordState,
    Reference,
    Resolution,
    Run,
    RunKind,
    RunState,
    Standing,
    WantedRecord,
)
from transload.v1.records_pb2 import MappedRecord

REFERENCE_MISSING = "REFERENCE_MISSING"
UNEXPECTED = "UNEXPECTED"
"""Reason of a record made of a copy nobody knew, so that it can be deleted with a claim."""


class Action(StrEnum):
    """What is to be done with a record."""

    CREATE = "create"
    UPDATE = "update"
    DONE = "done"
    IN_DOUBT = "in_doubt"
    BLOCKED = "blocked"
    HELD = "held"
    DELETE = "delete"
    RESTORE = "restore"
    MATCH = "match"


_ACTIONS = {
    ClaimAction.CREATE: Action.CREATE,
    ClaimAction.UPDATE: Action.UPDATE,
    ClaimAction.RESOLVE: Action.IN_DOUBT,
    ClaimAction.DELETE: Action.DELETE,
    ClaimAction.RESTORE: Action.RESTORE,
    ClaimAction.MATCH: Action.MATCH,
}
FORGOTTEN: dict[str, Any] = {
    "target_id": "",
    "parent_target_id": "",
    "payload_digest": "",
    "image": "",
    "pre_image": "",
    "is_preexisting": False,
    "undo_run_id": "",
    "asked": "",
    "declined": "",
    "gone": "",
    "load_time": None,
    "match": "",
    "reason": "",
    "message": "",
}
"""What a record no longer has when it begins anew."""
_POLICIES = {Resolution.USE_SOURCE: "source", Resolution.KEEP_TARGET: "target"}


CLAIM_TTL: Final = timedelta(seconds=60)
"""How long a claim lives without an outcome, where nothing else is set."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who claims, and until when."""

    holder: str
    """`{replica}/{incarnation}`."""
    token: str
    """Request id: the same one again is the same claim, whose first answer got lost."""
    batch_id: str
    now: datetime
    """What the wall clock shows: for what is written down."""
    expire_time: datetime
    steady_now: datetime | None = None
    """What claims are measured by: a clock that never jumps. None: `now`."""
    steady_since: datetime | None = None
    """What that clock showed when the ledger started: claims from before last their whole length from then on. None: they count as written."""

    def is_over(self, expire_time: datetime | None) -> bool:
        """Say whether somebody else's claim has ended."""
        moment = self.steady_now or self.now
        if expire_time is not None and self.steady_since is not None:
            expire_time = lasting_until(expire_time, length=self.expire_time - moment, now=moment, started=self.steady_since)
        return expire_time is None or expire_time <= moment

    @property
    def replica(self) -> str:
        """The holder without its incarnation."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done with one record."""

    record: Record
    """As it stands after the decision."""
    action: Action
    is_changed: bool = False
    """True when `record` has to be written."""
    conflict_policy: str = ""
    asked_policy: str = ""
    """What a person said to the fields in `record.asked`: `source`, `target`; empty: nothing."""
    missing: tuple[str, ...] = ()
    """References it is blocked by."""
    last: bytes = b""
    """Canonical JSON of what stands in for the last image; empty: the record's own."""
    before: bytes = b""
    """The same for the pre-image."""
    lines: str = ""
    """Undo of a deal: its lines as loaded, JSON object of line id → image; empty: not to be compared."""
    same_target: tuple[Record, ...] = ()
    """To restore: other records of the migration in the same object."""
    stored: Record | None = None
    """What is written instead of `record`, where the loader is told more than that."""


@dataclass(frozen=True, slots=True)
class References:
    """How the references of a batch resolve."""

    ids: Mapping[str, str]
    """Reference key → target id, fallbacks applied."""
    pending: frozenset[str]
    """Being loaded right now in the same phase."""
    missing: Mapping[str, str]
    """Reference key → why it is not there, in words."""


def check_taking_work(migration: Migration, run: Run | None, phase: int, now: datetime) -> Run:
    """Answer the run if it takes work of this phase now.

    Raises:
        PreconditionError: WRONG_STATE, the run is over.
        PausedError: a person, an error or an outage holds the migration.
        UnavailableError: the phase is not open yet.
    """
    if run is None or run.state is not RunState.RUNNING:
        state = run.state if run else "unknown"
        raise PreconditionError(f"the run is {state}: its work is no longer wanted", metadata={"state": str(state), "allowed": str(RunState.RUNNING)})
    if is_paused(migration, now):
        facts = {"pause_kind": str(migration.pause_kind), "reason": migration.pause_reason, "connection": migration.target_connection}
        raise PausedError(f"migration {migration.migration_id} is paused", metadata=facts)
    is_early = phase < run.phase if run.kind is RunKind.ROLLBACK else phase > run.phase
    if run.phase and is_early:
        raise UnavailableError(f"phase {phase} of run {run.run_id} is not open yet")
    return run


def is_paused(migration: Migration, now: datetime) -> bool:
    """Say whether workers must hand their work back.

    A person's pause and an error hold until resumed. A pause for Pipedrive's sake holds until the time it named; without a time the loader's own
    breaker decides. A pause for the source's budget concerns the extractor only.
    """
    if migration.pause_kind in {PauseKind.USER, PauseKind.ERROR}:
        return True
    if migration.pause_kind in {PauseKind.TARGET_QUOTA, PauseKind.OUTAGE}:
        return migration.resume_time is not None and migration.resume_time > now
    return False


def resolve_references(wanted: Sequence[WantedRecord], known: Mapping[str, Standing], phase: int) -> References:
    """Resolve every reference of a batch against the records they name."""
    ids: dict[str, str] = {}
    pending: set[str] = set()
    missing: dict[str, str] = {}
    for reference in {reference.key: reference for record in wanted for reference in record.references}.values():
        target = known.get(reference.key)
        if target is not None and target.has_target:
            ids[reference.key] = target.target_id
        elif target is not None and target.state in OPEN_RECORD_STATES and target.phase >= phase:
            pending.add(reference.key)
        else:
            fallback = known.get(reference.fallback_key) if reference.policy is MissingPolicy.FALLBACK else None
            if fallback is not None and fallback.has_target:
                ids[reference.key] = fallback.target_id
            else:
                missing[reference.key] = _why(reference.key, target)
    for reference, owner in _misread(wanted, known):
        ids.pop(reference.key, None)
        pending.discard(reference.key)
        missing[reference.key] = f"{reference.key} of {reference.source_key} is not in Pipedrive: {owner} has its key"
    return References(ids=ids, pending=frozenset(pending), missing=missing)


def _misread(wanted: Iterable[WantedRecord], known: Mapping[str, Standing]) -> Iterator[tuple[Reference, str]]:
    """Yield references whose key another source record has: part 2 of record 1 and record 1/2 have one. What is there is not what is meant."""
    for record in wanted:
        for reference in record.references:
            if reference.source_key and (target := known.get(reference.key)) is not None and target.source_key != reference.source_key:
                yield reference, target.source_key


def _why(key: str, target: Standing | None) -> str:
    if target is None:
        return f"{key} does not exist in what was read from the source, or its source record was left out"
    reason = f" ({target.reason})" if target.reason else ""
    return f"{key} is not in Pipedrive: it is {target.state}{reason}"


def decide_load(record: Record, wanted: WantedRecord, claim: Claim, references: References, conflict_policy: str) -> Decision:
    """Decide what to do to make a record stand in Pipedrive as wanted.

    Args:
        record: as the ledger knows it.
        wanted: as the batch brings it.
        claim: who asks.
        references: how the batch's references resolve.
        conflict_policy: the migration's own: `source`, `target` or empty (ask).
    """
    if record.state in {RecordState.SKIPPED, RecordState.UNDONE} and record.resolution is Resolution.SKIP:
        # A person left it out, or a partial rollback took it back.
        return Decision(record, Action.DONE)
    early = _repeat_or_held(record, claim)
    if early is not None:
        return replace(early, conflict_policy=_policy(record, conflict_policy), asked_policy=_POLICIES.get(record.resolution, ""))
    if _is_there(record, wanted):
        return _settled(record, claim)
    if _stays_rejected(record, wanted):
        return Decision(record, Action.DONE)
    if record.state is RecordState.UNDONE and record.intent_time is None:
        # Before it may come to wait for a reference: what was taken back has no place in Pipedrive any more.
        record = _forgotten(record)
    missing = tuple(key for key in _needed(record, wanted) if key in references.missing)
    if missing:
        return _blocked(record, wanted, claim, missing, references)
    if any(reference.key in references.pending for reference in wanted.references):
        return Decision(record, Action.HELD)
    if record.has_target and record.match and record.load_time is None:
        # It was matched, and whoever was to link it did not come to it.
        return _claimed(record, claim, ClaimAction.MATCH, wanted)
    if record.has_target:
        return _claimed(record, claim, ClaimAction.UPDATE, wanted, conflict_policy=_policy(record, conflict_policy))
    if record.intent_time is not None:
        return _claimed(record, claim, ClaimAction.RESOLVE, wanted)
    return _claimed(record, claim, ClaimAction.CREATE, wanted)


def decide_undo(record: Record, claim: Claim) -> Decision:
    """Decide what to do to take a record back."""
    if record.state is RecordState.UNDONE:
        return Decision(record, Action.DONE)
    early = _repeat_or_held(record, claim)
    if early is not None:
        return early
    if not record.target_id:
        return _claimed(record, claim, ClaimAction.RESOLVE) if record.intent_time is not None else Decision(record, Action.DONE)
    if not record.is_preexisting:
        return _claimed(record, claim, ClaimAction.DELETE)
    return _claimed(record, claim, ClaimAction.RESTORE) if record.pre_image else Decision(record, Action.DONE)


def decide_repair(record: Record, wanted: WantedRecord, claim: Claim) -> Decision:
    """Decide what to do to set fields of a record back, or to delete a copy that was adopted for it.

    It is a restoring, with what shall stand there as the pre-image and with what the reconciliation saw as the last image: so a field that a person
    has changed since then is left alone. Both come with the batch.
    """
    if record.undo_run_id == claim.batch_id or record.state is RecordState.UNDONE or not record.target_id:
        return Decision(record, Action.DONE)
    early = _repeat_or_held(record, claim)
    action = ClaimAction.DELETE if record.reason == UNEXPECTED else ClaimAction.RESTORE
    decision = early if early is not None else _claimed(record, claim, action)
    content = orjson.loads(MappedRecord.FromString(wanted.content).payload_json or b"{}")
    return replace(decision, before=canonical_json(content.get("expected", {})), last=canonical_json(content.get("seen", {})))


def is_open(record: Record | None, batch: Batch) -> bool:
    """Say whether a batch still has something to do for a record."""
    if record is None or record.state not in OPEN_RECORD_STATES:
        return False
    return not batch.is_undo or bool(record.target_id) or record.intent_time is not None


def dropped_references(wanted: Iterable[tuple[Record, WantedRecord]], references: References) -> set[str]:
    """Answer the missing references that are left out of payloads."""
    return {
        reference.key
        for record, item in wanted
        for reference in item.references
        if reference.key in references.missing and (reference.policy is MissingPolicy.DROP or record.resolution is Resolution.WITHOUT_REFERENCE)
    }


def _needed(record: Record, wanted: WantedRecord) -> list[str]:
    """List references without which the record cannot be loaded."""
    if record.resolution is Resolution.WITHOUT_REFERENCE:
        return []
    return list(dict.fromkeys(reference.key for reference in wanted.references if reference.policy is not MissingPolicy.DROP))


def _repeat_or_held(record: Record, claim: Claim) -> Decision | None:
    if not record.holder:
        return None
    if record.holder == claim.holder and claim.token and record.claim_token == claim.token:
        # The answer to this very request got lost; nobody has acted on it.
        renewed = replace(record, claim_expire_time=claim.expire_time)
        return Decision(renewed, _ACTIONS[record.claim_action], is_changed=True)
    if claim.is_over(record.claim_expire_time):
        return None
    if record.holder == claim.holder:
        # The same process works on it in another batch; the same batch again means that its first handling ended without an outcome.
        return Decision(record, Action.HELD) if record.claim_batch_id != claim.batch_id else None
    return Decision(record, Action.HELD) if record.holder.partition("/")[0] != claim.replica else None


def _is_there(record: Record, wanted: WantedRecord) -> bool:
    """Say whether it stands in Pipedrive as wanted. After a claim without outcome nobody knows what stands there."""
    is_known = record.claim_action is ClaimAction.NONE and record.state is not RecordState.IN_DOUBT
    return is_known and record.has_target and record.payload_digest == wanted.payload_digest


def _settled(record: Record, claim: Claim) -> Decision:
    """It stands there as wanted; what held it up, if anything, is over."""
    if record.state in {RecordState.LOADED, RecordState.MATCHED}:
        return Decision(record, Action.DONE)
    state = RecordState.MATCHED if record.is_preexisting and (record.match or not record.pre_image) else RecordState.LOADED
    settled = replace(record, state=state, reason="", message="", asked="", update_time=claim.now)
    return Decision(settled, Action.DONE, is_changed=True)


def _stays_rejected(record: Record, wanted: WantedRecord) -> bool:
    is_same = record.intent_digest == wanted.payload_digest
    return record.state is RecordState.REJECTED and is_same and record.resolution is not Resolution.RETRY


def _policy(record: Record, default: str) -> str:
    """What a person said holds for the fields that were asked about; of records from before that was noted, for all of them."""
    given = "" if record.asked else _POLICIES.get(record.resolution, "")
    return given or (default if default in {"source", "target"} else "")


def _blocked(record: Record, wanted: WantedRecord, claim: Claim, missing: tuple[str, ...], references: References) -> Decision:
    message = "; ".join(references.missing[key] for key in missing)
    waiting = replace(
        record,
        state=RecordState.WAITING,
        reason=REFERENCE_MISSING,
        message=message,
        holder="",
        claim_action=ClaimAction.NONE,
        claim_token="",
        claim_batch_id="",
        claim_expire_time=None,
        intent_digest=wanted.payload_digest,
        update_time=claim.now,
    )
    return Decision(waiting, Action.BLOCKED, is_changed=True, missing=missing)


def _claimed(record: Record, claim: Claim, action: ClaimAction, wanted: WantedRecord | None = None, *, conflict_policy: str = "") -> Decision:
    is_uncertain = action in {ClaimAction.CREATE, ClaimAction.RESOLVE}
    claimed = replace(
        record,
        state=RecordState.CLAIMED,
        holder=claim.holder,
        claim_action=action,
        claim_token=claim.token,
        claim_batch_id=claim.batch_id,
        claim_expire_time=claim.expire_time,
        intent_time=claim.now if action is ClaimAction.CREATE else record.intent_time,
        intent_digest=wanted.payload_digest if wanted else record.intent_digest,
        intent_record=wanted.content if wanted and is_uncertain else record.intent_record,
        update_time=claim.now,
    )
    asked_policy = _POLICIES.get(record.resolution, "")
    return Decision(claimed, _ACTIONS[action], is_changed=True, conflict_policy=conflict_policy, asked_policy=asked_policy)


def _forgotten(record: Record) -> Record:
    """A record that was taken back begins anew."""
    return replace(record, **FORGOTTEN)
