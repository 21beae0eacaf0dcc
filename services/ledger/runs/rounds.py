"""What happens to the records of a round of a rollback without a call: those that must stay, and those that died with their deal (L-15)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from services.common.edits import edited_fields
from services.ledger.domain import EventDraft, KeptReason, RecordState, Resolution
from services.ledger.keeping import kept_event, kept_of, kept_record
from services.ledger.outcomes import ROLLED_BACK
from services.ledger.runs.context import RunContext
from services.ledger.runs.reading import target_id_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Kept, Migration, Record, Run
    from services.ledger.keeping import Keeping
    from services.ledger.repository import Transaction
    from services.ledger.runs.reading import Image

_ERASED = "what was loaded was erased, so it cannot be compared"


async def keep_edited(
    transaction: Transaction, run: Run, records: Sequence[Record], images: Mapping[str, Image], *, actor: str, moment: datetime
) -> list[Record]:
    """Keep records that a person edited, of kinds the loader cannot list by their ids; answers the others."""
    pairs, left = [], []
    for record in records:
        image = images.get(record.key)
        edited: list[str] = []
        if image is not None and record.target_id and not record.is_preexisting:
            edited = edited_fields(record.target_entity, orjson.loads(record.image), image) if record.image else [_ERASED]
        if edited:
            message = f"edited by a person and kept: {', '.join(edited)}"
            pairs.append((record, kept_of(record, KeptReason.EDITED, run, moment, fields=edited, message=message)))
        else:
            left.append(record)
    await _keep(transaction, run, pairs, actor, moment)
    return left


async def keep_needed(
    transaction: Transaction, run: Run, records: Sequence[Record], keeping: Keeping, *, actor: str, moment: datetime
) -> list[Record]:
    """Keep records of ours that something that stays refers to; answers the others."""
    pairs, left = [], []
    for record in records:
        holders = keeping.holders_of(record) if record.target_id and not record.is_preexisting else []
        if holders:
            others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
            message = f"kept because {holders[0]}{others} refers to it and stays"
            pairs.append((record, kept_of(record, KeptReason.NEEDED, run, moment, message=message)))
        else:
            left.append(record)
    await _keep(transaction, run, pairs, actor, moment)
    return left


async def end_with_deals(
    transaction: Transaction, migration: Migration, run: Run, records: Sequence[Record], keeping: Keeping, *, actor: str, moment: datetime
) -> list[Record]:
    """Mark what died with its deal as taken back, and what belongs to a deal that stays as kept; answers what needs calls of its own."""
    keys = await transaction.find_targets(migration.target_connection, "deal", {deal_id_of(record) for record in records})
    deals = {deal.target_id: deal for deal in (await transaction.get_records(run.migration_id, list(keys.values()))).values()}
    ended, left, pairs = [], [], []
    for record in records:
        deal = deals.get(deal_id_of(record)) if record.target_id else None
        if deal is None or deal.is_preexisting:
            left.append(record)
        elif deal.key in keeping.keys:
            pairs.append((record, kept_of(record, KeptReason.NEEDED, run, moment, message=f"kept because it belongs to {deal.key}, which stays")))
        elif deal.state is RecordState.UNDONE:
            ended.append(record)
        else:
            left.append(record)
    await _keep(transaction, run, pairs, actor, moment)
    await _end(transaction, run, ended, actor, moment)
    return left


async def _end(transaction: Transaction, run: Run, ended: Sequence[Record], actor: str, moment: datetime) -> None:
    is_partial = RunContext.of(run).scope.is_partial
    await transaction.save_records(
        [
            replace(
                record,
                state=RecordState.UNDONE,
                undo_run_id=run.run_id,
                intent_time=None,
                intent_record=b"",
                resolution=Resolution.SKIP if is_partial else Resolution.NONE,
                reason=ROLLED_BACK if is_partial else "",
                update_time=moment,
            )
            for record in ended
        ]
    )
    await transaction.forget_kept(run.migration_id, keys=[record.key for record in ended])
    drafts = [
        EventDraft(
            kind="record.deleted",
            actor=actor,
            key=record.key,
            source_key=record.source_key,
            target_id=record.target_id,
            result="with_deal",
            payload={"run_id": run.run_id, "deal_id": deal_id_of(record)},
        )
        for record in ended
    ]
    if drafts:
        await transaction.append_events(run.migration_id, drafts)


async def _keep(transaction: Transaction, run: Run, pairs: Sequence[tuple[Record, Kept]], actor: str, moment: datetime) -> None:
    if not pairs:
        return
    scope = RunContext.of(run).scope
    await transaction.save_records([kept_record(record, scope, run, kept.message, moment) for record, kept in pairs])
    await transaction.save_kept([kept for _, kept in pairs])
    await transaction.append_events(run.migration_id, [kept_event(kept, record.source_key, actor) for record, kept in pairs])


def deal_id_of(record: Record) -> str:
    """Answer the deal a record hangs on."""
    return record.parent_target_id or (target_id_of(record) if record.target_entity == "deal_value" else "")
