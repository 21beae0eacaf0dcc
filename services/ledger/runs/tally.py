"""What one step of a reconciliation found, until it is written: sums by target entity, mismatches, tokens."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from services.ledger.domain import ReportKind
from services.ledger.reconciliation import compare
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import fresh, save_step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from services.ledger.domain import Record, Run
    from services.ledger.repository import Transaction
    from transload.v1.migration_service_pb2 import Mismatch

NAMES = ("found", "missing", "different", "unexpected", "fields")
"""Sums kept of each target entity; `found` and `missing` together are what was expected."""


class Tally:
    """Sums of one step."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.mismatches: list[Mismatch] = []
        self.counts: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()

    def compare(self, record: Record, image: Mapping[str, Any] | None, *, ignored: Collection[str] = ()) -> None:
        """Compare one record with what was read back; None: it is not there."""
        fields, found = compare(record, image, ignored=ignored)
        entity = record.target_entity
        self.counts[f"{entity}.fields"] += fields
        self.counts[f"{entity}.{'missing' if image is None else 'found'}"] += 1
        self.counts[f"{entity}.different"] += bool(found) and image is not None
        self.mismatches.extend(found)

    def unexpected(self, mismatch: Mismatch) -> None:
        """Count a record nobody knows."""
        self.counts[f"{mismatch.key.partition(':')[0]}.unexpected"] += 1
        self.mismatches.append(mismatch)

    def changes(self) -> dict[str, int]:
        """Answer the sums to add to the run's."""
        return {name: count for name, count in self.counts.items() if count} | ({"mismatches": len(self.mismatches)} if self.mismatches else {})


def by_entity(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Answer the sums of a run by target entity, with `expected`."""
    entities: dict[str, dict[str, int]] = {}
    for name, count in counts.items():
        entity, dot, what = name.partition(".")
        if dot and what in NAMES:
            entities.setdefault(entity, dict.fromkeys(("expected", *NAMES), 0))[what] += count
    for sums in entities.values():
        sums["expected"] = sums["found"] + sums["missing"]
    return entities


async def save_tally(transaction: Transaction, run: Run, tally: Tally, go_on: Callable[[RunContext], RunContext], activity: str) -> None:
    """Write what a part found, and where the run goes on, in one transaction.

    Raises:
        RunGoneError: the run is over.
    """
    now = await fresh(transaction, run)
    held: RunContext = go_on(RunContext.of(now).counted(**tally.changes()))
    await transaction.add_report_rows(
        now.migration_id, ReportKind.RECONCILIATION, [mismatch.SerializeToString(deterministic=True) for mismatch in tally.mismatches]
    )
    for entity, count in tally.tokens.items():
        await transaction.add_run_tokens(now.run_id, count, target_entity=entity)
    await save_step(transaction, now, held, activity=activity)
