"""Matching before insert, on every storage: who is taken for whom, when a person is asked, and what is written down before anything happens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.common.errors import InvalidRequestError
from services.ledger import review
from services.ledger.domain import Match, MatchCandidate, Record, RecordState, Resolution, ReviewFilter, ReviewItem
from services.ledger.matching.identity import Rules, identify
from services.ledger.runs.context import RunContext
from tests.contract.ledger.world import ORGANIZATIONS, PERSONS, RUN, M, World, actions, mapped, outcome, reference
from transload.v1 import ledger_service_pb2 as pb

pytestmark = pytest.mark.requirement("L-16")

O1, O2, O3 = "organization:client/1", "organization:client/2", "organization:client/3"
KEYS = [
    {"key": "domain", "fields": ["website"], "score": 0.92, "is_enough": False},
    {"key": "phone", "fields": ["custom_fields.tel"], "score": 0.92, "is_enough": False},
    {"key": "name", "fields": [], "score": 0.72, "is_enough": False},
]


def rules(**changes: Any) -> dict[str, Any]:
    plain = {"policy": "match", "within_source": "keep_all", "certain": 0.9, "uncertain": 0.7, "keys": KEYS, "differ": ["custom_fields.qb"]}
    return {**plain, **changes}


async def begin(world: World, **changes: Any) -> None:
    await world.begin(phase=ORGANIZATIONS)
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, context_json=RunContext(matching={"organization": rules(**changes)}).to_json()))


async def there(world: World, target_id: str, **image: Any) -> None:
    """Put a record of Pipedrive into the index, as the reading does."""
    found = Rules.of("organization", rules())
    assert found is not None
    identity = identify(found, image)
    plain = orjson.dumps(identity.plain()).decode()
    async with world.ledger.transaction() as tx:
        await tx.save_match_candidates([MatchCandidate(M, "organization", f"target/{target_id}", plain, tuple(identity.digests()))])


async def ask(world: World, **payloads: dict[str, Any]) -> pb.BeginBatchResponse:
    """Begin a batch of `_1=..., _2=...`."""
    records = [mapped(f"organization:client/{name.strip('_')}", **payload) for name, payload in payloads.items()]
    batch_id = f"b-{'-'.join(payloads)}"
    await world.expect(*(record.key for record in records), batch_id=batch_id, phase=ORGANIZATIONS)
    return await world.begin_batch(*records, batch_id=batch_id, phase=ORGANIZATIONS)


async def created(world: World, number: str, target_id: str, **image: Any) -> None:
    done = outcome(f"organization:client/{number}", "CREATED", target_id=target_id, image_json=orjson.dumps(image))
    await world.settle(done, batch_id=f"b-_{number}")


async def events(world: World) -> list[tuple[str, str, dict[str, Any]]]:
    async with world.ledger.read() as reader:
        return [(one.key, one.result, orjson.loads(one.payload)) for one in await reader.list_events(M) if one.kind == "match.decided"]


async def items(world: World) -> list[ReviewItem]:
    async with world.ledger.read() as reader:
        return list(await reader.list_review_items(M, ReviewFilter()))


def match_of(record: Record) -> Match:
    found = Match.of(record.match)
    assert found is not None
    return found


async def test_one_that_is_there_is_linked_and_the_reasons_are_on_the_trail_before_it_is(world: World) -> None:
    await begin(world, policy="match_and_fill")
    await there(world, "17", name="Acme, S.L.", website="https://acme.example/")
    answer = await ask(world, _1={"name": "ACME", "website": "www.acme.example"}, _2={"name": "Other", "website": "other.example"})
    assert actions(answer) == {O1: "MATCH", O2: "CREATE"}
    assert (answer.decisions[0].target_id, answer.decisions[0].match_policy) == ("17", "match_and_fill")
    ((key, result, told),) = await events(world)
    assert (key, result, told["decision"]) == (O1, "matched", "certain")
    assert told["candidates"][0]["reasons"] == ["same domain (acme.example)", "same name"]
    record = await world.get(O1)
    assert (record.state, record.target_id, record.is_preexisting, record.intent_time) == (RecordState.CLAIMED, "17", True, None)
    assert (await world.get(O2)).intent_time is not None


async def test_whoever_takes_it_up_again_does_the_same(world: World) -> None:
    await begin(world)
    await there(world, "17", name="Acme", website="acme.example")
    first = await ask(world, _1={"name": "Acme", "website": "acme.example"})
    again = await world.begin_batch(mapped(O1, name="Acme", website="acme.example"), batch_id="b-_1", phase=ORGANIZATIONS, holder="loader-1/b")
    assert actions(first) == actions(again) == {O1: "MATCH"}
    assert again.decisions[0].target_id == "17"
    done = outcome(O1, "MATCHED", target_id="17", image_json=b"{}", payload_digest=mapped(O1, name="Acme", website="acme.example").payload_digest)
    assert await world.settle(done, batch_id="b-_1", holder="loader-1/b")
    record = await world.get(O1)
    assert (record.state, record.target_id, record.is_preexisting, record.pre_image) == (RecordState.MATCHED, "17", True, "")
    await world.expect(O1, batch_id="b2", phase=ORGANIZATIONS)
    later = await world.begin_batch(mapped(O1, name="Acme", website="acme.example"), batch_id="b2", phase=ORGANIZATIONS)
    assert actions(later) == {O1: "DONE"}


async def test_what_stood_there_is_kept_before_it_may_be_changed(world: World) -> None:
    await begin(world, policy="match_and_fill")
    await there(world, "17", name="Acme", website="acme.example")
    await ask(world, _1={"name": "Acme", "website": "acme.example", "employee_count": 5})
    noted = outcome(O1, "NOTED", target_id="17", image_json=b"{}", pre_image_json=b'{"employee_count":null}', planned_json=b'{"employee_count":5}')
    assert not await world.settle(noted, batch_id="b-_1")
    record = await world.get(O1)
    assert (record.state, record.pre_image, record.payload_digest) == (RecordState.EXPECTED, '{"employee_count":null}', "")
    # A rollback that comes now restores what may have been written.
    await world.expect(O1, batch_id="u1", phase=ORGANIZATIONS, is_undo=True)
    wanted = mapped(O1, name="Acme", website="acme.example", employee_count=5)
    again = await world.begin_batch(wanted, batch_id="b-_1", phase=ORGANIZATIONS)
    assert actions(again) == {O1: "UPDATE"}
    assert (again.decisions[0].match_policy, again.decisions[0].pre_image_json) == ("match_and_fill", b'{"employee_count":null}')
    undo = await world.begin_batch(wanted, batch_id="u1", phase=ORGANIZATIONS, holder="loader-1/b", is_undo=True)
    assert actions(undo) == {O1: "RESTORE"}
    assert orjson.loads(undo.decisions[0].last_image_json) == {"employee_count": 5}


async def test_the_end_of_a_match_is_counted_once_as_matched(world: World) -> None:
    await begin(world, policy="update")
    await there(world, "17", name="Acme", website="acme.example")
    await ask(world, _1={"name": "Acme", "website": "acme.example"})
    await world.settle(outcome(O1, "NOTED", target_id="17", pre_image_json=b'{"name":"A"}', planned_json=b'{"name":"Acme"}'), batch_id="b-_1")
    wanted = mapped(O1, name="Acme", website="acme.example")
    await world.begin_batch(wanted, batch_id="b-_1", phase=ORGANIZATIONS)
    done = outcome(O1, "UPDATED", target_id="17", image_json=b'{"name":"Acme"}', payload_digest=wanted.payload_digest)
    assert await world.settle(done, batch_id="b-_1")
    record = await world.get(O1)
    assert (record.state, record.pre_image, match_of(record).planned) == (RecordState.MATCHED, '{"name":"A"}', {})
    async with world.ledger.read() as reader:
        assert {(one.result, one.count) for one in await reader.list_run_results(RUN)} == {("matched", 1)}


async def test_one_that_is_gone_meanwhile_is_looked_for_anew(world: World) -> None:
    await begin(world)
    await there(world, "17", name="Acme", website="acme.example")
    await ask(world, _1={"name": "Acme", "website": "acme.example"})
    await world.settle(outcome(O1, "GONE", target_id="17"), batch_id="b-_1")
    again = await world.begin_batch(mapped(O1, name="Acme", website="acme.example"), batch_id="b-_1", phase=ORGANIZATIONS)
    assert actions(again) == {O1: "CREATE"}


@pytest.mark.parametrize("name", ["Acme", "Acme Holding"])
async def test_what_was_taken_back_and_is_doubtful_now_has_no_place_in_pipedrive(world: World, name: str) -> None:
    """Simulation seeds 200 and 281: the second delivery took it for loaded, under the id it had before."""
    await begin(world)
    payload = {"name": "Acme", "website": "acme.example"}
    await ask(world, _1=payload)
    await created(world, "1", "31", **payload)
    async with world.ledger.transaction() as tx:
        await tx.save_records([replace(await world.get(O1), state=RecordState.UNDONE, payload_digest=mapped(O1, name=name).payload_digest)])
    await there(world, "40", name=name)
    for batch_id in ("b5", "b6"):
        await world.expect(O1, batch_id=batch_id, phase=ORGANIZATIONS)
        assert actions(await world.begin_batch(mapped(O1, name=name), batch_id=batch_id, phase=ORGANIZATIONS)) == {O1: "BLOCKED"}
    record = await world.get(O1)
    assert (record.state, record.target_id, record.payload_digest) == (RecordState.WAITING, "", "")


@pytest.mark.parametrize("second", ["same batch", "another loader", "later"])
async def test_of_two_that_come_to_the_same_record_only_the_first_writes(world: World, second: str) -> None:
    await begin(world, policy="update")
    await there(world, "17", name="Acme", website="acme.example", custom_fields={"tel": "+34 600 000 001"})
    one: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    two: dict[str, Any] = {"name": "Acme", "custom_fields": {"tel": "600-000-001"}}
    world_rules = {"policy": "update", "phone_region": "ES"}
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, context_json=RunContext(matching={"organization": rules(**world_rules)}).to_json()))
    if second == "same batch":
        answer = await ask(world, _1=one, _2=two)
        found = {decision.key: decision.match_policy for decision in answer.decisions}
    else:
        first = await ask(world, _1=one)
        if second == "later":
            await world.settle(outcome(O1, "MATCHED", target_id="17", image_json=b"{}"), batch_id="b-_1")
        record = mapped(O2, **two)
        await world.expect(O2, batch_id="b2", phase=ORGANIZATIONS)
        answer = await world.begin_batch(record, batch_id="b2", phase=ORGANIZATIONS, holder="loader-2/a")
        found = {decision.key: decision.match_policy for decision in (*first.decisions, *answer.decisions)}
    assert found == {O1: "update", O2: "match"}


async def test_two_certain_ones_are_not_certain_and_a_person_says_which(world: World) -> None:
    await begin(world)
    await there(world, "17", name="Acme", website="acme.example")
    await there(world, "18", name="Acme Ltd", website="acme.example")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    answer = await ask(world, _1=payload)
    assert actions(answer) == {O1: "BLOCKED"}
    (item,) = await items(world)
    assert (item.reason, item.is_blocking) == ("MATCH_UNCERTAIN", True)
    assert "17 “Acme” (0.98: same domain (acme.example), same name)" in item.message
    assert review.resolutions_of(item) == (Resolution.MATCH, Resolution.CREATE, Resolution.RETRY, Resolution.SKIP)
    async with world.ledger.transaction() as tx:
        with pytest.raises(InvalidRequestError, match="was not compared with 99; its candidates are 17, 18"):
            await review.resolve(tx, M, [item], resolution=Resolution.MATCH, actor="ann", now=world.clock.now(), candidate="99")
    async with world.ledger.transaction() as tx:
        await review.resolve(tx, M, [item], resolution=Resolution.MATCH, actor="ann", now=world.clock.now(), candidate="18")
    await world.expect(O1, batch_id="b2", phase=ORGANIZATIONS)
    answer = await world.begin_batch(mapped(O1, **payload), batch_id="b2", phase=ORGANIZATIONS)
    assert (actions(answer), answer.decisions[0].target_id) == ({O1: "MATCH"}, "18")
    assert [(result, told["decision"]) for _, result, told in await events(world)] == [("uncertain", "uncertain"), ("matched", "chosen")]


@pytest.mark.parametrize(("resolution", "action"), [(Resolution.CREATE, "CREATE"), (Resolution.MATCH, "MATCH"), (Resolution.RETRY, "BLOCKED")])
async def test_what_a_person_says_to_an_uncertain_one_is_done(world: World, resolution: Resolution, action: str) -> None:
    await begin(world)
    await there(world, "17", name="Acme")
    payload: dict[str, Any] = {"name": "Ácme S.L.", "website": "acme.example"}
    assert actions(await ask(world, _1=payload)) == {O1: "BLOCKED"}
    async with world.ledger.transaction() as tx:
        found = await tx.list_review_items(M, ReviewFilter())
        await review.resolve(tx, M, found, resolution=resolution, actor="ann", now=world.clock.now())
    await world.expect(O1, batch_id="b2", phase=ORGANIZATIONS)
    answer = await world.begin_batch(mapped(O1, **payload), batch_id="b2", phase=ORGANIZATIONS)
    assert actions(answer) == {O1: action}
    if action == "CREATE":
        # The word holds, also when the claim comes to nothing.
        await world.settle(outcome(O1, "NOT_TRIED"), batch_id="b2")
        assert actions(await world.begin_batch(mapped(O1, **payload), batch_id="b2", phase=ORGANIZATIONS)) == {O1: "CREATE"}


async def test_what_came_twice_is_kept_unless_asked(world: World) -> None:
    await begin(world)
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    assert actions(await ask(world, _1=payload, _2=payload)) == {O1: "CREATE", O2: "CREATE"}


async def test_what_came_twice_is_taken_for_the_first_once_that_stands(world: World) -> None:
    await begin(world, policy="create", within_source="merge_into_first")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    double: dict[str, Any] = {**payload, "name": "Acme SL", "employee_count": 9, "custom_fields": {"id": "acme/client/2"}}
    assert actions(await ask(world, _1=payload)) == {O1: "CREATE"}
    assert actions(await ask(world, _2=double)) == {O2: "HELD"}
    await created(world, "1", "31", **payload)
    answer = await world.begin_batch(mapped(O2, **double), batch_id="b-_2", phase=ORGANIZATIONS)
    assert actions(answer) == {O2: "DONE"}
    record = await world.get(O2)
    assert (record.state, record.target_id, record.is_preexisting, match_of(record).first_key) == (RecordState.MATCHED, "31", True, O1)
    assert [(item.reason, item.is_blocking) for item in await items(world)] == [("MERGED_INTO_FIRST", False)]
    assert "employee_count, name" in (await items(world))[0].message
    # What refers to it goes where the first one stands.
    await world.expect("person:contact/5", batch_id="p1", phase=PERSONS)
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, phase=PERSONS))
    person = await world.begin_batch(mapped("person:contact/5", [reference(O2)], name="Ann"), batch_id="p1")
    assert dict(person.reference_ids) == {O2: "31"}


async def test_what_came_twice_waits_for_a_person_when_that_is_wanted_or_a_field_differs(world: World) -> None:
    await begin(world, within_source="review")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    await ask(world, _1=payload)
    await created(world, "1", "31", **payload)
    assert actions(await ask(world, _2=payload)) == {O2: "BLOCKED"}
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        plain = rules(within_source="merge_into_first")
        await tx.save_run(replace(run, context_json=RunContext(matching={"organization": plain}).to_json()))
    await ask(world, _4={"name": "Beta", "website": "beta.example", "custom_fields": {"qb": "80-1"}})
    await created(world, "4", "44")
    answer = await ask(
        world,
        _5={"name": "Beta", "website": "beta.example", "custom_fields": {"qb": "80-2"}},
        _6={"name": "Beta", "website": "beta.example", "custom_fields": {"qb": "80-1"}},
    )
    assert actions(answer) == {"organization:client/5": "BLOCKED", "organization:client/6": "DONE"}
    messages = [item.message for item in await items(world) if item.key == "organization:client/5"]
    assert "custom fields.qb must not differ, but does" in messages[0]


async def test_a_first_one_that_comes_to_nothing_holds_nobody_up(world: World) -> None:
    await begin(world, policy="create", within_source="merge_into_first")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    await ask(world, _1=payload)
    await world.settle(outcome(O1, "REJECTED", reason="VALUE_INVALID"), batch_id="b-_1")
    assert actions(await ask(world, _2=payload)) == {O2: "CREATE"}
    # One that is stuck from an earlier run is asked about, not waited for.
    async with world.ledger.transaction() as tx:
        stuck = (await tx.get_records(M, [O2]))[O2]
        await tx.save_records([replace(stuck, update_time=None)])
    assert actions(await ask(world, _3=payload)) == {O3: "BLOCKED"}


async def test_who_was_taken_for_one_that_is_taken_back_stands_nowhere_and_is_decided_anew(world: World) -> None:
    await begin(world, policy="create", within_source="merge_into_first")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    await ask(world, _1=payload)
    await created(world, "1", "31", **payload)
    assert actions(await ask(world, _2=payload)) == {O2: "DONE"}
    await world.expect(O1, batch_id="u1", phase=ORGANIZATIONS, is_undo=True)
    await world.begin_batch(mapped(O1), batch_id="u1", phase=ORGANIZATIONS, is_undo=True)
    await world.settle(outcome(O1, "DELETED", target_id="31"), batch_id="u1")
    assert [await world.state(key) for key in (O1, O2)] == ["undone", "undone"]
    await world.expect(O2, batch_id="b3", phase=ORGANIZATIONS)
    assert actions(await world.begin_batch(mapped(O2, **payload), batch_id="b3", phase=ORGANIZATIONS)) == {O2: "CREATE"}


async def test_records_of_the_migration_itself_are_no_strangers(world: World) -> None:
    """The list shows what an earlier run created, too."""
    await begin(world, policy="match", within_source="keep_all")
    payload: dict[str, Any] = {"name": "Acme", "website": "acme.example"}
    await ask(world, _1=payload)
    await created(world, "1", "31", **payload)
    await there(world, "31", **payload)
    assert actions(await ask(world, _2=payload)) == {O2: "CREATE"}


async def test_a_person_belongs_to_an_organization_and_is_known_by_both(world: World) -> None:
    await world.begin()
    keys = [{"key": "name_and_organization", "fields": [], "score": 0.92, "is_enough": False}]
    plain = rules(keys=keys, differ=[])
    found = Rules.of("person", plain)
    assert found is not None
    identity = identify(found, {"name": "Ann Lee", "org_id": 31})
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, context_json=RunContext(matching={"person": plain}).to_json()))
        text = orjson.dumps(identity.plain()).decode()
        await tx.save_match_candidates([MatchCandidate(M, "person", "target/9", text, tuple(identity.digests()))])
    await world.know(
        world.record(O1, RecordState.LOADED, target_id="31", phase=ORGANIZATIONS),
        world.record(O2, RecordState.LOADED, target_id="32", phase=ORGANIZATIONS),
    )
    await world.expect("person:contact/1", "person:contact/2")
    one = mapped("person:contact/1", [reference(O1)], name="ann LEE", org_id={"$ref": O1})
    two = mapped("person:contact/2", [reference(O2)], name="Ann Lee", org_id={"$ref": O2})
    assert actions(await world.begin_batch(one, two)) == {"person:contact/1": "MATCH", "person:contact/2": "CREATE"}


async def test_what_is_recognised_is_erased_with_the_rest(world: World) -> None:
    await begin(world)
    await there(world, "17", name="Acme", website="acme.example")
    await ask(world, _1={"name": "Acme", "website": "acme.example"})
    async with world.ledger.transaction() as tx:
        await tx.erase_payloads(M, with_images=True)
        await tx.forget_match_index(M)
        assert (await tx.get_records(M, [O1]))[O1].match == ""
        found = Rules.of("organization", rules())
        assert found is not None
        assert not await tx.find_match_candidates(M, "organization", identify(found, {"name": "Acme", "website": "acme.example"}).digests())
