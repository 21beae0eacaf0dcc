"""Nothing moves before the mapping is confirmed; the load is locked until the diff of this very mapping is approved."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from services.common.errors import InvalidRequestError, MappingError, NotFoundError, PreconditionError
from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb
from transload.v1 import transformer_service_pb2 as transformer_pb
from transload.v1.migration_service_pb2 import MigrationState

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from services.common.errors import TransloadError


async def reason_of(call: Awaitable[object]) -> str:
    with pytest.raises((PreconditionError, MappingError)) as caught:
        await call
    error: TransloadError = caught.value
    return error.reason


async def edit(world: World, text: str, base_digest: str = "") -> pb.Mapping:
    request = pb.EditMappingRequest(migration_id=M, mapping_yaml=text, base_digest=base_digest, actor=ACTOR)
    return (await world.service.EditMapping(request, CONTEXT)).mapping


@pytest.mark.requirement("L-02")
async def test_nothing_reaches_the_target_before_the_mapping_is_confirmed(world: World) -> None:
    await world.create()
    for kind in (RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD, RunKind.DELTA):
        assert await reason_of(world.start(kind)) == "WRONG_STATE"
    await world.run(RunKind.AUDIT)
    for kind in (RunKind.SCHEMA, RunKind.SAMPLE, RunKind.LOAD):
        assert await reason_of(world.start(kind)) == "MAPPING_NOT_CONFIRMED"
    assert not world.pipedrive.creations


@pytest.mark.requirement("L-09")
async def test_load_is_locked_until_the_diff_is_approved(world: World) -> None:
    await world.until_prepared()
    assert await reason_of(world.start(RunKind.LOAD)) == "NOT_APPROVED"
    await world.run(RunKind.SAMPLE)
    assert await reason_of(world.start(RunKind.LOAD)) == "NOT_APPROVED"
    wrong = pb.ApproveMigrationRequest(migration_id=M, diff_digest="0" * 64, actor=ACTOR)
    assert await reason_of(world.service.ApproveMigration(wrong, CONTEXT)) == "DIGEST_MISMATCH"
    await world.approve()
    migration = await world.migration()
    assert migration.approver == ACTOR
    assert migration.HasField("approve_time")
    await world.start(RunKind.LOAD)


@pytest.mark.requirement("L-02", "L-09")
async def test_an_edited_mapping_takes_confirmation_and_approval_back(world: World) -> None:
    await world.until_approved()
    mapping = await edit(world, "version: 2\n")
    assert mapping.version == 2
    assert not mapping.is_confirmed
    migration = await world.migration()
    assert migration.state == MigrationState.MIGRATION_STATE_AUDITED
    assert migration.approver == ""
    assert await reason_of(world.start(RunKind.LOAD)) == "MAPPING_NOT_CONFIRMED"
    with pytest.raises(NotFoundError):
        await world.service.GetDiff(pb.GetDiffRequest(migration_id=M), CONTEXT)
    await world.confirm()
    assert await reason_of(world.start(RunKind.LOAD)) == "WRONG_STATE"
    await world.run(RunKind.SCHEMA)
    assert await reason_of(world.start(RunKind.LOAD)) == "NOT_APPROVED"
    await world.run(RunKind.SAMPLE)
    await world.approve()
    await world.run(RunKind.LOAD)
    assert set(world.pipedrive.creations.values()) == {1}


async def test_the_same_mapping_again_is_no_edit(world: World) -> None:
    await world.until_approved()
    mapping = await edit(world, "version: 1\n")
    assert mapping.version == 1
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_APPROVED


@pytest.mark.requirement("L-02")
async def test_a_mapping_with_errors_is_kept_but_not_confirmed(world: World) -> None:
    await world.create()
    await world.run(RunKind.AUDIT)
    mapping = await edit(world, "with error")
    assert [finding.requirement for finding in mapping.findings] == ["L-03"]
    assert await reason_of(world.confirm()) == "MAPPING_INVALID"
    assert await reason_of(edit(world, "broken yaml")) == "MAPPING_INVALID"
    assert await reason_of(edit(world, "version: 3\n", base_digest="other")) == "DIGEST_MISMATCH"


@pytest.mark.requirement("L-02")
async def test_a_workbook_is_of_the_latest_mapping_and_checking_it_stores_nothing(world: World) -> None:
    await world.create()
    with pytest.raises(NotFoundError, match="no mapping yet"):
        await world.service.GetMappingWorkbook(pb.GetMappingWorkbookRequest(migration_id=M), CONTEXT)
    await world.run(RunKind.AUDIT)
    first = await world.service.GetMappingWorkbook(pb.GetMappingWorkbookRequest(migration_id=M), CONTEXT)
    assert (first.mapping_version, first.workbook_json) == (1, b'{"sheets":[],"title":"version: 1\\n"}')
    changes = [transformer_pb.MappingChange(sheet="Policies", row="deal_value", column="Value", value="every")]
    check = pb.CheckMappingWorkbookRequest(migration_id=M, base_version=1, changes=changes)
    checked = await world.service.CheckMappingWorkbook(check, CONTEXT)
    assert checked.result.mapping_yaml == "version: 1\n# every\n"
    assert checked.base_digest == first.mapping_digest
    assert (await world.service.GetMapping(pb.GetMappingRequest(migration_id=M), CONTEXT)).mapping.version == 1
    await edit(world, checked.result.mapping_yaml, base_digest=checked.base_digest)
    assert await reason_of(world.service.CheckMappingWorkbook(check, CONTEXT)) == "DIGEST_MISMATCH"


async def test_a_repeated_request_answers_the_first_answer(world: World) -> None:
    await world.create()
    request = pb.StartAuditRequest(migration_id=M, request_id="7d1b", actor=ACTOR)
    first = await world.service.StartAudit(request, CONTEXT)
    assert (await world.service.StartAudit(request, CONTEXT)).run.run_id == first.run.run_id
    assert await reason_of(world.start(RunKind.AUDIT)) == "RUN_ACTIVE"


async def test_creating_twice_with_the_same_content_is_once(world: World) -> None:
    await world.create()
    await world.create()
    with pytest.raises(InvalidRequestError, match="taken"):
        await world.create(includes_archived=True)
    listed = await world.service.ListMigrations(pb.ListMigrationsRequest(), CONTEXT)
    assert [migration.migration_id for migration in listed.migrations] == [M]


@pytest.mark.parametrize(
    ("field", "value"),
    [("migration_id", "Not An Id"), ("connector", ""), ("source_connection", ""), ("target_connection", "a/b")],
)
async def test_a_malformed_creation_names_its_field(world: World, field: str, value: str) -> None:
    request = pb.CreateMigrationRequest(migration_id="ok", connector="stel_order", source_connection="a", target_connection="b")
    setattr(request, field, value)
    with pytest.raises(InvalidRequestError, match=field):
        await world.service.CreateMigration(request, CONTEXT)


@pytest.mark.requirement("L-14")
async def test_every_decision_is_on_the_trail_with_who_took_it(world: World) -> None:
    await world.until_loaded()
    await world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M, actor="bo"), CONTEXT)
    events = await world.events()
    by_kind = {event.kind: event.actor for event in events}
    assert by_kind["mapping.confirmed"] == by_kind["diff.approved"] == by_kind["run.started"] == ACTOR
    assert by_kind["migration.completed"] == "bo"
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    verdict = await world.service.VerifyAudit(pb.VerifyAuditRequest(migration_id=M), CONTEXT)
    assert verdict.is_whole
    assert verdict.head_hash == events[-1].hash


async def test_a_decision_needs_somebody_who_takes_it(world: World) -> None:
    await world.until_loaded()
    for call in (
        world.service.CompleteMigration(pb.CompleteMigrationRequest(migration_id=M), CONTEXT),
        world.service.RollbackMigration(pb.RollbackMigrationRequest(migration_id=M), CONTEXT),
    ):
        with pytest.raises(InvalidRequestError, match="actor"):
            await call


async def test_an_unknown_migration_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError) as caught:
        await world.service.GetMigration(pb.GetMigrationRequest(migration_id="nobody"), CONTEXT)
    assert caught.value.reason == "MIGRATION_NOT_FOUND"
