"""What a reconciliation compares on a sample, because each record costs a call of its own: organization relations, and the bytes of files.

Who is drawn follows from the seed and the keys (`services.common.sampling`), so a crash, or anybody later, draws the same.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import orjson

from services.common.canonical import canonical_json
from services.common.sampling import Draw, draw
from services.ledger.domain import RecordFilter
from services.ledger.reconciliation import BYTES, BYTES_NOTED, is_compared
from services.ledger.runs.context import RunContext
from services.ledger.runs.driver import Tools, fresh, save_step, snapshot_of
from services.ledger.runs.reading import read_records
from services.ledger.runs.seen import Seen
from services.ledger.runs.tally import Tally, save_tally
from transload.v1.migration_service_pb2 import Mismatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from services.ledger.domain import Migration, Record, Run

RELATION, FILE, FILE_BYTES = "organization_relation", "file", "file_bytes"
RECORDS_PER_CHUNK = 400
# A download is a call, and a file may be large: the position is written after so many.
FILES_PER_CHUNK = 20
KEYS_PER_PREVIEW = 100
_SEED_CHARACTERS = 16


class Sampled:
    """Compares samples."""

    def __init__(self, tools: Tools) -> None:
        """Work with these."""
        self._tools = tools

    async def compare_relations(self, migration: Migration, run: Run, context: RunContext) -> None:
        """Draw organization relations, or compare the next ones drawn."""
        if RELATION not in context.draws:
            await self._draw(run, RELATION, RELATION)
            return
        drawn = Draw(**context.draws[RELATION])
        records, taken = await self._next(migration, context, RELATION, drawn, limit=RECORDS_PER_CHUNK)
        read = await read_records(self._tools, migration, RELATION, taken)
        tally = Tally()
        tally.tokens[RELATION] += read.token_count
        for record in taken:
            tally.compare(record, read.images.get(record.key))
        tally.counts[f"{RELATION}.sample_wrong"] += tally.counts[f"{RELATION}.different"] + tally.counts[f"{RELATION}.missing"]
        tally.counts[f"{RELATION}.sampled"] += len(taken)
        await self._save(run, tally, records, limit=RECORDS_PER_CHUNK, activity="comparing organization relations")

    async def compare_bytes(self, migration: Migration, run: Run, context: RunContext) -> None:
        """Draw files, or compare the bytes of the next ones drawn with what was staged."""
        if FILE_BYTES not in context.draws:
            await self._draw(run, FILE, FILE_BYTES)
            return
        drawn = Draw(**context.draws[FILE_BYTES])
        records, taken = await self._next(migration, context, FILE, drawn, limit=FILES_PER_CHUNK)
        expected = await self._staged(migration, run, taken)
        tally, seen = Tally(), Seen(context.seen)
        actual: dict[str, str] = {}
        known = [record.target_id for record in taken if record.key in expected]
        token_count = 0
        if known:
            async for response in self._tools.loader.digest_files(migration.target_connection, known):
                actual[response.target_id] = response.digest
                token_count = max(token_count, response.token_count)
        tally.tokens[FILE_BYTES] += token_count
        for record in taken:
            tally.counts[f"{FILE_BYTES}.sampled"] += 1
            if record.key not in expected:
                tally.counts[f"{FILE_BYTES}.unknown"] += 1
            elif actual.get(record.target_id) != expected[record.key]:
                tally.counts[f"{FILE_BYTES}.sample_wrong"] += 1
                if record in seen:  # one that is not in the list is among the missing already
                    tally.counts[f"{FILE}.different"] += 1
                    tally.mismatches.append(_wrong_bytes(record, expected[record.key], actual.get(record.target_id, "")))
        await self._save(run, tally, records, limit=FILES_PER_CHUNK, activity="comparing the bytes of files")

    async def _draw(self, run: Run, entity: str, name: str) -> None:
        """Draw a sample and write down how."""
        async with self._tools.ledger.transaction() as transaction:
            now = await fresh(transaction, run)
            held = RunContext.of(now)
            seed = (await transaction.chain_head(now.migration_id)).hash[:_SEED_CHARACTERS]
            keys: list[str] = []
            after_key = ""
            while True:
                which = RecordFilter(target_entity=entity, has_target=True)
                records = await transaction.list_records(now.migration_id, which, after_key=after_key, limit=RECORDS_PER_CHUNK)
                keys.extend(record.key for record in records if is_compared(record))
                if len(records) < RECORDS_PER_CHUNK:
                    break
                after_key = records[-1].key
            drawn = draw(keys, len(keys), asked=held.asked.get(name, 0), seed=seed)
            draws = {**held.draws, name: asdict(drawn)}
            await save_step(transaction, now, replace(held, draws=draws, after_key=""), activity=f"drawing from {len(keys):,} {entity}s")

    async def _next(
        self, migration: Migration, context: RunContext, entity: str, drawn: Draw, *, limit: int
    ) -> tuple[Sequence[Record], list[Record]]:
        """Answer the next records, and those of them that were drawn."""
        if not drawn.size:
            return [], []
        which = RecordFilter(target_entity=entity, has_target=True)
        async with self._tools.ledger.read() as reader:
            records = await reader.list_records(migration.migration_id, which, after_key=context.after_key, limit=limit)
        return records, [record for record in records if is_compared(record) and drawn.holds(record.key)]

    async def _staged(self, migration: Migration, run: Run, records: Sequence[Record]) -> dict[str, str]:
        """Answer the digests of the bytes that were loaded, by key: as the mapping has them, or as a person accepted them."""
        digests: dict[str, str] = {}
        for record in records:
            noted = orjson.loads(record.image or "{}").get(BYTES_NOTED)
            if noted:
                digests[record.key] = noted
        wanted = sorted({record.source_key for record in records if record.key not in digests})
        if not wanted:
            return digests
        async with self._tools.ledger.read() as reader:
            sequence = run.snapshot_sequence or await reader.page_sequence(migration.migration_id)
        snapshot = snapshot_of(migration, sequence)
        for start in range(0, len(wanted), KEYS_PER_PREVIEW):
            previews = await self._tools.transformer.preview_records(snapshot, migration.manifest_digest, wanted[start : start + KEYS_PER_PREVIEW])
            for preview in previews:
                if preview.target_entity != FILE:
                    continue
                mapped = {field.target_field: field.mapped_value_json for field in preview.fields}
                # A part of a file has a digest of its own; what is staged under a name is the whole.
                name = orjson.loads(mapped.get("digest") or mapped.get("staging_name") or b"null")
                digests.setdefault(preview.key, str(name or "").rpartition("/")[2])
        return {record.key: digests[record.key] for record in records if digests.get(record.key)}

    async def _save(self, run: Run, tally: Tally, records: Sequence[Record], *, limit: int, activity: str) -> None:
        def go_on(held: RunContext) -> RunContext:
            return replace(held, after_key=records[-1].key) if len(records) == limit else held.next_position()

        async with self._tools.ledger.transaction() as transaction:
            await save_tally(transaction, run, tally, go_on, activity)


def _wrong_bytes(record: Record, expected: str, actual: str) -> Mismatch:
    return Mismatch(
        key=record.key,
        target_id=record.target_id,
        target_field=BYTES,
        expected_json=canonical_json(expected),
        actual_json=canonical_json(actual or None),
        kind="different",
    )
