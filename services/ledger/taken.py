"""Keys that two source records come to: part `2` of source record `1` and source record `1/2` have one key. Whoever is first has it.

The other one's mapped record is refused with a reason, in the transaction that would have written it. Keys stay as they are: those that stand in
ledgers and in Pipedrive's external ids must lead to the same records for ever.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from services.ledger.domain import Issue, IssueKind
from services.ledger.outcomes import DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from services.ledger.domain import Record, WantedRecord
    from services.ledger.repository import Reader
    from services.ledger.transforms import Transform


def is_taken(wanted: WantedRecord, record: Record | None) -> bool:
    """Say whether the key of a wanted record belongs to a record of another source record."""
    return record is not None and (record.source_entity, record.source_id) != (wanted.source_entity, wanted.source_id)


async def refuse_taken(reader: Reader, transform: Transform, known: Collection[str]) -> Transform:
    """Answer what mapping gave without the mapped records whose keys others have, and an issue for each of those.

    Args:
        reader: where the records are.
        transform: what mapping gave.
        known: keys of the records of the same source records, which need no look.
    """
    # Without a second slash the key holds no part, and there is one way to read it.
    new = [key for key in transform.records if key not in known and key.count("/") > 1]
    owners = await reader.get_records(transform.migration_id, new) if new else {}
    taken = {key: owner for key, owner in owners.items() if is_taken(transform.records[key], owner)}
    if not taken:
        return transform
    return replace(
        transform,
        batches=[replace(batch, keys=tuple(key for key in batch.keys if key not in taken)) for batch in transform.batches],
        records={key: wanted for key, wanted in transform.records.items() if key not in taken},
        issues=[*transform.issues, *_issues(transform.records, taken)],
    )


def _issues(records: Mapping[str, WantedRecord], taken: Mapping[str, Record]) -> list[Issue]:
    return [
        Issue(
            kind=IssueKind.REJECTED,
            source_entity=records[key].source_entity,
            source_id=records[key].source_id,
            key="",
            reason=DUPLICATE,
            message=f"{key} is the key of what {owner.source_key} becomes, so this record was not moved under it: give it another id in the source",
        )
        for key, owner in taken.items()
    ]
