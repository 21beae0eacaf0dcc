"""Two source records that come to one key: part 2 of `client/1`, and `client/1/2`. The first has it, and nothing is lost or mixed up unseen."""

from __future__ import annotations

import pytest

from services.ledger.domain import SourceRecord
from tests.contract.ledger.world import CONTEXT, EXTRACTION, PERSONS, RUN, M, World, actions, mapped, outcome
from transload.v1 import ledger_service_pb2 as pb
from transload.v1 import records_pb2

PART, WHOLE = "client/1", "client/1/2"
KEY = "person:client/1/2"


async def announced(world: World, number: int, source_id: str, *keys: str) -> None:
    """Read a page with one client, and tell what it becomes."""
    page = world.page(number=number)
    async with world.ledger.transaction() as tx:
        await tx.save_source_records([SourceRecord(M, "client", source_id, page.page_id, 1, EXTRACTION)])
    announcement = await world.announce(page)
    batch = pb.ExpectedBatch(batch_id=f"b{number}", target_entity="person", keys=keys, source_keys=[f"client/{source_id}"] * len(keys))
    answer = await world.servicer.RecordTransform(pb.RecordTransformRequest(announcement=announcement, batches=[batch]), CONTEXT)
    assert answer.is_wanted


def person(key: str, source_id: str, *references: records_pb2.Reference) -> records_pb2.MappedRecord:
    record = mapped(key, references, name=f"of {source_id}")
    record.source_id = source_id
    return record


async def load_the_part(world: World) -> None:
    await world.begin()
    await announced(world, 1, "1", "person:client/1", KEY)
    one, part = person("person:client/1", "1"), person(KEY, "1")
    assert actions(await world.begin_batch(one, part)) == {one.key: "CREATE", part.key: "CREATE"}
    done = [
        outcome(record.key, "CREATED", target_id=str(number), payload_digest=record.payload_digest) for number, record in enumerate((one, part), 1)
    ]
    assert await world.settle(*done)


async def source_state(world: World, source_id: str) -> tuple[str, str]:
    async with world.ledger.read() as reader:
        (issue,) = await reader.list_source_issues(M, entity="client", source_id=source_id)
    return str(issue.state), issue.reason


@pytest.mark.requirement("X-04")
async def test_the_second_is_rejected_and_leaves_the_first_alone(world: World) -> None:
    await load_the_part(world)
    await announced(world, 2, "1/2", KEY, f"{KEY}/3")
    assert await source_state(world, "1/2") == ("rejected", "DUPLICATE_KEY")
    answer = await world.begin_batch(person(KEY, "1/2"), person(f"{KEY}/3", "1/2"), batch_id="b2")
    assert actions(answer) == {KEY: "DONE", f"{KEY}/3": "CREATE"}
    assert [one.target_id for one in answer.decisions] == ["", ""]
    assert await world.settle(outcome(f"{KEY}/3", "CREATED", target_id="3"), batch_id="b2")
    first = await world.get(KEY)
    assert (first.source_key, first.target_id, first.state) == (PART, "2", "loaded")


@pytest.mark.requirement("X-04")
async def test_one_that_comes_to_nothing_else_ends_its_batch(world: World) -> None:
    await load_the_part(world)
    await announced(world, 2, "1/2", KEY)
    assert actions(await world.begin_batch(person(KEY, "1/2"), batch_id="b2")) == {KEY: "DONE"}
    async with world.ledger.read() as reader:
        progress = await reader.phase_progress(RUN, PERSONS)
    assert (progress.open_batch_count, progress.open_page_count) == (0, 0)


@pytest.mark.requirement("X-01")
async def test_what_refers_to_the_second_does_not_come_to_the_first(world: World) -> None:
    await load_the_part(world)
    keys = ("person:client/7", "person:client/8", "person:client/9")
    for number, key in enumerate(keys, 2):
        await world.expect(key, batch_id=f"b{number}")

    def refers(key: str, source_key: str, policy: str = "REVIEW") -> records_pb2.MappedRecord:
        named = records_pb2.Reference(key=KEY, missing_policy=records_pb2.MissingPolicy.Value(f"MISSING_POLICY_{policy}"), source_key=source_key)
        return mapped(key, [named])

    answer = await world.begin_batch(refers(keys[0], WHOLE), batch_id="b2")
    assert (actions(answer), dict(answer.reference_ids)) == ({keys[0]: "BLOCKED"}, {})
    assert "client/1 has its key" in (await world.get(keys[0])).message
    answer = await world.begin_batch(refers(keys[1], WHOLE, "DROP"), batch_id="b3")
    assert (actions(answer), list(answer.dropped_references)) == ({keys[1]: "CREATE"}, [KEY])
    answer = await world.begin_batch(refers(keys[2], PART), batch_id="b4")
    assert (actions(answer), dict(answer.reference_ids)) == ({keys[2]: "CREATE"}, {KEY: "2"})
