"""A record a person names as the one that is meant, when it is none of the candidates: it has to stand in Pipedrive and to be of the right kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.errors import InvalidRequestError
from services.ledger.domain import TARGET_CANDIDATE, Match, RecordState, Resolution
from services.ledger.migrations import require_migration
from services.ledger.review import items_by_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record
    from services.ledger.repository import Ledger, Reader
    from services.ledger.runs.ports import Loader


async def find_named(ledger: Ledger, loader: Loader, migration_id: str, review_item_ids: Sequence[str], candidate: str) -> str:
    """Answer the name of another record than the candidates; empty: it is one of them, for each of the items.

    Args:
        ledger: The ledger.
        loader: Reads Pipedrive.
        migration_id: The migration.
        review_item_ids: What is resolved with it.
        candidate: Id in Pipedrive, or the key of a record of the migration.

    Raises:
        InvalidRequestError: There is no such record, or it is of another kind.
        NotFoundError: There is no such migration, or no such item.
    """
    async with ledger.read() as reader:
        migration = await require_migration(reader, migration_id)
        items = await items_by_id(reader, migration_id, review_item_ids)
        open_keys = [item.key for item in items if item.key and item.resolution is Resolution.NONE]
        records = (await reader.get_records(migration_id, open_keys)).values()
        others = [record for record in records if not _is_candidate(record, candidate)]
        if ":" in candidate:
            for record in others:
                await _check_key(reader, record, candidate)
            return candidate if others else ""
    target_id = candidate.removeprefix(TARGET_CANDIDATE)
    for record in others:
        await _check_target(loader, migration, record, target_id)
    return TARGET_CANDIDATE + target_id if others else ""


def _is_candidate(record: Record, candidate: str) -> bool:
    match = Match.of(record.match)
    return match is not None and any(candidate in {one.target_id, one.candidate} for one in match.candidates)


async def _check_key(reader: Reader, record: Record, key: str) -> None:
    named = (await reader.get_records(record.migration_id, [key])).get(key)
    if named is None or key == record.key:
        raise InvalidRequestError(f"candidate: {key} is no other record of this migration")
    if named.target_entity != record.target_entity:
        raise InvalidRequestError(f"candidate: {key} is of the kind {named.target_entity}, and {record.key} of the kind {record.target_entity}")
    if not named.has_target or named.state not in {RecordState.LOADED, RecordState.MATCHED}:
        raise InvalidRequestError(f"candidate: {key} does not stand in Pipedrive: it is {named.state}")


async def _check_target(loader: Loader, migration: Migration, record: Record, target_id: str) -> None:
    kind = record.target_entity
    if not (target_id.isascii() and target_id.isdigit()):
        raise InvalidRequestError(f"candidate: {target_id} is neither the id of {kind} in Pipedrive nor the key of a record")
    found = False
    async for response in loader.read_back(migration.target_connection, kind, target_ids=[target_id]):
        found = found or any(one.target_id == target_id for one in response.records)
    if not found:
        message = f"there is no {kind} {target_id} in Pipedrive: name one that stands there, or resolve {record.key} with `create`"
        raise InvalidRequestError(f"candidate: {message}")
