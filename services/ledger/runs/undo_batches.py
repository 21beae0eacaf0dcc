"""Batches that take records back: made from the ledger alone, for a rollback as for what a delta deletes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.ledger.domain import Batch
from services.ledger.runs.driver import Tools, fresh
from services.ledger.runs.phases import OPEN_BATCHES, batch_message
from transload.v1.records_pb2 import MappedRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from services.ledger.domain import Record, Run
    from services.ledger.repository import Transaction

RECORDS_PER_BATCH: Final = 100


async def announce(transaction: Transaction, run: Run, *, prefix: str, phase: int, entity: str, records: Sequence[Record], number: int) -> int:
    """Make batches of the records.

    Args:
        transaction: they are announced with it.
        run: which takes back.
        prefix: of the batches' ids, which tells the kinds of taking back apart.
        phase: of the records.
        entity: target entity of the records.
        records: in the order they are taken back.
        number: of the last batch of the run so far.

    Returns:
        The number of the last batch now.
    """
    for start in range(0, len(records), RECORDS_PER_BATCH):
        part = records[start : start + RECORDS_PER_BATCH]
        number += 1
        batch = Batch(
            batch_id=f"{run.run_id}/{prefix}/{phase}/{entity}/{number}",
            migration_id=run.migration_id,
            run_id=run.run_id,
            phase=phase,
            target_entity=entity,
            keys=tuple(record.key for record in part),
            is_undo=True,
        )
        await transaction.add_batches([batch])
        await transaction.add_outbox([batch_message(batch, [_undo_record(record) for record in part], manifest_digest="")])
    return number


async def announce_again(tools: Tools, run: Run, phases: Iterable[int]) -> int:
    """Announce the unfinished batches of some phases again; answer how many there are."""
    async with tools.ledger.transaction() as transaction:
        now = await fresh(transaction, run)
        batches = [batch for phase in phases for batch in await transaction.list_batches(now.run_id, phase, OPEN_BATCHES) if batch.is_undo]
        attempt_name = f"again/{int(tools.clock.now().timestamp())}"
        for batch in batches:
            records = await transaction.get_records(now.migration_id, batch.keys)
            message = batch_message(batch, [_undo_record(records[key]) for key in batch.keys], manifest_digest="", attempt_name=attempt_name)
            await transaction.add_outbox([message])
    return len(batches)


def _undo_record(record: Record) -> MappedRecord:
    """Answer a record of a batch that takes back; one in doubt goes with all that is needed to find it."""
    if record.intent_record:
        return MappedRecord.FromString(record.intent_record)
    return MappedRecord(key=record.key, target_entity=record.target_entity, source_entity=record.source_entity, source_id=record.source_id)
