"""The review queue (L-16): which resolutions an item takes, and what each does to the record behind it.

A blocking item holds its record in state waiting. Resolving it decides what the next load or delta does with the record (`retry`,
`without_reference`, `use_source`, `keep_target`, `delete`, `match`, `create`), or ends the matter at once (`skip`, and `keep_target` of a
record that the source has no more). Keeping the target's side of a conflict waits for the next delta, too, because the fields nobody disputes
are still to be written. A flag only wants to be seen (`accept`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger.domain import EventDraft, Match, Record, RecordState, Resolution, ReviewFilter, ReviewItem, SourceIssue, SourceState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from services.ledger.repository import Reader, Transaction

ITEMS_PER_TRANSACTION = 200

_BY_REASON: dict[str, tuple[Resolution, ...]] = {
    "REFERENCE_MISSING": (Resolution.RETRY, Resolution.WITHOUT_REFERENCE, Resolution.SKIP),
    "CONFLICT": (Resolution.KEEP_TARGET, Resolution.USE_SOURCE),
    "SOURCE_DELETED": (Resolution.KEEP_TARGET, Resolution.DELETE),
    "MATCH_UNCERTAIN": (Resolution.MATCH, Resolution.CREATE, Resolution.RETRY, Resolution.SKIP),
}
_PARTS = frozenset({"line_item", "organization_relation", "deal_value"})
"""Target entities that are nothing without what they refer to."""
_SOURCE_DELETED = "SOURCE_DELETED"
_BLOCKING = (Resolution.RETRY, Resolution.SKIP)
_FLAG = (Resolution.ACCEPT,)

AGAIN = frozenset(
    {Resolution.RETRY, Resolution.WITHOUT_REFERENCE, Resolution.USE_SOURCE, Resolution.KEEP_TARGET, Resolution.MATCH, Resolution.CREATE}
)
"""Resolutions after which the next load or delta takes the record up again."""


def resolutions_of(item: ReviewItem) -> tuple[Resolution, ...]:
    """Answer the resolutions an item takes."""
    if not item.is_blocking:
        return _FLAG
    possible = _BY_REASON.get(item.reason, _BLOCKING)
    if not item.key:  # a source record as a whole has no references to leave out and nothing in Pipedrive
        return tuple(resolution for resolution in possible if resolution in _BLOCKING) or _BLOCKING
    if item.key.partition(":")[0] in _PARTS:
        return tuple(resolution for resolution in possible if resolution is not Resolution.WITHOUT_REFERENCE)
    return possible


async def resolve(
    transaction: Transaction,
    migration_id: str,
    items: Sequence[ReviewItem],
    *,
    resolution: Resolution,
    actor: str,
    now: datetime,
    candidate: str = "",
    named: str = "",
) -> int:
    """Resolve open items, change the records behind them, and say so on the trail; answers how many were open.

    Args:
        transaction: In which it is done.
        migration_id: The migration.
        items: What is resolved.
        resolution: How.
        actor: Who decides.
        now: When.
        candidate: With `match`: which one it is, its id in Pipedrive or its key; empty: the first one named.
        named: The name of the record it is when it is none of the candidates; that it is there was seen before.

    Raises:
        InvalidRequestError: An item does not take this resolution, or nobody was asked about a match; nothing is changed.
    """
    if candidate and resolution is not Resolution.MATCH:
        raise InvalidRequestError(f"a candidate is named with the resolution match, not with {resolution}")
    open_items = [item for item in items if item.resolution is Resolution.NONE]
    for item in open_items:
        possible = resolutions_of(item)
        if resolution not in possible:
            words = ", ".join(possible)
            raise InvalidRequestError(f"review item {item.review_item_id} ({item.reason}) takes {words}, not {resolution}")
    records = await transaction.get_records(migration_id, {item.key for item in open_items if item.is_blocking and item.key})
    waiting = [_with_choice(record, resolution, candidate, named) for record in records.values() if record.state is RecordState.WAITING]
    changed = [resolved_record(record, resolution, now) for record in waiting]
    changed += await _parts_that_stay(transaction, changed, resolution, now)
    await transaction.save_records(changed)
    for item in open_items:
        if item.is_blocking and not item.key and resolution is Resolution.SKIP:
            await _skip_source(transaction, migration_id, item, actor, now)
    count = await transaction.resolve_review_items(migration_id, {item.review_item_id for item in open_items}, resolution, actor, now)
    await transaction.append_events(
        migration_id,
        [
            EventDraft(
                kind="review.resolved",
                actor=actor,
                key=item.key,
                source_key=item.source_key,
                result=resolution.value,
                payload={"review_item_id": item.review_item_id, "reason": item.reason}
                | _asked_fields(records.get(item.key))
                | ({"candidate": candidate} if candidate else {}),
            )
            for item in open_items
        ],
    )
    return count


def _with_choice(record: Record, resolution: Resolution, candidate: str, named: str) -> Record:
    """Note which candidate a person named, or which other record.

    Raises:
        InvalidRequestError: It is none of those the question was about, and nobody looked whether it is there.
    """
    match = Match.of(record.match)
    if resolution is not Resolution.MATCH or match is None:
        return record
    chosen = next((one.candidate for one in match.candidates if not candidate or candidate in {one.target_id, one.candidate}), named)
    if not chosen:
        known = ", ".join(one.target_id or one.candidate for one in match.candidates)
        raise InvalidRequestError(f"{record.key} was not compared with {candidate}; its candidates are {known}")
    return replace(record, match=replace(match, chosen=chosen).to_json())


def resolved_record(record: Record, resolution: Resolution, now: datetime) -> Record:
    """Answer a waiting record after its item was resolved."""
    if record.reason == _SOURCE_DELETED and resolution is Resolution.KEEP_TARGET:
        return replace(record, state=RecordState.LOADED, gone="keep", reason="", message="", asked="", update_time=now)
    if record.reason == _SOURCE_DELETED and resolution is Resolution.DELETE:
        return replace(record, gone="delete", resolution=resolution, update_time=now)
    if resolution is Resolution.SKIP:
        state = RecordState.LOADED if record.has_target and not record.is_preexisting else RecordState.SKIPPED
        return replace(record, state=state, resolution=resolution, reason="SKIPPED_BY_REVIEW", message=f"left out by {resolution}", update_time=now)
    return replace(record, resolution=resolution, update_time=now)


async def _parts_that_stay(transaction: Transaction, kept: Sequence[Record], resolution: Resolution, now: datetime) -> list[Record]:
    """Answer what hangs on records that stay although the source has them no more, and would have gone with them."""
    if resolution is not Resolution.KEEP_TARGET:
        return []
    known = {record.key for record in kept}
    parts: dict[str, Record] = {}
    for record in kept:
        if record.gone == "keep":
            for other in await transaction.list_records_of_source(record.migration_id, record.source_entity, record.source_id):
                if other.phase > record.phase and other.gone == "delete" and other.has_target and other.key not in known:
                    parts[other.key] = replace(other, gone="keep", update_time=now)
    return list(parts.values())


def _asked_fields(record: Record | None) -> dict[str, list[str]]:
    """Answer which fields a decision is about."""
    return {"fields": [name or "(record)" for name in orjson.loads(record.asked)]} if record is not None and record.asked else {}


async def resolve_all(transaction: Transaction, migration_id: str, reason: str, *, resolution: Resolution, actor: str, now: datetime) -> int:
    """Resolve all open items of a reason that take this resolution, chunk by chunk; answers how many were.

    Raises:
        InvalidRequestError: No open item of this reason takes it.
    """
    count, passed_over, after_order = 0, 0, 0
    while True:
        which = ReviewFilter(reason=reason)
        items = await transaction.list_review_items(migration_id, which, after_order=after_order, limit=ITEMS_PER_TRANSACTION)
        fitting = [item for item in items if resolution in resolutions_of(item)]
        passed_over += len(items) - len(fitting)
        count += await resolve(transaction, migration_id, fitting, resolution=resolution, actor=actor, now=now)
        if len(items) < ITEMS_PER_TRANSACTION:
            break
        after_order = items[-1].order
    if passed_over and not count:
        raise InvalidRequestError(f"no open item of reason {reason} takes the resolution {resolution}; list the items to see theirs")
    return count


async def items_by_id(reader: Reader, migration_id: str, review_item_ids: Sequence[str]) -> Sequence[ReviewItem]:
    """Answer items by id.

    Raises:
        NotFoundError: One of them does not exist.
    """
    which = ReviewFilter(review_item_ids=tuple(review_item_ids), includes_resolved=True)
    items = await reader.list_review_items(migration_id, which, limit=len(review_item_ids))
    missing = sorted(set(review_item_ids) - {item.review_item_id for item in items})
    if missing:
        raise NotFoundError(f"migration {migration_id} has no review item {missing[0]}")
    return items


async def _skip_source(transaction: Transaction, migration_id: str, item: ReviewItem, actor: str, now: datetime) -> None:
    """End a source record that waits as a whole: every issue it waits for becomes a skip."""
    entity, _, source_id = item.source_key.partition("/")
    for issue in await transaction.list_source_issues(migration_id, entity=entity, source_id=source_id):
        if issue.state is SourceState.WAITING:
            skipped: SourceIssue = replace(
                issue, state=SourceState.SKIPPED, reason="SKIPPED_BY_REVIEW", message=f"left out by {actor}", update_time=now
            )
            await transaction.replace_source_issues(migration_id, issue.phase, entity, [source_id], [skipped])
