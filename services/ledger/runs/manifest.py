"""The manifest: the confirmed mapping bound to one target account. Canonical JSON, named by its digest, never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from services.common.canonical import canonical_json, digest
from services.ledger.domain import Manifest, RecordFilter, ReportKind
from transload.v1.records_pb2 import Phase

if TYPE_CHECKING:
    from datetime import datetime

    from services.ledger.domain import Migration
    from services.ledger.repository import Reader, Transaction

BINDING_PHASES = (Phase.PHASE_USERS, Phase.PHASE_SCHEMA)
RECORDS_PER_READ = 500


def manifest_of(migration: Migration, mapping_yaml: str, target_json: bytes, bindings: dict[str, dict[str, Any]]) -> bytes:
    """Answer the canonical bytes of a manifest."""
    return canonical_json(
        {
            "migration_id": migration.migration_id,
            "source_account": migration.source_account,
            "mapping_yaml": mapping_yaml,
            "mapping_digest": migration.mapping_digest,
            "target": orjson.loads(target_json or b"{}"),
            "bindings": bindings,
        }
    )


async def save_manifest(transaction: Transaction, migration: Migration, mapping_yaml: str, *, is_bound: bool, now: datetime) -> str:
    """Make and store a manifest from what the ledger holds; answers its digest.

    Args:
        transaction: The unit of work it belongs to.
        migration: Whose manifest it is.
        mapping_yaml: The confirmed mapping.
        is_bound: With the ids of schema and users; without for the preliminary manifest they are themselves made with.
        now: The time it is stored with.
    """
    report = await transaction.get_report(migration.migration_id, ReportKind.TARGET)
    bindings = await bindings_of(transaction, migration.migration_id) if is_bound else {}
    content = manifest_of(migration, mapping_yaml, report.content if report else b"", bindings)
    name = digest(content)
    await transaction.save_manifest(Manifest(digest=name, migration_id=migration.migration_id, content=content, create_time=now))
    return name


async def bindings_of(reader: Reader, migration_id: str) -> dict[str, dict[str, Any]]:
    """Answer key -> target id and image of every schema and user record that stands in the target."""
    bindings: dict[str, dict[str, Any]] = {}
    for phase in BINDING_PHASES:
        after_key = ""
        while True:
            which = RecordFilter(phase=phase, has_target=True)
            records = await reader.list_records(migration_id, which, after_key=after_key, limit=RECORDS_PER_READ)
            bindings.update(
                {record.key: {"target_id": record.target_id, "image": orjson.loads(record.image or "{}")} for record in records if record.has_target}
            )
            if len(records) < RECORDS_PER_READ:
                break
            after_key = records[-1].key
    return bindings
