"""What an outcome does to a record: pure decisions of `SettleBatch`.

An outcome counts when its sender holds the claim, so the same outcome sent twice counts once. One thing counts from everybody: that a record was
created, because it is a fact about Pipedrive. A second creation of the same record is never swallowed: it becomes an event and a review item.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from services.common.canonical import canonical_json
from services.common.edits import references
from services.ledger.claims import FORGOTTEN, UNEXPECTED
from services.ledger.domain import (
    EVERYTHING,
    ClaimAction,
    EventDraft,
    Kept,
    KeptReason,
    Match,
    Outcome,
    OutcomeResult,
    Record,
    RecordState,
    Resolution,
    ReviewItem,
    Scope,
    review_item_of,
)

DUPLICATE = "DUPLICATE_KEY"
KEPT = "KEPT_USER_EDIT"
ROLLED_BACK = "SKIPPED_ROLLED_BACK"

_ASK = "ask"
_COUNTED = {
    OutcomeResult.CREATED: "created",
    OutcomeResult.UPDATED: "updated",
    OutcomeResult.MATCHED: "matched",
    OutcomeResult.UNCHANGED: "unchanged",
    OutcomeResult.WAITING: "waiting",
    OutcomeResult.REJECTED: "rejected",
    OutcomeResult.DELETED: "deleted",
}
"""Outcomes by the word of a run's sums."""
_LOADING = frozenset({OutcomeResult.CREATED, OutcomeResult.UPDATED, OutcomeResult.MATCHED, OutcomeResult.UNCHANGED})
_UNDOING = frozenset({OutcomeResult.DELETED, OutcomeResult.RESTORED, OutcomeResult.KEPT})
_REPAIRING = frozenset({OutcomeResult.RESTORED, OutcomeResult.KEPT, OutcomeResult.REJECTED, OutcomeResult.WAITING})
_LASTING = frozenset({Resolution.NONE, Resolution.SKIP, Resolution.WITHOUT_REFERENCE})
_UNCLAIMED = {"holder": "", "claim_action": ClaimAction.NONE, "claim_token": "", "claim_batch_id": "", "claim_expire_time": None}


@dataclass(frozen=True, slots=True)
class Sender:
    """Who settles, in which run."""

    holder: str
    run_id: str
    is_undo: bool
    now: datetime
    repair_id: str = ""
    """Batch that sets fields back: whatever comes of it, the record stays loaded, and is done with this batch. Empty: it is none."""
    scope: Scope = EVERYTHING
    """What the run takes back."""

    @property
    def replica(self) -> str:
        """The holder without its incarnation."""
        return self.holder.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an outcome leads to."""

    record: Record
    event: EventDraft
    review_items: tuple[ReviewItem, ...] = ()
    needs_order: bool = False
    """True when the record came into being with this outcome and gets a creation order."""
    ends_review: bool = False
    """True when open items that held the record up are over."""
    more_events: tuple[EventDraft, ...] = ()
    """One for every decision on fields changed on both sides."""
    results: tuple[tuple[str, int], ...] = ()
    """What a run's sums grow by."""
    kept: Kept | None = None
    """What is noted because it stays in Pipedrive."""
    gone_target_id: str = ""
    """A record it was to be matched with, and that is not in Pipedrive any more."""
    twin: Record | None = None
    """A second copy in the target, kept as a record of its own, so that a rollback takes it back, too."""


def settle(record: Record, outcome: Outcome, sender: Sender) -> Settlement | None:
    """Answer what an outcome leads to; None: it does not count (it did before, or the sender has no claim)."""
    found = _settled(record, outcome, sender)
    if found is None:
        return None
    told = conflict_events(record, found.record, outcome, sender)
    # A record that was matched has come to its end for the first time, whatever had to be written into it.
    match = Match.of(record.match) if outcome.result in _LOADING else None
    word = "matched" if match is not None and match.is_new and found.record.is_preexisting else _COUNTED.get(outcome.result, "")
    results = [(word, 1)] if word else []
    results += [(f"conflict_{event.result}", len((event.payload or {})["fields"])) for event in told]
    return replace(found, more_events=told, results=tuple(results))


def _settled(record: Record, outcome: Outcome, sender: Sender) -> Settlement | None:
    if record.holder != sender.holder or record.state is not RecordState.CLAIMED:
        return _from_outsider(record, outcome, sender)
    if outcome.result in _LOADING:
        return _loaded(record, outcome, sender)
    free = replace(record, **_freeing(sender))
    if sender.repair_id and record.reason != UNEXPECTED and outcome.result in _REPAIRING:
        return _repaired(free, outcome, sender)
    if outcome.result in _UNDOING:
        return _undone(free, outcome, sender)
    if outcome.result is OutcomeResult.NOTED:
        return _noted(free, outcome, sender)
    if outcome.result is OutcomeResult.GONE:
        anew = replace(free, **FORGOTTEN, state=RecordState.EXPECTED)
        gone_target_id = outcome.target_id if record.claim_action is ClaimAction.MATCH else ""
        return Settlement(anew, _event("record.gone", free, outcome, sender), gone_target_id=gone_target_id)
    if outcome.result is OutcomeResult.NOT_TRIED:
        return _released(record, free, outcome, sender)
    if outcome.result is OutcomeResult.UNKNOWN:
        return Settlement(replace(free, state=RecordState.IN_DOUBT), _event("record.in_doubt", free, outcome, sender))
    return _held_up(record, free, outcome, sender)


def _loaded(record: Record, outcome: Outcome, sender: Sender) -> Settlement:
    was_there = record.has_target
    is_matched = outcome.result is OutcomeResult.MATCHED and not (was_there and not record.is_preexisting)
    # A record that was there and is created again was deleted in between: the new one is ours.
    is_preexisting = is_matched or (was_there and record.is_preexisting and outcome.result is not OutcomeResult.CREATED)
    pre_image = _merge(outcome.pre_image, record.pre_image) if is_preexisting else ""
    is_untouched = is_preexisting and (is_matched or (outcome.result is OutcomeResult.UNCHANGED and not pre_image))
    settled = replace(
        record,
        **_freeing(sender),
        state=RecordState.MATCHED if is_untouched or (is_preexisting and record.match) else RecordState.LOADED,
        target_id=outcome.target_id or record.target_id,
        parent_target_id=outcome.parent_target_id or record.parent_target_id,
        payload_digest=outcome.payload_digest or record.intent_digest,
        image=outcome.image or record.image,
        pre_image=pre_image,
        is_preexisting=is_preexisting,
        intent_time=None,
        intent_record=b"",
        reason="",
        message="",
        resolution=record.resolution if record.resolution in _LASTING else Resolution.NONE,
        undo_run_id="",
        asked="",
        declined=outcome.declined,
        load_time=sender.now,
        match=_come_to_its_end(record.match),
    )
    flags = (review_item_of(settled, outcome.flag_reason, outcome.message, sender.now, is_blocking=False),) if outcome.flag_reason else ()
    is_new = not was_there or not record.create_order
    event = _event(f"record.{outcome.result}", settled, outcome, sender)
    return Settlement(settled, event, flags, needs_order=is_new, ends_review=bool(record.reason or record.resolution))


def _come_to_its_end(match: str) -> str:
    """What was planned is written; what stands there is the image."""
    known = Match.of(match)
    return replace(known, planned={}, is_new=False).to_json() if known is not None else ""


def _noted(free: Record, outcome: Outcome, sender: Sender) -> Settlement:
    """Keep what stood in a record that was there before us, before it is changed: only then may the next claim change it."""
    match = Match.of(free.match) or Match()
    noted = replace(
        free,
        state=RecordState.EXPECTED,
        target_id=outcome.target_id or free.target_id,
        parent_target_id=outcome.parent_target_id or free.parent_target_id,
        is_preexisting=True,
        payload_digest="",
        image=outcome.image or free.image,
        pre_image=_merge(outcome.pre_image, free.pre_image),
        declined=outcome.declined,
        match=replace(match, planned=orjson.loads(outcome.planned or "{}")).to_json(),
        load_time=sender.now,
    )
    return Settlement(noted, _event("record.noted", noted, outcome, sender), needs_order=not free.create_order)


def _undone(free: Record, outcome: Outcome, sender: Sender) -> Settlement:
    is_kept = outcome.result is OutcomeResult.KEPT
    reason = outcome.reason or (KEPT if is_kept and outcome.message else "")
    # What a part of a migration leaves alone is still loaded; what it takes back stays out until somebody asks for it.
    is_still_loaded = is_kept and not free.is_preexisting and not sender.scope.is_whole
    is_left_out = sender.scope.is_partial and not is_still_loaded
    settled = replace(
        free,
        state=RecordState.LOADED if is_still_loaded else RecordState.UNDONE,
        target_id=free.target_id or outcome.target_id,
        intent_time=None,
        intent_record=b"",
        reason="" if is_still_loaded else reason or (ROLLED_BACK if is_left_out else ""),
        message=outcome.message,
        resolution=Resolution.SKIP if is_left_out else Resolution.NONE,
        undo_run_id=sender.run_id,
    )
    flag_reason = outcome.flag_reason or (reason if is_kept else "")
    flags = (review_item_of(settled, flag_reason, outcome.message, sender.now, is_blocking=False),) if flag_reason else ()
    event = _event(f"record.{outcome.result}", settled, outcome, sender)
    return Settlement(settled, event, flags, ends_review=True, kept=_kept(settled, outcome, sender) if is_kept and outcome.message else None)


def _kept(record: Record, outcome: Outcome, sender: Sender) -> Kept:
    image = orjson.loads(outcome.image or "{}")
    return Kept(
        migration_id=record.migration_id,
        key=record.key,
        target_entity=record.target_entity,
        target_id=record.target_id,
        reason=KeptReason.UNRESTORED if record.is_preexisting else KeptReason.EDITED,
        run_id=sender.run_id,
        keep_time=sender.now,
        fields=(*outcome.edited_fields, *outcome.stuck_fields),
        references=tuple(dict.fromkeys(f"{entity}/{number}" for entity, number in references(record.target_entity, image))),
        message=outcome.message,
    )


def _repaired(free: Record, outcome: Outcome, sender: Sender) -> Settlement:
    """Its fields stand as they were loaded, or what kept them from it is told; the next comparison shows which."""
    is_done = outcome.result is OutcomeResult.RESTORED
    state = RecordState.MATCHED if free.is_preexisting and not free.pre_image else RecordState.LOADED
    settled = replace(free, state=state, undo_run_id=sender.repair_id)
    flags = () if is_done else (review_item_of(settled, outcome.reason or KEPT, outcome.message, sender.now, is_blocking=False),)
    return Settlement(settled, _event("record.repaired" if is_done else "record.kept", settled, outcome, sender), flags)


def _released(record: Record, free: Record, outcome: Outcome, sender: Sender) -> Settlement:
    """No call was sent, so the intent of this claim is withdrawn; an older one is not."""
    is_own_intent = record.claim_action is ClaimAction.CREATE
    settled = replace(
        free,
        state=RecordState.IN_DOUBT if record.claim_action is ClaimAction.RESOLVE else RecordState.EXPECTED,
        intent_time=None if is_own_intent else record.intent_time,
        intent_record=b"" if is_own_intent else record.intent_record,
    )
    return Settlement(settled, _event("record.released", settled, outcome, sender))


def _held_up(record: Record, free: Record, outcome: Outcome, sender: Sender) -> Settlement:
    """Refused for good, or a person must decide."""
    is_waiting = outcome.result is OutcomeResult.WAITING
    state = RecordState.WAITING if is_waiting else RecordState.REJECTED
    # A refusal is Pipedrive's own word that nothing was created; without one, what was in doubt stays so.
    is_still_doubtful = not free.target_id and (sender.is_undo or (is_waiting and record.claim_action is ClaimAction.RESOLVE))
    settled = replace(
        free,
        state=state,
        intent_time=free.intent_time if is_still_doubtful else None,
        intent_record=free.intent_record if is_still_doubtful else b"",
        target_id=free.target_id or outcome.target_id,
        reason=outcome.reason,
        message=outcome.message,
        resolution=free.resolution if free.resolution in _LASTING else Resolution.NONE,
        undo_run_id=sender.run_id if sender.is_undo else "",
    )
    if outcome.asked:
        settled = _asked(settled, outcome, sender)
    items: tuple[ReviewItem, ...] = ()
    if is_waiting or sender.is_undo:
        items = (review_item_of(settled, outcome.reason, outcome.message, sender.now, is_blocking=is_waiting),)
    elif outcome.flag_reason:
        items = (review_item_of(settled, outcome.flag_reason, outcome.message, sender.now, is_blocking=False),)
    return Settlement(settled, _event(f"record.{outcome.result}", settled, outcome, sender), items, ends_review=not is_waiting)


def _asked(settled: Record, outcome: Outcome, sender: Sender) -> Record:
    """Note what a person is asked about, and what of the record was changed already: it stands neither as before nor as wanted."""
    noted = replace(settled, asked=outcome.asked)
    if sender.is_undo:
        return noted
    noted = replace(noted, declined=outcome.declined, image=outcome.image or settled.image)
    if not outcome.is_partly_done:
        return noted
    pre_image = _merge(outcome.pre_image, settled.pre_image) if settled.is_preexisting else ""
    return replace(noted, payload_digest="", pre_image=pre_image, load_time=sender.now)


def conflict_events(before: Record, after: Record, outcome: Outcome, sender: Sender) -> tuple[EventDraft, ...]:
    """Answer an event for every kind of decision on fields changed on both sides. What was asked before is not told again."""
    groups: dict[tuple[str, str], list[Any]] = {}
    known = orjson.loads(before.asked) if before.asked else {}
    for conflict in outcome.conflicts:
        is_known = conflict["decision"] == _ASK and conflict["field"] in known and known[conflict["field"]] == conflict["target"]
        if not is_known:
            groups.setdefault((conflict["decision"], conflict["by"]), []).append(conflict)
    return tuple(
        EventDraft(
            kind="conflict.asked" if word == _ASK else "conflict.decided",
            actor=sender.replica,
            key=after.key,
            source_key=after.source_key,
            target_id=after.target_id or before.target_id,
            result=word,
            payload={
                "run_id": sender.run_id,
                "by": by,
                "fields": [conflict["field"] or "(record)" for conflict in conflicts],
                "values": {conflict["field"]: {"source": conflict["source"], "target": conflict["target"]} for conflict in conflicts},
            },
        )
        for (word, by), conflicts in groups.items()
    )


def _from_outsider(record: Record, outcome: Outcome, sender: Sender) -> Settlement | None:
    if outcome.result is not OutcomeResult.CREATED or not outcome.target_id or outcome.target_id == record.target_id:
        return None
    if record.target_id:
        message = f"{record.key} was created a second time as {outcome.target_id}; {record.target_id} is the one that counts"
        event = _event("record.duplicated", replace(record, target_id=outcome.target_id), outcome, sender)
        return Settlement(
            record, event, (review_item_of(record, DUPLICATE, message, sender.now, is_blocking=False),), twin=_twin(record, outcome, sender, message)
        )
    # The claim went to somebody else, but the record is there: whoever has it now finds it loaded.
    return _loaded(record, outcome, sender)


def _twin(record: Record, outcome: Outcome, sender: Sender, message: str) -> Record:
    return replace(
        record,
        **_freeing(sender),
        key=f"{record.key}/copy-{outcome.target_id}",
        state=RecordState.LOADED,
        target_id=outcome.target_id,
        parent_target_id=outcome.parent_target_id or record.parent_target_id,
        payload_digest=outcome.payload_digest or record.intent_digest,
        image=outcome.image or record.image,
        pre_image="",
        is_preexisting=False,
        intent_time=None,
        intent_record=b"",
        reason=DUPLICATE,
        message=message,
        resolution=Resolution.NONE,
        undo_run_id="",
    )


def _freeing(sender: Sender) -> dict[str, Any]:
    """What changes in a record when its claim ends."""
    return {**_UNCLAIMED, "update_time": sender.now}


def _merge(new: str, old: str) -> str:
    """Join two pre-images; what was seen first wins, because it was there before us."""
    if not new or not old:
        return new or old
    return canonical_json({**orjson.loads(new), **orjson.loads(old)}).decode()


def _event(kind: str, record: Record, outcome: Outcome, sender: Sender) -> EventDraft:
    told = {
        "reason": outcome.reason,
        "message": outcome.message,
        "flag_reason": outcome.flag_reason,
        "payload_digest": outcome.payload_digest,
        "edited_fields": list(outcome.edited_fields),
        "stuck_fields": list(outcome.stuck_fields),
        "calls": [dict(call) for call in outcome.calls],
    }
    payload: dict[str, Any] = {"run_id": sender.run_id} | {name: value for name, value in told.items() if value}
    return EventDraft(
        kind=kind,
        actor=sender.replica,
        key=record.key,
        source_key=record.source_key,
        target_id=record.target_id,
        result=str(outcome.result),
        payload=payload,
    )
