"""Linking records to what was in Pipedrive before: what each policy writes, what is known before it is written, and the way back."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from tests.unit.loader.world import SettleLostError, World
from transload.v1 import ledger_service_pb2 as pb

pytestmark = pytest.mark.requirement("L-15")

ORG = "organization:company/1"
SOURCE = {"name": "Acme SL", "website": "https://acme.example", "employee_count": 3, "address": {"value": "Main 1"}}
THERE = {"name": "Acme", "website": "https://acme.example", "linkedin": "https://in.example/acme"}


@pytest.fixture
def world() -> World:
    return World()


def result_of(outcome: pb.RecordOutcome | None) -> str:
    assert outcome is not None
    return pb.OutcomeResult.Name(outcome.result).removeprefix("OUTCOME_RESULT_")


async def there(world: World, **values: Any) -> str:
    answer = await world.client.call("organizations.create", world.context, body={**THERE, **values})
    return str(answer.data["id"])


def stands(world: World, target_id: str) -> dict[str, Any]:
    record = world.account.store["organization"].get(int(target_id))
    assert record is not None
    return {name: record[name] for name in ("name", "website", "employee_count", "linkedin", "address")}


def untimed(world: World, target_id: str) -> dict[str, Any]:
    record = world.account.store["organization"].get(int(target_id))
    assert record is not None
    return {name: copy.deepcopy(value) for name, value in record.items() if name != "update_time"}


@pytest.mark.parametrize(
    ("policy", "name", "employees", "before"),
    [
        ("match", "Acme", None, None),
        ("match_and_fill", "Acme", 3, {"address": None, "employee_count": None}),
        ("update", "Acme SL", 3, {"address": None, "employee_count": None, "name": "Acme"}),
    ],
)
async def test_each_policy_writes_what_it_says_and_nothing_else(
    world: World, policy: str, name: str, employees: int | None, before: dict[str, Any] | None
) -> None:
    target_id = await there(world)
    first = untimed(world, target_id)
    world.ledger.matches[ORG] = (target_id, policy)
    await world.load("organization", {ORG: SOURCE})
    now = stands(world, target_id)
    assert (now["name"], now["employee_count"], now["linkedin"]) == (name, employees, "https://in.example/acme")
    entry = world.ledger.entry(ORG)
    assert (orjson.loads(entry.pre_image) if entry.pre_image else None) == before
    # Nothing is loaded twice, and the way back leads to where it began.
    count = len(world.app.journal.entries)
    await world.load("organization", {ORG: SOURCE})
    assert len(world.app.journal.entries) == count
    undone = (await world.undo("organization", [ORG]))[ORG]
    assert (result_of(undone) == "RESTORED") == bool(before)
    assert untimed(world, target_id) == first


@pytest.mark.parametrize("policy", ["match_and_fill", "update"])
async def test_what_stood_there_is_known_before_it_is_changed(world: World, policy: str) -> None:
    """The loader dies after writing, before the ledger heard of it: the second one finds its own value there, and it is restored all the same."""
    target_id = await there(world)
    first = untimed(world, target_id)
    world.ledger.matches[ORG] = (target_id, policy)
    is_written = False

    def die_after_the_patch(request: Any) -> None:
        nonlocal is_written
        if request.method == "PATCH" and not is_written:
            is_written = True
            world.ledger.lose_settles = 1

    world.transport.before = die_after_the_patch
    with pytest.raises(SettleLostError):
        await world.load("organization", {ORG: SOURCE})
    assert stands(world, target_id)["employee_count"] == 3
    entry = world.ledger.entry(ORG)
    assert orjson.loads(entry.pre_image)["employee_count"] is None
    saved = copy.deepcopy(entry)
    # Taken back at once ...
    undone = (await world.undo("organization", [ORG]))[ORG]
    assert result_of(undone) == "RESTORED"
    assert untimed(world, target_id) == first
    # ... or loaded to its end by another loader, and then taken back.
    world.ledger.entries[ORG] = saved
    await world.load("organization", {ORG: SOURCE})
    assert stands(world, target_id)["employee_count"] == 3
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "RESTORED"
    assert untimed(world, target_id) == first


async def test_what_a_person_wrote_since_is_not_taken_back(world: World) -> None:
    target_id = await there(world)
    world.ledger.matches[ORG] = (target_id, "match_and_fill")
    await world.load("organization", {ORG: SOURCE})
    await world.client.call("organizations.update", world.context, ids={"id": target_id}, body={"employee_count": 5})
    undone = (await world.undo("organization", [ORG]))[ORG]
    assert undone is not None
    assert (result_of(undone), undone.reason) == ("KEPT", "KEPT_USER_EDIT")
    assert "employee_count" in undone.message
    now = stands(world, target_id)
    assert (now["employee_count"], now["address"]) == (5, None)


async def test_one_that_is_gone_is_looked_for_anew(world: World) -> None:
    target_id = await there(world)
    await world.client.call("organizations.delete", world.context, ids={"id": target_id})
    world.ledger.matches[ORG] = (target_id, "match")
    outcome = (await world.load("organization", {ORG: SOURCE}))[ORG]
    assert outcome is not None
    assert (result_of(outcome), outcome.target_id == target_id) == ("CREATED", False)


@pytest.mark.parametrize(
    ("policy", "name", "website", "employees"),
    [
        # Nothing of ours stands there.
        ("match", "Acme", "https://acme.example", None),
        # What we filled follows the source, what stood there stays.
        ("match_and_fill", "Acme", "https://acme.example", 4),
        ("update", "Acme Two", "https://two.example", 4),
    ],
)
async def test_a_delta_goes_on_by_the_policy(world: World, policy: str, name: str, website: str, employees: int | None) -> None:
    target_id = await there(world)
    first = untimed(world, target_id)
    world.ledger.matches[ORG] = (target_id, policy)
    await world.load("organization", {ORG: SOURCE})
    world.ledger.run_kind = "delta"
    changed = {**SOURCE, "name": "Acme Two", "website": "https://two.example", "employee_count": 4}
    outcome = (await world.load("organization", {ORG: changed}))[ORG]
    assert result_of(outcome) == ("UNCHANGED" if policy == "match" else "UPDATED")
    now = stands(world, target_id)
    assert (now["name"], now["website"], now["employee_count"]) == (name, website, employees)
    world.ledger.run_kind = "rollback"
    await world.undo("organization", [ORG])
    assert untimed(world, target_id) == first


async def test_fields_that_became_empty_are_filled_by_a_delta_and_given_back(world: World) -> None:
    target_id = await there(world)
    world.ledger.matches[ORG] = (target_id, "match_and_fill")
    await world.load("organization", {ORG: SOURCE})
    await world.client.call("organizations.update", world.context, ids={"id": target_id}, body={"website": None})
    world.ledger.run_kind = "delta"
    await world.load("organization", {ORG: {**SOURCE, "website": "https://new.example"}})
    assert stands(world, target_id)["website"] == "https://new.example"
    world.ledger.run_kind = "rollback"
    await world.undo("organization", [ORG])
    assert not stands(world, target_id)["website"]


async def test_many_are_read_with_one_list(world: World) -> None:
    keys = {f"organization:company/{number}": await there(world, name=f"Acme {number}") for number in range(12)}
    world.ledger.matches = {key: (target_id, "match") for key, target_id in keys.items()}
    count = len(world.app.journal.entries)
    outcomes = await world.load("organization", dict.fromkeys(keys, SOURCE))
    assert {result_of(outcome) for outcome in outcomes.values()} == {"MATCHED"}
    assert len(world.app.journal.entries) == count + 1
