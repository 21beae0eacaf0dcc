"""The state machine: a table of steps and states, and rules that no sequence of steps can break."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import PreconditionError
from services.ledger.domain import MigrationState, RunKind, RunState
from services.ledger.states import (
    ALLOWED_FROM,
    Standing,
    Step,
    check,
    state_after_run,
    state_after_step,
)

APPROVED = Standing(
    state=MigrationState.APPROVED,
    mapping_digest="m1",
    confirmed_digest="m1",
    diff_digest="d1",
    diff_mapping_digest="m1",
    approved_diff_digest="d1",
    approved_mapping_digest="m1",
    has_loaded_records=True,
)

RUN_STEPS = frozenset(Step(kind.value) for kind in RunKind)

WAY = [
    (Step.AUDIT, MigrationState.AUDITED),
    (Step.CONFIRM_MAPPING, MigrationState.CONFIRMED),
    (Step.SCHEMA, MigrationState.PREPARED),
    (Step.SAMPLE, MigrationState.SAMPLED),
    (Step.APPROVE, MigrationState.APPROVED),
    (Step.LOAD, MigrationState.LOADED),
    (Step.COMPLETE, MigrationState.COMPLETED),
]


def reason_of(step: Step, standing: Standing, digest: str = "") -> str:
    with pytest.raises(PreconditionError) as caught:
        check(step, standing, digest=digest)
    return caught.value.reason


@pytest.mark.requirement("L-01", "L-02", "L-09", "L-10")
def test_the_usual_way_leads_from_created_to_completed() -> None:
    standing = Standing()
    for step, state in WAY:
        standing = act(standing, step, is_right_digest=True)
        assert standing.state == state


@pytest.mark.parametrize("state", list(MigrationState))
@pytest.mark.parametrize("step", [step for step in Step if step not in (Step.PAUSE, Step.RESUME, Step.ROLLBACK)])
def test_a_step_outside_its_states_is_refused_with_the_states_it_needs(step: Step, state: MigrationState) -> None:
    standing = replace(APPROVED, state=state)
    if state in ALLOWED_FROM[step]:
        check(step, standing, digest="d1" if step is Step.APPROVE else "m1")
    else:
        assert reason_of(step, standing, "m1") in ("WRONG_STATE", "NOT_APPROVED")


@pytest.mark.requirement("L-09")
@pytest.mark.parametrize(
    "spoilt",
    [
        {"approved_diff_digest": ""},
        {"approved_diff_digest": "d0"},
        {"approved_mapping_digest": "m0"},
        {"diff_mapping_digest": "m0"},
        {"diff_digest": "", "approved_diff_digest": ""},
    ],
)
def test_load_is_locked_unless_this_very_diff_of_this_very_mapping_is_approved(spoilt: dict[str, str]) -> None:
    check(Step.LOAD, APPROVED)
    assert reason_of(Step.LOAD, replace(APPROVED, **spoilt)) == "NOT_APPROVED"  # type: ignore[arg-type]


@pytest.mark.requirement("L-09")
def test_load_before_approval_says_that_it_is_locked() -> None:
    assert reason_of(Step.LOAD, replace(APPROVED, state=MigrationState.SAMPLED, approved_diff_digest="")) == "NOT_APPROVED"
    assert reason_of(Step.LOAD, replace(APPROVED, state=MigrationState.PREPARED, diff_digest="")) == "NOT_APPROVED"


@pytest.mark.requirement("L-02")
@pytest.mark.parametrize("step", [Step.SCHEMA, Step.SAMPLE, Step.LOAD])
def test_nothing_moves_before_the_mapping_is_confirmed(step: Step) -> None:
    assert reason_of(step, Standing(state=MigrationState.AUDITED, mapping_digest="m1")) == "MAPPING_NOT_CONFIRMED"


@pytest.mark.requirement("L-02")
def test_confirming_a_mapping_one_did_not_look_at_is_refused() -> None:
    standing = Standing(state=MigrationState.AUDITED, mapping_digest="m2")
    assert reason_of(Step.CONFIRM_MAPPING, standing, "m1") == "DIGEST_MISMATCH"
    check(Step.CONFIRM_MAPPING, standing, digest="m2")


@pytest.mark.requirement("L-09")
def test_approving_a_diff_one_did_not_look_at_is_refused() -> None:
    standing = replace(APPROVED, state=MigrationState.SAMPLED)
    assert reason_of(Step.APPROVE, standing, "d0") == "DIGEST_MISMATCH"
    assert reason_of(Step.APPROVE, replace(standing, diff_digest=""), "") == "DIGEST_MISMATCH"
    check(Step.APPROVE, standing, digest="d1")


@pytest.mark.requirement("L-09")
@pytest.mark.parametrize("state", sorted(ALLOWED_FROM[Step.EDIT_MAPPING]))
def test_an_edited_mapping_takes_confirmation_and_approval_back(state: MigrationState) -> None:
    standing = replace(APPROVED, state=state)
    check(Step.EDIT_MAPPING, standing)
    assert state_after_step(Step.EDIT_MAPPING, standing) is MigrationState.AUDITED
    # Both name the digest they were given for, so they end even where nobody takes them back.
    edited = replace(standing, mapping_digest="m2")
    assert not edited.is_confirmed
    assert not edited.is_approved


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("state", [state for state in MigrationState if state is not MigrationState.ROLLED_BACK])
@pytest.mark.parametrize("active", [None, *(kind for kind in RunKind if kind is not RunKind.ROLLBACK)])
def test_rollback_is_possible_from_every_state_with_loaded_records_also_half_way(state: MigrationState, active: RunKind | None) -> None:
    standing = replace(APPROVED, state=state, active_run=active, is_paused=True)
    check(Step.ROLLBACK, standing)
    assert reason_of(Step.ROLLBACK, replace(standing, has_loaded_records=False)) == "WRONG_STATE"


def test_rollback_is_refused_twice() -> None:
    assert reason_of(Step.ROLLBACK, replace(APPROVED, active_run=RunKind.ROLLBACK)) == "RUN_ACTIVE"
    assert reason_of(Step.ROLLBACK, replace(APPROVED, state=MigrationState.ROLLED_BACK)) == "WRONG_STATE"


@pytest.mark.parametrize("step", sorted((RUN_STEPS | {Step.EDIT_MAPPING, Step.CONFIRM_MAPPING, Step.APPROVE, Step.COMPLETE}) - {Step.ROLLBACK}))
def test_only_one_run_at_a_time(step: Step) -> None:
    assert reason_of(step, replace(APPROVED, active_run=RunKind.LOAD), "m1") == "RUN_ACTIVE"


def test_pausing_needs_something_to_pause() -> None:
    assert reason_of(Step.PAUSE, APPROVED) == "WRONG_STATE"
    assert reason_of(Step.RESUME, APPROVED) == "WRONG_STATE"
    check(Step.PAUSE, replace(APPROVED, active_run=RunKind.LOAD))
    check(Step.RESUME, replace(APPROVED, active_run=RunKind.LOAD, is_paused=True))


@pytest.mark.parametrize("end", [RunState.FAILED, RunState.CANCELLED, RunState.RUNNING])
@pytest.mark.parametrize("kind", list(RunKind))
def test_a_run_that_did_not_succeed_leaves_the_state(kind: RunKind, end: RunState) -> None:
    for state in MigrationState:
        assert state_after_run(kind, end, state) is state


def with_other_mapping(standing: Standing, *, mapping_digest: str) -> Standing:
    """The model of a mapping that is replaced: confirmation, diff and approval are gone."""
    return replace(
        standing,
        state=MigrationState.AUDITED,
        mapping_digest=mapping_digest,
        confirmed_digest="",
        diff_digest="",
        diff_mapping_digest="",
        approved_diff_digest="",
        approved_mapping_digest="",
    )


def act(standing: Standing, step: Step, *, is_right_digest: bool, nonce: int = 0) -> Standing:
    """Takes a step on the model as the ledger would, refused steps changing nothing; runs succeed at once."""
    right = standing.diff_digest if step is Step.APPROVE else standing.mapping_digest
    try:
        check(step, standing, digest=right if is_right_digest else "wrong")
    except PreconditionError:
        return standing
    if step is Step.EDIT_MAPPING:
        return with_other_mapping(standing, mapping_digest=f"m{nonce}")
    moved = replace(standing, state=state_after_step(step, standing))
    if step is Step.CONFIRM_MAPPING:
        return replace(moved, confirmed_digest=standing.mapping_digest)
    if step is Step.APPROVE:
        return replace(moved, approved_diff_digest=standing.diff_digest, approved_mapping_digest=standing.mapping_digest)
    if step in RUN_STEPS:
        moved = replace(moved, state=state_after_run(RunKind(step.value), RunState.SUCCEEDED, standing.state))
        if step is Step.AUDIT:
            return replace(with_other_mapping(moved, mapping_digest=f"audited{nonce}"), state=MigrationState.AUDITED)
        if step is Step.SAMPLE:
            return replace(moved, diff_digest=f"d{nonce}", diff_mapping_digest=standing.mapping_digest, has_loaded_records=True)
        if step is Step.ROLLBACK:
            return replace(moved, has_loaded_records=False)
    return moved


@pytest.mark.requirement("L-02", "L-09")
@given(st.lists(st.tuples(st.sampled_from(sorted(Step)), st.booleans()), max_size=60))
def test_no_sequence_of_steps_reaches_a_load_without_confirming_and_approving_this_mapping(steps: list[tuple[Step, bool]]) -> None:
    standing = Standing()
    confirmed: set[str] = set()
    approved: set[tuple[str, str]] = set()
    for nonce, (step, is_right) in enumerate(steps):
        before = standing
        standing = act(standing, step, is_right_digest=is_right, nonce=nonce)
        if step is Step.CONFIRM_MAPPING and is_right and standing != before:
            confirmed.add(standing.mapping_digest)
        if step is Step.APPROVE and is_right and standing != before:
            approved.add((standing.diff_digest, standing.mapping_digest))
        if before.state is not MigrationState.LOADED and standing.state is MigrationState.LOADED:
            assert standing.mapping_digest in confirmed
            assert (standing.diff_digest, standing.mapping_digest) in approved


@given(st.lists(st.sampled_from(sorted(Step)), max_size=60))
def test_a_rolled_back_migration_stays_rolled_back(steps: list[Step]) -> None:
    standings = [replace(APPROVED, state=MigrationState.ROLLED_BACK, has_loaded_records=False)]
    for nonce, step in enumerate(steps):
        standings.append(act(standings[-1], step, is_right_digest=True, nonce=nonce))
    assert all(after.state is MigrationState.ROLLED_BACK for _, after in pairwise(standings))
