"""What the transformer tells: batches that will come, and records that became nothing, wait, or need a look."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.ledger.claims import is_paused
from services.ledger.delta import ASK, FLAG, KEEP, Policies
from services.ledger.domain import (
    Batch,
    EventDraft,
    Issue,
    IssueKind,
    Migration,
    PageWork,
    PauseKind,
    Record,
    RecordState,
    Resolution,
    ReviewFilter,
    ReviewItem,
    RunState,
    SourceIssue,
    SourceState,
    WantedRecord,
    WorkState,
    review_item,
    review_item_id,
)
from services.ledger.outcomes import DUPLICATE, KEPT
from services.ledger.repository import Transaction
from services.ledger.taken import refuse_taken

ACTOR = "transformer"
SKIPPED_BY_REVIEW = "SKIPPED_BY_REVIEW"
SOURCE_DELETED = "SOURCE_DELETED"
NOT_MAPPED = "SKIPPED_NOT_MAPPED"

_RECORD_STATES = {IssueKind.REJECTED: RecordState.REJECTED, IssueKind.SKIPPED: RecordState.SKIPPED, IssueKind.WAITING: RecordState.WAITING}
_SOURCE_STATES = {IssueKind.REJECTED: SourceState.REJECTED, IssueKind.SKIPPED: SourceState.SKIPPED, IssueKind.WAITING: SourceState.WAITING}
_PRECEDENCE = list(SourceState)
_HOLDING = frozenset({SourceState.WAITING, SourceState.REJECTED})
_DROPPABLE = frozenset({RecordState.EXPECTED, RecordState.WAITING, RecordState.REJECTED, RecordState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Transform:
    """What mapping a page for a phase gave."""

    migration_id: str
    run_id: str
    page_id: str
    entity: str
    phase: int
    manifest_digest: str
    is_selection: bool
    """True when only a sample of the page was mapped."""
    batches: Sequence[Batch]
    records: Mapping[str, WantedRecord]
    """What each key in the batches stands for."""
    issues: Sequence[Issue]


async def record_transform(tx: Transaction, transform: Transform, now: datetime) -> bool:
    """Record what mapping a page gave; False: the work is final already or not wanted now, so nothing is to be published.

    Repeating it changes nothing. With a changed mapping, records of the phase that no longer come from the same source records are forgotten
    unless they had an effect.
    """
    migration, run = await tx.get_migration(transform.migration_id), await tx.get_run(transform.run_id)
    if migration is None or run is None or run.state is not RunState.RUNNING or _is_stopped(migration, now):
        return False
    work = await tx.get_page_work(transform.run_id, transform.page_id, transform.phase)
    if work is None or work.state is WorkState.FINAL:
        return False
    scope = await _scope(tx, transform)
    known = await _known_records(tx, transform, scope)
    transform = await refuse_taken(tx, transform, known)
    await _drop_vanished(tx, transform, scope, known, now)
    left = await _without_held(tx, transform, _left(transform, scope, known))
    await _lose(tx, transform, Policies.of(run, migration), left, now)
    await _leave_out(tx, transform, await _without_held(tx, transform, _taken_back(transform, scope, known)), now)
    known |= await _find_again(tx, transform, known, now)
    new = [_expected(transform, wanted, now) for key, wanted in transform.records.items() if key not in known]
    await tx.add_records(new)
    changed = await _record_issues(tx, transform, scope, known, now)
    await tx.drop_batches(transform.run_id, transform.page_id, transform.phase, {batch.batch_id for batch in transform.batches})
    await tx.add_batches(transform.batches)
    await tx.save_page_work([PageWork(work.run_id, work.page_id, work.phase, work.migration_id, WorkState.TRANSFORMED, work.attempt)])
    await tx.finish_page_work(transform.run_id, transform.page_id, transform.phase)
    if work.state is WorkState.ANNOUNCED or new or changed:
        await tx.append_events(transform.migration_id, [_mapped(transform), *changed])
    return True


def _is_stopped(migration: Migration, now: datetime) -> bool:
    """Say whether nothing is mapped now.

    A used-up budget of Pipedrive stops the loaders only: they need a batch in hand to find out whether there are tokens again, and the streams may
    have been lost meanwhile.
    """
    return migration.pause_kind is not PauseKind.TARGET_QUOTA and is_paused(migration, now)


async def _scope(tx: Transaction, transform: Transform) -> dict[str, set[str]]:
    """Answer the source records, by entity, whose mapping this transform tells in full."""
    scope: dict[str, set[str]] = defaultdict(set)
    if not transform.is_selection:
        scope[transform.entity].update(await tx.list_source_ids(transform.migration_id, transform.page_id))
    for wanted in transform.records.values():
        scope[wanted.source_entity].add(wanted.source_id)
    for issue in transform.issues:
        scope[issue.source_entity].add(issue.source_id)
    return scope


async def _known_records(tx: Transaction, transform: Transform, scope: Mapping[str, set[str]]) -> dict[str, Record]:
    known: dict[str, Record] = {}
    for entity, source_ids in scope.items():
        records = await tx.list_records_of_sources(transform.migration_id, transform.phase, entity, source_ids)
        known.update((record.key, record) for record in records)
    return known


def _unproduced(transform: Transform, scope: Mapping[str, set[str]], known: Mapping[str, Record]) -> list[Record]:
    """Answer records that their source records, as they are now, do not become any more."""
    produced = set(transform.records) | {issue.key for issue in transform.issues if issue.key}
    return [record for record in known.values() if record.key not in produced and record.source_id in scope[record.source_entity]]


async def _drop_vanished(tx: Transaction, transform: Transform, scope: Mapping[str, set[str]], known: Mapping[str, Record], now: datetime) -> None:
    vanished = [
        record.key
        for record in _unproduced(transform, scope, known)
        if record.state in _DROPPABLE and not record.target_id and record.intent_time is None and record.resolution is not Resolution.SKIP
    ]
    await tx.delete_records(transform.migration_id, vanished)
    await tx.close_review_items(transform.migration_id, vanished, ACTOR, now)


def _left(transform: Transform, scope: Mapping[str, set[str]], known: Mapping[str, Record]) -> list[Record]:
    """Answer records of ours in Pipedrive that their source records, as they are now, do not become any more, if nothing was decided on them yet."""
    return [
        record
        for record in _unproduced(transform, scope, known)
        if record.state is RecordState.LOADED and not record.is_preexisting and not record.gone and record.reason != DUPLICATE
    ]


def _taken_back(transform: Transform, scope: Mapping[str, set[str]], known: Mapping[str, Record]) -> list[Record]:
    """Answer records that were taken back, would be loaded again, and that their source records, as they are now, do not become any more."""
    return [
        record
        for record in _unproduced(transform, scope, known)
        if record.state is RecordState.UNDONE and record.resolution is not Resolution.SKIP and record.intent_time is None and not record.gone
    ]


async def _without_held(tx: Transaction, transform: Transform, left: Sequence[Record]) -> list[Record]:
    """Leave out what is not lost but held up: while its source record waits or is refused in mapping, nothing is made of it."""
    held = {issue.source_key for issue in transform.issues if issue.kind in {IssueKind.WAITING, IssueKind.REJECTED}}
    for source_key, record in {record.source_key: record for record in left}.items():
        others = await tx.list_records_of_source(record.migration_id, record.source_entity, record.source_id)
        issues = await tx.list_source_issues(record.migration_id, entity=record.source_entity, source_id=record.source_id)
        if any(_is_held(other) for other in others) or any(issue.state in _HOLDING for issue in issues):
            held.add(source_key)
    return [record for record in left if record.source_key not in held]


def _is_held(record: Record) -> bool:
    """Say whether mapping holds a record up; what a loader or a person holds up was claimed, and has the digest of that claim."""
    return record.state in {RecordState.WAITING, RecordState.REJECTED} and not record.intent_digest and record.reason != SOURCE_DELETED


async def _lose(tx: Transaction, transform: Transform, policies: Policies, left: Sequence[Record], now: datetime) -> None:
    """Decide on what the source has no more, by the policy of its target entity; what is to be deleted goes at the end of the delta."""
    if not left:
        return
    wholes = {(issue.source_entity, issue.source_id): issue.reason for issue in transform.issues if not issue.key}
    records: list[Record] = []
    items: list[ReviewItem] = []
    events: list[EventDraft] = []
    counts: Counter[tuple[str, str]] = Counter()
    for record in left:
        word, reason = policies.deletion(record.target_entity), wholes.get((record.source_entity, record.source_id), "")
        after = replace(record, gone=word, update_time=now)
        if word == ASK:
            after = replace(after, state=RecordState.WAITING, reason=SOURCE_DELETED, message=_left_behind(record, reason).message)
            items.append(_review_item(transform, replace(_left_behind(record, reason), kind=IssueKind.WAITING, reason=SOURCE_DELETED), now))
        elif word == FLAG:
            items.append(_review_item(transform, _left_behind(record, reason), now))
        records.append(after)
        payload = {"run_id": transform.run_id, "policy": word, "reason": reason or NOT_MAPPED}
        events.append(EventDraft("source.gone", ACTOR, record.key, record.source_key, record.target_id, word, payload))
        counts[record.target_entity, f"gone_{word}"] += 1
    await tx.save_records(records)
    await tx.open_review_items(items)
    await tx.append_events(transform.migration_id, events)
    await tx.add_run_results(transform.run_id, counts)


async def _leave_out(tx: Transaction, transform: Transform, records: Sequence[Record], now: datetime) -> None:
    """Settle what was taken back and is not to come again: nothing stands in Pipedrive, so no policy is asked. Kept in the ledger for its journey."""
    wholes = {(issue.source_entity, issue.source_id): issue.reason for issue in transform.issues if not issue.key}
    settled: list[Record] = []
    events: list[EventDraft] = []
    for record in records:
        reason = wholes.get((record.source_entity, record.source_id)) or NOT_MAPPED
        kept_reason = record.reason if record.reason == KEPT else reason
        settled.append(replace(record, gone=KEEP, resolution=Resolution.NONE, reason=kept_reason, update_time=now))
        payload = {"run_id": transform.run_id, "policy": KEEP, "reason": reason}
        events.append(EventDraft("source.gone", ACTOR, record.key, record.source_key, record.target_id, KEEP, payload))
    if settled:
        await tx.save_records(settled)
        await tx.append_events(transform.migration_id, events)


async def _find_again(tx: Transaction, transform: Transform, known: Mapping[str, Record], now: datetime) -> dict[str, Record]:
    """Forget what was decided on records that their source records become again; answers them."""
    back = {
        key: replace(known[key], gone="", update_time=now)
        for key in transform.records
        if key in known and known[key].gone and known[key].state is not RecordState.UNDONE and not known[key].holder
    }
    await tx.save_records(list(back.values()))
    events = [
        EventDraft("source.back", ACTOR, key, record.source_key, record.target_id, "back", {"run_id": transform.run_id})
        for key, record in back.items()
    ]
    if events:
        await tx.append_events(transform.migration_id, events)
    return back


def _left_behind(record: Record, reason: str) -> Issue:
    """Answer the flag for a record that was loaded, and that its source record does not become any more. It stays: people may have worked on it."""
    cause = "its source record was deleted or left out" if reason else "its source record does not become it any more"
    return Issue(
        kind=IssueKind.FLAGGED,
        source_entity=record.source_entity,
        source_id=record.source_id,
        key=record.key,
        reason=reason or NOT_MAPPED,
        message=f"{record.target_entity} {record.target_id} stays in Pipedrive although {cause}: delete it there if it should go",
    )


def _expected(transform: Transform, wanted: WantedRecord, now: datetime) -> Record:
    return Record(
        migration_id=transform.migration_id,
        key=wanted.key,
        target_entity=wanted.target_entity,
        source_entity=wanted.source_entity,
        source_id=wanted.source_id,
        phase=transform.phase,
        update_time=now,
    )


async def _record_issues(
    tx: Transaction, transform: Transform, scope: Mapping[str, set[str]], known: Mapping[str, Record], now: datetime
) -> list[EventDraft]:
    """Store the issues and answer the events of what is new."""
    skipped = await _skipped_by_review(tx, transform)
    await tx.open_review_items([_review_item(transform, issue, now) for issue in _for_review(transform, known, skipped)])
    events: list[EventDraft] = []
    records: list[Record] = []
    for issue in transform.issues:
        if issue.key and issue.kind is not IssueKind.FLAGGED:
            before = known.get(issue.key)
            after = _with_issue(transform, issue, before, now)
            if after is not None and (before is None or (after.state, after.reason, after.message) != (before.state, before.reason, before.message)):
                records.append(after)
                events.append(_event(issue))
    await tx.save_records(records)
    return events + await _replace_source_issues(tx, transform, scope, skipped, now)


async def _replace_source_issues(
    tx: Transaction, transform: Transform, scope: Mapping[str, set[str]], skipped: set[str], now: datetime
) -> list[EventDraft]:
    events: list[EventDraft] = []
    for entity, source_ids in scope.items():
        wholes = [issue for issue in transform.issues if issue.source_entity == entity and not issue.key and issue.kind is not IssueKind.FLAGGED]
        before = {
            issue.source_id: (issue.state, issue.reason)
            for issue in await tx.get_source_issues(transform.migration_id, transform.phase, entity, source_ids)
        }
        chosen: dict[str, SourceIssue] = {}
        for issue in wholes:
            found = _source_issue(transform, issue, skipped, now)
            rival = chosen.get(issue.source_id)
            if rival is None or _PRECEDENCE.index(found.state) < _PRECEDENCE.index(rival.state):
                chosen[issue.source_id] = found
        await tx.replace_source_issues(transform.migration_id, transform.phase, entity, source_ids, list(chosen.values()))
        events.extend(_source_event(issue) for source_id, issue in chosen.items() if before.get(source_id) != (issue.state, issue.reason))
    return events


async def _skipped_by_review(tx: Transaction, transform: Transform) -> set[str]:
    """Answer the review items of whole source records that a person resolved by leaving the record out."""
    ids = [_item_id(transform, issue) for issue in transform.issues if issue.kind is IssueKind.WAITING and not issue.key]
    if not ids:
        return set()
    items = await tx.list_review_items(transform.migration_id, ReviewFilter(review_item_ids=tuple(ids), includes_resolved=True), limit=len(ids))
    return {item.review_item_id for item in items if item.resolution is Resolution.SKIP}


def _for_review(transform: Transform, known: Mapping[str, Record], skipped: set[str]) -> list[Issue]:
    """Choose the issues a person is shown: those that wait and are not decided, and flags."""
    shown: list[Issue] = []
    for issue in transform.issues:
        record = known.get(issue.key)
        is_decided = _item_id(transform, issue) in skipped or (record is not None and record.resolution is Resolution.SKIP)
        if issue.kind is IssueKind.FLAGGED or (issue.kind is IssueKind.WAITING and not is_decided):
            shown.append(issue)
    return shown


def _with_issue(transform: Transform, issue: Issue, before: Record | None, now: datetime) -> Record | None:
    """Answer the record an issue holds up; None: a person left it out, or it is being loaded."""
    if before is not None and (before.resolution is Resolution.SKIP or before.holder):
        return None
    wanted = WantedRecord(issue.key, issue.key.partition(":")[0], issue.source_entity, issue.source_id)
    record = before or _expected(transform, wanted, now)
    return replace(record, state=_RECORD_STATES[issue.kind], reason=issue.reason, message=issue.message, intent_digest="", update_time=now)


def _source_issue(transform: Transform, issue: Issue, skipped: set[str], now: datetime) -> SourceIssue:
    is_skipped = _item_id(transform, issue) in skipped
    return SourceIssue(
        migration_id=transform.migration_id,
        entity=issue.source_entity,
        source_id=issue.source_id,
        phase=transform.phase,
        state=SourceState.SKIPPED if is_skipped else _SOURCE_STATES[issue.kind],
        reason=SKIPPED_BY_REVIEW if is_skipped else issue.reason,
        message=issue.message,
        update_time=now,
    )


def _item_id(transform: Transform, issue: Issue) -> str:
    return review_item_id(transform.migration_id, issue.source_key, issue.key, issue.reason)


def _review_item(transform: Transform, issue: Issue, now: datetime) -> ReviewItem:
    is_blocking = issue.kind is IssueKind.WAITING
    return review_item(transform.migration_id, issue.source_key, issue.reason, issue.message, now, key=issue.key, is_blocking=is_blocking)


def _event(issue: Issue) -> EventDraft:
    payload = {"reason": issue.reason, "message": issue.message}
    return EventDraft(f"record.{issue.kind}", ACTOR, key=issue.key, source_key=issue.source_key, result=str(issue.kind), payload=payload)


def _source_event(issue: SourceIssue) -> EventDraft:
    payload = {"reason": issue.reason, "message": issue.message}
    return EventDraft(f"source.{issue.state}", ACTOR, source_key=issue.source_key, result=str(issue.state), payload=payload)


def _mapped(transform: Transform) -> EventDraft:
    payload = {
        "run_id": transform.run_id,
        "page_id": transform.page_id,
        "phase": transform.phase,
        "manifest_digest": transform.manifest_digest,
        "batch_count": len(transform.batches),
        "record_count": len(transform.records),
        "issues": dict(Counter(str(issue.kind) for issue in transform.issues)),
    }
    return EventDraft("page.mapped", ACTOR, result="mapped", payload=payload)
