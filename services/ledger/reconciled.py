"""What people are answered about a reconciliation: what it found, with the proof that it stands in the signed trail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from services.common.canonical import canonical_json
from services.common.errors import NotFoundError
from services.ledger import codec
from services.ledger import migration_codec as write
from services.ledger.audit import inclusion_paths
from services.ledger.domain import ReportKind
from services.ledger.migrations import require_migration
from services.ledger.runs.outcome import EVENT_SEQUENCE
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from services.ledger.repository import Reader
    from transload.audit.heads import AuditHead


async def describe_reconciliation(reader: Reader, migration_id: str, head: AuditHead) -> pb.GetReconciliationResponse:
    """Answer the last reconciliation.

    Raises:
        NotFoundError: there is none, or a rollback came after it.
    """
    await require_migration(reader, migration_id)
    report = await reader.get_report(migration_id, ReportKind.RECONCILIATION)
    found = orjson.loads(report.content) if report else {}
    sequence = int(found.pop(EVENT_SEQUENCE, 0))
    if report is None or not sequence:
        raise NotFoundError("there is no reconciliation yet, or a rollback came after it: run one first")
    events = await reader.list_events(migration_id, after_sequence=sequence - 1, limit=1)
    if not events:
        raise NotFoundError(f"event {sequence} of the audit trail, which tells the reconciliation, is missing: verify the trail")
    paths = await inclusion_paths(reader, migration_id, head.tree_size, [sequence])
    return pb.GetReconciliationResponse(
        report_json=canonical_json(found),
        end_time=codec.to_timestamp(report.create_time),
        event=pb.ProvenEvent(event=write.event_to_proto(events[0]), path=paths[0]),
        head=write.audit_head_to_proto(head),
    )
