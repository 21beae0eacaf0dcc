"""Reads records of the target back, for diff, reconciliation and the check after a rollback."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from services.ledger.reconciliation import BY_PARENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record
    from services.ledger.runs.driver import Tools

Image = dict[str, Any]

# Options of different fields may have the same id, so they are told apart by field, too.
_BY_FIELD = frozenset({"custom_field", "field_option"})


@dataclass(slots=True)
class Read:
    """What was read: canonical images by record key, and the tokens it cost."""

    images: dict[str, Image] = field(default_factory=dict)
    token_count: int = 0


async def read_records(
    tools: Tools,
    migration: Migration,
    target_entity: str,
    records: Sequence[Record],
    *,
    is_newest_first: bool = False,
    is_rollback: bool = False,
) -> Read:
    """Read some records of one target entity; those that are not there are left out. `is_newest_first`: they are the latest notes or files."""
    read = Read()
    # Several of our records stand under one id where people merged them.
    wanted: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for record in records:
        wanted[_identity(target_entity, target_id_of(record), orjson.loads(record.image or "{}"))].append(record.key)
    if not wanted:
        return read
    parents = sorted({record.parent_target_id for record in records if record.parent_target_id}) if target_entity in BY_PARENT else []
    # Relations can be read either way, and the loader takes the cheaper; lines have no call by id.
    ids = [] if target_entity == "line_item" else sorted({target_id_of(record) for record in records})
    responses = tools.loader.read_back(
        migration.target_connection,
        target_entity,
        target_ids=ids,
        parent_ids=parents,
        is_newest_first=is_newest_first,
        is_rollback=is_rollback,
    )
    async for response in responses:
        read.token_count = max(read.token_count, response.token_count)
        for target in response.records:
            image = orjson.loads(target.image_json or b"{}")
            for key in wanted.get(_identity(target_entity, target.target_id, image), ()):
                read.images[key] = image
    return read


def target_id_of(record: Record) -> str:
    """Answer the id by which a record is read; a deal's value is the deal's."""
    if record.target_entity == "deal_value" and record.parent_target_id:
        return record.parent_target_id
    return record.target_id


def _identity(target_entity: str, target_id: str, image: Image) -> tuple[str, ...]:
    if target_entity in _BY_FIELD:
        return (target_id, str(image.get("entity", "")), str(image.get("field_code", "")))
    return (target_id,)
