"""Batches through the worker into the simulator: every target entity is created, recognised, changed and taken back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from services.common.errors import ClaimHeldError, PreconditionError
from services.ledger.claims import check_taking_work
from services.loader.readback import ReadBack
from tests.unit.loader import payloads
from tests.unit.loader.world import World, batch_of
from transload.v1 import ledger_service_pb2 as pb
from transload.v1.records_pb2 import MappedBatch

ORG, PERSON, DEAL, PRODUCT = "organization:client/1", "person:contact/2", "deal:sales_estimate/3", "product:product/4"


@pytest.fixture
def world() -> World:
    return World()


async def base(world: World) -> None:
    await world.load(PRODUCT.partition(":")[0], {PRODUCT: {"name": "Pump", "code": "P-1", "prices": [{"currency": "EUR", "price": 10.5}]}})
    await world.load("organization", {ORG: payloads.organization()})
    await world.load("person", {PERSON: payloads.person(ORG)})
    await world.load("deal", {DEAL: payloads.deal(ORG, person_id={"$ref": PERSON})})


def result_of(outcome: pb.RecordOutcome | None) -> str:
    assert outcome is not None
    return pb.OutcomeResult.Name(outcome.result).removeprefix("OUTCOME_RESULT_")


async def read(world: World, entity: str, ids: list[str], parents: list[str]) -> dict[str, Any]:
    context = world.context
    reader = ReadBack(client=world.client, context=context)
    return {target_id: image async for page in reader.pages(entity, ids, parents) for target_id, image in page}


@pytest.mark.requirement("L-10", "X-01", "X-02", "X-05", "X-08", "SO-01", "SO-02", "SO-03")
async def test_every_record_arrives_as_sent_with_its_relations(world: World) -> None:
    await base(world)
    content = b"%PDF" + bytes(range(256)) * 50
    digest = world.files.add(content)
    lines = {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT, quantity=number + 1) for number in range(6)}
    batches: dict[str, dict[str, Any]] = {
        "line_item": lines,
        "activity": {"activity:work_order/5": payloads.activity(DEAL, participants=[{"person_id": {"$ref": PERSON}, "primary": True}])},
        "note": {"note:contact/2": payloads.note(DEAL)},
        "file": {"file:entity_attachment/9": payloads.file(DEAL, digest, len(content))},
        "organization_relation": {},
        "deal_value": {"deal_value:sales_estimate/3": {"deal_id": {"$ref": DEAL}, "value": 99.5, "currency": "EUR"}},
    }
    for entity, batch in batches.items():
        if batch:
            outcomes = await world.load(entity, batch)
            assert {result_of(outcome) for outcome in outcomes.values()} <= {"CREATED", "UPDATED"}, outcomes
    for key, entry in world.ledger.entries.items():
        entity = key.partition(":")[0]
        images = await read(world, entity, [entry.target_id], [entry.parent] if entry.parent else [])
        expected = orjson.loads(entry.image)
        if entity == "deal":
            expected.pop("value")  # decided by the late deal_value record
        actual = images[entry.target_id]
        assert {name: actual.get(name) for name in expected} == expected
    uploaded = world.live("file")[-1]
    assert uploaded["name"] == 'Angebot "ñ".pdf'
    assert uploaded["file_size"] == len(content)
    stored_deal = world.live("deal")[-1]
    assert stored_deal["value"] == 99.5


@pytest.mark.requirement("SO-04")
async def test_lines_of_one_deal_go_in_one_bulk_call_in_their_order(world: World) -> None:
    await base(world)
    lines = {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT, quantity=number + 1) for number in range(7)}
    outcomes = await world.load("line_item", lines)
    calls = [call for outcome in outcomes.values() if outcome is not None for call in outcome.calls]
    assert [(call.path, call.token_count, call.status) for call in calls] == [("/api/v2/deals/{id}/products/bulk", 25, 201)]
    assert [record["quantity"] for record in world.live("deal_product")[-7:]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(outcome is not None and outcome.parent_target_id for outcome in outcomes.values())


async def test_a_bad_line_in_a_bulk_is_named_and_the_others_arrive(world: World) -> None:
    await base(world)
    lines = {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT, quantity=number + 1) for number in range(6)}
    lines["line_item:sales_estimate/3/2"]["quantity"] = "many"
    outcomes = await world.load("line_item", lines)
    assert [result_of(outcome) for outcome in outcomes.values()].count("CREATED") == 5
    bad = outcomes["line_item:sales_estimate/3/2"]
    assert bad is not None
    assert (result_of(bad), bad.reason) == ("REJECTED", "TARGET_REJECTED")
    assert "quantity" in bad.message


@pytest.mark.requirement("X-04", "L-10")
async def test_a_refused_record_has_pipedrives_words_and_the_others_go_on(world: World) -> None:
    outcomes = await world.load("organization", {ORG: payloads.organization(), "organization:client/2": {"name": "x", "unknown": 1}})
    assert result_of(outcomes[ORG]) == "CREATED"
    refused = outcomes["organization:client/2"]
    assert refused is not None
    assert (result_of(refused), refused.reason) == ("REJECTED", "TARGET_REJECTED")
    assert "unknown" in refused.message


async def test_a_second_delivery_changes_nothing(world: World) -> None:
    await base(world)
    count = len(world.app.journal.entries)
    await world.load("organization", {ORG: payloads.organization()})
    assert len(world.app.journal.entries) == count


@pytest.mark.requirement("L-11")
async def test_only_what_the_source_changed_is_patched(world: World) -> None:
    await base(world)
    target_id = world.ledger.entry(ORG).target_id
    await world.client.call("organizations.update", world.context, ids={"id": target_id}, body={"website": "https://edited.example"})
    world.app.journal.clear()
    outcomes = await world.load("organization", {ORG: payloads.organization("Müller AG")})
    assert result_of(outcomes[ORG]) == "UPDATED"
    assert [entry.method for entry in world.app.journal.entries] == ["GET", "PATCH"]
    assert world.live("organization")[-1]["name"] == "Müller AG"
    assert world.live("organization")[-1]["website"] == "https://edited.example"
    assert world.live("organization")[-1]["address"]["locality"] == "Madrid"


@pytest.mark.requirement("L-11")
@pytest.mark.parametrize(
    ("change", "times"),
    [
        ({"status": "open"}, (None, None)),
        ({"status": "lost", "lost_time": "2022-02-03T04:05:06Z"}, (None, "2022-02-03T04:05:06Z")),
    ],
    ids=["reopened", "lost"],
)
async def test_a_won_deal_takes_another_status_and_its_time_goes(world: World, change: dict[str, Any], times: tuple[str | None, str | None]) -> None:
    await base(world)
    deal = {name: value for name, value in payloads.deal(ORG, person_id={"$ref": PERSON}).items() if name != "won_time"} | change
    outcome = (await world.load("deal", {DEAL: deal}))[DEAL]
    assert outcome is not None
    assert (result_of(outcome), outcome.flag_reason) == ("UPDATED", "")
    stored = world.live("deal")[-1]
    assert (stored["status"], stored["won_time"], stored["lost_time"]) == (change["status"], *times)
    images = await read(world, "deal", [world.ledger.entry(DEAL).target_id], [])
    image = orjson.loads(world.ledger.entry(DEAL).image)
    assert {name: images[outcome.target_id].get(name) for name in image} == image


@pytest.mark.requirement("L-11", "L-16")
async def test_a_won_deal_whose_date_is_gone_keeps_it_and_is_flagged(world: World) -> None:
    await base(world)
    deal = {name: value for name, value in payloads.deal(ORG, person_id={"$ref": PERSON}).items() if name != "won_time"}
    outcome = (await world.load("deal", {DEAL: deal}))[DEAL]
    assert outcome is not None
    assert (result_of(outcome), outcome.flag_reason) == ("UNCHANGED", "TARGET_REJECTED")
    assert "won_time" in outcome.message
    assert world.live("deal")[-1]["won_time"] == "2021-01-02T03:04:05Z"


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize(
    ("policy", "result", "name"), [("", "WAITING", "Edited"), ("source", "UPDATED", "Müller AG"), ("target", "UNCHANGED", "Edited")]
)
async def test_a_field_changed_on_both_sides_is_decided_by_policy_or_a_person(world: World, policy: str, result: str, name: str) -> None:
    await base(world)
    target_id = world.ledger.entry(ORG).target_id
    await world.client.call("organizations.update", world.context, ids={"id": target_id}, body={"name": "Edited"})
    world.ledger.conflict_policy = policy
    outcomes = await world.load("organization", {ORG: payloads.organization("Müller AG")})
    outcome = outcomes[ORG]
    assert outcome is not None
    assert result_of(outcome) == result
    assert world.live("organization")[-1]["name"] == name
    if not policy:
        assert outcome.reason == "CONFLICT"
        assert "name" in outcome.message


@pytest.mark.requirement("L-15")
async def test_what_was_created_is_deleted_and_deleting_twice_is_fine(world: World) -> None:
    await base(world)
    before = len(world.live("organization"))
    assert result_of((await world.undo("deal", [DEAL]))[DEAL]) == "DELETED"
    await world.client.call("organizations.delete", world.context, ids={"id": world.ledger.entry(ORG).target_id})
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"
    assert len(world.live("organization")) == before - 1


async def test_records_held_by_another_loader_send_the_batch_back(world: World) -> None:
    world.ledger.held.add(ORG)
    with pytest.raises(ClaimHeldError):
        await world.load("organization", {ORG: payloads.organization(), "organization:client/2": payloads.organization("Two")})
    assert result_of(world.ledger.entry("organization:client/2").outcome) == "CREATED"
    assert world.ledger.entry(ORG).outcome is None


@pytest.mark.requirement("X-01")
async def test_a_reference_that_is_not_there_makes_the_record_wait(world: World) -> None:
    outcome = (await world.load("person", {PERSON: payloads.person("organization:client/404")}))[PERSON]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason) == ("WAITING", "REFERENCE_MISSING")
    assert "organization:client/404" in outcome.message


@pytest.mark.requirement("X-07")
async def test_a_file_that_is_not_in_staging_waits_without_a_call(world: World) -> None:
    await base(world)
    count = len(world.app.journal.entries)
    outcome = (await world.load("file", {"file:entity_attachment/1": payloads.file(DEAL, "0" * 64, 10)}))["file:entity_attachment/1"]
    assert outcome is not None
    assert (result_of(outcome), outcome.reason) == ("WAITING", "FILE_UNAVAILABLE")
    assert len(world.app.journal.entries) == count


async def test_a_changed_file_is_replaced(world: World) -> None:
    await base(world)
    key = "file:entity_attachment/1"
    old, new = world.files.add(b"old content"), world.files.add(b"new content, longer")
    await world.load("file", {key: payloads.file(DEAL, old, 11)})
    first = world.ledger.entry(key).target_id
    outcome = (await world.load("file", {key: payloads.file(DEAL, new, 19)}))[key]
    assert outcome is not None
    assert result_of(outcome) == "UPDATED"
    assert outcome.target_id != first
    assert [record["file_size"] for record in world.live("file") if record["name"] == 'Angebot "ñ".pdf'] == [19]


async def test_a_batch_that_outlives_its_claim_goes_on_under_a_new_one(world: World) -> None:
    world.ledger.claim_seconds = 3.0
    begun: list[int] = []

    def slow(_: Any) -> None:
        world.clock.advance(0.6)
        begun.append(1)

    world.transport.before = slow
    many = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(8)}
    outcomes = await world.load("organization", many)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert len(begun) == 8


@pytest.mark.parametrize("minutes", [-30, 30])
async def test_a_claim_lasts_as_long_as_it_lasts_whatever_the_clocks_show(world: World, minutes: int) -> None:
    world.ledger.clock_difference = timedelta(minutes=minutes)
    world.ledger.claim_seconds = 10.0
    sent: list[float] = []

    def slow(_: Any) -> None:
        sent.append(world.clock.monotonic())
        world.clock.advance(1.5)

    world.transport.before = slow
    outcomes = await world.load("organization", {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(8)})
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert world.ledger.begin_count == 2  # eight calls of 1.5 seconds do not fit into one claim of 10


async def test_a_batch_that_comes_twice_at_once_is_worked_on_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = world.ledger.begin

    async def far_away(batch: MappedBatch) -> pb.BeginBatchResponse:
        await asyncio.sleep(0)
        return await begin(batch)

    monkeypatch.setattr(world.ledger, "begin", far_away)
    payload = batch_of("organization", {ORG: payloads.organization()}).SerializeToString()
    answers = await asyncio.gather(world.worker.handle(payload), world.worker.handle(payload), return_exceptions=True)
    assert [type(answer) for answer in answers if answer is not None] == [ClaimHeldError]
    assert world.ledger.begin_count == 1
    await world.worker.handle(payload)  # the message that was handed back finds it done
    assert len([one for one in world.live("organization") if one["name"] == payloads.organization()["name"]]) == 1


async def test_a_message_that_outlived_its_run_is_done_with(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Left over after a server of NATS died, it would come back every minute for ever. Refused for another reason it comes again."""
    payload = batch_of("organization", {ORG: payloads.organization()}).SerializeToString()

    async def refuse(batch: MappedBatch) -> pb.BeginBatchResponse:
        raise PreconditionError("not now") if batch.batch_id in refused else refusal_of_the_ledger()

    before = world.live("organization")
    monkeypatch.setattr(world.ledger, "begin", refuse)
    refused: set[str] = set()
    await world.worker.handle(payload)
    refused.add(MappedBatch.FromString(payload).batch_id)
    with pytest.raises(PreconditionError, match="not now"):
        await world.worker.handle(payload)
    assert world.live("organization") == before


def refusal_of_the_ledger() -> PreconditionError:
    """What the ledger itself says of a run that is over."""
    migration: Any = None
    with pytest.raises(PreconditionError) as caught:
        check_taking_work(migration, None, 1, datetime(2026, 1, 1, tzinfo=UTC))
    return caught.value
