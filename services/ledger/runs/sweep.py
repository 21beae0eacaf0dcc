"""Reads what was changed in Pipedrive since a migration began: records of people that refer to ours, and ours that should be gone (L-15).

Done kind by kind, once ours of that kind are taken back: the list then holds people's own work only, so it is short, whatever was loaded.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson

from services.common.edits import names_of, references
from services.ledger.domain import Kept, KeptReason, RecordFilter, RecordState, RunKind
from services.ledger.outcomes import KEPT
from transload.v1.migration_service_pb2 import Mismatch

if TYPE_CHECKING:
    from datetime import datetime

    from services.ledger.domain import Migration, Record, Run
    from services.ledger.repository import Reader
    from services.ledger.runs.driver import Tools

BEFORE = timedelta(hours=1)
"""How far before the first write changes are read: the clocks of ledger and Pipedrive may differ."""
_ACTIVITY_TYPES_MAX = 1_000


@dataclass(slots=True)
class Swept:
    """What a sweep of one kind found.

    Attributes:
        theirs: records of people that refer to records of ours.
        left: records of ours that were taken back and are still there.
        token_count: what it cost.
    """

    theirs: list[Kept] = field(default_factory=list)
    left: list[Mismatch] = field(default_factory=list)
    token_count: int = 0


async def sweep(tools: Tools, migration: Migration, run: Run, kind: str) -> Swept:
    """Read the records of a kind that were changed since the migration's first write."""
    async with tools.ledger.read() as reader:
        since = await first_write(reader, migration) - BEFORE
    found = Swept()
    strangers: dict[str, set[tuple[str, str]]] = {}
    async for response in tools.loader.read_back(migration.target_connection, kind, edited_since=since, is_rollback=True):
        found.token_count = max(found.token_count, response.token_count)
        images: dict[str, dict[str, Any]] = {target.target_id: orjson.loads(target.image_json or b"{}") for target in response.records}
        async with tools.ledger.read() as reader:
            known = {record.target_id: record for record in await reader.list_records_by_target(migration.migration_id, kind, images)}
        for target_id, image in images.items():
            record = known.get(target_id)
            if record is None or record.is_preexisting:
                strangers[target_id] = _named(kind, record, image)
            elif record.state is RecordState.UNDONE and record.reason != KEPT:
                found.left.append(Mismatch(key=record.key, target_id=target_id, kind="unexpected"))
    if kind == "deal" and strangers:
        # A product of ours may stand on a deal of theirs.
        lines_tokens = 0
        async for response in tools.loader.read_back(migration.target_connection, "line_item", parent_ids=sorted(strangers), is_rollback=True):
            lines_tokens = response.token_count
            for target in response.records:
                line = orjson.loads(target.image_json or b"{}")
                strangers[str(line.get("deal_id"))].update(name for name in references("line_item", line) if name[0] == "product")
        found.token_count += lines_tokens
    async with tools.ledger.read() as reader:
        ours = await _of_ours(reader, migration.migration_id, {name for names in strangers.values() for name in names})
    moment = tools.clock.now()
    for target_id, names in strangers.items():
        if held := sorted(f"{entity}/{number}" for entity, number in names & ours):
            found.theirs.append(_theirs(run, kind, target_id, held, moment))
    return found


async def first_write(reader: Reader, migration: Migration) -> datetime:
    """Answer when the migration may have written to Pipedrive first."""
    runs = await reader.list_runs(migration.migration_id)
    return next((run.start_time for run in runs if run.kind is not RunKind.AUDIT), migration.create_time)


def _named(kind: str, record: Record | None, image: dict[str, Any]) -> set[tuple[str, str]]:
    """Answer what a person's record refers to by itself: of one that was there before us, not by fields whose value is ours."""
    if record is not None and record.image:
        ours: dict[str, Any] = orjson.loads(record.image)
        before: dict[str, Any] = orjson.loads(record.pre_image or "{}")
        image = {name: value for name, value in image.items() if name not in before or value != ours.get(name)}
    return set(references(kind, image))


async def _of_ours(reader: Reader, migration_id: str, names: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Answer those of the names that are records of ours in Pipedrive."""
    by_entity: dict[str, set[str]] = defaultdict(set)
    for entity, number in names:
        by_entity[entity].add(number)
    found: set[tuple[str, str]] = set()
    for entity, numbers in by_entity.items():
        if entity == "activity_type":
            records = await reader.list_records(migration_id, RecordFilter(target_entity=entity), limit=_ACTIVITY_TYPES_MAX)
        else:
            records = await reader.list_records_by_target(migration_id, entity, numbers)
        for record in records:
            if record.has_target and not record.is_preexisting:
                found.update(names_of(entity, record.target_id, orjson.loads(record.image or "{}")))
    return found & names


def _theirs(run: Run, kind: str, target_id: str, held: list[str], moment: datetime) -> Kept:
    return Kept(
        migration_id=run.migration_id,
        key=f"theirs:{kind}/{target_id}",
        target_entity=kind,
        target_id=target_id,
        reason=KeptReason.THEIRS,
        run_id=run.run_id,
        keep_time=moment,
        references=tuple(held),
        message=f"a person's own {kind.replace('_', ' ')} {target_id} refers to {', '.join(held)}",
    )
