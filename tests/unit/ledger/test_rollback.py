"""The plan of a rollback."""

from __future__ import annotations

import pytest

from services.common.phases import TARGET_PHASES
from services.ledger.domain import EVERYTHING, Scope, UndoCount
from services.ledger.rollback import UndoFacts, plan_steps, read_tokens_of, sweeps_of, tokens_of, undo_order


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
    [("deal", 10, 0, 30), ("note", 10, 0, 60), ("file", 1, 0, 6), ("organization", 0, 1, 5), ("person", 2, 101, 511), ("activity_type", 1, 1, 16)],
)
def test_tokens_follow_the_cost_table(entity: str, deletes: int, restores: int, tokens: int) -> None:
    assert tokens_of(entity, delete_count=deletes, restore_count=restores) == tokens


def test_steps_without_anything_to_do_are_left_out() -> None:
    counts = [UndoCount(TARGET_PHASES["deal"], "deal", 2, 0, 0), UndoCount(TARGET_PHASES["organization_relation"], "organization_relation", 0, 0, 3)]
    steps = [step.target_entity for step in plan_steps(counts, scope=Scope(deletes_edited=True), facts=UndoFacts())]
    assert steps == ["deal"]


def test_line_items_on_deals_that_stay_are_paid_for() -> None:
    counts = [UndoCount(TARGET_PHASES["line_item"], "line_item", 5, 0, 0)]
    scope = Scope(deletes_edited=True)
    assert plan_steps(counts, scope=scope, facts=UndoFacts(with_deal={"line_item": 5}))[0].token_count == 0
    assert plan_steps(counts, scope=scope, facts=UndoFacts(with_deal={"line_item": 3}))[0].token_count == 6


@pytest.mark.requirement("L-15")
def test_what_people_hung_on_ours_is_looked_for_before_it_is_deleted() -> None:
    counts = [UndoCount(TARGET_PHASES["organization"], "organization", 1, 0, 0)]
    assert sweeps_of(counts, EVERYTHING) == ("file", "note", "activity", "deal", "person", "organization")
    assert sweeps_of(counts, Scope(deletes_edited=True)) == ("organization",)
    fields = [UndoCount(TARGET_PHASES["custom_field"], "custom_field", 1, 0, 0)]
    assert sweeps_of(fields, EVERYTHING) == ("deal", "person", "organization", "product")


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize(
    ("entity", "deletes", "restores", "tokens"),
    [
        ("organization", 250, 0, 30),  # three lists by ids
        ("organization", 209, 0, 29),  # two lists, and nine one by one
        ("organization", 0, 20, 20),  # before and after
        ("deal", 100, 0, 20),  # deals and their lines
        ("note", 600, 0, 40),  # two rounds of pages of 500
        ("file", 600, 0, 120),
        ("organization_relation", 3, 0, 6),
        ("stage", 4, 0, 10),
        ("pipeline", 1, 0, 15),
    ],
)
def test_reading_costs_what_the_lists_cost(entity: str, deletes: int, restores: int, tokens: int) -> None:
    assert read_tokens_of(entity, delete_count=deletes, restore_count=restores, scope=EVERYTHING, facts=UndoFacts()) == tokens


def test_a_part_leaves_schema_and_users_alone() -> None:
    entities = {entity for _, entity in undo_order(Scope(is_sample=True))}
    assert entities.isdisjoint({"user", "custom_field", "field_option", "pipeline", "stage", "activity_type"})
    assert "deal" in entities


@pytest.mark.requirement("L-15")
def test_what_stays_of_a_large_load_is_paid_for_in_the_lists_of_a_part() -> None:
    counts = [UndoCount(TARGET_PHASES["note"], "note", 1, 0, 0)]
    steps = {step.target_entity: step for step in plan_steps(counts, scope=Scope(target_entity="note"), facts=UndoFacts(listed={"note": 1_200}))}
    assert steps["note"].read_token_count == 20 + 3 * 20
