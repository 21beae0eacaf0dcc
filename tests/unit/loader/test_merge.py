"""The three-way comparison as a table, and taking back."""

from __future__ import annotations

from typing import Any

import pytest

from services.loader.entities import RECORD_ENTITIES
from services.loader.merge import Policy, merge, restore

DEAL, ORG, PERSON = RECORD_ENTITIES["deal"], RECORD_ENTITIES["organization"], RECORD_ENTITIES["person"]


@pytest.mark.requirement("L-11")
@pytest.mark.parametrize(
    ("values", "policy", "changes", "conflicts", "kept"),
    [
        pytest.param(("a", "a", "a"), "", {}, [], "a", id="nothing-changed"),
        pytest.param(("a", "a", "u"), "", {}, [], "a", id="only-a-person-changed-it"),
        pytest.param(("a", "b", "a"), "", {"website": "b"}, [], "b", id="only-the-source-changed-it"),
        pytest.param(("a", "b", "b"), "", {}, [], "b", id="both-to-the-same"),
        pytest.param(("a", "b", "u"), "", {}, ["website"], "a", id="both-differently"),
        pytest.param(("a", "b", "u"), "source", {"website": "b"}, [], "b", id="the-source-wins"),
        pytest.param(("a", "b", "u"), "target", {}, [], None, id="the-person-wins"),
        pytest.param(("a", None, "a"), "", {"website": None}, [], None, id="the-source-cleared-it"),
        pytest.param(("a", None, "u"), "", {}, ["website"], "a", id="cleared-against-an-edit"),
        pytest.param(("a", None, None), "", {}, [], None, id="both-cleared-it"),
        pytest.param((None, "b", None), "", {"website": "b"}, [], "b", id="new-field"),
        pytest.param((None, "b", "u"), "", {}, ["website"], None, id="new-field-a-person-filled"),
        pytest.param(("a", "b", None), "", {}, ["website"], "a", id="a-person-cleared-it"),
    ],
)
def test_field_by_field(
    values: tuple[str | None, str | None, str | None], policy: str, changes: dict[str, Any], conflicts: list[str], kept: str | None
) -> None:
    """The values are: loaded last, in the source now, in Pipedrive now."""
    last, new, now = values

    def image(value: str | None) -> dict[str, Any]:
        return {} if value is None else {"website": value}

    result = merge(ORG, last=image(last), payload=image(new), actual=image(now), policy=Policy(policy))
    assert (result.changes, result.conflicts, result.image.get("website")) == (changes, conflicts, kept)


def test_a_patch_has_what_only_goes_together_and_clears_in_the_apis_way() -> None:
    payload = {"status": "won", "won_time": "2021-01-02T03:04:05Z", "pipeline_id": 2, "stage_id": 9, "custom_fields": {"ab": 5}}
    last = {"status": "won", "won_time": "2020-01-01T00:00:00Z", "pipeline_id": 1, "stage_id": 9, "custom_fields.ab": 5, "custom_fields.cd": 6}
    result = merge(DEAL, last=last, payload=payload, actual=last, policy=Policy())
    assert DEAL.patch_body(result.changes, payload) == {
        "won_time": "2021-01-02T03:04:05Z", "status": "won", "pipeline_id": 2, "stage_id": 9, "custom_fields": {"cd": None},
    }  # fmt: skip
    emails = {"emails": [{"label": "work", "primary": True, "value": "a@b.c"}]}
    cleared = merge(PERSON, last=emails, payload={}, actual=emails, policy=Policy())
    assert PERSON.patch_body(cleared.changes, {}) == {"emails": []}


def test_what_the_api_cannot_clear_is_named_and_stays_ours() -> None:
    last = {"expected_close_date": "2024-01-01"}
    result = merge(DEAL, last=last, payload={}, actual=last, policy=Policy())
    assert (result.stuck, result.changes, result.image) == (["expected_close_date"], {}, last)


def test_fields_taken_on_create_only_are_never_patched() -> None:
    result = merge(ORG, last={"add_time": "2020-01-01T00:00:00Z"}, payload={"add_time": "2021-01-01T00:00:00Z"}, actual={}, policy=Policy("source"))
    assert result.changes == {}


@pytest.mark.requirement("L-15")
def test_taking_back_restores_what_is_still_ours_and_names_edits() -> None:
    before, last = {"name": "Old", "website": None, "industry": 3}, {"name": "New", "website": "w", "industry": 4}
    result = restore(ORG, before=before, last=last, actual={"name": "Edited", "website": "w", "industry": 3})
    assert (result.changes, result.conflicts) == ({"website": None}, ["name"])


@pytest.mark.requirement("L-11", "L-15")
def test_what_falls_with_another_field_is_noted_and_given_back() -> None:
    """A lost deal is won in the source: Pipedrive empties the time and reason of the loss, which nobody sent."""
    lost = {"status": "lost", "lost_time": "2025-12-03T12:00:00Z", "close_time": "2025-12-03T12:00:00Z", "lost_reason": "Too expensive"}
    done = merge(DEAL, last={"status": "lost"}, payload={"status": "won", "won_time": "2026-01-01T00:00:00Z"}, actual=lost, policy=Policy("source"))
    assert done.before == {**lost, "won_time": None}
    won = {"status": "won", "won_time": "2026-01-01T00:00:00Z", "close_time": "2026-01-01T00:00:00Z"}
    back = restore(DEAL, before=done.before, last=done.image, actual=won)
    assert back.conflicts == []
    assert DEAL.patch_body(back.changes, {**won, **lost}) == lost
    # A person opened it again and closed it for another reason: that stays as a whole.
    edited = {**lost, "lost_reason": "No answer"}
    kept = restore(DEAL, before=done.before, last=done.image, actual=edited)
    assert (kept.changes, kept.conflicts) == ({}, ["lost_reason"])


@pytest.mark.requirement("L-15")
def test_records_in_one_object_are_taken_back_together() -> None:
    """What another record of ours wrote is not a person's, and goes back with the record's own fields; only these are told of."""
    others = [({"name": "B", "industry": 5}, {"name": "Old", "industry": 3})]
    back = restore(
        ORG,
        before={"name": "Old", "website": "w"},
        last={"name": "A", "website": "x"},
        actual={"name": "B", "website": "p", "industry": 5},
        others=others,
    )
    assert (back.changes, back.conflicts) == ({"name": "Old", "industry": 3}, ["website"])
    edited = restore(ORG, before={"website": "w"}, last={"website": "x"}, actual={"name": "P", "website": "x", "industry": 9}, others=others)
    assert (edited.changes, edited.conflicts) == ({"website": "w"}, [])
