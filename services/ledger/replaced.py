"""What was deleted in Pipedrive and is made anew: the id it had, for as long as something may be linked to it or stand for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from services.common.canonical import canonical_json
from services.common.edits import LINKS
from services.ledger.domain import OutcomeResult, ReportKind

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from services.ledger.domain import Record
    from services.ledger.outcomes import Settlement
    from services.ledger.repository import Reader, Transaction

_LINKED = frozenset(LINKS.values())
"""Target entities that others are linked to."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """A record that was gone.

    Attributes:
        key: the mapped record.
        target_entity: its kind.
        target_id: the id it had.
    """

    key: str
    target_entity: str
    target_id: str


async def note_replaced(tx: Transaction, migration_id: str, before: Mapping[str, Record], found: Sequence[Settlement]) -> None:
    """Note which of the settled records were gone when they were to be changed or linked; `before` are the records as they were claimed."""
    gone = [before[one.record.key] for one in found if one.event.result == OutcomeResult.GONE and one.record.key in before]
    rows = [
        canonical_json(asdict(Replaced(record.key, record.target_entity, record.target_id)))
        for record in gone
        if record.target_entity in _LINKED and record.target_id
    ]
    if rows:
        await tx.add_report_rows(migration_id, ReportKind.REPLACED, rows)


async def replaced_rows(reader: Reader, migration_id: str) -> AsyncIterator[tuple[int, Replaced]]:
    """Yield what is noted, with its position."""
    after = 0
    while rows := await reader.list_report_rows(migration_id, ReportKind.REPLACED, after=after):
        for position, row in rows:
            yield position, Replaced(**orjson.loads(row))
            after = position
