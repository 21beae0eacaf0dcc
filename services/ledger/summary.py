"""Sums of a migration (X-04): what became of every source record, what stands in the target, what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from services.common import telemetry
from services.common.errors import TransloadError
from services.ledger.domain import EntityCount, ReportKind
from services.ledger.load_plan import spent_for_load
from services.ledger.migration_codec import entity_count_to_proto, target_count_to_proto
from services.ledger.migrations import planned_token_count
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from services.ledger.domain import Migration
    from services.ledger.repository import Reader
    from services.ledger.runs.ports import Extractor

_LOG = telemetry.get_logger(__name__)
NO_RECONCILIATION: Final = -1


class Sources:
    """Remembers what connectors say of their entities; it does not change while they run."""

    def __init__(self, extractor: Extractor) -> None:
        self._extractor = extractor
        self._known: dict[str, dict[str, bool]] = {}

    async def entities(self, connector: str) -> dict[str, bool]:
        """Answer entity -> whether its records are only looked up, in the connector's order; empty while the extractor is away."""
        if connector not in self._known:
            try:
                described = await self._extractor.describe_source(connector)
            except TransloadError as error:
                _LOG.debug("source.not_described", connector=connector, reason=error.reason)
                return {}
            self._known[connector] = {entity.name: entity.is_reference_data for entity in described}
        return self._known[connector]


async def summarize(reader: Reader, migration: Migration, entities: dict[str, bool]) -> pb.Summary:
    """Answer the sums as they stand in this view of the ledger.

    Args:
        reader: The view.
        migration: Whose sums.
        entities: The connector's entities in order, with whether they are reference data; those not named come last.
    """
    migration_id = migration.migration_id
    counts = {count.source_entity: count for count in await reader.summarize_sources(migration_id)}
    order = [*entities, *(entity for entity in counts if entity not in entities)]
    report = await reader.get_report(migration_id, ReportKind.RECONCILIATION)
    runs = await reader.list_runs(migration_id)
    extractions = await reader.list_extractions(migration_id)
    return pb.Summary(
        entities=[
            entity_count_to_proto(counts.get(entity, EntityCount(source_entity=entity)), is_reference_data=entities.get(entity, False))
            for entity in order
            if entity in counts
        ],
        targets=[target_count_to_proto(count) for count in await reader.summarize_targets(migration_id)],
        token_count=sum(run.token_count for run in runs),
        planned_token_count=await planned_token_count(reader, migration_id),
        source_call_count=sum(extraction.source_call_count for extraction in extractions),
        mismatch_count=int(orjson.loads(report.content).get("mismatch_count", 0)) if report else NO_RECONCILIATION,
        event_sequence=await reader.event_sequence(migration_id),
        load_token_count=spent_for_load(runs),
    )
