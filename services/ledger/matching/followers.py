"""What outcomes mean for records that were matched with the same one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.ledger.domain import TARGET_CANDIDATE, EventDraft, OutcomeResult, RecordState, Resolution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from services.ledger.outcomes import Settlement
    from services.ledger.repository import Transaction


async def forget_gone(tx: Transaction, migration_id: str, found: Sequence[Settlement]) -> None:
    """Forget candidates that turned out not to be in Pipedrive any more, so that the records are matched anew."""
    by_entity: dict[str, list[str]] = {}
    for settlement in found:
        if settlement.gone_target_id:
            by_entity.setdefault(settlement.record.target_entity, []).append(f"{TARGET_CANDIDATE}{settlement.gone_target_id}")
    for entity, candidates in by_entity.items():
        await tx.forget_match_candidates(migration_id, entity, candidates)


async def let_go(tx: Transaction, migration_id: str, found: Sequence[Settlement], now: datetime) -> None:
    """Let records go that were taken for one that was taken back: they stand nowhere now, and what is loaded next is decided anew."""
    by_entity: dict[str, dict[str, Settlement]] = {}
    for settlement in found:
        record = settlement.record
        if settlement.event.result == OutcomeResult.DELETED and not record.is_preexisting and record.target_id:
            by_entity.setdefault(record.target_entity, {})[record.target_id] = settlement
    settled = {settlement.record.key for settlement in found}
    for entity, by_target in by_entity.items():
        followers = [
            replace(
                record,
                state=RecordState.UNDONE,
                resolution=Resolution.SKIP if by_target[record.target_id].record.resolution is Resolution.SKIP else Resolution.NONE,
                reason=by_target[record.target_id].record.reason,
                undo_run_id=by_target[record.target_id].record.undo_run_id,
                update_time=now,
            )
            for record in await tx.list_records_by_target(migration_id, entity, by_target)
            if record.is_preexisting and record.match and record.has_target and record.key not in settled
        ]
        await tx.save_records(followers)


async def follow(transaction: Transaction, migration_id: str, moved: Mapping[tuple[str, str], str], actor: str) -> None:
    """Let records that were taken for one that was made anew stand under its new id."""
    for entity in {entity for entity, _ in moved}:
        old = {target_id for kind, target_id in moved if kind == entity}
        followers = [one for one in await transaction.list_records_by_target(migration_id, entity, old) if one.is_preexisting and one.match]
        await transaction.save_records([replace(one, target_id=moved[entity, one.target_id]) for one in followers])
        events = [
            EventDraft("match.decided", actor, one.key, one.source_key, moved[entity, one.target_id], "followed", {"from_target_id": one.target_id})
            for one in followers
        ]
        if events:
            await transaction.append_events(migration_id, events)
