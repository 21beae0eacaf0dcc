"""L-15: the plan of a rollback: what is taken back, in which order, and what it costs with all reading. Computed from the ledger alone.

The order is the phases backwards, with one exception: what hangs on a deal and dies with it (line items, the deal's value) comes right after
the deals. Line items of a deal that we created and deleted need no call of their own; they are marked as taken back once their deal is. Only line
items on deals that stay are taken off one by one or in bulk.

The costs are those of the loader's own calls (`services/loader`); a test holds both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from services.common.phases import PHASES, TARGET_PHASES
from services.ledger.runs.schema import SCHEMA_ENTITIES
from services.ledger.scope import DATA_ENTITIES
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from services.ledger.domain import Scope, UndoCount

WITH_DEAL = ("line_item", "deal_value")
"""Target entities that are gone when their deal is."""
ROUND_RECORDS: Final = 1_000
"""Records announced at a time; bounds what stands in the outbox and the stream."""
ROUND_RECORDS_READ_BY_PAGES: Final = 500
"""The same for notes and files, which are compared page by page before: few enough to be deleted while the comparison is fresh."""
BATCH_RECORDS: Final = 100
READ_BY_PAGES: Final = ("note", "file")
SWEPT: Final[Mapping[str, int]] = {"file": 20, "note": 20, "activity": 10, "deal": 30, "person": 10, "organization": 10, "product": 10}
"""Kinds that are read by time of change once they are done, with the tokens of one page; deals have a list of archived ones, too."""

_DELETE_TOKENS = {"note": 6, "file": 6, "organization_relation": 6, "activity_type": 6}
_DELETE_TOKENS_DEFAULT = 3
_RESTORE_TOKENS = {"note": 10, "organization_relation": 10, "activity_type": 10}
_RESTORE_TOKENS_DEFAULT = 5
_LIST_TOKENS = 10
_LIST_FROM = 10
_GET_TOKENS_V1 = 2
_PAGE_TOKENS_V1 = 20
_PAGES: Final = {"note": 500, "file": 100}
_LINES_PAGE = 500
_DEFINITION_LISTS = {"stage": 5, "pipeline": 5, "activity_type": 20}
_FIELD_ENTITY_COUNT = 4
OTHERS: Final[Mapping[str, frozenset[str]]] = {
    "file": frozenset({"activity", "deal", "person", "organization", "product"}),
    "note": frozenset({"deal", "person", "organization"}),
    "activity": frozenset({"deal", "person", "organization", "activity_type"}),
    "deal": frozenset({"person", "organization", "product", "stage", "pipeline", "custom_field", "field_option"}),
    "person": frozenset({"organization", "custom_field", "field_option"}),
    "organization": frozenset({"custom_field", "field_option"}),
    "product": frozenset({"custom_field", "field_option"}),
}
"""What a person's record of a kind may refer to."""


@dataclass(frozen=True, slots=True)
class UndoStep:
    """One line of the plan."""

    phase: int
    target_entity: str
    delete_count: int
    restore_count: int
    token_count: int
    read_token_count: int = 0
    """Of `token_count`, what reading costs: the look before, and the comparison after."""


@dataclass(frozen=True, slots=True)
class UndoFacts:
    """What decides the costs besides the numbers of records.

    Attributes:
        with_deal: by target entity, records that are gone with a deal of ours, at no cost.
        lines_looked_at: line items on deals of ours, read before their deals are deleted.
        option_fields: fields of which options are deleted.
        field_entities: kinds of records whose fields have custom fields, or options, of ours.
        listed: records of ours that stay and stand in the lists of what changed since the migration began, by kind.
    """

    with_deal: Mapping[str, int] = field(default_factory=dict)
    lines_looked_at: int = 0
    option_fields: int = 0
    field_entities: Mapping[str, int] = field(default_factory=dict)
    listed: Mapping[str, int] = field(default_factory=dict)


def undo_order(scope: Scope | None = None) -> tuple[tuple[int, str], ...]:
    """Answer (phase, target entity) in the order things are taken back."""
    order: list[tuple[int, str]] = []
    for phase in reversed(PHASES):
        entities = [entity for entity, own in TARGET_PHASES.items() if own == phase and entity not in WITH_DEAL]
        if phase == Phase.PHASE_SCHEMA:
            entities = list(reversed(SCHEMA_ENTITIES))
        order.extend((int(phase), entity) for entity in entities)
        if phase == Phase.PHASE_DEALS:
            order.extend((int(TARGET_PHASES[entity]), entity) for entity in WITH_DEAL)
    if scope is None or scope.is_whole:
        return tuple(order)
    return tuple(place for place in order if place[1] in DATA_ENTITIES)


def sweeps_of(counts: Sequence[UndoCount], scope: Scope) -> tuple[str, ...]:
    """Answer the kinds that are read by time of change: where we delete, and where a person's record may refer to what is deleted."""
    wanted = {count.target_entity for count in counts if count.delete_count or count.in_doubt_count}
    return tuple(kind for kind in SWEPT if kind in wanted or (not scope.deletes_edited and OTHERS[kind] & wanted))


def plan_steps(counts: Sequence[UndoCount], *, scope: Scope, facts: UndoFacts) -> list[UndoStep]:
    """Answer the plan, step by step, without steps that cost nothing and have nothing to do."""
    by_entity = {count.target_entity: count for count in counts}
    swept = sweeps_of(counts, scope)
    steps = []
    for phase, entity in undo_order(scope):
        count = by_entity.get(entity)
        deletes, restores = (count.delete_count, count.restore_count) if count else (0, 0)
        free = facts.with_deal.get(entity, 0)
        paid = max(0, deletes - free)
        reading = read_tokens_of(entity, delete_count=paid, restore_count=restores, scope=scope, facts=facts) if paid or restores else 0
        reading += _sweep_tokens(entity, facts.listed.get(entity, 0)) if entity in swept else 0
        tokens = tokens_of(entity, delete_count=paid, restore_count=restores, facts=facts) + reading
        if deletes or restores or tokens:
            steps.append(UndoStep(phase, entity, deletes, restores, tokens, reading))
    return steps


def tokens_of(target_entity: str, *, delete_count: int, restore_count: int, facts: UndoFacts | None = None) -> int:
    """Answer what the writes cost by the cost table (version 2: delete 3, update 5; version 1: 6 and 10)."""
    if target_entity in {"deal_value", "user"}:
        return 0
    if target_entity == "field_option":
        # All options of a field go with one call, after a look at which of them are there.
        return (_LIST_TOKENS + _DELETE_TOKENS_DEFAULT) * (facts.option_fields if facts else delete_count)
    if target_entity == "custom_field":
        return delete_count * _DELETE_TOKENS_DEFAULT + restore_count * (_LIST_TOKENS + _DELETE_TOKENS_DEFAULT)
    deletes = delete_count * _DELETE_TOKENS.get(target_entity, _DELETE_TOKENS_DEFAULT)
    return deletes + restore_count * _RESTORE_TOKENS.get(target_entity, _RESTORE_TOKENS_DEFAULT)


def read_tokens_of(target_entity: str, *, delete_count: int, restore_count: int, scope: Scope, facts: UndoFacts) -> int:
    """Answer what the look before and the comparison after cost, without the sweep."""
    looks = not scope.deletes_edited
    if target_entity in {"deal_value", "user"}:
        return 0
    if target_entity in _DEFINITION_LISTS:
        whole = _DEFINITION_LISTS[target_entity] + (_DEFINITION_LISTS["stage"] if target_entity == "pipeline" else 0)
        return (whole if looks and delete_count else 0) + _DEFINITION_LISTS[target_entity]
    if target_entity in {"custom_field", "field_option"}:
        before = facts.field_entities.get(target_entity, 0) * _LIST_TOKENS if looks and delete_count else 0
        return before * -(-delete_count // BATCH_RECORDS) + _FIELD_ENTITY_COUNT * _LIST_TOKENS
    after = _by_ids(restore_count)
    if target_entity in READ_BY_PAGES:
        before = _by_pages(target_entity, delete_count) if looks else 0
        return before + restore_count * _GET_TOKENS_V1 * 2
    if target_entity == "organization_relation":
        return (delete_count * looks + restore_count) * _GET_TOKENS_V1
    before = _by_ids(delete_count * looks + restore_count)
    if target_entity == "deal" and looks and delete_count:
        batches = _parts(delete_count, BATCH_RECORDS)
        per_deal = facts.lines_looked_at / delete_count
        before += sum(_LIST_TOKENS * max(1, -(-round(part * per_deal) // _LINES_PAGE)) for part in batches)
    return before + after


def _sweep_tokens(kind: str, listed_count: int) -> int:
    page_tokens = _PAGE_TOKENS_V1 if kind in READ_BY_PAGES else _LIST_TOKENS
    pages = max(1, -(-listed_count // _PAGES.get(kind, _LINES_PAGE)))
    return SWEPT[kind] + (pages - 1) * page_tokens


def _by_ids(count: int) -> int:
    return sum(_LIST_TOKENS if part >= _LIST_FROM else part for part in _parts(count, BATCH_RECORDS))


def _by_pages(entity: str, count: int) -> int:
    return sum(_PAGE_TOKENS_V1 * -(-part // _PAGES[entity]) for part in _parts(count, ROUND_RECORDS_READ_BY_PAGES))


def _parts(count: int, size: int) -> list[int]:
    return [size] * (count // size) + ([count % size] if count % size else [])
