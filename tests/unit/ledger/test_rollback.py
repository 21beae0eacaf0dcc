"""The plan of a rollback."""

from __future__ import annotations

import pytest

from services.common.phases import TARGET_PHASES
from services.ledger.domain import UndoCount
from services.ledger.rollback import plan_steps, tokens_of, undo_order


@pytest.mark.requirement("L-15")
def test_everything_is_taken_back_before_what_it_hangs_on() -> None:
    order = [entity for _, entity in undo_order()]
    assert sorted(order) == sorted(TARGET_PHASES)
    for first, later in [
        ("file", "activity"),
        ("note", "deal"),
        ("activity", "deal"),
        ("deal", "line_item"),
        ("deal", "person"),
        ("person", "organization"),
        ("organization_relation", "organization"),
        ("line_item", "product"),
        ("deal", "stage"),
        ("stage", "pipeline"),
        ("field_option", "custom_field"),
        ("organization", "custom_field"),
    ]:
        assert order.index(first) < order.index(later), (first, later)


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize(
    ("entity", "deletes", "restores", "tokens"),
    [("deal", 10, 0, 30), ("note", 10, 0, 60), ("file", 1, 0, 6), ("organization", 0, 1, 15), ("person", 2, 101, 531), ("activity_type", 1, 1, 26)],
)
def test_tokens_follow_the_cost_table(entity: str, deletes: int, restores: int, tokens: int) -> None:
    assert tokens_of(entity, delete_count=deletes, restore_count=restores) == tokens


def test_steps_without_anything_to_do_are_left_out() -> None:
    counts = [UndoCount(TARGET_PHASES["deal"], "deal", 2, 0, 0), UndoCount(TARGET_PHASES["note"], "note", 0, 0, 3)]
    assert [step.target_entity for step in plan_steps(counts, with_deal_counts={})] == ["deal"]


def test_line_items_on_deals_that_stay_are_paid_for() -> None:
    counts = [UndoCount(TARGET_PHASES["line_item"], "line_item", 5, 0, 0)]
    assert plan_steps(counts, with_deal_counts={"line_item": 5})[0].token_count == 0
    assert plan_steps(counts, with_deal_counts={"line_item": 3})[0].token_count == 6
