"""L-15: the plan of a rollback: what is taken back, in which order, and what it costs. Computed from the ledger alone.

The order is the phases backwards, with one exception: what hangs on a deal and dies with it (line items, the deal's value) comes right after
the deals. Line items of a deal that we created and deleted need no call of their own; they are marked as taken back once their deal is. Only line
items on deals that stay are taken off one by one or in bulk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.common.phases import PHASES, TARGET_PHASES
from services.ledger.runs.schema import SCHEMA_ENTITIES
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import UndoCount

WITH_DEAL = ("line_item", "deal_value")
"""Target entities that are gone when their deal is."""

_DELETE_TOKENS = {"note": 6, "file": 6, "organization_relation": 6, "activity_type": 6}
_DELETE_TOKENS_DEFAULT = 3
_RESTORE_TOKENS = {"note": 10, "organization_relation": 10, "activity_type": 10}
_RESTORE_TOKENS_DEFAULT = 5
_LIST_TOKENS = 10
_RECORDS_PER_LIST = 100


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One line of the plan."""

    phase: int
    target_entity: str
    delete_count: int
    restore_count: int
    token_count: int


def undo_order() -> tuple[tuple[int, str], ...]:
    """Answer (phase, target entity) in the order things are taken back."""
    order: list[tuple[int, str]] = []
    for phase in reversed(PHASES):
        entities = [entity for entity, own in TARGET_PHASES.items() if own == phase and entity not in WITH_DEAL]
        if phase == Phase.PHASE_SCHEMA:
            entities = list(reversed(SCHEMA_ENTITIES))
        order.extend((int(phase), entity) for entity in entities)
        if phase == Phase.PHASE_DEALS:
            order.extend((int(TARGET_PHASES[entity]), entity) for entity in WITH_DEAL)
    return tuple(order)


def plan_steps(counts: Sequence[UndoCount], *, with_deal_counts: dict[str, int]) -> list[UndoStep]:
    """Answer the plan, step by step, without steps that have nothing to do.

    Args:
        counts: What stands in Pipedrive, by phase and target entity.
        with_deal_counts: How many records of a target entity are gone with a deal of ours, at no cost.
    """
    by_entity = {(count.phase, count.target_entity): count for count in counts}
    steps = []
    for place in undo_order():
        count = by_entity.get(place)
        if count is None or not count.delete_count + count.restore_count:
            continue
        paid = max(0, count.delete_count + count.restore_count - with_deal_counts.get(count.target_entity, 0))
        tokens = tokens_of(count.target_entity, delete_count=min(paid, count.delete_count), restore_count=max(0, paid - count.delete_count))
        steps.append(UndoStep(count.phase, count.target_entity, count.delete_count, count.restore_count, tokens))
    return steps


def tokens_of(target_entity: str, *, delete_count: int, restore_count: int) -> int:
    """Answer what taking records back costs by the cost table (version 2: delete 3, update 5; version 1: 6 and 10; reading 100 costs 10)."""
    deletes = delete_count * _DELETE_TOKENS.get(target_entity, _DELETE_TOKENS_DEFAULT)
    restores = restore_count * _RESTORE_TOKENS.get(target_entity, _RESTORE_TOKENS_DEFAULT)
    return deletes + restores + _LIST_TOKENS * -(-restore_count // _RECORDS_PER_LIST)
