"""Who is refused stands on the trail, as often as it helps and no more; and two people where two are wanted."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.common.access.refusals import Refusal
from services.common.errors import AccessDeniedError, UnavailableError
from services.ledger.domain import RunKind
from services.ledger.refusals import WINDOW_SECONDS, RefusalTrail
from tests.fakes.clock import FakeClock
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import MigrationState

FACTS = {"rpc": "StartLoad", "role": "viewer", "needed": "operator"}
VIEWER = Refusal("vera", M, "ACCESS_DENIED", FACTS)


async def refused(world: World) -> list[pb.Event]:
    return [event for event in await world.events() if event.kind == "access.refused"]


def counts(events: list[pb.Event]) -> list[int]:
    return [json.loads(event.payload_json)["count"] for event in events]


async def approve(world: World, actor: str) -> None:
    diff = await world.service.GetDiff(pb.GetDiffRequest(migration_id=M), CONTEXT)
    await world.service.ApproveMigration(pb.ApproveMigrationRequest(migration_id=M, diff_digest=diff.diff_digest, actor=actor), CONTEXT)


@pytest.mark.requirement("L-09", "L-14")
async def test_who_confirmed_may_not_approve_where_four_eyes_are_wanted(world: World) -> None:
    await world.until_prepared(requires_four_eyes=True)
    assert (await world.migration()).options.requires_four_eyes
    await world.run(RunKind.SAMPLE)
    for name in (ACTOR, f" {ACTOR.upper()} "):
        with pytest.raises(AccessDeniedError, match="wants four eyes") as caught:
            await approve(world, name)
        assert caught.value.reason == "FOUR_EYES"
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_SAMPLED
    assert [(event.actor, event.result) for event in await refused(world)] == [(ACTOR, "FOUR_EYES"), (f" {ACTOR.upper()} ", "FOUR_EYES")]
    await approve(world, "bo")
    migration = await world.migration()
    assert (migration.state, migration.approver) == (MigrationState.MIGRATION_STATE_APPROVED, "bo")


@pytest.mark.requirement("L-09")
async def test_it_is_who_confirmed_last_that_counts(world: World) -> None:
    await world.until_prepared(requires_four_eyes=True)
    edit = pb.EditMappingRequest(migration_id=M, mapping_yaml="version: 1\nsecond: true\n", actor=ACTOR)
    await world.service.EditMapping(edit, CONTEXT)
    digest = (await world.migration()).mapping_digest
    await world.service.ConfirmMapping(pb.ConfirmMappingRequest(migration_id=M, mapping_digest=digest, actor="bo"), CONTEXT)
    await world.run(RunKind.SCHEMA)
    await world.run(RunKind.SAMPLE)
    with pytest.raises(AccessDeniedError):
        await approve(world, "bo")
    await approve(world, ACTOR)


async def test_where_they_are_not_wanted_one_person_is_enough(world: World) -> None:
    await world.until_approved()
    assert await refused(world) == []


async def test_a_refusal_is_an_event_at_once_and_then_one_a_minute_with_the_count(world: World) -> None:
    await world.create()
    clock = FakeClock()
    trail = RefusalTrail(world.ledger, clock)
    for _ in range(1000):
        await trail.note(VIEWER)
    assert counts(await refused(world)) == [1]
    clock.advance(WINDOW_SECONDS)
    while len(await refused(world)) < 2:  # noqa: ASYNC110 - the database answers from a thread
        await asyncio.sleep(0)
    events = await refused(world)
    assert counts(events) == [1, 999]
    assert (events[1].actor, events[1].result) == ("vera", "ACCESS_DENIED")
    assert json.loads(events[1].payload_json) == {**FACTS, "count": 999}
    await trail.note(VIEWER)
    assert counts(await refused(world)) == [1, 999, 1]
    assert trail.written_count(M) == 3
    assert clock.sleeper_count == 0, "nothing waits while nothing is counted"


async def test_who_tries_other_things_is_noted_for_each(world: World) -> None:
    await world.create()
    trail = RefusalTrail(world.ledger, FakeClock())
    await trail.note(VIEWER)
    await trail.note(Refusal("vera", M, "ACCESS_DENIED", {**FACTS, "rpc": "RunDelta"}))
    await trail.note(Refusal("otto", M, "ACCESS_DENIED", FACTS))
    assert counts(await refused(world)) == [1, 1, 1]


async def test_counts_are_written_when_the_ledger_stops(world: World) -> None:
    await world.create()
    trail = RefusalTrail(world.ledger, FakeClock())
    for _ in range(3):
        await trail.note(VIEWER)
    await trail.close()
    assert counts(await refused(world)) == [1, 2]


async def test_migrations_that_are_not_there_leave_nothing(world: World) -> None:
    await world.create()
    trail = RefusalTrail(world.ledger, FakeClock())
    for number in range(100):
        await trail.note(Refusal("vera", f"no-{number}", "ACCESS_DENIED", FACTS))
        await trail.note(Refusal("vera", "", "ACCESS_DENIED", FACTS))
    assert trail._held == {}
    assert await refused(world) == []


async def test_a_ledger_that_cannot_write_refuses_all_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.create()

    def away() -> None:
        raise UnavailableError("the database is away")

    trail = RefusalTrail(world.ledger, FakeClock())
    with monkeypatch.context() as patched:
        patched.setattr(world.ledger, "transaction", away)
        await trail.note(VIEWER)
    assert await refused(world) == []


async def test_refused_calls_do_not_keep_lost_work_from_being_announced_again(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    world.drops_raw = 1
    for number in range(200):
        if await world.coordinator.step(run_id) is None:
            break
        # Another caller each time, so that each is an event.
        await world.tools.refusals.note(Refusal(f"caller-{number}", M, "ACCESS_DENIED", FACTS))
        await world.turn()
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_LOADED
    kinds = [event.kind for event in await world.events()]
    assert "work.announced_again" in kinds
    assert kinds.count("access.refused") > 20
