"""Failures of other services hold a run up; they never lose it."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from services.common.errors import ConfigurationError, RateLimitedError, UnauthorizedError, UnavailableError
from services.ledger.domain import ExtractionState as State
from services.ledger.domain import PauseKind, RunKind
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World
from transload.v1 import ledger_service_pb2 as ledger_pb
from transload.v1 import migration_service_pb2 as pb
from transload.v1.ledger_service_pb2 import ExtractionState
from transload.v1.migration_service_pb2 import MigrationState, RunState


async def steps(world: World, run_id: str, count: int) -> None:
    for _ in range(count):
        await world.coordinator.step(run_id)
        await world.turn()


async def resume(world: World) -> None:
    await world.service.ResumeMigration(pb.ResumeMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)


@pytest.mark.parametrize(
    ("port", "error", "reason"),
    [
        ("extractor", UnauthorizedError("the source refused the key", reason="SOURCE_UNAUTHORIZED"), "SOURCE_UNAUTHORIZED"),
        ("extractor", ConfigurationError("TRANSLOAD_CONNECTION_STEL_KEY is not set"), "CONFIGURATION"),
        ("loader", UnauthorizedError("Pipedrive refused the token", reason="TARGET_UNAUTHORIZED"), "TARGET_UNAUTHORIZED"),
        ("loader", UnauthorizedError("not an admin", reason="TARGET_FORBIDDEN"), "TARGET_FORBIDDEN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_person_must_see_to_pauses_the_run_until_resumed(
    world: World, port: str, error: UnauthorizedError | ConfigurationError, reason: str
) -> None:
    await world.create()
    world.failures[port] = [error]
    run_id = await world.start(RunKind.AUDIT)
    await steps(world, run_id, 30)
    migration = await world.domain()
    assert (migration.pause_kind, migration.pause_reason) == (PauseKind.ERROR, reason)
    assert error.message in migration.pause_message
    await resume(world)
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED
    assert (await world.domain()).pause_kind is PauseKind.NONE
    assert {"migration.paused", "migration.resumed"} <= {event.kind for event in await world.events()}


@pytest.mark.parametrize("port", ["extractor", "transformer", "loader"])
async def test_an_outage_is_shown_and_tried_again_by_itself(world: World, port: str) -> None:
    await world.create()
    world.failures[port] = [UnavailableError(f"the {port} does not answer") for _ in range(4)]
    run_id = await world.start(RunKind.AUDIT)
    shown = set()
    for _ in range(40):
        if await world.coordinator.step(run_id) is None:
            break
        await world.turn()
        shown.add((await world.domain()).pause_kind)
    assert PauseKind.OUTAGE in shown
    assert (await world.domain()).pause_kind is PauseKind.NONE
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_AUDITED


async def test_a_used_up_target_budget_waits_until_its_time(world: World) -> None:
    await world.create()
    world.failures["loader"] = [RateLimitedError("the day's tokens are spent", retry_after_seconds=20)]
    run_id = await world.start(RunKind.AUDIT)
    shown: dict[PauseKind, timedelta] = {}
    for _ in range(60):
        if await world.coordinator.step(run_id) is None:
            break
        migration = await world.domain()
        if migration.resume_time:
            shown[migration.pause_kind] = migration.resume_time - world.clock.now()
        await world.turn()
    assert PauseKind.TARGET_QUOTA in shown
    assert (await world.migration()).latest_run.state == RunState.RUN_STATE_SUCCEEDED


async def test_only_a_look_that_found_tokens_ends_a_pause_for_the_quota_before_its_time(world: World) -> None:
    await world.create()
    await world.start(RunKind.AUDIT)
    report = ledger_pb.ReportTargetRequest(connection=(await world.domain()).target_connection, reason="TARGET_QUOTA_EXHAUSTED", message="used up")
    report.resume_time.FromDatetime(world.clock.now() + timedelta(hours=5))
    await world.workers.ReportTarget(report, CONTEXT)
    assert (await world.domain()).pause_kind is PauseKind.TARGET_QUOTA
    await world.workers.ReportTarget(ledger_pb.ReportTargetRequest(connection=report.connection), CONTEXT)
    assert (await world.domain()).pause_kind is PauseKind.TARGET_QUOTA
    await world.workers.ReportTarget(ledger_pb.ReportTargetRequest(connection=report.connection, is_quota_found=True), CONTEXT)
    assert (await world.domain()).pause_kind is PauseKind.NONE


async def test_a_budget_renewed_before_the_named_time_ends_the_pause(world: World) -> None:
    await world.create()
    world.failures["loader"] = [RateLimitedError("the day's tokens are spent", retry_after_seconds=86_400)]
    run_id = await world.start(RunKind.AUDIT)
    for _ in range(60):
        if await world.coordinator.step(run_id) is None:
            break
        await world.turn()
    kinds = [event.kind for event in await world.events()]
    assert kinds.index("migration.paused") < kinds.index("migration.resumed") < kinds.index("run.succeeded")


async def test_an_extraction_that_stopped_goes_on_from_its_checkpoints_when_resumed(world: World) -> None:
    await world.create()
    world.extraction_failure = (ExtractionState.EXTRACTION_STATE_FAILED, "SOURCE_UNAUTHORIZED", "the source refused the key")
    run_id = await world.start(RunKind.AUDIT)
    await steps(world, run_id, 10)
    migration = await world.domain()
    assert (migration.pause_kind, migration.pause_reason) == (PauseKind.ERROR, "SOURCE_UNAUTHORIZED")
    world.extraction_failure = None
    await resume(world)
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED


@pytest.mark.requirement("L-06")
async def test_an_extractor_that_died_is_started_again(world: World) -> None:
    await world.create()
    run_id = await world.start(RunKind.AUDIT)
    for _ in range(4):
        await world.coordinator.step(run_id)
    assert world.extractor.running
    world.restart()
    assert not world.extractor.running
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED
    entities = (await world.summary()).entities
    assert {entity.source_entity: entity.extracted_count for entity in entities}["client"] == 5


@pytest.mark.requirement("L-06")
async def test_a_paused_migration_reads_no_more_and_goes_on_where_it_was(world: World) -> None:
    await world.create()
    run_id = await world.start(RunKind.AUDIT)
    for _ in range(4):
        await world.coordinator.step(run_id)
    assert world.extractor.running
    await world.service.PauseMigration(pb.PauseMigrationRequest(migration_id=M, actor=ACTOR), CONTEXT)
    await world.coordinator.step(run_id)
    assert not world.extractor.running
    await resume(world)
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED


@pytest.mark.requirement("L-01", "X-04")
async def test_an_entity_that_cannot_be_read_is_shown_and_the_rest_goes_on(world: World) -> None:
    world.malformed = {"client"}
    await world.create()
    await world.run(RunKind.AUDIT)
    report = json.loads((await world.service.GetAudit(pb.GetAuditRequest(migration_id=M), CONTEXT)).report_json)
    assert [problem["entity"] for problem in report["extraction_problems"]] == ["client"]
    items = (await world.service.ListReviewItems(pb.ListReviewItemsRequest(migration_id=M), CONTEXT)).review_items
    assert [(item.reason, item.source_key, item.is_blocking) for item in items] == [("SOURCE_MALFORMED", "client/*", False)]
    assert list(items[0].resolutions) == ["accept"]


@pytest.mark.requirement("L-11")
async def test_an_entity_that_could_not_be_read_is_read_whole_by_the_next_delta(world: World) -> None:
    world.malformed = {"incident", "product"}
    await world.until_loaded()
    assert "product" not in {entity.source_entity for entity in (await world.summary()).entities}
    world.malformed = {"incident"}
    await world.run(RunKind.DELTA)
    products = [image["name"] for (entity, _), image in world.pipedrive.records.items() if entity == "product"]
    assert sorted(products) == ["Pump", "Valve"]
    async with world.ledger.read() as reader:
        extractions = await reader.list_extractions(M)
    assert [(extraction.state, extraction.changed_since is None) for extraction in extractions] == [
        (State.DONE, True),
        (State.DONE, False),
        (State.DONE, True),
    ]


async def test_a_bug_holds_the_run_and_resume_tries_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.create()
    run_id = await world.start(RunKind.AUDIT)
    driver = world.coordinator._drivers[RunKind.AUDIT]

    async def stumble(*_: object) -> float:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(driver, "advance", stumble)
        with pytest.raises(ZeroDivisionError) as caught:
            await world.coordinator.step(run_id)
        await world.coordinator._show_bug(run_id, caught.value)
    migration = await world.domain()
    assert (migration.pause_kind, migration.pause_reason) == (PauseKind.ERROR, "INTERNAL")
    await resume(world)
    assert (await world.finish(run_id)).state == RunState.RUN_STATE_SUCCEEDED


@pytest.mark.requirement("L-05")
async def test_a_refused_schema_record_fails_the_run_with_its_name_and_can_be_tried_again(world: World) -> None:
    await world.create()
    await world.run(RunKind.AUDIT)
    await world.confirm()
    world.pipedrive.refused_keys = {"custom_field:schema/deal.number"}
    run = await world.run(RunKind.SCHEMA)
    assert (run.state, run.reason) == (RunState.RUN_STATE_FAILED, "TARGET_REJECTED")
    assert "custom_field:schema/deal.number" in run.message
    assert (await world.migration()).state == MigrationState.MIGRATION_STATE_CONFIRMED
    world.pipedrive.refused_keys = set()
    assert (await world.run(RunKind.SCHEMA)).state == RunState.RUN_STATE_SUCCEEDED
    assert (await world.migration()).manifest_digest


async def test_nats_away_is_shown_as_an_outage(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    await steps(world, run_id, 3)

    async def away() -> str:
        raise UnavailableError("NATS does not answer")

    world.coordinator._incarnation = away
    await world.coordinator._look_at_streams()
    await world.coordinator.step(run_id)
    migration = await world.domain()
    assert migration.pause_kind is PauseKind.OUTAGE
    assert "NATS" in migration.pause_message


async def test_nats_back_takes_the_outage_back_and_the_work_goes_on(world: World) -> None:
    await world.until_approved()
    run_id = await world.start(RunKind.LOAD)
    await steps(world, run_id, 3)
    answers = world.coordinator._incarnation

    async def away() -> str:
        raise UnavailableError("NATS does not answer")

    world.coordinator._incarnation = away
    await world.coordinator._look_at_streams()
    await world.coordinator.step(run_id)
    assert (await world.domain()).pause_kind is PauseKind.OUTAGE
    world.coordinator._incarnation = answers
    await world.coordinator._look_at_streams()
    await steps(world, run_id, 2)
    assert (await world.domain()).pause_kind is PauseKind.NONE
