"""What deltas decide, on every storage: policies by field, questions to people, what the source has no more, and merges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.ledger import review
from services.ledger.audit import verify_trail
from services.ledger.delta import Policies, bound_policies
from services.ledger.domain import Options, RecordFilter, RecordState, Resolution, ReviewFilter, ReviewItem, RunKind, Scope
from services.ledger.outcomes import ROLLED_BACK
from services.ledger.runs.context import RunContext
from tests.contract.ledger.world import CONTEXT, DEALS, ORGANIZATIONS, PERSONS, RUN, M, World, actions, issue, mapped, outcome, reference
from transload.v1 import ledger_service_pb2 as pb
from transload.v1.transformer_service_pb2 import DeltaPolicy, EntityDeltaPolicy

P1, P2, O1, O2, D1 = "person:client/1", "person:client/2", "organization:client/1", "organization:client/2", "deal:offer/7"


async def begin(world: World, *, options: Options | None = None, **policies: Any) -> None:
    """A delta that decides by these policies."""
    await world.begin(kind=RunKind.DELTA, options=options)
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, context_json=RunContext(policies=policies).to_json()))


async def load(world: World, key: str, target_id: str, *, batch_id: str = "", phase: Any = PERSONS, **image: Any) -> None:
    batch_id = batch_id or f"load-{key}"
    await world.expect(key, batch_id=batch_id, phase=phase)
    record = mapped(key, **image)
    await world.begin_batch(record, batch_id=batch_id, phase=phase)
    image_json = orjson.dumps(image, option=orjson.OPT_SORT_KEYS)
    await world.settle(outcome(key, "CREATED", target_id=target_id, image_json=image_json, payload_digest=record.payload_digest), batch_id=batch_id)


async def items(world: World, *, includes_resolved: bool = False) -> list[ReviewItem]:
    async with world.ledger.read() as reader:
        return list(await reader.list_review_items(M, ReviewFilter(includes_resolved=includes_resolved)))


async def results(world: World) -> dict[tuple[str, str], int]:
    async with world.ledger.read() as reader:
        return {(result.target_entity, result.result): result.count for result in await reader.list_run_results(RUN)}


async def told(world: World, kind: str) -> list[tuple[str, dict[str, Any]]]:
    async with world.ledger.read() as reader:
        return [(event.result, orjson.loads(event.payload)) for event in await reader.list_events(M) if event.kind == kind]


async def resolve(world: World, resolution: Resolution) -> None:
    async with world.ledger.transaction() as tx:
        found = await tx.list_review_items(M, ReviewFilter())
        blocking = [item for item in found if item.is_blocking]
        await review.resolve(tx, M, blocking, resolution=resolution, actor="ann", now=world.clock.now())


def conflicts(*entries: tuple[str, str, str]) -> bytes:
    return orjson.dumps([{"field": name, "decision": word, "by": by, "source": "s", "target": "t"} for name, word, by in entries])


@pytest.mark.requirement("L-11")
async def test_the_loader_gets_the_policies_of_its_run(world: World) -> None:
    entities = {"person": {"conflicts": "target", "fields": {"name": "source", "phones": "ask"}}}
    await begin(world, options=Options(conflict_policy="source"), entities=entities)
    await load(world, P1, "1", name="Ann")
    await world.expect(P1, batch_id="b2")
    answer = await world.begin_batch(mapped(P1, name="Anna"), batch_id="b2")
    assert (answer.decisions[0].conflict_policy, dict(answer.field_policies)) == ("target", {"name": "source", "phones": "ask"})


@pytest.mark.requirement("L-11", "X-03")
async def test_policies_on_custom_fields_are_bound_to_the_account(world: World) -> None:
    await begin(world)
    await world.know(world.record("custom_field:schema/deal.number", phase=2, target_id="abc123"))
    policy = DeltaPolicy(
        conflicts="source",
        entities=[EntityDeltaPolicy(target_entity="deal", fields={"custom_fields.number": "ask", "custom_fields.gone": "target", "value": "target"})],
    )
    async with world.ledger.transaction() as tx:
        plain = await bound_policies(tx, M, policy)
        run, migration = await tx.get_run(RUN), await tx.get_migration(M)
        assert run is not None
        assert migration is not None
        policies = Policies.of(replace(run, context_json=RunContext(policies=plain).to_json()), migration)
    assert policies.field_conflicts("deal") == {"custom_fields.abc123": "ask", "value": "target"}
    assert (policies.conflict("deal"), policies.conflict("deal_value"), policies.conflict("note")) == ("source", "target", "source")


@pytest.mark.requirement("L-11", "L-16")
async def test_a_half_done_record_is_kept_as_it_stands_and_asked_about_once(world: World) -> None:
    await begin(world)
    await load(world, P1, "1", name="Ann", phone="1")
    new = mapped(P1, name="Anna", phone="2")
    asked = outcome(
        P1,
        "WAITING",
        target_id="1",
        reason="CONFLICT",
        message="both sides",
        image_json=b'{"name":"Ann","phone":"2"}',
        asked_json=b'{"name":"t"}',
        conflicts_json=conflicts(("name", "ask", "policy"), ("phone", "source", "policy")),
        is_partly_done=True,
    )
    for batch_id in ("b2", "b3"):
        await world.expect(P1, batch_id=batch_id)
        assert actions(await world.begin_batch(new, batch_id=batch_id)) == {P1: "UPDATE"}
        assert await world.settle(asked, batch_id=batch_id)
    record = await world.get(P1)
    assert (record.image, record.payload_digest, record.asked) == ('{"name":"Ann","phone":"2"}', "", '{"name":"t"}')
    assert [result for result, _ in await told(world, "conflict.asked")] == ["ask"]
    assert [payload["fields"] for _, payload in await told(world, "conflict.decided")] == [["phone"], ["phone"]]
    # The source went back to what was loaded first: it is not what stands there.
    await world.expect(P1, batch_id="b4")
    assert actions(await world.begin_batch(mapped(P1, name="Ann", phone="1"), batch_id="b4")) == {P1: "UPDATE"}


@pytest.mark.requirement("L-11", "L-14", "L-16")
async def test_a_persons_word_goes_to_the_loader_for_the_fields_asked_about_and_is_on_the_trail(world: World) -> None:
    await begin(world, conflicts="target")
    await load(world, P1, "1", name="Ann")
    new = mapped(P1, name="Anna")
    await world.expect(P1, batch_id="b2")
    await world.begin_batch(new, batch_id="b2")
    asked = outcome(P1, "WAITING", target_id="1", reason="CONFLICT", asked_json=b'{"name":"t"}', conflicts_json=conflicts(("name", "ask", "policy")))
    await world.settle(asked, batch_id="b2")
    await resolve(world, Resolution.USE_SOURCE)
    assert [payload["fields"] for _, payload in await told(world, "review.resolved")] == [["name"]]
    await world.expect(P1, batch_id="b3")
    decision = (await world.begin_batch(new, batch_id="b3")).decisions[0]
    assert (decision.conflict_policy, decision.asked_policy, decision.asked_json) == ("target", "source", b'{"name":"t"}')
    done = outcome(
        P1,
        "UPDATED",
        target_id="1",
        payload_digest=new.payload_digest,
        declined_json=b'{"phone":"9"}',
        conflicts_json=conflicts(("name", "source", "person")),
    )
    await world.settle(done, batch_id="b3")
    record = await world.get(P1)
    assert (record.asked, record.declined, record.resolution) == ("", '{"phone":"9"}', Resolution.NONE)
    assert [(result, payload["by"]) for result, payload in await told(world, "conflict.decided")] == [("source", "person")]
    counted = await results(world)
    assert (counted["person", "conflict_ask"], counted["person", "conflict_source"], counted["person", "updated"]) == (1, 1, 1)


@pytest.mark.requirement("L-11")
async def test_what_is_to_come_again_is_created_by_the_next_claim(world: World) -> None:
    await begin(world, conflicts="source")
    await load(world, P1, "1", name="Ann")
    await world.expect(P1, batch_id="b2")
    new = mapped(P1, name="Anna")
    await world.begin_batch(new, batch_id="b2")
    assert not await world.settle(outcome(P1, "GONE", conflicts_json=conflicts(("", "source", "policy"))), batch_id="b2")
    assert actions(await world.begin_batch(new, batch_id="b2")) == {P1: "CREATE"}
    assert (await world.get(P1)).intent_time is not None
    assert [payload["fields"] for _, payload in await told(world, "conflict.decided")] == [["(record)"]]


@pytest.mark.requirement("L-11", "L-16", "X-04")
@pytest.mark.parametrize(
    ("word", "state", "item"),
    [
        ("keep", "loaded", None),
        ("flag", "loaded", ("SKIPPED_DELETED", False)),
        ("ask", "waiting", ("SOURCE_DELETED", True)),
        ("delete", "loaded", None),
    ],
)
async def test_what_the_source_lost_is_decided_by_policy_once(world: World, word: str, state: str, item: tuple[str, bool] | None) -> None:
    await begin(world, entities={"person": {"deletions": word}})
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    lost = [issue("SKIPPED", "client/1", "SKIPPED_DELETED")]
    for _ in range(2):
        await world.transform(await world.announce(page), [P2], lost, batch_id="b2")
    assert (await world.state(P1), (await world.get(P1)).gone) == (state, word)
    assert [(found.reason, found.is_blocking) for found in await items(world)] == ([item] if item else [])
    assert [result for result, _ in await told(world, "source.gone")] == [word]
    assert (await results(world))["person", f"gone_{word}"] == 1
    await world.transform(await world.announce(page), [P1, P2], batch_id="b3")
    assert (await world.get(P1)).gone == ""
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), batch_id="b3")) == {P1: "DONE"}
    assert await world.state(P1) == "loaded"
    assert [found for found in await items(world) if found.is_blocking] == []


@pytest.mark.requirement("L-11", "L-07")
@pytest.mark.parametrize(
    "held",
    [
        issue("WAITING", "client/1", "INTERNAL"),
        issue("REJECTED", "client/1", "VALUE_MISSING"),
        issue("WAITING", "client/1", "VALUE_UNMAPPED", key="deal:client/1"),
    ],
    ids=["a-bug", "refused", "another-part-waits"],
)
async def test_what_mapping_holds_up_is_not_lost(world: World, held: pb.RecordIssue) -> None:
    await begin(world, deletions="delete")
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    await world.transform(await world.announce(page), [P2], [held], batch_id="b2")
    assert (await world.get(P1)).gone == ""


@pytest.mark.requirement("L-11", "L-07")
async def test_what_hangs_on_a_record_that_mapping_holds_up_is_not_lost(world: World) -> None:
    await begin(world, deletions="delete")
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    await world.know(world.record("organization:client/1", RecordState.WAITING, phase=ORGANIZATIONS, reason="VALUE_UNMAPPED", target_id="5"))
    await world.transform(await world.announce(page), [P2], batch_id="b2")
    assert (await world.get(P1)).gone == ""


@pytest.mark.requirement("L-11")
async def test_outside_deltas_nothing_is_deleted(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        policies = {"deletions": "delete", "entities": {"person": {"deletions": "delete"}}}
        await tx.save_run(replace(run, context_json=RunContext(policies=policies).to_json()))
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    await world.transform(await world.announce(page), [P2], [issue("SKIPPED", "client/1", "SKIPPED_DELETED")], batch_id="b2")
    assert (await world.get(P1)).gone == "flag"


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize(("said", "state", "gone"), [(Resolution.KEEP_TARGET, "loaded", "keep"), (Resolution.DELETE, "waiting", "delete")])
async def test_a_person_says_whether_what_the_source_lost_goes(world: World, said: Resolution, state: str, gone: str) -> None:
    await begin(world, deletions="ask")
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    await world.transform(await world.announce(page), [P2], [issue("SKIPPED", "client/1", "SKIPPED_DELETED")], batch_id="b2")
    note = world.record("note:client/1", phase=10, target_id="5", gone="delete")
    await world.know(replace(note, state=(await world.get(P2)).state.LOADED))
    await resolve(world, said)
    record = await world.get(P1)
    assert (str(record.state), record.gone, record.resolution) == (state, gone, said if said is Resolution.DELETE else Resolution.NONE)
    assert (await world.get("note:client/1")).gone == gone  # what hangs on it goes or stays with it


@pytest.mark.requirement("L-11", "L-15", "X-04")
async def test_a_delete_of_a_delta_spares_edits_and_what_comes_back_is_created_anew(world: World) -> None:
    await begin(world)
    await load(world, P1, "1", name="Ann")
    await world.read_sources("client/1")
    await world.know(replace(await world.get(P1), gone="delete", asked='{"name":"t"}'))
    await world.expect(P1, batch_id="u1", is_undo=True)
    decision = (await world.begin_batch(mapped(P1), batch_id="u1", is_undo=True)).decisions[0]
    assert (decision.action, decision.guards_edits, decision.asked_json) == (pb.RECORD_ACTION_DELETE, True, b'{"name":"t"}')
    assert await world.settle(outcome(P1, "DELETED", target_id="1"), batch_id="u1")
    async with world.ledger.read() as reader:
        assert await reader.source_state(M, "client", "1") == "skipped"
        assert not await reader.count_records_to_undo(M)
    await world.expect(P1, batch_id="b9")
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), batch_id="b9")) == {P1: "CREATE"}
    assert (await world.get(P1)).gone == ""


@pytest.mark.requirement("L-11", "L-15", "X-04")
@pytest.mark.parametrize("lost", [[issue("SKIPPED", "client/1", "SKIPPED_DELETED")], []], ids=["deleted", "becomes-something-else"])
async def test_what_was_taken_back_and_is_gone_from_the_source_is_settled_and_may_come_back(world: World, lost: list[pb.RecordIssue]) -> None:
    await begin(world, deletions="ask")
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    taken_back = replace(await world.get(P1), state=RecordState.UNDONE, resolution=Resolution.SKIP, reason=ROLLED_BACK)
    await world.know(taken_back)
    await world.transform(await world.announce(page), [P2], lost, batch_id="b2")
    assert await world.get(P1) == taken_back  # it stays out until somebody asks for it
    await world.know(replace(taken_back, resolution=Resolution.RETRY))
    for _ in range(2):
        await world.transform(await world.announce(page), [P2], lost, batch_id="b2")
    async with world.ledger.read() as reader:
        assert await reader.source_state(M, "client", "1") == "skipped"
    reason = "SKIPPED_DELETED" if lost else "SKIPPED_NOT_MAPPED"
    assert ((await world.get(P1)).reason, (await world.get(P1)).resolution) == (reason, Resolution.NONE)
    assert [(result, payload["reason"]) for result, payload in await told(world, "source.gone")] == [("keep", reason)]
    assert await items(world) == []
    await world.transform(await world.announce(page), [P1, P2], batch_id="b3")
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), batch_id="b3")) == {P1: "CREATE"}


@pytest.mark.requirement("L-11", "L-15")
async def test_what_was_taken_back_and_waits_in_mapping_is_not_settled(world: World) -> None:
    await begin(world)
    page = world.page()
    await world.record_page(page, "1", "2")
    await load(world, P1, "1", name="Ann")
    again = replace(await world.get(P1), state=RecordState.UNDONE, resolution=Resolution.RETRY, reason=ROLLED_BACK)
    await world.know(again)
    await world.transform(await world.announce(page), [P2], [issue("WAITING", "client/1", "INTERNAL")], batch_id="b2")
    assert await world.get(P1) == again


def move(entity: str, old: str, new: str) -> pb.TargetMove:
    return pb.TargetMove(target_entity=entity, from_target_id=old, to_target_id=new, evidence="external_id")


async def settle_moves(world: World, *moves: pb.TargetMove, batch_id: str = "load-person:client/1") -> None:
    request = pb.SettleBatchRequest(migration_id=M, run_id=RUN, batch_id=batch_id, holder="loader-1/a", moves=moves)
    await world.servicer.SettleBatch(request, CONTEXT)


@pytest.mark.requirement("L-11", "L-14", "L-15", "X-01")
async def test_a_record_merged_into_a_foreign_one_stands_there_and_is_never_deleted(world: World) -> None:
    await begin(world)
    await load(world, O1, "11", phase=ORGANIZATIONS, name="One")
    await load(world, P1, "1", name="Ann", org_id=11)
    for _ in range(2):
        await settle_moves(world, move("organization", "11", "77"))
    record = await world.get(O1)
    assert (record.target_id, record.is_preexisting) == ("77", True)
    assert orjson.loads((await world.get(P1)).image) == {"name": "Ann", "org_id": 77}
    (flag,) = await items(world)
    assert (flag.reason, flag.is_blocking) == ("TARGET_MERGED", False)
    assert "rollback leaves it" in flag.message
    ((evidence, payload),) = await told(world, "record.merged")
    assert (evidence, payload["from_target_id"], payload["to_target_id"]) == ("external_id", "11", "77")
    async with world.ledger.read() as reader:
        assert [(count.target_entity, count.delete_count) for count in await reader.count_records_to_undo(M)] == [("person", 1)]
        assert (await verify_trail(reader, M)).is_whole
    assert (await results(world))["organization", "merged"] == 1


@pytest.mark.requirement("L-11", "L-15")
@pytest.mark.parametrize("was_there", [False, True])
async def test_two_of_ours_merged_stand_under_one_id_and_go_only_if_both_are_ours(world: World, was_there: bool) -> None:
    await begin(world)
    await load(world, O1, "11", phase=ORGANIZATIONS, name="One")
    await load(world, O2, "22", phase=ORGANIZATIONS, name="Two")
    await world.know(replace(await world.get(O1), is_preexisting=was_there))
    await settle_moves(world, move("organization", "11", "22"))
    both = [await world.get(O1), await world.get(O2)]
    assert [(record.target_id, record.is_preexisting) for record in both] == [("22", was_there)] * 2
    async with world.ledger.read() as reader:
        assert [record.key for record in await reader.list_records_by_target(M, "organization", ["22"])] == [O1, O2]


@pytest.mark.requirement("L-11", "L-15")
async def test_records_in_one_object_know_what_stood_there_before_the_first_of_them_and_what_is_ours(world: World) -> None:
    await begin(world)
    for key in (O1, O2):
        there = world.record(key, RecordState.LOADED, phase=ORGANIZATIONS, target_id="77", is_preexisting=True, image='{"name":"Theirs"}')
        await world.know(there)
    await world.expect(O1, O2, batch_id="b7", phase=ORGANIZATIONS)
    answer = await world.begin_batch(mapped(O1, name="One"), mapped(O2, name="Two", website="2"), batch_id="b7", phase=ORGANIZATIONS)
    assert actions(answer) == {O1: "UPDATE", O2: "UPDATE"}
    await world.settle(
        outcome(O1, "UPDATED", target_id="77", image_json=b'{"name":"One"}', pre_image_json=b'{"name":"Theirs"}'),
        outcome(O2, "UPDATED", target_id="77", image_json=b'{"name":"Two","website":"2"}', pre_image_json=b'{"name":"One","website":null}'),
        batch_id="b7",
    )
    assert [(await world.get(key)).pre_image for key in (O1, O2)] == ['{"name":"Theirs"}', '{"name":"Theirs","website":null}']
    # Later, on its own, the first one finds a website that is the second one's.
    await world.expect(O1, batch_id="b8", phase=ORGANIZATIONS)
    await world.begin_batch(mapped(O1, name="One", website="1"), batch_id="b8", phase=ORGANIZATIONS)
    changed = outcome(O1, "UPDATED", target_id="77", image_json=b'{"name":"One","website":"1"}', pre_image_json=b'{"website":"2"}')
    await world.settle(changed, batch_id="b8")
    assert (await world.get(O1)).pre_image == '{"name":"Theirs","website":null}'
    for scope, count in ((Scope(target_entity="organization"), 0), (Scope(), 1)):
        run_id = f"run-undo-{count}"
        async with world.ledger.transaction() as tx:
            await tx.save_run(world.run(run_id, phase=ORGANIZATIONS, kind=RunKind.ROLLBACK, context_json=RunContext(scope=scope).to_json()))
        await world.expect(O1, batch_id=run_id, phase=ORGANIZATIONS, run_id=run_id, is_undo=True)
        told = await world.begin_batch(mapped(O1), batch_id=run_id, phase=ORGANIZATIONS, run_id=run_id, is_undo=True)
        (decision,) = told.decisions
        assert actions(told) == {O1: "RESTORE"}
        assert [(one.last_image_json, one.pre_image_json) for one in decision.same_target] == [
            (b'{"name":"Two","website":"2"}', b'{"name":"Theirs","website":null}')
        ] * count
        await world.settle(outcome(O1, "NOT_TRIED"), batch_id=run_id, run_id=run_id)


@pytest.mark.requirement("L-11", "X-01")
async def test_a_delta_says_which_records_a_batch_refers_to_and_what_was_linked(world: World) -> None:
    await begin(world)
    await load(world, O1, "11", phase=ORGANIZATIONS, name="One")
    await load(world, P1, "1", name="Ann", org_id=11)
    async with world.ledger.transaction() as tx:
        run = await tx.get_run(RUN)
        assert run is not None
        await tx.save_run(replace(run, phase=DEALS))
    await world.expect(D1, batch_id="b5", phase=DEALS)
    answer = await world.begin_batch(mapped(D1, [reference(O1)], title="x"), batch_id="b5", phase=DEALS)
    assert [(key, one.target_entity, one.target_id) for key, one in answer.referred.items()] == [(O1, "organization", "11")]
    found = await world.servicer.ListLinks(pb.ListLinksRequest(migration_id=M, target_entity="organization", target_ids=["11", "12"]), CONTEXT)
    assert [(link.target_id, link.from_target_entity, link.from_target_id, link.field) for link in found.links] == [("11", "person", "1", "org_id")]


@pytest.mark.requirement("L-14")
async def test_erasing_takes_what_was_asked_and_declined(world: World) -> None:
    await begin(world)
    await load(world, P1, "1", name="Ann")
    await world.know(replace(await world.get(P1), asked='{"name":"x"}', declined='{"name":"y"}'))
    async with world.ledger.transaction() as tx:
        await tx.erase_payloads(M, with_images=True)
        (record,) = await tx.list_records(M, RecordFilter(target_entity="person"))
    assert (record.asked, record.declined) == ("", "")
