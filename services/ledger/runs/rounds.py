"""What happens to the records of a round of a rollback without a call: those that must stay, and those that died with their deal (L-15)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from services.common.edits import edited_fields
from services.ledger.domain import EventDraft, KeptReason, RecordState, Resolution
from services.ledger.keeping import deal_id_of, kept_event, kept_of, kept_record
from services.ledger.outcomes import ROLLED_BACK
from services.ledger.reconciliation import VALUE_FIELDS
from services.ledger.runs.context import RunContext

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from services.ledger.domain import Kept, Migration, Record, Run
    from services.ledger.keeping import Keeping
    from services.ledger.repository import Transaction
    from services.ledger.runs.reading import Image

_ERASED = "what was loaded was erased, so it cannot be compared"


async def keep_some(
    transaction: Transaction,
    run: Run,
    records: Sequence[Record],
    keeping: Keeping,
    images: Mapping[str, Image],
    *,
    actor: str,
    moment: datetime,
) -> list[Record]:
    """Keep records of ours that a person edited, as far as images were read, and those that others need; answers what is to be taken back."""
    pairs, left = [], []
    for record in records:
        kept = _kept(record, run, keeping, images.get(record.key), moment)
        if kept is None:
            left.append(record)
        else:
            pairs.append((record, kept))
    await _keep(transaction, run, pairs, actor, moment)
    return left


def _kept(record: Record, run: Run, keeping: Keeping, image: Image | None, moment: datetime) -> Kept | None:
    if not record.target_id or record.is_preexisting:
        return None
    if image is not None and (edited := _edited(record, image)):
        message = f"edited by a person and kept: {', '.join(edited)}"
        return kept_of(record, KeptReason.EDITED, run, moment, image=image, fields=edited, message=message)
    if not keeping.needs(record):
        return None
    holders = keeping.holders_of(record)
    others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    message = f"kept because {holders[0]}{others} refers to it and stays" if holders else f"kept because it belongs to deal {deal_id_of(record)}"
    return kept_of(record, KeptReason.NEEDED, run, moment, image=image, message=message)


def _edited(record: Record, image: Image) -> list[str]:
    if not record.image:
        return [_ERASED]
    # The value of a deal follows from its lines.
    ignored = VALUE_FIELDS if record.target_entity == "deal" else ()
    return edited_fields(record.target_entity, orjson.loads(record.image), image, ignored=ignored)


async def end_with_deals(
    transaction: Transaction, migration: Migration, run: Run, records: Sequence[Record], *, actor: str, moment: datetime
) -> list[Record]:
    """Mark what died with its deal as taken back; answers what needs calls of its own."""
    keys = await transaction.find_targets(migration.target_connection, "deal", {deal_id_of(record) for record in records})
    deals = {deal.target_id: deal for deal in (await transaction.get_records(run.migration_id, list(keys.values()))).values()}
    ended, left = [], []
    for record in records:
        deal = deals.get(deal_id_of(record)) if record.target_id else None
        if deal is None or deal.is_preexisting:
            left.append(record)
        elif deal.state is RecordState.UNDONE:
            ended.append(record)
        else:
            left.append(record)
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
