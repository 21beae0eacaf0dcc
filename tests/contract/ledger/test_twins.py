"""Equal records without an external id: one object in Pipedrive never belongs to two of them, on every storage."""

from __future__ import annotations

import pytest

from services.ledger.domain import RecordState
from tests.contract.ledger.world import World, actions, mapped, outcome
from transload.v1.records_pb2 import Phase

pytestmark = pytest.mark.requirement("L-10", "X-04")

NOTES, PERSONS = Phase.PHASE_NOTES, Phase.PHASE_PERSONS
FIRST, SECOND = "note:work_order/1", "note:work_order/2"


async def two_loaders(world: World) -> None:
    """Two batches with one note each, claimed by two loaders."""
    await world.begin(phase=NOTES)
    for key, batch_id, holder in ((FIRST, "b1", "loader-1/a"), (SECOND, "b2", "loader-2/a")):
        await world.expect(key, batch_id=batch_id, phase=NOTES)
        await world.begin_batch(mapped(key, content="the same"), batch_id=batch_id, holder=holder, phase=NOTES)


async def again(world: World, key: str, batch_id: str, holder: str) -> str:
    answer = await world.begin_batch(mapped(key, content="the same"), batch_id=batch_id, holder=holder, phase=NOTES)
    return actions(answer)[key]


@pytest.mark.parametrize("is_finder_first", [True, False])
async def test_an_object_that_a_twin_owns_is_looked_for_again(world: World, is_finder_first: bool) -> None:
    await two_loaders(world)
    # loader-1 has the answer to its call; loader-2 found the same object in a list, because its own answer was lost.
    senders = [(SECOND, "b2", "loader-2/a"), (FIRST, "b1", "loader-1/a")]
    first, second = senders if is_finder_first else senders[::-1]
    assert await world.settle(outcome(first[0], "CREATED", target_id="42"), batch_id=first[1], holder=first[2])
    assert not await world.settle(outcome(second[0], "CREATED", target_id="42", tokens=5), batch_id=second[1], holder=second[2])
    assert (await world.state(first[0]), await world.state(second[0])) == ("loaded", "in_doubt")
    assert await again(world, *second) == "IN_DOUBT"
    assert await world.settle(outcome(second[0], "CREATED", target_id="43"), batch_id=second[1], holder=second[2])
    assert ((await world.get(first[0])).target_id, (await world.get(second[0])).target_id) == ("42", "43")


async def test_a_late_word_of_a_loader_without_claim_takes_nothing_from_a_twin(world: World) -> None:
    await two_loaders(world)
    await world.settle(outcome(SECOND, "CREATED", target_id="42"), batch_id="b2", holder="loader-2/a")
    await world.settle(outcome(FIRST, "CREATED", target_id="42"), batch_id="b1", holder="loader-3/a")
    assert (await world.get(FIRST)).state is RecordState.CLAIMED


async def test_two_outcomes_of_one_batch_with_the_same_object_are_not_both_taken(world: World) -> None:
    await world.begin(phase=NOTES)
    await world.expect(FIRST, SECOND, phase=NOTES)
    await world.begin_batch(*(mapped(key, content="the same") for key in (FIRST, SECOND)), phase=NOTES)
    assert not await world.settle(*(outcome(key, "CREATED", target_id="42") for key in (FIRST, SECOND)))
    assert [await world.state(key) for key in (FIRST, SECOND)] == ["loaded", "in_doubt"]


async def test_the_same_outcome_told_twice_counts_as_before(world: World) -> None:
    await two_loaders(world)
    for _ in range(2):
        assert await world.settle(outcome(FIRST, "CREATED", target_id="42"), batch_id="b1", holder="loader-1/a")
    assert await world.state(FIRST) == "loaded"


async def test_objects_with_an_external_id_are_told_apart_by_it(world: World) -> None:
    await world.begin(phase=PERSONS)
    await world.expect("person:client/1", "person:client/2")
    await world.begin_batch(mapped("person:client/1", name="Ann"), mapped("person:client/2", name="Ann"))
    assert await world.settle(*(outcome(f"person:client/{number}", "CREATED", target_id="7") for number in (1, 2)))
