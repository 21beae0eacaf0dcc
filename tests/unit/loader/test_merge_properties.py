"""The three-way comparison as properties: nobody's edit is lost without a word that allows it, nothing is sent that did not change, twice is once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.loader.entities import RECORD_ENTITIES
from services.loader.merge import POLICY_SOURCE, POLICY_TARGET, Merge, Policy, merge

DEAL = RECORD_ENTITIES["deal"]
CUSTOM = "custom_fields.ab"
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from(["a", "b", "c"]),
    "lost_reason": st.sampled_from(["x", "y"]),
    "probability": st.sampled_from([10, 20]),
    "status": st.sampled_from(["open", "won", "lost"]),
    "won_time": st.sampled_from(["2021-01-01T00:00:00Z", "2022-01-01T00:00:00Z"]),
    "expected_close_date": st.sampled_from(["2024-01-01", "2024-02-02"]),
    "pipeline_id": st.sampled_from([1, 2]),
    "stage_id": st.sampled_from([7, 8]),
    CUSTOM: st.sampled_from(["k", "l"]),
}
FIELDS = st.sampled_from(sorted(VALUES))
WORDS = st.sampled_from(["", "ask", POLICY_SOURCE, POLICY_TARGET])
IMAGES = st.fixed_dictionaries({}, optional=VALUES)
DECLINED = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in VALUES.items()})
POLICIES = st.builds(Policy, default=WORDS, fields=st.dictionaries(FIELDS, WORDS), asked=DECLINED, decision=st.sampled_from(["", "source", "target"]))
EDITS = st.fixed_dictionaries({}, optional={name: st.none() | values for name, values in VALUES.items()})


def _case(last: dict[str, Any], by_source: dict[str, Any], by_person: dict[str, Any], declined: dict[str, Any], policy: Policy) -> tuple[Any, ...]:
    """Two sides that began as one and were changed here and there."""
    sides = [{name: value for name, value in {**last, **edits}.items() if value is not None} for edits in (by_source, by_person)]
    return last, *sides, declined, policy


CASE = st.builds(_case, IMAGES, EDITS, EDITS, st.just({}) | DECLINED, POLICIES)


def payload_of(image: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in image.items() if name != CUSTOM}
    return plain | ({"custom_fields": {"ab": image[CUSTOM]}} if CUSTOM in image else {})


def compare(last: dict[str, Any], wanted: dict[str, Any], actual: dict[str, Any], declined: dict[str, Any], policy: Policy) -> Merge:
    ours = {name: value for name, value in last.items() if name not in declined}
    return merge(DEAL, last=ours, payload=payload_of(wanted), actual=actual, policy=policy, declined=declined)


def patched(result: Merge, wanted: dict[str, Any], actual: dict[str, Any]) -> dict[str, Any]:
    """What stands in Pipedrive once the body of a patch was taken: exactly what it says."""
    body = DEAL.patch_body(result.changes, payload_of(wanted)) if result.changes else {}
    flat = {name: value for name, value in body.items() if name != "custom_fields"}
    flat |= {f"custom_fields.{name}": value for name, value in body.get("custom_fields", {}).items()}
    # Times of a status go with the status; that is Pipedrive's doing and stands in no body.
    gone = {name for name, value in result.changes.items() if value is None}
    after = {**actual, **flat}
    return {name: value for name, value in after.items() if value is not None and name not in gone}


def baseline(name: str, last: dict[str, Any], declined: dict[str, Any]) -> Any:
    return declined[name] if name in declined else last.get(name)


@pytest.mark.requirement("L-11")
@settings(max_examples=400, deadline=None)
@given(CASE)
def test_a_persons_edit_is_overwritten_only_by_a_word_for_the_source(case: tuple[Any, ...]) -> None:
    last, wanted, actual, declined, policy = case
    result = compare(last, wanted, actual, declined, policy)
    after = patched(result, wanted, actual)
    allowed = {one.name for one in result.decisions if one.word == POLICY_SOURCE}
    for name in VALUES:
        is_persons = name in declined or actual.get(name) != last.get(name)
        if is_persons and after.get(name) != actual.get(name):
            assert name in allowed
            assert POLICY_SOURCE in {policy.fields.get(name, policy.default), policy.decision}


@pytest.mark.requirement("L-11")
@settings(max_examples=400, deadline=None)
@given(CASE)
def test_nothing_is_sent_that_the_source_did_not_change(case: tuple[Any, ...]) -> None:
    last, wanted, actual, declined, policy = case
    result = compare(last, wanted, actual, declined, policy)
    companions = {DEAL.companions[name] for name in result.changes if name in DEAL.companions}
    for name, value in result.changes.items():
        assert value != actual.get(name)
        assert wanted.get(name) != baseline(name, last, declined) or name in companions


@pytest.mark.requirement("L-11")
@settings(max_examples=400, deadline=None)
@given(CASE)
def test_applying_twice_is_applying_once(case: tuple[Any, ...]) -> None:
    last, wanted, actual, declined, policy = case
    first = compare(last, wanted, actual, declined, policy)
    after = patched(first, wanted, actual)
    again = merge(
        DEAL, last=first.image, payload=payload_of(wanted), actual=after, policy=Policy(policy.default, policy.fields), declined=first.declined
    )
    assert {name: value for name, value in again.changes.items() if name not in first.asked} == {}
    assert set(again.asked) <= set(first.asked) | set(first.stuck) | set(DEAL.companions)


@pytest.mark.requirement("L-11")
@settings(max_examples=400, deadline=None)
@given(CASE)
def test_every_field_is_ours_declined_or_asked_about_and_a_decision_is_told(case: tuple[Any, ...]) -> None:
    last, wanted, actual, declined, policy = case
    result = compare(last, wanted, actual, declined, policy)
    assert set(result.conflicts) == set(result.asked) == {one.name for one in result.decisions if one.word == "ask"}
    assert not set(result.image) & set(result.declined)
    assert not set(result.changes) & set(result.asked)
    assert {one.name for one in result.decisions if one.word == POLICY_TARGET} <= set(result.declined)
    assert len({one.name for one in result.decisions}) == len(result.decisions)


@pytest.mark.requirement("L-11", "L-16")
@settings(max_examples=400, deadline=None)
@given(CASE)
def test_a_persons_word_changes_exactly_the_fields_that_were_asked_about(case: tuple[Any, ...]) -> None:
    last, wanted, actual, declined, policy = case
    asking = Policy(policy.default, policy.fields)
    first = compare(last, wanted, actual, declined, asking)
    after = patched(first, wanted, actual)
    said = Policy(policy.default, policy.fields, asked=first.asked, decision=POLICY_SOURCE)
    second = merge(DEAL, last=first.image, payload=payload_of(wanted), actual=after, policy=said, declined=first.declined)
    assert set(second.changes) <= set(first.asked) | set(DEAL.companions) | set(DEAL.companions.values())
    edited = {**after, "title": "edited again"}
    third = merge(DEAL, last=first.image, payload=payload_of(wanted), actual=edited, policy=said, declined=first.declined)
    if "title" in first.asked and policy.fields.get("title", policy.default) != POLICY_SOURCE:
        assert "title" not in third.changes
