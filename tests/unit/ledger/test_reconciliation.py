"""Comparing what was loaded with what is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.canonical import canonical_json
from services.ledger.domain import Record, RecordState
from services.ledger.reconciliation import compare, is_compared, restored_fields

LOADED = Record("acme", "deal:sales_order/1", "deal", "sales_order", "1", 7, state=RecordState.LOADED, target_id="5", image='{"title":"A","value":1}')
VALUES = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5)


@pytest.mark.requirement("L-13")
@given(st.dictionaries(st.text(min_size=1, max_size=6), VALUES, max_size=6), st.dictionaries(st.text(min_size=7, max_size=9), VALUES, max_size=3))
def test_what_equals_what_was_loaded_never_mismatches_whatever_else_is_there(image: dict[str, object], others: dict[str, object]) -> None:
    record = replace(LOADED, image=canonical_json(image).decode())
    assert compare(record, {**others, **image}) == (len(image), [])


@pytest.mark.requirement("L-13")
def test_each_field_that_differs_is_named_with_both_values() -> None:
    count, found = compare(LOADED, {"title": "B", "value": 1.0})
    assert count == 2
    assert [(one.target_field, one.expected_json, one.actual_json, one.kind) for one in found] == [("title", b'"A"', b'"B"', "different")]
    assert compare(LOADED, {"title": "A"})[1][0].actual_json == b"null"


def test_a_missing_record_is_one_mismatch() -> None:
    assert [(one.kind, one.target_field) for one in compare(LOADED, None)[1]] == [("missing", "")]


def test_fields_another_record_decides_are_left_out() -> None:
    assert compare(LOADED, {"title": "A", "value": 99}, ignored={"value"}) == (1, [])


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"state": RecordState.WAITING}, True),
        ({"state": RecordState.UNDONE}, False),
        ({"target_id": ""}, False),
        ({"is_preexisting": True}, False),
        ({"is_preexisting": True, "pre_image": '{"title":"Z"}'}, True),
        ({"state": RecordState.REJECTED}, False),
    ],
)
def test_compared_is_what_holds_something_of_ours(changes: dict[str, object], expected: bool) -> None:
    assert is_compared(replace(LOADED, **changes)) is expected  # type: ignore[arg-type]


@pytest.mark.requirement("L-15")
def test_after_a_rollback_created_records_are_gone_and_changed_ones_as_before() -> None:
    assert restored_fields(LOADED, None)[1] == []
    assert [one.kind for one in restored_fields(LOADED, {"title": "A"})[1]] == ["unexpected"]
    changed = replace(LOADED, is_preexisting=True, pre_image='{"title":"Z"}')
    assert restored_fields(changed, {"title": "Z", "value": 7})[1] == []
    assert [(one.target_field, one.kind) for one in restored_fields(changed, {"title": "A"})[1]] == [("title", "different")]
    assert [one.kind for one in restored_fields(changed, None)[1]] == ["missing"]
