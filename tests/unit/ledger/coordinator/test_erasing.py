"""Erasing through the service: answers, repeats, and exports and proofs that hold before and after."""

from __future__ import annotations

from datetime import UTC, timedelta

import orjson
import pytest

from services.ledger.domain import ERASED, RecordFilter, RunKind
from services.ledger.retention import Retention
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World
from transload.audit import files
from transload.audit.chain import format_time
from transload.audit.heads import AuditHead
from transload.audit.verifier import Verdict, verify_export, verify_proof
from transload.v1 import migration_service_pb2 as pb

pytestmark = pytest.mark.requirement("L-14")
KEY = "organization:client/1"


def asked(**fields: object) -> pb.ErasePayloadsRequest:
    return pb.ErasePayloadsRequest(**{"migration_id": M, "actor": ACTOR, "reason": "request 4711", "key": KEY, **fields})  # type: ignore[arg-type]


def data_of(event: pb.Event) -> dict[str, object]:
    plain = {name: getattr(event, name) for name in files.EVENT_FIELDS if name != "event_time"}
    return plain | {"event_time": format_time(event.event_time.ToDatetime(tzinfo=UTC))}


def head_of(head: pb.AuditHead) -> AuditHead:
    return AuditHead(**{field.name: getattr(head, field.name) for field in head.DESCRIPTOR.fields})


async def export(world: World) -> Verdict:
    lines: list[bytes] = []
    async for part in world.service.ExportAudit(pb.ExportAuditRequest(migration_id=M), CONTEXT):
        lines += [files.event_line(data_of(event), event.payload_json) for event in part.events]
        lines += [files.head_line(head_of(head)) for head in part.heads]
    return verify_export(lines, M, world.signer.public_key)


async def proof(world: World) -> tuple[Verdict, bytes]:
    answer = await world.service.ProveRecord(pb.ProveRecordRequest(migration_id=M, key=KEY), CONTEXT)
    proven = [(data_of(one.event), one.event.payload_json, list(one.path)) for one in answer.events]
    content = files.proof_bytes(M, answer.source_key, head_of(answer.head), proven)
    return verify_proof(content, world.signer.public_key), content


async def test_every_proof_holds_before_and_after(world: World) -> None:
    await world.until_loaded()
    (before, _), exported = await proof(world), await export(world)
    assert (before.is_whole, before.erased_count, exported.is_whole, exported.erased_count) == (True, 0, True, 0)
    erased = await world.service.ErasePayloads(asked(), CONTEXT)
    assert list(erased.source_keys) == ["client/1"]
    assert erased.payload_count == before.event_count
    after, content = await proof(world)
    assert (after.is_whole, after.event_count, after.erased_count) == (True, before.event_count + 1, before.event_count)
    assert [one["event"]["kind"] for one in orjson.loads(content)["events"] if one["payload"]] == ["payload.erased"]
    exported = await export(world)
    assert (exported.is_whole, exported.erased_count) == (True, before.event_count)
    assert (await world.service.VerifyAudit(pb.VerifyAuditRequest(migration_id=M), CONTEXT)).is_whole


async def test_a_dry_run_counts_and_leaves_everything(world: World) -> None:
    await world.until_loaded()
    before = [event.payload_json for event in await world.events()]
    planned = await world.service.ErasePayloads(asked(is_dry_run=True, request_id="r"), CONTEXT)
    assert [event.payload_json for event in await world.events()] == before
    assert await world.service.ErasePayloads(asked(request_id="r"), CONTEXT) == planned


async def test_the_same_request_again_gets_the_first_answer_although_nothing_is_left(world: World) -> None:
    await world.until_loaded()
    await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    request = asked(text="Client 1", with_rollback_data=True, request_id="once")
    request.ClearField("key")
    request.text = "Client"
    first = await world.service.ErasePayloads(request, CONTEXT)
    assert first.image_count
    events = len(await world.events())
    assert await world.service.ErasePayloads(request, CONTEXT) == first
    assert len(await world.events()) == events


async def test_a_rollback_keeps_and_names_what_it_cannot_compare_any_more(world: World) -> None:
    await world.until_loaded()
    await world.service.ErasePayloads(asked(with_rollback_data=True), CONTEXT)
    await world.run(RunKind.ROLLBACK)
    async with world.ledger.read() as reader:
        record = (await reader.get_records(M, [KEY]))[KEY]
        kept = [one.key for one in await reader.list_kept(M)]
    assert KEY in kept
    assert {key.partition(":")[2] for key in kept} == {"client/1"}
    assert ("organization", record.target_id) in world.pipedrive.records
    request = asked(is_everything=True, with_rollback_data=True)
    assert (await world.service.ErasePayloads(request, CONTEXT)).payload_count
    verdict = await export(world)
    assert verdict.is_whole
    assert verdict.erased_count


async def test_what_is_kept_of_people_goes_some_days_after_the_end_and_never_before(world: World) -> None:
    await world.until_loaded()
    retention = Retention(world.tools, days=30)
    world.clock.advance(timedelta(days=90).total_seconds())
    assert await retention.look() == [], "it is still open"
    await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    world.clock.advance(timedelta(days=29).total_seconds())
    await world.service.ErasePayloads(asked(with_rollback_data=True), CONTEXT)  # one person before the time does not stand for all
    assert await retention.look() == []
    world.clock.advance(timedelta(days=2).total_seconds())
    assert await retention.look() == [M]
    last = (await world.events())[-1]
    assert (last.kind, last.actor) == (ERASED, "ledger/retention")
    assert "30 days" in last.payload_json.decode()
    assert await retention.look() == []
    exported = await export(world)
    assert exported.is_whole
    async with world.ledger.read() as reader:
        assert {record.image for record in await reader.list_records(M, RecordFilter())} == {""}


async def test_a_rollback_after_the_end_puts_the_time_off(world: World) -> None:
    await world.until_loaded()
    await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    world.clock.advance(timedelta(days=29).total_seconds())
    await world.run(RunKind.ROLLBACK)
    world.clock.advance(timedelta(days=29).total_seconds())
    retention = Retention(world.tools, days=30)
    assert await retention.look() == []
    world.clock.advance(timedelta(days=2).total_seconds())
    assert await retention.look() == [M]
