"""Finds out which source record a mapped record comes from. Its key does not say it: an id may hold slashes, as the part behind it does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.common.errors import InvalidRequestError
from services.common.keys import RecordKey
from services.ledger.codec import split_source_key

if TYPE_CHECKING:
    from collections.abc import Collection

    from services.ledger.repository import Reader


async def possible_origins(reader: Reader, migration_id: str, keys: Collection[str]) -> dict[str, list[str]]:
    """Answer for each key of a mapped record the source keys it may come from, the shortest first; never none.

    The ledger's own record of that key decides. Without one, the source records that were read are possible; if none was, every reading of the key.
    """
    known = await reader.get_records(migration_id, list(keys))
    found = {key: [record.source_key] for key, record in known.items()}
    for key in keys:
        if key not in found:
            found[key] = await _read_from(reader, migration_id, key)
    return found


async def source_key_of(reader: Reader, migration_id: str, key: str) -> str:
    """Answer the source key of a mapped record's key, or the source key itself.

    Raises:
        InvalidRequestError: It is neither.
    """
    if ":" in key.partition("/")[0]:
        RecordKey.parse(key)
        return (await possible_origins(reader, migration_id, [key]))[key][0]
    split_source_key(key, "key")
    return key


def carried_key(key: str, source_account: str) -> str:
    """Answer the key of the record whose external id a copy in Pipedrive carries.

    Args:
        key: key of the mismatch that tells of the copy; it ends in the external id.
        source_account: what the external id begins with.
    """
    entity, _, external_id = key.partition(":")
    return f"{entity}:{external_id.removeprefix(f'{source_account}/')}"


async def _read_from(reader: Reader, migration_id: str, key: str) -> list[str]:
    try:
        parsed = RecordKey.parse(key)
    except InvalidRequestError:
        # People write what they like into the external-id field: such a copy comes from no source record.
        return [key.partition(":")[2]]
    readings = list(parsed.source_ids())
    read = await reader.get_source_records(migration_id, parsed.source_entity, readings)
    return [f"{parsed.source_entity}/{source_id}" for source_id in readings if source_id in read or not read]
