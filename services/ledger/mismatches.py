"""L-13: what people decide about the mismatches of a reconciliation: to repair them, or to accept what stands there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger.audit import sign_head
from services.ledger.domain import EventDraft, RecordState, ReportKind, RunKind
from services.ledger.migrations import require_migration, standing_of, start_run
from services.ledger.origins import carried_key, possible_origins
from services.ledger.reconciliation import is_compared
from services.ledger.repair import Repair, RepairAction, accepted, adopted, hangs_on, plan_repair
from services.ledger.runs.outcome import Decided, settle_mismatches
from services.ledger.states import Step, check
from transload.v1.migration_service_pb2 import Mismatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader, Transaction
    from transload.audit.heads import Signer
    from transload.v1.migration_service_pb2 import MismatchSelection

ROWS_PER_READ: Final = 1_000
KINDS: Final = frozenset({"", "missing", "different", "unexpected"})
_PARTS: Final = frozenset({"line_item", "deal_value"})
_ORDER: Final = {action: place for place, action in enumerate(RepairAction)}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what."""

    migration_id: str
    actor: str
    selection: MismatchSelection
    now: datetime


async def plan_repairs(reader: Reader, asked: Asked) -> list[Repair]:
    """Say what would be done about the mismatches meant, and about missing records that hang on missing ones.

    Raises:
        InvalidRequestError, NotFoundError: nothing is meant, or there is no such mismatch.
        PreconditionError: the state of the migration does not allow it.
    """
    migration = await require_migration(reader, asked.migration_id)
    check(Step.REPAIR, await standing_of(reader, migration))
    found = await _found(reader, migration)
    meant = _meant(found, asked.selection)
    records = await reader.get_records(asked.migration_id, list(found))
    deletes = asked.selection.kind == "unexpected" or bool(asked.selection.keys)
    repairs = {key: plan_repair(found[key], records.get(key), deletes=deletes) for key in meant}
    for key in _hanging(repairs, found, records):
        repairs[key] = plan_repair(found[key], records.get(key), deletes=False)
    for repair in [one for one in repairs.values() if one.action is RepairAction.CREATE and one.target_entity == "deal"]:
        repairs |= await _made_with(reader, asked.migration_id, repair)
    return sorted(repairs.values(), key=lambda repair: (_ORDER[repair.action], repair.target_entity, repair.key))


async def start_repair(transaction: Transaction, asked: Asked) -> tuple[list[Repair], Run | None]:
    """Start the repair of the mismatches meant; None: there is nothing to be done about them. What is done stands in rows and in an event first."""
    repairs = await plan_repairs(transaction, asked)
    done = [repair for repair in repairs if repair.action is not RepairAction.NONE]
    if not done:
        return repairs, None
    await transaction.replace_report_rows(asked.migration_id, ReportKind.REPAIR, [repair.to_row() for repair in done])
    await transaction.replace_report_rows(asked.migration_id, ReportKind.REPAIRED, [])
    run = await start_run(transaction, asked.migration_id, RunKind.REPAIR, actor=asked.actor, now=asked.now)
    counts = Counter(str(repair.action) for repair in done)
    drafts = [
        EventDraft(
            kind="mismatch.repair",
            actor=asked.actor,
            key=repair.key,
            source_key=repair.source_key,
            target_id=repair.target_id,
            result=str(repair.action),
            payload={"run_id": run.run_id, "fields": sorted(repair.seen)},
        )
        for repair in done
    ]
    summary = EventDraft(kind="repair.decided", actor=asked.actor, payload={"run_id": run.run_id, "action_counts": dict(counts)})
    await transaction.append_events(asked.migration_id, [summary, *drafts])
    return repairs, run


async def accept(transaction: Transaction, asked: Asked, signer: Signer) -> int:
    """Accept the mismatches meant; answers how many records that are. One that changed since the reconciliation is left as it is."""
    migration = await require_migration(transaction, asked.migration_id)
    check(Step.REPAIR, await standing_of(transaction, migration))
    found = await _found(transaction, migration)
    meant = _meant(found, asked.selection)
    records = await transaction.get_records(asked.migration_id, list(meant))
    drafts: list[EventDraft] = []
    changed: list[Record] = []
    done: set[str] = set()
    no_longer: Counter[str] = Counter()
    copies = {key: carried_key(key, migration.source_account) for key in meant if found[key][0].kind == "unexpected"}
    origins = await possible_origins(transaction, asked.migration_id, set(copies.values()))
    after: Record | None
    for key in meant:
        if key in copies:
            after = adopted(asked.migration_id, copies[key], origins[copies[key]][0], found[key][0].target_id, is_ours=False)
        else:
            after = _accepted(found[key], records.get(key))
        if after is None:
            continue
        kind = found[key][0].kind
        no_longer[key.partition(":")[0]] += kind == "missing"
        changed.append(replace(after, update_time=asked.now))
        done.add(key)
        fields = sorted(one.target_field for one in found[key] if one.target_field)
        drafts.append(
            EventDraft(
                kind="mismatch.accepted",
                actor=asked.actor,
                key=after.key,
                source_key=after.source_key,
                target_id=found[key][0].target_id,
                result=kind,
                payload={"fields": fields},
            )
        )
    if not done:
        return 0
    await transaction.save_records(changed)
    await transaction.append_events(asked.migration_id, drafts)
    decided = Decided(asked.actor, {"accept": len(done)}, "", asked.now, +no_longer)
    await settle_mismatches(transaction, asked.migration_id, done, [], decided)
    await sign_head(transaction, signer, asked.migration_id, asked.now)
    return len(done)


async def _made_with(reader: Reader, migration_id: str, deal: Repair) -> dict[str, Repair]:
    """Answer lines and value of a deal that is made again: a line cannot change its deal, whether Pipedrive still shows it or not.

    Lines that the source has no more cannot be made again; they go with the old deal.
    """
    source_entity, _, source_id = deal.source_key.partition("/")
    parts = [record for record in await reader.list_records_of_source(migration_id, source_entity, source_id) if record.target_entity in _PARTS]
    return {
        record.key: Repair(record.key, record.target_entity, record.target_id, RepairAction.CREATE, source_key=record.source_key)
        for record in parts
        if is_compared(record) and not record.gone and hangs_on(record, "deal", deal.target_id)
    }


def _accepted(mismatches: Sequence[Mismatch], record: Record | None) -> Record | None:
    first = mismatches[0]
    if record is None or record.target_id != first.target_id or record.state not in {RecordState.LOADED, RecordState.MATCHED}:
        return None
    return accepted(record, mismatches)


async def _found(reader: Reader, migration: Migration) -> dict[str, list[Mismatch]]:
    """Answer the mismatches of the last reconciliation by record."""
    found: dict[str, list[Mismatch]] = {}
    after = 0
    while True:
        rows = await reader.list_report_rows(migration.migration_id, ReportKind.RECONCILIATION, after=after, limit=ROWS_PER_READ)
        for _, row in rows:
            mismatch = Mismatch.FromString(row)
            found.setdefault(mismatch.key, []).append(mismatch)
        if len(rows) < ROWS_PER_READ:
            return found
        after = rows[-1][0]


def _meant(found: Mapping[str, Sequence[Mismatch]], selection: MismatchSelection) -> list[str]:
    if selection.kind not in KINDS:
        raise InvalidRequestError(f"selection.kind: one of {', '.join(sorted(kind for kind in KINDS if kind))}")
    if selection.keys:
        unknown = [key for key in selection.keys if key not in found]
        if unknown:
            raise NotFoundError(f"the last reconciliation found nothing about {unknown[0]}; list the mismatches to see their keys")
        return list(dict.fromkeys(selection.keys))
    if not selection.is_all:
        raise InvalidRequestError("selection: give keys, or is_all")
    return [key for key, mismatches in found.items() if not selection.kind or mismatches[0].kind == selection.kind]


def _hanging(repairs: Mapping[str, Repair], found: Mapping[str, Sequence[Mismatch]], records: Mapping[str, Record]) -> list[str]:
    """Answer missing records, not meant themselves, that hang on records which are made again: a deal without its lines is not whole."""
    lost = [repair for repair in repairs.values() if repair.action is RepairAction.CREATE]
    if not lost:
        return []
    return [
        key
        for key, mismatches in found.items()
        if key not in repairs
        and mismatches[0].kind == "missing"
        and key in records
        and any(hangs_on(records[key], repair.target_entity, repair.target_id) for repair in lost)
    ]
