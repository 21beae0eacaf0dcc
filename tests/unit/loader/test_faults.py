"""What networks and servers do to us: no record twice, none missing, and clear words."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.errors import PausedError, RateLimitedError, TransientError
from services.loader.work import Outcome, Result
from tests.unit.loader import payloads
from tests.unit.loader.test_worker import DEAL, ORG, PRODUCT, base, result_of
from tests.unit.loader.world import ACCOUNT, Entry, SettleLostError, World, batch_of
from transload.v1 import ledger_service_pb2 as pb

if TYPE_CHECKING:
    from transload.v1.records_pb2 import MappedBatch

EXTERNAL = "organization.transload_id"


@pytest.fixture
def world() -> World:
    return World()


async def with_external_id(world: World) -> str:
    """Makes the external-id field and binds it in the manifest; answers its code."""
    key = f"custom_field:schema/{EXTERNAL}"
    await world.load("custom_field", {key: {"entity": "organization", "field_name": "Transload ID", "field_type": "varchar"}})
    code = world.ledger.entry(key).target_id
    world.ledger.manifest_json["bindings"][key] = {"target_id": code, "image": {}}
    return code


def org(code: str, number: int) -> dict[str, Any]:
    return payloads.organization(f"Org {number}", custom_fields={code: f"{ACCOUNT}/client/{number}"})


@pytest.mark.requirement("L-10", "X-04")
@pytest.mark.parametrize("kind", ["cut_after", "error_after", "empty_200", "error_before", "cut_before"])
async def test_a_lost_answer_makes_no_second_organization(world: World, kind: str) -> None:
    code = await with_external_id(world)
    before = len(world.live("organization"))
    world.fault(kind, method="POST", path="/organizations$", nth=[2, 4])
    keys = [f"organization:client/{number}" for number in range(6)]
    outcomes = await world.load("organization", {key: org(code, number) for number, key in enumerate(keys)})
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    stored = world.live("organization")[before:]
    assert sorted(record["custom_fields"][code] for record in stored) == [f"{ACCOUNT}/client/{number}" for number in range(6)]
    assert {outcome.target_id for outcome in outcomes.values() if outcome} == {str(record["id"]) for record in stored}


@pytest.mark.requirement("L-10")
@pytest.mark.parametrize("kind", ["cut_after", "error_after", "error_before"])
@pytest.mark.parametrize("entity", ["activity", "note", "file", "line_item", "line_items", "organization_relation"])
async def test_a_lost_answer_makes_no_second_record_without_external_id(world: World, kind: str, entity: str) -> None:
    await base(world)
    children = {f"organization:client/{number}": payloads.organization(f"Child {number}") for number in range(10, 13)}
    await world.load("organization", children)
    content = b"some bytes"
    digest = world.files.add(content)
    batch: dict[str, Any] = {
        "activity": {f"activity:work_order/{number}": payloads.activity(DEAL, f"Visit {number % 2}") for number in range(4)},
        "note": {f"note:work_order/{number}": payloads.note(DEAL, f"<p>Text {number % 2} &amp; more</p>") for number in range(4)},
        "file": {f"file:entity_attachment/{number}": payloads.file(DEAL, digest, len(content)) for number in range(3)},
        "line_item": {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT) for number in range(3)},
        "line_items": {f"line_item:sales_estimate/3/{number}": payloads.line(DEAL, PRODUCT) for number in range(8)},
        "organization_relation": {
            child.replace("organization:", "organization_relation:"): {
                "type": "parent",
                "rel_owner_org_id": {"$ref": ORG},
                "rel_linked_org_id": {"$ref": child},
            }
            for child in children
        },
    }[entity]
    kinds = {"line_item": "deal_product", "line_items": "deal_product", "organization_relation": "organization_relation"}
    kind_of_store = kinds.get(entity, entity)
    before = len(world.live(kind_of_store))
    world.fault(kind, method="POST", times=1, nth=[1])
    outcomes = await world.load(entity.removesuffix("s"), batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert len(world.live(kind_of_store)) - before == len(batch)
    assert len({outcome.target_id for outcome in outcomes.values() if outcome}) == len(batch)


@pytest.mark.requirement("L-10")
async def test_a_batch_of_which_the_ledger_holds_something_open_comes_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_still(*arguments: Any, **named: Any) -> bool:
        return False

    monkeypatch.setattr(world.ledger, "settle", open_still)
    with pytest.raises(TransientError) as caught:
        await world.load("organization", {ORG: payloads.organization()})
    assert caught.value.reason == "IN_DOUBT"


@pytest.mark.requirement("L-10", "X-04")
@pytest.mark.parametrize("sent", [0, 3, 6])
async def test_a_crash_between_calls_and_settlement_leaves_nothing_twice(world: World, sent: int) -> None:
    code = await with_external_id(world)
    before = len(world.live("organization"))
    batch = {f"organization:client/{number}": org(code, number) for number in range(6)}
    if sent < 6:
        count = [0]

        def die(_: httpx.Request) -> None:
            count[0] += 1
            if count[0] > sent:
                raise SettleLostError

        world.transport.before = die
        with pytest.raises(ExceptionGroup):
            await world.load("organization", batch)
        world.transport.before = None
    else:
        world.ledger.lose_settles = 1
        with pytest.raises(SettleLostError):
            await world.load("organization", batch)
    world.restart()
    outcomes = await world.load("organization", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert len(world.live("organization")) - before == 6


def parts_of(digest: str, content: bytes, size: int) -> list[dict[str, Any]]:
    """Payloads of the parts of a staged file, all of one name, which no mapping makes: nothing but their bytes tells them apart."""
    ranges = [(first, content[first : first + size]) for first in range(0, len(content), size)]
    return [{**payloads.file(DEAL, digest, len(piece)), "first_byte": first, "digest": hashlib.sha256(piece).hexdigest()} for first, piece in ranges]


@pytest.mark.requirement("L-10", "D-04")
@pytest.mark.parametrize("kind", ["cut_after", "error_after"])
async def test_parts_in_doubt_are_told_apart_by_their_bytes(world: World, kind: str) -> None:
    """Of four that look the same the first does not arrive, and the second does without an answer: it must not be taken for the first."""
    await base(world)
    content = b"0123456789abcdefghij"
    batch = {f"file:attachment/9/part-{number}": body for number, body in enumerate(parts_of(world.files.add(content), content, 5), start=1)}
    world.fault("cut_before", method="POST", path="/files$", nth=[1])
    world.fault(kind, method="POST", path="/files$", nth=[2])
    outcomes = await world.load("file", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert len(world.live("file")) == len(batch)
    for key, body in batch.items():
        outcome = outcomes[key]
        assert outcome is not None
        stored = next(record for record in world.live("file") if str(record["id"]) == outcome.target_id)
        assert stored["digest"] == body["digest"], key


async def test_a_record_another_one_owns_is_not_taken_for_the_lost_one(world: World) -> None:
    await base(world)
    twin = payloads.activity(DEAL)
    await world.load("activity", {"activity:work_order/1": twin})
    world.fault("error_before", method="POST", times=1)
    outcome = (await world.load("activity", {"activity:work_order/2": twin}))["activity:work_order/2"]
    assert outcome is not None
    assert outcome.target_id != world.ledger.entry("activity:work_order/1").target_id


async def test_what_a_twin_owns_by_now_is_not_taken_for_the_lost_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two equal records are in doubt; while they are looked for, another loader settles the second one."""
    await base(world)
    batch = dict.fromkeys(("activity:work_order/1", "activity:work_order/2"), payloads.activity(DEAL))
    settled = "activity:work_order/2"
    await world.load("activity", {settled: batch[settled]})
    target_id = world.ledger.entry(settled).target_id
    for key in batch:
        world.ledger.entries[key] = Entry(state="claimed", intent_time=world.clock.now())

    async def known(*_: object) -> dict[str, str]:
        return {target_id: settled}

    monkeypatch.setattr(world.ledger, "known_targets", known)
    outcomes = await world.load("activity", batch)
    first, second = (outcomes[key] for key in batch)
    assert first is not None
    assert second is not None
    assert second.target_id == target_id
    assert first.target_id != target_id
    assert len(world.live("activity")) == 2


@pytest.mark.requirement("L-10", "X-04")
async def test_what_a_batch_made_whose_claim_ran_out_is_found_by_the_batch_that_took_it_over(world: World) -> None:
    """A slow batch of this process has made the record and not settled it yet, when another batch of the process claims it in doubt."""
    await base(world)
    batch = {"activity:work_order/1": payloads.activity(DEAL)}
    (made,) = (await world.load("activity", batch)).values()
    assert made is not None
    world.ledger.entries["activity:work_order/1"] = Entry(state="claimed", intent_time=world.clock.now())
    slow: Any = SimpleNamespace(
        target_entity="activity", works=[SimpleNamespace(key="activity:work_order/1", outcome=Outcome(Result.CREATED, made.target_id))]
    )
    with world.worker._upsert.unsettled(slow):
        (found,) = (await world.load("activity", batch)).values()
    assert found is not None
    assert (found.target_id, len(world.live("activity"))) == (made.target_id, 1)


async def test_an_archived_deal_in_doubt_is_found_in_its_own_listing(world: World) -> None:
    await base(world)
    before = len(world.live("deal"))
    world.fault("cut_after", method="POST", path="/deals$", times=1)
    payload = payloads.deal(ORG, "Old offer", is_archived=True)
    outcome = (await world.load("deal", {"deal:sales_estimate/9": payload}))["deal:sales_estimate/9"]
    assert result_of(outcome) == "CREATED"
    assert len(world.live("deal")) == before + 1


@pytest.mark.requirement("X-04")
async def test_a_record_pipedrive_always_fails_on_is_set_aside_and_the_rest_goes_on(world: World) -> None:
    code = await with_external_id(world)
    before = len(world.live("organization"))
    poison = "Org 3"

    def fail(request: httpx.Request) -> None:
        if request.method == "POST" and poison.encode() in request.content:
            raise httpx.ReadError("reset")

    original = world.transport.handle_async_request

    async def with_content(request: httpx.Request) -> httpx.Response:
        await request.aread()
        fail(request)
        return await original(request)

    world.transport.handle_async_request = with_content  # type: ignore[method-assign]
    batch = {f"organization:client/{number}": org(code, number) for number in range(5)}
    for _ in range(4):
        with pytest.raises(TransientError):
            await world.load("organization", batch)
    outcomes = await world.load("organization", batch)
    bad = outcomes["organization:client/3"]
    assert bad is not None
    assert (result_of(bad), bad.reason) == ("WAITING", "TARGET_UNREACHABLE")
    assert len(world.live("organization")) - before == 4


@pytest.mark.requirement("L-10")
async def test_an_outage_hands_the_batch_back_and_people_are_told(world: World) -> None:
    code = await with_external_id(world)
    before = len(world.live("organization"))

    def down(request: httpx.Request) -> None:
        raise httpx.ConnectError("refused", request=request)

    world.transport.before = down
    batch = {f"organization:client/{number}": org(code, number) for number in range(3)}
    with pytest.raises(TransientError):
        await world.load("organization", batch)
    assert {result_of(world.ledger.entry(key).outcome) for key in batch} == {"NOT_TRIED"}
    assert world.ledger.reports[-1][0] == "TARGET_UNREACHABLE"
    begun = world.ledger.begin_count
    for _ in range(3):
        with pytest.raises(TransientError):
            await world.load("organization", batch)
    assert world.ledger.begin_count == begun  # nothing is claimed while nobody is there
    world.transport.before = None
    await world.load("organization", batch)
    assert world.ledger.reports[-1][0] == ""
    assert len(world.live("organization")) - before == 3


@pytest.mark.requirement("L-10")
async def test_a_refused_token_rests_and_a_corrected_one_works_at_once(world: World) -> None:
    world.environ["TRANSLOAD_CONNECTION_CRM_KEY"] = "wrong"
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(20)}
    with pytest.raises(RateLimitedError) as caught:
        await world.load("organization", batch)
    assert caught.value.reason == "TARGET_UNAUTHORIZED"
    assert world.ledger.reports[-1][0] == "TARGET_UNAUTHORIZED"
    asked = world.app.journal.total
    assert asked <= 8
    with pytest.raises(PausedError):
        await world.load("organization", batch)
    assert world.app.journal.total == asked
    world.ledger.resume()
    world.environ["TRANSLOAD_CONNECTION_CRM_KEY"] = "token-of-the-test"
    world.clock.advance(1.0)
    outcomes = await world.load("organization", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert world.ledger.reports[-1][0] == ""


@pytest.mark.requirement("G-03", "L-10")
async def test_a_used_up_day_settles_what_is_done_and_names_the_time_it_goes_on() -> None:
    world = World(limits=True, plan="lite", seats=1)
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(12)}
    world.app.limits.state()
    world.app.limits.spend(30_000 - 25)
    with pytest.raises(RateLimitedError) as caught:
        await world.load("organization", batch)
    assert caught.value.reason == "TARGET_QUOTA_EXHAUSTED"
    reason, resume_time = world.ledger.reports[-1]
    assert reason == "TARGET_QUOTA_EXHAUSTED"
    assert resume_time is not None
    assert (resume_time.hour, resume_time.minute) == (0, 0)
    results = [result_of(world.ledger.entry(key).outcome) for key in batch]
    assert set(results) == {"CREATED", "NOT_TRIED"}
    assert [entry.status for entry in world.app.journal.entries if entry.status == 429] == []
    world.clock.advance((resume_time - world.clock.now()).total_seconds() + 1)
    await world.load("organization", batch)
    assert {pb.OutcomeResult.Name(entry.outcome.result) for entry in world.ledger.entries.values() if entry.outcome} == {"OUTCOME_RESULT_CREATED"}
    assert world.ledger.reports[-1][0] == ""


def nearly_used_up(left: int) -> World:
    """Answer a world with so many tokens left for a load."""
    world = World(limits=True, plan="lite", seats=1)
    world.quota_settings = replace(world.quota_settings, others_share=0.0)
    world.restart()
    world.app.limits.state()
    world.app.limits.spend(30_000 - 1_500 - left)
    return world


def named(batch_id: str, numbers: range) -> bytes:
    batch = batch_of("organization", {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in numbers})
    batch.batch_id = batch_id
    return batch.SerializeToString()


@pytest.mark.requirement("G-03", "L-10")
async def test_work_that_was_handed_out_before_the_pause_spends_nothing_that_is_kept_back(monkeypatch: pytest.MonkeyPatch) -> None:
    world = nearly_used_up(22)
    begin, report, is_told = world.ledger.begin, world.ledger.report_target, asyncio.Event()

    async def late_answer(batch: MappedBatch) -> pb.BeginBatchResponse:
        response = await begin(batch)
        if batch.batch_id == "late":
            await is_told.wait()
        return response

    async def told(connection: str, **facts: Any) -> None:
        await report(connection, **facts)
        is_told.set()

    monkeypatch.setattr(world.ledger, "begin", late_answer)
    monkeypatch.setattr(world.ledger, "report_target", told)
    ended = await asyncio.gather(
        world.worker.handle(named("first", range(8))), world.worker.handle(named("late", range(10, 18))), return_exceptions=True
    )
    assert [getattr(error, "reason", None) for error in ended] == ["TARGET_QUOTA_EXHAUSTED"] * 2
    assert [entry.status < 400 for entry in world.app.journal.entries] == [True] * 4
    assert [reason for reason, _ in world.ledger.reports] == ["TARGET_QUOTA_EXHAUSTED"]


@pytest.mark.requirement("G-03", "L-10")
async def test_a_call_that_went_well_before_the_pause_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    world = nearly_used_up(22)
    settle, report, is_told = world.ledger.settle, world.ledger.report_target, asyncio.Event()

    async def late(batch: MappedBatch, *parts: Any, **facts: Any) -> bool:
        if batch.batch_id == "late":
            await is_told.wait()
        return await settle(batch, *parts, **facts)

    async def told(connection: str, **facts: Any) -> None:
        await report(connection, **facts)
        is_told.set()

    monkeypatch.setattr(world.ledger, "settle", late)
    monkeypatch.setattr(world.ledger, "report_target", told)
    await asyncio.gather(world.worker.handle(named("late", range(1))), world.worker.handle(named("first", range(10, 18))), return_exceptions=True)
    assert world.live("organization")
    assert [reason for reason, _ in world.ledger.reports] == ["TARGET_QUOTA_EXHAUSTED"]


@pytest.mark.requirement("G-03")
async def test_a_block_page_opens_the_breaker_for_minutes(world: World) -> None:
    world.fault("status", status=403, body="<html>Cloudflare</html>", times=1)
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(20)}
    with pytest.raises(RateLimitedError) as caught:
        await world.load("organization", batch)
    assert caught.value.reason == "TARGET_BLOCKED"
    count = world.app.journal.total
    with pytest.raises(RateLimitedError):
        await world.client.call("users.me", world.context)
    with pytest.raises(PausedError):
        await world.load("organization", batch)
    assert world.app.journal.total == count
    world.clock.advance(301)
    outcomes = await world.load("organization", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}


@pytest.mark.requirement("G-03", "L-10")
async def test_after_a_persons_resume_a_bought_budget_or_a_lifted_block_is_found_with_one_call() -> None:
    world = World(limits=True, plan="lite", seats=1)
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(12)}
    world.app.limits.state()
    world.app.limits.spend(30_000)
    with pytest.raises(RateLimitedError):
        await world.load("organization", batch)
    world.ledger.resume()
    count = world.app.journal.total
    with pytest.raises(RateLimitedError):
        await world.load("organization", batch)
    assert world.app.journal.total == count + 1
    assert world.ledger.reports[-1][0] == "TARGET_QUOTA_EXHAUSTED"
    world.app.limits.spend(-30_000)
    world.ledger.resume()
    outcomes = await world.load("organization", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    world.fault("status", status=403, body="<html>Cloudflare</html>", times=1)
    with pytest.raises(RateLimitedError):
        await world.load("organization", {"organization:client/99": payloads.organization()})
    world.ledger.resume()
    assert result_of((await world.load("organization", {"organization:client/99": payloads.organization()}))["organization:client/99"]) == "CREATED"


@pytest.mark.requirement("G-03", "L-10")
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_budget_renewed_at_an_unexpected_hour_ends_the_pause(is_restarted: bool) -> None:
    world = World(limits=True, plan="lite", seats=1)
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(12)}
    world.app.limits.state()
    world.app.limits.spend(30_000 - 3_020)
    with pytest.raises(RateLimitedError):
        await world.load("organization", batch)
    if is_restarted:
        world.restart()
    world.app.journal.clear()
    claims = world.ledger.begin_count
    for _ in range(6 * 60):
        world.clock.advance(10)
        with pytest.raises(PausedError):
            await world.load("organization", batch)
    # Four in the hour; a new process, which knows nothing yet, looks once at its start and not at the end of the hour.
    assert [entry.operation for entry in world.app.journal.entries] == ["GET /v1/users/me"] * 4
    assert world.ledger.begin_count == claims
    world.app.limits.spend(-20_000)
    world.clock.advance(900)
    outcomes = await world.load("organization", batch)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"CREATED"}
    assert world.ledger.reports[-1][0] == ""
    assert world.app.journal.summary()["refused_429"] == 0


@pytest.mark.requirement("G-05")
async def test_a_reached_cap_waits_for_a_person_and_closed_deals_go_on() -> None:
    world = World(open_deals_max=0)
    await world.load("organization", {ORG: payloads.organization()})
    open_deal = {"title": "Open", "org_id": {"$ref": ORG}}
    outcomes = await world.load("deal", {"deal:sales_order/1": open_deal, "deal:sales_order/2": payloads.deal(ORG)})
    capped = outcomes["deal:sales_order/1"]
    assert capped is not None
    assert (result_of(capped), capped.reason) == ("WAITING", "TARGET_CAPPED")
    assert result_of(outcomes["deal:sales_order/2"]) == "CREATED"


@pytest.mark.requirement("L-10")
async def test_a_burst_refusal_is_waited_out(world: World) -> None:
    world.fault("status", status=429, body={"success": False, "error": "Request over limit"}, headers={"x-ratelimit-remaining": "0"}, times=2)
    outcomes = await world.load("organization", {ORG: payloads.organization()})
    assert result_of(outcomes[ORG]) == "CREATED"
    assert world.clock.monotonic() >= 2.0


@pytest.mark.requirement("L-15")
async def test_undoing_what_is_in_doubt_finds_it_first(world: World) -> None:
    code = await with_external_id(world)
    before = len(world.live("organization"))
    world.ledger.lose_settles = 1
    batch = {"organization:client/1": org(code, 1)}
    with pytest.raises(SettleLostError):
        await world.load("organization", batch)
    world.ledger.entry("organization:client/2").intent_time = world.clock.now()
    world.restart()
    # What is in doubt is undone with the payload of its intent.
    outcomes = await world.load("organization", batch | {"organization:client/2": org(code, 2)}, is_undo=True)
    assert {result_of(outcome) for outcome in outcomes.values()} == {"DELETED"}
    assert len(world.live("organization")) == before


@pytest.mark.requirement("L-10")
async def test_a_connection_without_key_is_named_and_waits(world: World) -> None:
    del world.environ["TRANSLOAD_CONNECTION_CRM_KEY"]
    with pytest.raises(RateLimitedError) as caught:
        await world.load("organization", {ORG: payloads.organization()})
    assert caught.value.reason == "CONFIGURATION"
    assert "TRANSLOAD_CONNECTION_CRM_KEY" in caught.value.message
    assert world.ledger.reports[-1][0] == "CONFIGURATION"


async def test_a_later_time_to_go_on_is_told_again() -> None:
    world = World(limits=True, plan="lite", seats=1)
    world.app.limits.state()
    batch = {f"organization:client/{number}": payloads.organization(f"Org {number}") for number in range(3)}
    for _ in range(2):
        world.app.limits.spend(30_000)
        with pytest.raises(RateLimitedError):
            await world.load("organization", batch)
        world.clock.advance(24 * 3600 - (world.clock.monotonic() % (24 * 3600)) + 60)
        world.app.limits.state()
    times = [time for reason, time in world.ledger.reports if reason]
    assert len(times) == 2
    assert times[0] != times[1]


async def test_calls_are_spans_with_key_status_and_tokens_and_nothing_personal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("services.common.telemetry.tracer", lambda: provider.get_tracer("test"))
    with provider.get_tracer("test").start_as_current_span("process MAPPED") as message:
        await world.load("organization", {ORG: payloads.organization("Secret Name")})
    span = next(span for span in exporter.get_finished_spans() if span.name == "organizations.create")
    assert span.parent is not None
    assert span.parent.span_id == message.get_span_context().span_id
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.template": "/api/v2/organizations",
        "http.response.status_code": 200,
        "transload.tokens": 5,
        "transload.record.key": ORG,
    }


async def test_a_stop_of_the_target_names_the_connection_it_concerns(world: World) -> None:
    world.fault("status", status=403, body="<html>Cloudflare</html>", times=1)
    with pytest.raises(RateLimitedError) as caught:
        await world.load("organization", {ORG: payloads.organization()})
    assert caught.value.metadata["connection"] == "crm"
