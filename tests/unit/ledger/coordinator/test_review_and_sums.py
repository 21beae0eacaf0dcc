"""Every source record ends in one state, and what waits for a person goes on as the person decides."""

from __future__ import annotations

import pytest

from services.common.errors import InvalidRequestError, NotFoundError
from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator.world import ACTOR, CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb


async def sums(world: World) -> dict[str, tuple[int, int, int, int, int, int, int]]:
    return {
        entity.source_entity: (
            entity.extracted_count,
            entity.loaded_count,
            entity.matched_count,
            entity.skipped_count,
            entity.rejected_count,
            entity.waiting_count,
            entity.pending_count,
        )
        for entity in (await world.summary()).entities
    }


async def items(world: World, **which: object) -> list[pb.ReviewItem]:
    request = pb.ListReviewItemsRequest(migration_id=M, **which)  # type: ignore[arg-type]
    return list((await world.service.ListReviewItems(request, CONTEXT)).review_items)


async def resolve(world: World, resolution: str, *, ids: list[str] | None = None, reason: str = "") -> int:
    request = pb.ResolveReviewItemsRequest(migration_id=M, review_item_ids=ids or [], reason=reason, resolution=resolution, actor=ACTOR)
    return (await world.service.ResolveReviewItems(request, CONTEXT)).resolved_count


@pytest.mark.requirement("X-04", "L-04", "L-16")
async def test_after_a_load_every_record_has_one_state_and_the_sums_agree(world: World) -> None:
    await world.until_loaded()
    counted = await sums(world)
    assert counted == {
        "employee": (2, 0, 1, 0, 0, 1, 0),
        "tax_line": (1, 0, 0, 1, 0, 0, 0),
        "client": (5, 5, 0, 0, 0, 0, 0),
        "product": (2, 2, 0, 0, 0, 0, 0),
        "sales_order": (4, 3, 0, 0, 0, 1, 0),
        "incident": (1, 0, 0, 1, 0, 0, 0),
    }
    assert list(counted) == ["employee", "tax_line", "client", "product", "sales_order", "incident"]
    assert all(extracted == sum(states) for extracted, *states in counted.values())
    summary = await world.summary()
    assert summary.planned_token_count == 123
    assert summary.token_count > 0
    assert summary.mismatch_count == -1
    assert sorted(item.reason for item in await items(world)) == ["OWNER_UNMATCHED", "REFERENCE_MISSING", "REFERENCE_MISSING", "REFERENCE_MISSING"]


@pytest.mark.requirement("L-16", "L-11")
async def test_an_orphan_loads_without_its_reference_when_a_person_says_so(world: World) -> None:
    await world.until_loaded()
    orphan = next(item for item in await items(world, reason="REFERENCE_MISSING") if item.key.startswith("deal:"))
    assert list(orphan.resolutions) == ["retry", "without_reference", "skip"]
    assert await resolve(world, "without_reference", ids=[orphan.review_item_id]) == 1
    await world.run(RunKind.DELTA)
    assert [image["title"] for (entity, _), image in world.pipedrive.records.items() if entity == "deal" and "org_id" not in image] == ["Order 9"]
    assert (await sums(world))["sales_order"] == (4, 4, 0, 0, 0, 0, 0)
    assert not await items(world, reason="REFERENCE_MISSING")


@pytest.mark.requirement("L-11")
async def test_an_orphan_loads_by_itself_once_its_client_arrives(world: World) -> None:
    await world.until_loaded()
    world.changes = {"client": {"404": {"name": "Late Client"}}}
    world.source["client"]["404"] = {"name": "Late Client"}
    await world.run(RunKind.DELTA)
    assert (await sums(world))["sales_order"] == (4, 4, 0, 0, 0, 0, 0)
    assert set(world.pipedrive.creations.values()) == {1}


@pytest.mark.requirement("L-16")
async def test_a_skipped_record_ends_skipped_and_stays_so(world: World) -> None:
    await world.until_loaded()
    assert await resolve(world, "skip", reason="REFERENCE_MISSING") == 3
    assert (await sums(world))["sales_order"] == (4, 3, 0, 1, 0, 0, 0)
    await world.run(RunKind.DELTA)
    assert (await sums(world))["sales_order"] == (4, 3, 0, 1, 0, 0, 0)
    resolved = await items(world, reason="REFERENCE_MISSING", includes_resolved=True)
    assert {(item.resolution, item.actor) for item in resolved} == {("skip", ACTOR)}


@pytest.mark.requirement("L-04", "L-16")
async def test_an_unmatched_owner_matches_after_the_user_was_invited(world: World) -> None:
    await world.until_loaded()
    assert (await sums(world))["employee"] == (2, 0, 1, 0, 0, 1, 0)
    assert await resolve(world, "retry", reason="OWNER_UNMATCHED") == 1
    world.source["employee"]["2"] = {"email": "ana@example.com"}
    world.changes = {"employee": {"2": {"email": "ana@example.com"}}}
    await world.run(RunKind.DELTA)
    assert (await sums(world))["employee"] == (2, 0, 2, 0, 0, 0, 0)


async def test_a_resolution_an_item_does_not_take_is_refused_and_changes_nothing(world: World) -> None:
    await world.until_loaded()
    owner = (await items(world, reason="OWNER_UNMATCHED"))[0]
    with pytest.raises(InvalidRequestError, match="retry, skip"):
        await resolve(world, "keep_target", ids=[owner.review_item_id])
    with pytest.raises(InvalidRequestError, match="resolution"):
        await resolve(world, "perhaps", ids=[owner.review_item_id])
    with pytest.raises(InvalidRequestError, match="takes the resolution"):
        await resolve(world, "accept", reason="OWNER_UNMATCHED")
    with pytest.raises(InvalidRequestError, match="review_item_ids"):
        await resolve(world, "skip")
    with pytest.raises(NotFoundError):
        await resolve(world, "skip", ids=["none"])
    assert not (await items(world, reason="OWNER_UNMATCHED"))[0].resolution


@pytest.mark.requirement("L-10", "X-04")
async def test_each_phase_is_reconciled_before_the_next_opens(world: World) -> None:
    await world.until_loaded()
    run_id = (await world.migration()).latest_run.run_id
    kinds = [
        (event.kind, event.result)
        for event in await world.events()
        if event.kind in {"phase.opened", "phase.reconciled"} and run_id.encode() in event.payload_json
    ]
    phases = ["products", "organizations", "organization_relations", "persons", "deals", "line_items", "activities", "notes", "files", "late_links"]
    assert kinds == [(kind, phase) for phase in phases for kind in ("phase.opened", "phase.reconciled")]


@pytest.mark.requirement("L-07", "L-14")
async def test_the_journey_of_a_record_is_told_whole(world: World) -> None:
    await world.until_loaded()
    journey = await world.service.GetRecord(pb.GetRecordRequest(migration_id=M, key="deal:sales_order/9"), CONTEXT)
    assert journey.source_key == "sales_order/9"
    assert journey.source_state == "waiting"
    assert [page.entity for page in journey.pages] == ["sales_order"]
    assert [record.state for record in journey.records] == ["waiting"] * 3
    assert {item.reason for item in journey.review_items} == {"REFERENCE_MISSING"}
    assert journey.lineage
    assert journey.events
    with pytest.raises(NotFoundError):
        await world.service.GetRecord(pb.GetRecordRequest(migration_id=M, key="client/nobody"), CONTEXT)


@pytest.mark.requirement("L-07")
async def test_records_are_listed_page_by_page_each_once(world: World) -> None:
    await world.until_loaded()
    for size in (1, 2, 3, 7, 1000):
        seen: list[tuple[str, str]] = []
        token = ""
        while True:
            request = pb.ListRecordsRequest(migration_id=M, page_size=size, page_token=token)
            response = await world.service.ListRecords(request, CONTEXT)
            seen.extend((record.source_key, record.key) for record in response.records)
            token = response.next_page_token
            if not token:
                break
        assert len(seen) == len(set(seen)) == 38, size
    skipped = await world.service.ListRecords(pb.ListRecordsRequest(migration_id=M, state="skipped"), CONTEXT)
    assert [(record.source_key, record.reason) for record in skipped.records] == [
        ("incident/1", "SKIPPED_NOT_MAPPED"),
        ("tax_line/1", "SKIPPED_REFERENCE_DATA"),
    ]


@pytest.mark.requirement("L-12")
async def test_reference_exports_are_passed_on(world: World) -> None:
    await world.until_loaded()
    chunks = [chunk async for chunk in world.service.ExportReferenceFiles(pb.ExportReferenceFilesRequest(migration_id=M), CONTEXT)]
    assert [(chunk.file_name, chunk.content) for chunk in chunks] == [("orders.csv", b"id\n")]


async def test_watching_ends_when_nothing_goes_on(world: World) -> None:
    await world.create()
    run_id = await world.start(RunKind.AUDIT)
    messages = []
    async for message in world.service.WatchMigration(pb.WatchMigrationRequest(migration_id=M, until_idle=True), CONTEXT):
        messages.append(message)
        await world.coordinator.step(run_id)
        await world.turn()
    assert messages[-1].migration.state == pb.MIGRATION_STATE_AUDITED
    sequences = [event.sequence for message in messages for event in message.events]
    assert sequences == list(range(1, len(sequences) + 1))
    assert sequences[-1] == messages[-1].summary.event_sequence
