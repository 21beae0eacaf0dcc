"""Mapping a whole generated account: deterministic, every record accounted for, no reference to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.common.phases import PHASES, TARGET_PHASES
from services.transformer.engine import Engine
from services.transformer.mapping.reading import connector_mapping_text
from services.transformer.propose import propose
from services.transformer.snapshot.index import SnapshotIndex
from tests.unit.transformer import examples
from tests.unit.transformer.support import TARGET, Pages, Snapshot, account, map_all, plan_of
from transload.v1 import ledger_service_pb2

if TYPE_CHECKING:
    from services.transformer.plan import MappingPlan

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=400),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
)


@pytest.mark.requirement("X-04", "X-01", "SO-01", "SO-02", "SO-03", "SO-04", "SO-05", "SO-06", "SO-07", "SO-08", "SO-09", "SO-10")
async def test_of_a_whole_account_every_record_is_mapped_or_has_a_reason(tmp_path: Path) -> None:
    pages = Pages()
    account(pages, clients=40, seed=7)
    index = SnapshotIndex(tmp_path / "one", pages=pages, store=pages)
    view = await index.ensure("m1", 0)
    plan = plan_of(propose(connector_mapping_text("stel_order"), view, TARGET, ""))
    engine = Engine(plan)
    bytes_of: dict[str, bytes] = {}
    wanted: set[str] = set()
    accounted: set[str] = set()
    for entity, entity_plan in plan.entities.items():
        for envelope in view.iterate(entity):
            wanted.add(envelope.source_key)
            for phase in entity_plan.phases:
                mapped = engine.map_record(envelope, view, phase)
                for record in mapped.records:
                    assert record.key not in bytes_of, "a key stands for one record"
                    assert TARGET_PHASES[record.target_entity] == phase
                    bytes_of[record.key] = record.SerializeToString(deterministic=True)
                    accounted.add(envelope.source_key)
                    for reference in record.references:
                        assert f'"$ref":"{reference.key}"'.encode() in record.payload_json
                accounted |= {issue.source_key for issue in mapped.issues if issue.kind != ledger_service_pb2.ISSUE_KIND_FLAGGED}
    assert wanted == accounted
    assert {key.partition(":")[0] for key in bytes_of} >= {"user", "organization", "person", "product", "deal", "line_item", "activity", "note"}
    again = SnapshotIndex(tmp_path / "two", pages=pages, store=pages)
    other_view, other_engine = await again.ensure("m1", 0), Engine(plan)
    for entity, entity_plan in plan.entities.items():
        for envelope in other_view.iterate(entity):
            for phase in entity_plan.phases:
                for record in other_engine.map_record(envelope, other_view, phase).records:
                    assert bytes_of[record.key] == record.SerializeToString(deterministic=True)
    index.close()
    again.close()


@pytest.mark.requirement("L-07", "X-04", "X-08")
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_a_field_holds_the_record_is_mapped_or_has_a_reason(plan: MappingPlan, data: st.DataObject) -> None:
    records = examples.account()
    entity = data.draw(st.sampled_from(["client", "contact", "product", "asset", "sales_estimate", "work_order", "ordinary_invoice"]))
    record = records[entity][0]
    for name in data.draw(st.lists(st.sampled_from(sorted(set(record) - {"id", "deleted"})), max_size=4, unique=True)):
        record[name] = data.draw(VALUES)
    snapshot = Snapshot(records)
    result = map_all(plan, snapshot, snapshot.one(entity, record["id"]))
    assert result.payloads or any(issue.kind != ledger_service_pb2.ISSUE_KIND_FLAGGED for issue in result.issues)
    assert all(issue.reason and issue.message for issue in result.issues)
    assert len(PHASES) == 12
