"""What stays in Pipedrive when a migration is taken back, and what it holds on to (L-15). Pure.

A record stays when a person edited it, and when something that stays refers to it: a note of theirs on our deal keeps the deal, the deal its
organization, its stage and the custom fields it has values in. Taking back goes from what refers to what is referred to, so whatever keeps a record
is known before its turn comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from services.common.edits import names_of, references
from services.ledger.domain import EventDraft, Kept, KeptReason, RecordState, Resolution
from services.ledger.outcomes import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from services.ledger.domain import Record, Run, Scope
    from services.ledger.repository import Reader

OURS = frozenset({KeptReason.EDITED, KeptReason.NEEDED})
"""Reasons for which records of ours stay."""
_CHUNK = 1_000


@dataclass(slots=True)
class Keeping:
    """What stays.

    Attributes:
        names: records of ours that stay, `{target entity}/{id}`.
        holders: name (`{target entity}/{id}`) → keys of what stays and refers to it.
    """

    names: set[str] = field(default_factory=set)
    holders: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kept: Kept) -> None:
        """Take one more into account."""
        if kept.reason is KeptReason.OUTSIDE:
            return
        if kept.reason in OURS:
            self.names.add(f"{kept.target_entity}/{kept.target_id}")
        for name in kept.references:
            self.holders.setdefault(name, []).append(kept.key)

    def holders_of(self, record: Record) -> list[str]:
        """Answer what stays and refers to a record."""
        image: dict[str, Any] = orjson.loads(record.image or "{}")
        names = names_of(record.target_entity, record.target_id, image)
        return [key for entity, number in names for key in self.holders.get(f"{entity}/{number}", [])]

    def needs(self, record: Record) -> bool:
        """Say whether a record of ours stays because of others: something refers to it, or it belongs to a deal that stays."""
        if not record.target_id or record.is_preexisting:
            return False
        return bool(self.holders_of(record)) or f"deal/{deal_id_of(record)}" in self.names


async def read_keeping(reader: Reader, migration_id: str) -> Keeping:
    """Answer what stays as the ledger knows it."""
    keeping, after_key = Keeping(), ""
    while True:
        rows = await reader.list_kept(migration_id, after_key=after_key, limit=_CHUNK)
        for row in rows:
            keeping.add(row)
        if len(rows) < _CHUNK:
            return keeping
        after_key = rows[-1].key


def kept_record(record: Record, scope: Scope, run: Run, message: str, moment: datetime) -> Record:
    """Answer a record of ours that a run leaves in Pipedrive. After a part was taken back it is loaded as before."""
    if not scope.is_whole:
        return replace(record, undo_run_id=run.run_id, update_time=moment)
    return replace(
        record,
        state=RecordState.UNDONE,
        reason=KEPT,
        message=message,
        resolution=Resolution.NONE,
        intent_time=None,
        intent_record=b"",
        undo_run_id=run.run_id,
        update_time=moment,
    )


def kept_of(
    record: Record,
    reason: KeptReason,
    run: Run,
    moment: datetime,
    *,
    image: Mapping[str, Any] | None = None,
    fields: Iterable[str] = (),
    message: str = "",
) -> Kept:
    """Answer the note of a record of ours that stays; what it refers to follows from how it stands in Pipedrive, else from what we loaded."""
    image = orjson.loads(record.image or "{}") if image is None else image
    named = [f"{entity}/{number}" for entity, number in references(record.target_entity, image)]
    if record.target_entity == "line_item" and record.parent_target_id:
        named.append(f"deal/{record.parent_target_id}")
    return Kept(
        migration_id=record.migration_id,
        key=record.key,
        target_entity=record.target_entity,
        target_id=record.target_id,
        reason=reason,
        run_id=run.run_id,
        keep_time=moment,
        fields=tuple(fields),
        references=tuple(dict.fromkeys(named)),
        message=message,
    )


def deal_id_of(record: Record) -> str:
    """Answer the deal a line item or a deal's value belongs to; empty for other records."""
    if record.target_entity not in {"line_item", "deal_value"}:
        return ""
    return record.parent_target_id or (record.target_id if record.target_entity == "deal_value" else "")


def kept_event(kept: Kept, source_key: str, actor: str) -> EventDraft:
    """Answer the event of a record that stays."""
    payload = {"run_id": kept.run_id, "reason": str(kept.reason), "message": kept.message, "edited_fields": list(kept.fields)}
    return EventDraft("record.kept", actor, key=kept.key, source_key=source_key, target_id=kept.target_id, result="kept", payload=payload)
