"""Batches keep their limits, keep groups together, and are the same every time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transformer.batching import BATCH_BYTES_MAX, RECORDS_MAX, cut, each_key_once
from transload.v1 import records_pb2

ANNOUNCEMENT = records_pb2.PageAnnouncement(
    migration_id="m1",
    run_id="r1",
    phase=records_pb2.PHASE_LINE_ITEMS,
    page=records_pb2.Page(page_id="x/sales_order/3"),
    manifest_digest="d",
    attempt=2,
)


def record(number: int, *, group: str = "", size: int = 10, target: str = "line_item") -> records_pb2.MappedRecord:
    return records_pb2.MappedRecord(key=f"{target}:x/{number}", target_entity=target, payload_json=b"x" * size, group=group)


@pytest.mark.requirement("L-10")
def test_ids_say_run_page_phase_target_and_number() -> None:
    batches = cut(ANNOUNCEMENT, [record(number) for number in range(101)])
    assert [batch.batch_id for batch in batches] == [
        "r1/x/sales_order/3/line_items/line_item/0",
        "r1/x/sales_order/3/line_items/line_item/1",
    ]
    assert [len(batch.records) for batch in batches] == [100, 1]
    assert {(batch.attempt, batch.manifest_digest, batch.target_entity) for batch in batches} == {(2, "d", "line_item")}


@pytest.mark.requirement("X-04")
def test_of_two_records_with_one_key_the_second_is_refused_with_the_reason() -> None:
    part, whole, again = (
        records_pb2.MappedRecord(key=key, source_entity="x", source_id=source_id, payload_json=payload)
        for key, source_id, payload in (("note:x/1/2", "1", b"part"), ("note:x/1/2", "1/2", b"whole"), ("note:x/1/2", "1", b"again"))
    )
    kept, refused = each_key_once([record(1), part, whole, again])
    assert kept == [record(1), part]
    assert [(one.source_key, one.key, one.reason) for one in refused] == [("x/1/2", "", "DUPLICATE_KEY"), ("x/1", "", "DUPLICATE_KEY")]
    assert "what x/1 becomes" in refused[0].message
    assert "two parts of this record" in refused[1].message


def test_lines_of_one_deal_stay_together() -> None:
    lines = [record(number, group=f"deal:{number // 60}") for number in range(180)]
    assert [{one.group for one in batch.records} for batch in cut(ANNOUNCEMENT, lines)] == [{"deal:0"}, {"deal:1"}, {"deal:2"}]


def test_a_deal_with_more_lines_than_a_batch_takes_is_cut() -> None:
    assert [len(batch.records) for batch in cut(ANNOUNCEMENT, [record(number, group="deal:1") for number in range(250)])] == [100, 100, 50]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 120_000), st.sampled_from(["note", "activity"])),
        max_size=260,
    )
)
def test_no_batch_is_too_large_and_no_record_is_lost(shape: list[tuple[int, int, str]]) -> None:
    records = [record(number, group=f"g{group}" if group else "", size=size, target=target) for number, (group, size, target) in enumerate(shape)]
    batches = cut(ANNOUNCEMENT, records)
    assert all(len(batch.records) <= RECORDS_MAX and batch.ByteSize() <= BATCH_BYTES_MAX for batch in batches)
    assert sorted(one.key for batch in batches for one in batch.records) == sorted(one.key for one in records)
    assert len({batch.batch_id for batch in batches}) == len(batches)
    assert [batch.SerializeToString(deterministic=True) for batch in cut(ANNOUNCEMENT, records)] == [
        batch.SerializeToString(deterministic=True) for batch in batches
    ]
