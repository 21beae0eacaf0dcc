"""How a reconciliation ends: its report, and the event that carries it into the signed trail."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from services.common.canonical import canonical_json
from services.common.sampling import CONFIDENCE, Draw, words, wrong_at_most
from services.ledger.domain import EventDraft, Report, ReportKind, RunState
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import AT_ONCE, Tools, current_migration, end_run, fresh
from services.ledger.runs.tally import by_entity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.ledger.domain import Run
    from services.ledger.repository import Reader

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
        result = "whole" if not head["mismatch_count"] else "different"
        sequence = await transaction.append_event(now.migration_id, EventDraft(kind=FINISHED, actor=tools.actor, result=result, payload=head))
        report = Report(
            migration_id=now.migration_id,
            kind=ReportKind.RECONCILIATION,
            content=canonical_json(head | {EVENT_SEQUENCE: sequence}),
            create_time=tools.clock.now(),
            run_id=now.run_id,
        )
        await transaction.save_report(report)
        await end_run(transaction, now, RunState.SUCCEEDED, tools=tools, mismatch_count=head["mismatch_count"])
    return AT_ONCE


async def digest_of_rows(reader: Reader, migration_id: str) -> str:
    """Answer the digest of all mismatches: SHA-256 over the SHA-256 of each, in their order."""
    whole = hashlib.sha256()
    after = 0
    while True:
        rows = await reader.list_report_rows(migration_id, ReportKind.RECONCILIATION, after=after, limit=ROWS_PER_READ)
        for _, row in rows:
            whole.update(hashlib.sha256(row).digest())
        if len(rows) < ROWS_PER_READ:
            return whole.hexdigest()
        after = rows[-1][0]


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
