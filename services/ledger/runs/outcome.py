"""How a reconciliation ends: its report, and the event that carries it into the signed trail."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json
from services.common.errors import NotFoundError
from services.common.sampling import CONFIDENCE, Draw, words, wrong_at_most
from services.ledger.domain import EventDraft, Report, ReportKind, RunState
from services.ledger.repair import Repair, RepairAction
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, current_migration, end_run, fresh
from services.ledger.runs.tally import by_entity
from transload.v1.migration_service_pb2 import Mismatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Run
    from services.ledger.repository import Reader, Transaction

ROWS_PER_READ = 1_000
FINISHED = "reconciliation.finished"
EVENT_SEQUENCE = "event_sequence"
"""Key of a report, beside those of the event's payload: which event tells it."""


async def finish_reconciliation(tools: Tools, run: Run) -> float:
    """End a reconciliation: what it found is an event, and the head over it is signed."""
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        migration = await current_migration(transaction, now.migration_id)
        context = RunContext.of(now)
        entities = by_entity(context.counts)
        head = {
            "run_id": now.run_id,
            "record_count": sum(sums["expected"] for sums in entities.values()),
            "field_count": sum(sums["fields"] for sums in entities.values()),
            "mismatch_count": context.counts.get("mismatches", 0),
            "mismatch_digest": await digest_of_rows(transaction, now.migration_id),
            "entities": entities,
            "samples": {name: _sample(context.counts, name, Draw(**drawn)) for name, drawn in context.draws.items() if drawn["population"]},
            "mapping_digest": migration.mapping_digest,
            "manifest_digest": migration.manifest_digest,
            "token_count": now.token_count,
        }
        await _state(transaction, now.migration_id, head, Decided(tools.actor, {}, "", tools.clock.now()))
        await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=head["mismatch_count"])
    return AT_ONCE


async def finish_repair(tools: Tools, run: Run) -> float:
    """End a repair: the report holds what was left different, and what was found anew about the repaired records."""
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        keys: set[str] = set()
        done: Counter[str] = Counter()
        async for _, row in _rows(transaction, now.migration_id, ReportKind.REPAIR):
            repair = Repair.from_row(row)
            if repair.action is not RepairAction.NONE:
                keys.add(repair.key)
                done[str(repair.action)] += 1
        left = [row async for _, row in _rows(transaction, now.migration_id, ReportKind.REPAIRED)]
        head = await settle_mismatches(transaction, now.migration_id, keys, left, Decided(tools.actor, dict(done), now.run_id, tools.clock.now()))
        for kind in (ReportKind.REPAIR, ReportKind.REPAIRED):  # they hold values of people
            await transaction.replace_report_rows(now.migration_id, kind, [])
        await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=head["mismatch_count"])
    return AT_ONCE


@dataclass(frozen=True, slots=True)
class Decided:
    """Who changed what a report says, and how.

    Attributes:
        actor: who.
        counts: records by what was done about them.
        run_id: the repair; empty: there was none.
        time: when.
        no_longer: records that are not expected any more, by target entity.
    """

    actor: str
    counts: Mapping[str, int]
    run_id: str
    time: datetime
    no_longer: Mapping[str, int] = field(default_factory=dict)


async def settle_mismatches(
    transaction: Transaction, migration_id: str, keys: Collection[str], more: Sequence[bytes], decided: Decided
) -> dict[str, Any]:
    """Write the report of the last reconciliation anew without some records, with what was found about them since; answers its head.

    Raises:
        NotFoundError: there is no report to change.
    """
    report = await transaction.get_report(migration_id, ReportKind.RECONCILIATION)
    head: dict[str, Any] = orjson.loads(report.content) if report else {}
    if report is None or not head.pop(EVENT_SEQUENCE, 0):
        raise NotFoundError("there is no reconciliation, or a rollback came after it: run one first")
    rows = [row async for _, row in _rows(transaction, migration_id, ReportKind.RECONCILIATION) if Mismatch.FromString(row).key not in keys]
    rows += dict.fromkeys(more)
    await transaction.replace_report_rows(migration_id, ReportKind.RECONCILIATION, rows)
    by_kind: dict[tuple[str, str], set[str]] = {}
    for mismatch in map(Mismatch.FromString, rows):
        by_kind.setdefault((mismatch.key.partition(":")[0], mismatch.kind), set()).add(f"{mismatch.key} {mismatch.target_id}")
    for entity, sums in head["entities"].items():
        sums["expected"] -= decided.no_longer.get(entity, 0)
        sums |= {kind: len(by_kind.get((entity, kind), ())) for kind in ("missing", "different", "unexpected")}
        sums["found"] = sums["expected"] - sums["missing"]
    repaired = Counter(head.get("repaired", {})) + Counter(decided.counts)
    head |= {
        "record_count": sum(sums["expected"] for sums in head["entities"].values()),
        "mismatch_count": len(rows),
        "mismatch_digest": await digest_of_rows(transaction, migration_id),
        "repaired": dict(repaired),
    }
    if decided.run_id:
        head["repair_run_id"] = decided.run_id
    await _state(transaction, migration_id, head, decided)
    return head


async def _state(transaction: Transaction, migration_id: str, head: dict[str, Any], decided: Decided) -> None:
    """Write a result: the event that tells it, and the report that names the event."""
    result = "whole" if not head["mismatch_count"] else "different"
    sequence = await transaction.append_event(migration_id, EventDraft(kind=FINISHED, actor=decided.actor, result=result, payload=head))
    content = canonical_json(head | {EVENT_SEQUENCE: sequence})
    await transaction.save_report(
        Report(migration_id=migration_id, kind=ReportKind.RECONCILIATION, content=content, create_time=decided.time, run_id=head["run_id"])
    )


def rows_of(mismatches: Iterable[Mismatch]) -> list[bytes]:
    """Answer mismatches as rows of a report."""
    return [mismatch.SerializeToString(deterministic=True) for mismatch in mismatches]


async def _rows(reader: Reader, migration_id: str, kind: ReportKind) -> AsyncIterator[tuple[int, bytes]]:
    """Yield all rows of a report."""
    after = 0
    while True:
        rows = await reader.list_report_rows(migration_id, kind, after=after, limit=ROWS_PER_READ)
        for row in rows:
            yield row
        if len(rows) < ROWS_PER_READ:
            return
        after = rows[-1][0]


async def digest_of_rows(reader: Reader, migration_id: str) -> str:
    """Answer the digest of all mismatches: SHA-256 over the SHA-256 of each, in their order."""
    whole = hashlib.sha256()
    async for _, row in _rows(reader, migration_id, ReportKind.RECONCILIATION):
        whole.update(hashlib.sha256(row).digest())
    return whole.hexdigest()


def _sample(counts: Mapping[str, int], name: str, drawn: Draw) -> dict[str, Any]:
    wrong, unknown = counts.get(f"{name}.sample_wrong", 0), counts.get(f"{name}.unknown", 0)
    looked_at = drawn.size - unknown
    return {
        "population": drawn.population,
        "size": drawn.size,
        "unknown": unknown,
        "wrong": wrong,
        "wrong_at_most": wrong_at_most(drawn.population, looked_at, wrong),
        "confidence": CONFIDENCE,
        "seed": drawn.seed,
        "words": words(drawn.population, looked_at, wrong),
    }
