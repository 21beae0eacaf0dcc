"""Pipedrive works a deal's value out of its lines whenever one changes, so the value we gave the deal has to be looked at again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from services.ledger.domain import OutcomeResult, RecordState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.outcomes import Settlement
    from services.ledger.repository import Transaction

_CHANGING: Final = frozenset({OutcomeResult.CREATED, OutcomeResult.UPDATED, OutcomeResult.DELETED, OutcomeResult.RESTORED})
_SETTLED: Final = frozenset({RecordState.LOADED, RecordState.MATCHED})


async def note_due_values(tx: Transaction, migration_id: str, found: Sequence[Settlement]) -> None:
    """Take the digest from the values of deals whose lines changed: who maps them next compares them with Pipedrive, whatever the source says."""
    deals = {one.record.parent_target_id for one in found if one.record.target_entity == "line_item" and one.event.result in _CHANGING} - {""}
    if not deals:
        return
    values = await tx.list_records_by_target(migration_id, "deal_value", deals)
    await tx.save_records([replace(value, payload_digest="") for value in values if value.state in _SETTLED and value.payload_digest])
