"""What the loader asks and tells: claims before an effect, outcomes after it. Each is one transaction."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from services.common.canonical import canonical_json
from services.common.clock import SteadyClock
from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger.claims import (
    Action,
    Claim,
    Decision,
    References,
    check_taking_work,
    decide_load,
    decide_repair,
    decide_undo,
    dropped_references,
    is_open,
    resolve_references,
)
from services.ledger.delta import Policies
from services.ledger.domain import (
    Batch,
    BatchState,
    EventDraft,
    Migration,
    Outcome,
    OutcomeResult,
    Record,
    RecordState,
    Run,
    RunKind,
    Standing,
    WantedRecord,
    review_item_of,
)
from services.ledger.due_values import note_due_values
from services.ledger.matching.followers import forget_gone, let_go
from services.ledger.matching.identity import Rules
from services.ledger.matching.matcher import Matched, Matcher
from services.ledger.merges import MERGEABLE, Move, take_over
from services.ledger.outcomes import Sender, Settlement, settle
from services.ledger.reconciliation import VALUE_FIELDS
from services.ledger.replaced import note_replaced
from services.ledger.repository import Transaction
from services.ledger.runs.context import RunContext
from services.ledger.same_target import keep_first_pre_images, with_same_target
from services.ledger.taken import is_taken

_WRITING = frozenset({Action.CREATE, Action.UPDATE, Action.IN_DOUBT, Action.MATCH})
_SETTLED = frozenset({RecordState.LOADED, RecordState.MATCHED, RecordState.WAITING})
_WITHOUT_ORIGIN = frozenset({"organization_relation", "line_item", "activity", "note", "file"})
"""Target entities without an external id: equal ones can be taken for each other."""
_NO_REFERENCES = References(ids={}, pending=frozenset(), missing={})


@dataclass(frozen=True, slots=True)
class Begin:
    """A batch a loader wants to begin."""

    migration_id: str
    run_id: str
    batch_id: str
    wanted: Sequence[WantedRecord]
    holder: str
    token: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What the loader is told."""

    decisions: Sequence[Decision]
    references: References
    dropped: Sequence[str]
    claim: Claim
    migration: Migration
    run: Run
    field_policies: Mapping[str, str]
    """Policy on conflicts by field."""
    referred: Mapping[str, Standing]
    """In a delta: records referred to that people may have merged since."""

    @property
    def look_age(self) -> timedelta | None:
        """How long ago the records of an undo batch were compared with what was loaded; None: they were not."""
        looked = RunContext.of(self.run).look_time if self.run.kind is RunKind.ROLLBACK else 0.0
        return timedelta(seconds=max(0.0, self.claim.now.timestamp() - looked)) if looked else None

    @property
    def deletes_edited(self) -> bool:
        """Whether a rollback takes what people edited."""
        # A repair deletes copies only, each of them named by a person.
        if self.run.kind in {RunKind.DELTA, RunKind.REPAIR}:
            return True
        return self.run.kind is RunKind.ROLLBACK and RunContext.of(self.run).scope.deletes_edited


async def begin_batch(tx: Transaction, begin: Begin, now: datetime, claim_ttl: timedelta, *, steady: SteadyClock | None = None) -> Begun:
    """Claim the records of a batch, write the intents and say what is to be done. Claims are measured by `steady`, if given, else by `now`.

    Raises:
        NotFoundError: the ledger does not wait for such a batch.
        InvalidRequestError: it holds records the batch was not announced with.
        PreconditionError, PausedError, UnavailableError: see `check_taking_work`.
    """
    migration, batch = await tx.get_migration(begin.migration_id), await tx.get_batch(begin.batch_id)
    if migration is None or batch is None or (batch.migration_id, batch.run_id) != (begin.migration_id, begin.run_id):
        raise NotFoundError(f"run {begin.run_id} of migration {begin.migration_id} waits for no batch {begin.batch_id}")
    run = check_taking_work(migration, await tx.get_run(begin.run_id), batch.phase, now)
    moment, since = (steady.now(), steady.started) if steady is not None else (now, None)
    claim = Claim(begin.holder, begin.token, begin.batch_id, now, moment + claim_ttl, moment, since)
    known = await tx.get_records(begin.migration_id, [record.key for record in begin.wanted])
    taken = [] if batch.is_undo else [wanted for wanted in begin.wanted if is_taken(wanted, known.get(wanted.key))]
    strangers = {wanted.key for wanted in begin.wanted if wanted not in taken} - set(batch.keys)
    if strangers:
        raise InvalidRequestError(f"batch {begin.batch_id} was announced without {min(strangers)}")
    pairs = [(known.get(wanted.key) or _unseen(begin, batch, wanted), wanted) for wanted in begin.wanted if wanted not in taken]
    known_targets = await _referred(tx, begin, [wanted for _, wanted in pairs])
    references = resolve_references([wanted for _, wanted in pairs], known_targets, batch.phase) if known_targets is not None else _NO_REFERENCES
    policies = Policies.of(run, migration)
    matched = Matched([])
    if batch.state is BatchState.FINAL:
        decisions = [Decision(record, Action.DONE) for record, _ in pairs]
    elif batch.is_undo and run.kind is RunKind.REPAIR:
        decisions = [decide_repair(record, wanted, claim) for record, wanted in pairs]
    elif batch.is_undo:
        decisions = await _with_lines(tx, begin, run, [decide_undo(record, claim) for record, _ in pairs])
        if not RunContext.of(run).scope.is_partial and run.kind is RunKind.ROLLBACK:
            decisions = await with_same_target(tx, begin.migration_id, decisions)
    else:
        policy = policies.conflict(batch.target_entity)
        decisions = [decide_load(record, wanted, claim, references, policy) for record, wanted in pairs]
        cases = [(decision, item, record) for decision, (record, item) in zip(decisions, pairs, strict=True)]
        matched = await _match(tx, run, claim, cases, references)
        decisions = matched.decisions
    matched.decisions = list(decisions)
    await _store(tx, begin, batch, matched, now)
    referred: dict[str, Standing] = {}
    if run.kind is RunKind.DELTA and not batch.is_undo and any(decision.action in _WRITING for decision in decisions):
        referred = {
            key: standing
            for key, standing in (known_targets or {}).items()
            if standing.target_entity in MERGEABLE and standing.has_target and standing.state in _SETTLED
        }
    dropped = sorted(dropped_references(pairs, references))
    if taken:
        # The loader wants an answer for each record of the batch: nothing is to be done for these.
        decided = {(one.record.key, one.record.source_key): one for one in decisions}
        unseen = [_unseen(begin, batch, wanted) for wanted in begin.wanted]
        decisions = [decided.get((one.key, one.source_key)) or Decision(one, Action.DONE) for one in unseen]
    return Begun(decisions, references, dropped, claim, migration, run, policies.field_conflicts(batch.target_entity), referred)


async def _match(tx: Transaction, run: Run, claim: Claim, cases: Sequence[tuple[Decision, WantedRecord, Record]], references: References) -> Matched:
    """Answer the decisions after a look whether what is about to be created exists already."""
    entity = cases[0][1].target_entity if cases else ""
    rules = Rules.of(entity, RunContext.of(run).matching.get(entity))
    if rules is None or not rules.is_on:
        return Matched([decision for decision, _, _ in cases])
    return await Matcher(tx, run, rules, replica=claim.replica, now=claim.now).decide(cases, references)


async def _with_lines(tx: Transaction, begin: Begin, run: Run, decisions: list[Decision]) -> list[Decision]:
    """Answer decisions on deals with what else stands in Pipedrive: their lines, and the value that lines or a late link gave them."""
    ids = [item.record.target_id for item in decisions if item.record.target_entity == "deal" and item.action is Action.DELETE]
    if not ids:
        return decisions
    lines: dict[str, dict[str, Any]] = {target_id: {} for target_id in ids}
    for line in await tx.list_records_by_parent(begin.migration_id, "line_item", ids):
        if line.has_target:
            lines[line.parent_target_id][line.target_id] = orjson.loads(line.image or "{}")
    values = {
        record.target_id: orjson.loads(record.image or "{}") for record in await tx.list_records_by_target(begin.migration_id, "deal_value", ids)
    }
    doubtful = RunContext.of(run).doubtful
    found = []
    for decision in decisions:
        record = decision.record
        if record.target_id not in lines or decision.action is not Action.DELETE:
            found.append(decision)
            continue
        image = orjson.loads(record.image or "{}")
        if image and lines[record.target_id]:
            # Lines make the value; only a late link says what it shall be.
            image = {name: value for name, value in image.items() if name not in VALUE_FIELDS} | values.get(record.target_id, {})
        elif image:
            image |= values.get(record.target_id, {})
        told = "" if record.key in doubtful else canonical_json(lines[record.target_id]).decode()
        found.append(replace(decision, record=replace(record, image=canonical_json(image).decode() if image else ""), lines=told, stored=record))
    return found


def _unseen(begin: Begin, batch: Batch, wanted: WantedRecord) -> Record:
    return Record(begin.migration_id, wanted.key, wanted.target_entity, wanted.source_entity, wanted.source_id, batch.phase)


async def _referred(tx: Transaction, begin: Begin, wanted: Sequence[WantedRecord]) -> dict[str, Standing] | None:
    """Answer how the records stand that a batch refers to; None: it refers to none."""
    keys = {key for record in wanted for reference in record.references for key in (reference.key, reference.fallback_key) if key}
    return await tx.get_standings(begin.migration_id, keys) if keys else None


async def _store(tx: Transaction, begin: Begin, batch: Batch, matched: Matched, now: datetime) -> None:
    decisions = matched.decisions
    changed = [decision for decision in decisions if decision.is_changed]
    await tx.save_records([decision.stored or decision.record for decision in changed])
    blocked = [decision for decision in changed if decision.action is Action.BLOCKED]
    waiting = [review_item_of(one.record, one.record.reason, one.record.message, now, is_blocking=True) for one in blocked]
    await tx.open_review_items([*waiting, *matched.flags])
    replica = begin.holder.partition("/")[0]
    over = [decision.record.key for decision in changed if decision.action is Action.DONE]
    await tx.close_review_items(begin.migration_id, over, replica, now)
    if changed:
        await tx.append_events(
            begin.migration_id,
            [_begun_event(begin, batch, changed), *matched.events, *(_blocked_event(decision, replica) for decision in blocked)],
        )
    if batch.state is BatchState.EXPECTED and not batch.is_undo:
        # Counted when a batch is begun for the first time: what it does itself is counted when it is settled.
        unchanged = sum(decision.action is Action.DONE and decision.record.has_target for decision in decisions)
        if unchanged:
            await tx.add_run_results(begin.run_id, {(batch.target_entity, "unchanged"): unchanged})
    is_final = all(not is_open(decision.record, batch) and decision.action is not Action.HELD for decision in decisions)
    if batch.state is BatchState.FINAL:
        return
    if is_final:
        await tx.set_batch_state(batch.batch_id, BatchState.FINAL)
        if not changed:
            await tx.append_event(begin.migration_id, _begun_event(begin, batch, decisions))
    elif batch.state is BatchState.EXPECTED:
        await tx.set_batch_state(batch.batch_id, BatchState.BEGUN)


def _begun_event(begin: Begin, batch: Batch, decisions: Sequence[Decision]) -> EventDraft:
    keys: dict[str, list[str]] = defaultdict(list)
    for decision in decisions:
        keys[str(decision.action)].append(decision.record.key)
    payload: dict[str, Any] = {"run_id": begin.run_id, "batch_id": begin.batch_id, "phase": batch.phase, "keys": dict(keys)}
    return EventDraft("batch.begun", begin.holder.partition("/")[0], result="begun", payload=payload)


def _blocked_event(decision: Decision, replica: str) -> EventDraft:
    record = decision.record
    payload = {"reason": record.reason, "missing": list(decision.missing)}
    return EventDraft("record.blocked", replica, key=record.key, source_key=record.source_key, result="waiting", payload=payload)


@dataclass(frozen=True, slots=True)
class Settle:
    """Outcomes of a batch."""

    migration_id: str
    run_id: str
    batch_id: str
    holder: str
    outcomes: Sequence[Outcome]
    shared_calls: Sequence[Mapping[str, Any]]
    """Calls of the batch as a whole."""
    request_id: str
    moves: Sequence[Move] = ()
    """Merges that were found out."""


async def _check_run(tx: Transaction, request: Settle, batch: Batch | None) -> None:
    """Refuse outcomes of a run there is none of: they would be counted nowhere."""
    if batch is not None and batch.run_id == request.run_id:
        return
    run = await tx.get_run(request.run_id)
    if run is None or run.migration_id != request.migration_id:
        raise NotFoundError(f"migration {request.migration_id} has no run {request.run_id}")


async def settle_batch(tx: Transaction, request: Settle, now: datetime) -> bool:
    """Store the outcomes of a batch; answers whether every record of it is final or waits in review.

    Outcomes are facts: they are stored whatever became of the run and the pause since.

    Raises:
        NotFoundError: no such migration or run.
        InvalidRequestError: an outcome names a record the ledger does not know.
    """
    batch = await tx.get_batch(request.batch_id)
    if batch is not None and batch.migration_id != request.migration_id:
        raise NotFoundError(f"migration {request.migration_id} has no batch {request.batch_id}")
    await _check_run(tx, request, batch)
    merged: dict[str, int] = {}
    if request.moves:
        migration = await tx.get_migration(request.migration_id)
        if migration is None:
            raise NotFoundError(f"there is no migration {request.migration_id}", reason="MIGRATION_NOT_FOUND")
        replica = request.holder.partition("/")[0]
        merged = await take_over(tx, migration, request.moves, run_id=request.run_id, actor=replica, now=now)
    records = await tx.get_records(request.migration_id, [outcome.key for outcome in request.outcomes])
    unknown = [outcome.key for outcome in request.outcomes if outcome.key not in records]
    if unknown:
        raise InvalidRequestError(f"migration {request.migration_id} has no record {unknown[0]}")
    sender = Sender(request.holder, request.run_id, is_undo=batch is not None and batch.is_undo, now=now)
    if sender.is_undo and (run := await tx.get_run(request.run_id)) is not None:
        repair_id = request.batch_id if run.kind is RunKind.REPAIR else ""
        sender = replace(sender, scope=RunContext.of(run).scope, repair_id=repair_id)
    found: list[Settlement] = []
    before = dict(records)
    token_count = 0
    for outcome in await _each_once(tx, request, batch):
        settlement = settle(records[outcome.key], outcome, sender)
        if settlement is not None:
            records[outcome.key] = settlement.record
            found.append(settlement)
            token_count += outcome.token_count
    found = await keep_first_pre_images(tx, request.migration_id, before, found)
    records |= {settlement.record.key: settlement.record for settlement in found}
    await _keep(tx, request, found, sender, token_count, target_entity=batch.target_entity if batch is not None else "")
    await note_replaced(tx, request.migration_id, before, found)
    await note_due_values(tx, request.migration_id, found)
    results = Counter({(entity, "merged"): count for entity, count in merged.items()})
    for settlement in found:
        results.update({(settlement.record.target_entity, word): count for word, count in settlement.results})
    if results:
        await tx.add_run_results(request.run_id, results)
    return await _finish(tx, request, batch, records)


async def _each_once(tx: Transaction, request: Settle, batch: Batch | None) -> list[Outcome]:
    """Answer the outcomes, with those unknown that name an object another record owns.

    Two loaders can come to the same object of twins: one has its answer, the other found it in a list before that was settled. Whoever settles
    first owns it. The other one stays in doubt and looks again: it finds its own, or creates it.
    """
    ids = [outcome.target_id for outcome in request.outcomes if outcome.result is OutcomeResult.CREATED and outcome.target_id]
    if batch is None or batch.target_entity not in _WITHOUT_ORIGIN or not ids:
        return list(request.outcomes)
    migration = await tx.get_migration(request.migration_id)
    owners = await tx.find_targets(migration.target_connection, batch.target_entity, ids) if migration is not None else {}
    outcomes: list[Outcome] = []
    for outcome in request.outcomes:
        is_new = outcome.result is OutcomeResult.CREATED and bool(outcome.target_id)
        owner = owners.setdefault(outcome.target_id, outcome.key) if is_new else outcome.key
        if owner == outcome.key:
            outcomes.append(outcome)
            continue
        message = f"{batch.target_entity} {outcome.target_id} belongs to its twin {owner}"
        calls, tokens = outcome.calls, outcome.token_count
        outcomes.append(Outcome(outcome.key, OutcomeResult.UNKNOWN, reason="IN_DOUBT", message=message, calls=calls, token_count=tokens))
    return outcomes


async def _keep(tx: Transaction, request: Settle, found: Sequence[Settlement], sender: Sender, token_count: int, *, target_entity: str) -> None:
    identity = f"settle/{request.request_id}"
    is_told_before = bool(request.request_id) and await tx.get_response(identity) is not None
    if not found and (is_told_before or not request.request_id or not request.shared_calls):
        return
    events = [event for settlement in found for event in (*settlement.more_events, settlement.event)]
    if request.shared_calls and not is_told_before:
        token_count += sum(int(call["token_count"]) for call in request.shared_calls)
        payload = {"run_id": request.run_id, "batch_id": request.batch_id, "calls": [dict(call) for call in request.shared_calls]}
        events.insert(0, EventDraft("batch.called", sender.replica, result="called", payload=payload))
    if request.request_id and request.shared_calls and not is_told_before:
        await tx.save_response(identity, b"", sender.now)
    await tx.save_records(await _ordered(tx, request.migration_id, found))
    await forget_gone(tx, request.migration_id, found)
    await let_go(tx, request.migration_id, found, sender.now)
    if sender.is_undo:
        gone = [settlement.record.key for settlement in found if settlement.event.result == OutcomeResult.DELETED]
        await tx.forget_kept(request.migration_id, keys=gone)
    await tx.save_kept([settlement.kept for settlement in found if settlement.kept is not None])
    await tx.open_review_items([item for settlement in found for item in settlement.review_items])
    over = [settlement.record.key for settlement in found if settlement.ends_review]
    await tx.close_review_items(request.migration_id, over, sender.replica, sender.now)
    await tx.append_events(request.migration_id, events)
    if token_count:
        await tx.add_run_tokens(request.run_id, token_count, target_entity=target_entity)


async def _ordered(tx: Transaction, migration_id: str, found: Sequence[Settlement]) -> list[Record]:
    """Answer the records to write; those that came into being get their place in the order of creation."""
    new_count = sum(settlement.needs_order + (settlement.twin is not None) for settlement in found)
    order = await tx.next_create_orders(migration_id, new_count) if new_count else 0
    records: list[Record] = []
    for settlement in found:
        if settlement.needs_order:
            records.append(replace(settlement.record, create_order=order))
            order += 1
        else:
            records.append(settlement.record)
        if settlement.twin is not None:
            records.append(replace(settlement.twin, create_order=order))
            order += 1
    return records


async def _finish(tx: Transaction, request: Settle, batch: Batch | None, records: dict[str, Record]) -> bool:
    if batch is None:
        return True
    if batch.state is BatchState.FINAL:
        return True
    others = [key for key in batch.keys if key not in records]
    if others:
        records |= await tx.get_records(request.migration_id, others)
    if batch.state is BatchState.EXPECTED or any(is_open(records.get(key), batch) for key in batch.keys):
        return False
    await tx.set_batch_state(batch.batch_id, BatchState.FINAL)
    return True
