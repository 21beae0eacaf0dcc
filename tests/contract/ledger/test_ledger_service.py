"""What `LedgerService` promises the workers, on every storage."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.common.errors import InvalidRequestError, NotFoundError, PausedError, PreconditionError, UnavailableError
from services.ledger.audit import verify_trail
from services.ledger.domain import (
    BatchState,
    ExtractionState,
    Manifest,
    Options,
    PauseKind,
    RecordState,
    Resolution,
    ReviewFilter,
    ReviewItem,
    RunKind,
    RunState,
    WorkState,
)
from services.ledger.sources import paused
from tests.contract.ledger.world import (
    CONTEXT,
    DEALS,
    EXTRACTION,
    ORGANIZATIONS,
    PERSONS,
    RUN,
    TARGET,
    M,
    World,
    actions,
    issue,
    mapped,
    outcome,
    reference,
)
from transload.v1 import ledger_service_pb2 as pb

P1, P2, O1 = "person:client/1", "person:client/2", "organization:client/1"


async def items(world: World, *, includes_resolved: bool = False) -> list[ReviewItem]:
    async with world.ledger.read() as reader:
        return list(await reader.list_review_items(M, ReviewFilter(includes_resolved=includes_resolved)))


async def tokens(world: World) -> int:
    async with world.ledger.read() as reader:
        run = await reader.get_run(RUN)
    assert run is not None
    return run.token_count


async def load(world: World, key: str = P1, *, name: str = "Ann", batch_id: str = "b1") -> None:
    """Create a record the plain way."""
    await world.expect(key, batch_id=batch_id)
    record = mapped(key, name=name)
    await world.begin_batch(record, batch_id=batch_id)
    image = f'{{"name":"{name}"}}'.encode()
    target_id = key.rpartition("/")[2]
    assert await world.settle(outcome(key, "CREATED", target_id=target_id, image_json=image, payload_digest=record.payload_digest), batch_id=batch_id)


# context, manifest


async def test_a_worker_learns_its_connections_and_options_but_no_mapping(world: World) -> None:
    await world.begin(options=Options(source_account="acme-es", mapping_overrides_yaml="secret: 1", file_bytes_max=5))
    answer = await world.servicer.GetWorkContext(pb.GetWorkContextRequest(migration_id=M), CONTEXT)
    assert (answer.connector, answer.source_connection, answer.target_connection) == ("stel_order", "stel-acme", TARGET)
    assert (answer.source_account, answer.is_paused) == ("acme-es", False)
    assert '"file_bytes_max":5' in answer.options_json
    assert "secret" not in answer.options_json
    with pytest.raises(NotFoundError) as failed:
        await world.servicer.GetWorkContext(pb.GetWorkContextRequest(migration_id="nobody"), CONTEXT)
    assert failed.value.reason == "MIGRATION_NOT_FOUND"


async def test_a_manifest_is_found_by_its_digest(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.save_manifest(Manifest("m1", M, b'{"a":1}', world.clock.now()))
    assert (await world.servicer.GetManifest(pb.GetManifestRequest(manifest_digest="m1"), CONTEXT)).manifest_json == b'{"a":1}'
    with pytest.raises(NotFoundError):
        await world.servicer.GetManifest(pb.GetManifestRequest(manifest_digest="m2"), CONTEXT)


# pages and extraction


@pytest.mark.requirement("L-06")
async def test_a_page_recorded_twice_is_recorded_once(world: World) -> None:
    await world.begin()
    page = world.page(next_cursor="2")
    assert await world.record_page(page, "1", "2") == 1
    assert await world.record_page(page, "1", "2") == 1
    assert await world.record_page(world.page(number=1), "3") == 2
    assert (await world.event_kinds()).count("page.recorded") == 2
    assert await items(world) == []


@pytest.mark.requirement("L-06")
async def test_checkpoints_say_where_to_go_on(world: World) -> None:
    await world.begin()
    await world.record_page(world.page(next_cursor="2"), "1", "2")
    await world.record_page(world.page("contact"), "9")
    failed = pb.ReportExtractionRequest(
        extraction_id=EXTRACTION, entity="event", state=pb.EXTRACTION_STATE_NO_ACCESS, reason="SOURCE_FORBIDDEN", message="no right"
    )
    await world.servicer.ReportExtraction(failed, CONTEXT)
    answer = await world.servicer.ListCheckpoints(pb.ListCheckpointsRequest(extraction_id=EXTRACTION), CONTEXT)
    assert {(point.entity, point.cursor, point.next_page_number, point.is_final) for point in answer.checkpoints} == {
        ("client", "2", 1, False),
        ("contact", "", 1, True),
        ("event", "", 0, True),
    }


@pytest.mark.requirement("X-04")
async def test_a_record_read_twice_in_one_extraction_is_flagged_and_counted_once(world: World) -> None:
    await world.begin()
    await world.record_page(world.page(next_cursor="2"), "1", "2")
    await world.record_page(world.page(number=1), "2", "3", "3")
    assert {(item.source_key, item.reason, item.is_blocking) for item in await items(world)} == {
        ("client/2", "DUPLICATE_KEY", False),
        ("client/3", "DUPLICATE_KEY", False),
    }
    async with world.ledger.read() as reader:
        (count,) = await reader.summarize_sources(M)
        assert count.extracted_count == 3
        assert await reader.list_source_ids(M, f"{EXTRACTION}/client/0") == ["1"]
        assert await reader.list_source_ids(M, f"{EXTRACTION}/client/1") == ["2", "3"]


@pytest.mark.requirement("L-11")
async def test_a_page_of_a_later_extraction_replaces_without_a_flag(world: World) -> None:
    await world.begin()
    await world.record_page(world.page(), "1", "2")
    async with world.ledger.transaction() as tx:
        first = await tx.get_extraction(EXTRACTION)
        assert first is not None
        await tx.save_extraction(type(first)("ext-2", M, "run-delta", world.clock.now()))
    await world.record_page(world.page(extraction_id="ext-2"), "2")
    assert await items(world) == []
    async with world.ledger.read() as reader:
        assert await reader.list_source_ids(M, "ext-2/client/0") == ["2"]


async def test_pages_are_listed_in_parts(world: World) -> None:
    await world.begin()
    for number in range(5):
        await world.record_page(world.page(number=number, next_cursor=str(number + 1)), f"{number}")
    found: list[int] = []
    token = ""
    for _ in range(3):
        request = pb.ListPagesRequest(migration_id=M, after_sequence=1, until_sequence=4, page_size=2, page_token=token)
        answer = await world.servicer.ListPages(request, CONTEXT)
        found.extend(page.sequence for page in answer.pages)
        token = answer.next_page_token
        if not token:
            break
    assert found == [2, 3, 4]
    with pytest.raises(InvalidRequestError):
        await world.servicer.ListPages(pb.ListPagesRequest(migration_id=M, page_token="x"), CONTEXT)


async def test_a_page_with_a_wrong_number_of_ids_or_extraction_is_refused(world: World) -> None:
    await world.begin()
    with pytest.raises(NotFoundError):
        await world.record_page(world.page(extraction_id="ext-9"), "1")
    async with world.ledger.transaction() as tx:
        page_count = await tx.page_sequence(M)
    assert page_count == 0


async def test_waiting_for_the_sources_quota_shows_as_a_pause_that_holds_no_work(world: World) -> None:
    await world.begin()
    request = pb.ReportExtractionRequest(
        extraction_id=EXTRACTION, state=pb.EXTRACTION_STATE_WAITING, reason="SOURCE_QUOTA_EXHAUSTED", message="1,000 calls used"
    )
    request.resume_time.FromDatetime((world.clock.now() + timedelta(hours=3)).replace(tzinfo=None))
    await world.servicer.ReportExtraction(request, CONTEXT)
    async with world.ledger.read() as reader:
        migration, extraction = await reader.get_migration(M), await reader.get_extraction(EXTRACTION)
    assert migration is not None
    assert extraction is not None
    assert (migration.pause_kind, migration.resume_time) == (PauseKind.SOURCE_QUOTA, world.clock.now() + timedelta(hours=3))
    assert extraction.state is ExtractionState.WAITING
    assert not (await world.servicer.GetWorkContext(pb.GetWorkContextRequest(migration_id=M), CONTEXT)).is_paused
    going = pb.ReportExtractionRequest(extraction_id=EXTRACTION, state=pb.EXTRACTION_STATE_RUNNING)
    await world.servicer.ReportExtraction(going, CONTEXT)
    await world.servicer.ReportExtraction(going, CONTEXT)
    async with world.ledger.read() as reader:
        migration = await reader.get_migration(M)
    assert migration is not None
    assert migration.pause_kind is PauseKind.NONE
    assert (await world.event_kinds()).count("extraction.reported") == 2


@pytest.mark.requirement("L-06")
async def test_the_days_budget_is_kept_and_a_repeated_debit_counts_once(world: World) -> None:
    await world.begin()

    async def debit(count: int, request_id: str, day: str = "2026-01-01", limit: int = 10) -> tuple[int, int]:
        request = pb.DebitSourceCallsRequest(
            connection="stel-acme", day=day, call_count=count, daily_limit=limit, request_id=request_id, extraction_id=EXTRACTION
        )
        answer = await world.servicer.DebitSourceCalls(request, CONTEXT)
        return answer.granted_count, answer.used_count

    assert await debit(6, "a") == (6, 6)
    assert await debit(6, "a") == (6, 6)
    assert await debit(6, "b") == (4, 10)
    assert await debit(1, "c") == (0, 10)
    assert await debit(1, "d", day="2026-01-02") == (1, 1)
    assert await debit(5, "e", limit=0) == (5, 15)
    async with world.ledger.read() as reader:
        extraction = await reader.get_extraction(EXTRACTION)
    assert extraction is not None
    assert extraction.source_call_count == 16


# transforms


@pytest.mark.requirement("X-04", "L-07")
async def test_a_transform_registers_batches_rejects_skips_and_waiting(world: World) -> None:
    await world.begin()
    page = world.page(count=5)
    await world.record_page(page, "1", "2", "3", "4", "5")
    announcement = await world.announce(page)
    issues = [
        issue("REJECTED", "client/2", "VALUE_INVALID", message="born 31 February"),
        issue("SKIPPED", "client/3", "SKIPPED_BY_CONDITION"),
        issue("WAITING", "client/4", "VALUE_UNMAPPED", key="person:client/4"),
        issue("FLAGGED", "client/1", "OWNER_UNMATCHED", key=P1),
    ]
    assert await world.transform(announcement, [P1], issues)
    assert await world.transform(announcement, [P1], issues)
    assert (await world.state(P1), await world.state("person:client/4")) == ("expected", "waiting")
    async with world.ledger.read() as reader:
        (count,) = await reader.summarize_sources(M)
        work = await reader.get_page_work(RUN, page.page_id, PERSONS)
        skip_file = await reader.list_source_issues(M, state="rejected")
    assert (count.pending_count, count.rejected_count, count.skipped_count, count.waiting_count) == (2, 1, 1, 1)
    assert work is not None
    assert work.state is WorkState.TRANSFORMED
    assert [(found.source_key, found.reason, found.message) for found in skip_file] == [("client/2", "VALUE_INVALID", "born 31 February")]
    assert {(item.reason, item.is_blocking) for item in await items(world)} == {("VALUE_UNMAPPED", True), ("OWNER_UNMATCHED", False)}
    kinds = await world.event_kinds()
    assert kinds.count("page.mapped") == 1
    assert {"source.rejected", "source.skipped", "record.waiting"} <= set(kinds)
    async with world.ledger.read() as reader:
        columns = [(event.key, event.source_key, event.target_id, event.result, event.actor) for event in await reader.list_events(M)]
    assert "February" not in str(columns)


async def test_a_transform_is_not_wanted_when_final_paused_over_or_never_announced(world: World) -> None:
    await world.begin()
    page = world.page()
    await world.record_page(page, "1", "2")
    announcement = await world.announce(page)
    async with world.ledger.transaction() as tx:
        await tx.save_migration(paused(world.migration(), PauseKind.USER, "", "lunch", None))
    assert not await world.transform(announcement, [P1])
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration())
        await tx.save_run(world.run(state=RunState.CANCELLED))
    assert not await world.transform(announcement, [P1])
    async with world.ledger.transaction() as tx:
        await tx.save_run(world.run())
    assert await world.transform(announcement)
    assert not await world.transform(announcement, [P1])  # it gave nothing, so it is final
    announcement.page.page_id = "ext-1/client/7"
    assert not await world.transform(announcement, [P1])
    assert await world.state(P1) == ""


async def test_a_repeated_transform_forgets_what_no_longer_comes_but_nothing_that_had_an_effect(world: World) -> None:
    await world.begin()
    page = world.page(count=3)
    await world.record_page(page, "1", "2", "3")
    announcement = await world.announce(page)
    await world.transform(announcement, [P1, P2, "person:client/3"], [issue("WAITING", "client/3", "VALUE_UNMAPPED", key="person:client/3/part")])
    await world.begin_batch(mapped(P1), mapped(P2), mapped("person:client/3"))
    await world.settle(outcome(P1, "CREATED", target_id="1"), outcome(P2, "NOT_TRIED"), outcome("person:client/3", "UNKNOWN"))
    assert await world.transform(announcement, ["person:client/2/new"], batch_id="b2")
    assert await world.state(P1) == "loaded"
    assert await world.state(P2) == ""
    assert await world.state("person:client/2/new") == "expected"
    assert await world.state("person:client/3") == "in_doubt"
    assert await world.state("person:client/3/part") == ""
    # What is in Pipedrive stays, people may have worked on it; but somebody is told.
    (item,) = await items(world)
    assert (item.key, item.reason, item.is_blocking) == (P1, "SKIPPED_NOT_MAPPED", False)


@pytest.mark.requirement("L-11", "L-16")
async def test_a_loaded_record_that_was_deleted_in_the_source_stays_and_is_flagged(world: World) -> None:
    await world.begin()
    page = world.page()
    await world.record_page(page, "1", "2")
    announcement = await world.announce(page)
    await world.transform(announcement, [P1, P2])
    await world.begin_batch(mapped(P1), mapped(P2))
    await world.settle(outcome(P1, "CREATED", target_id="1"), outcome(P2, "NOT_TRIED"))
    await world.transform(announcement, [P2], [issue("SKIPPED", "client/1", "SKIPPED_DELETED")], batch_id="b2")
    assert await world.state(P1) == "loaded"
    (item,) = await items(world)
    assert (item.key, item.reason, item.is_blocking) == (P1, "SKIPPED_DELETED", False)
    assert "stays in Pipedrive" in item.message


async def test_a_sample_tells_nothing_of_what_it_did_not_select(world: World) -> None:
    await world.begin()
    page = world.page()
    await world.record_page(page, "1", "2")
    await world.know(world.record(P2))
    announcement = await world.announce(page)
    announcement.selection_digest = "s"
    assert await world.transform(announcement, [P1])
    assert await world.state(P2) == "expected"


@pytest.mark.requirement("L-16")
async def test_what_a_person_left_out_stays_out_when_mapped_again(world: World) -> None:
    await world.begin()
    page = world.page()
    await world.record_page(page, "1", "2")
    waits = [issue("WAITING", "client/1", "VALUE_UNMAPPED")]
    await world.transform(await world.announce(page), [P2], waits)
    async with world.ledger.transaction() as tx:
        (item,) = await tx.list_review_items(M, ReviewFilter())
        await tx.resolve_review_items(M, [item.review_item_id], Resolution.SKIP, "ann", world.clock.now())
    await world.transform(await world.announce(page), [P2], waits)
    assert await items(world) == []
    async with world.ledger.read() as reader:
        assert await reader.source_state(M, "client", "1") == "skipped"


# claims


async def test_a_batch_is_created_once_and_then_done(world: World) -> None:
    await world.begin()
    await world.expect(P1, P2)
    answer = await world.begin_batch(mapped(P1, name="Ann"), mapped(P2, name="Bob"))
    assert actions(answer) == {P1: "CREATE", P2: "CREATE"}
    assert (answer.connection, answer.run_kind) == (TARGET, "load")
    assert answer.claim_expire_time.ToDatetime() == (world.clock.now() + timedelta(seconds=60)).replace(tzinfo=None)
    assert not await world.settle(outcome(P1, "CREATED", target_id="7", tokens=5, image_json=b'{"name":"Ann"}'))
    assert await world.settle(outcome(P2, "CREATED", target_id="8", tokens=5), request_id="s2")
    assert await world.settle(outcome(P2, "CREATED", target_id="8", tokens=5), request_id="s2")
    assert await tokens(world) == 10
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), mapped(P2, name="Bob"))) == {P1: "DONE", P2: "DONE"}
    record = await world.get(P1)
    assert (record.state, record.target_id, record.image, record.intent_time, record.create_order) == (
        RecordState.LOADED,
        "7",
        '{"name":"Ann"}',
        None,
        1,
    )
    assert (await world.get(P2)).create_order == 2
    async with world.ledger.read() as reader:
        batch = await reader.get_batch("b1")
        assert (await verify_trail(reader, M)).is_whole
    assert batch is not None
    assert batch.state is BatchState.FINAL
    assert (await world.event_kinds()).count("record.created") == 2


@pytest.mark.requirement("L-14")
async def test_an_event_tells_the_calls_and_keeps_words_out_of_its_columns(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1, name="Ann"))
    await world.settle(outcome(P1, "REJECTED", reason="TARGET_REJECTED", message="Ann Smith is no name", tokens=5))
    async with world.ledger.read() as reader:
        event = (await reader.list_events_of_source(M, "client/1"))[-1]
    assert (event.kind, event.key, event.result, event.actor) == ("record.rejected", P1, "rejected", "loader-1")
    assert b'"path":"/api/v2/persons"' in event.payload
    assert b"Ann Smith" in event.payload
    assert await world.state(P1) == "rejected"


async def test_the_lost_answer_of_a_claim_is_given_again(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    first = await world.begin_batch(mapped(P1), request_id="r1")
    again = await world.begin_batch(mapped(P1), request_id="r1")
    assert actions(first) == actions(again) == {P1: "CREATE"}


async def test_a_jump_of_the_wall_clock_ends_no_claim(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    assert (await world.begin_batch(mapped(P1), holder="loader-1/a")).claim_duration.ToTimedelta() == timedelta(seconds=60)
    world.clock.jump(3600)
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "HELD"}
    world.clock.jump(-7200)
    world.clock.advance(60)
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "IN_DOUBT"}


@pytest.mark.parametrize("jump_seconds", [0, 55, 3600, -40, -3600])
async def test_claims_outlast_a_restart_of_the_ledger_whatever_its_clock_shows_then(world: World, jump_seconds: int) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1), holder="loader-1/a")
    world.clock.advance(5)
    world.clock.jump(jump_seconds)
    world.restart()
    world.clock.advance(54)
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "HELD"}, "its holder may still be creating"
    world.clock.advance(66)
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "IN_DOUBT"}, "no claim lasts for good"


async def test_a_live_claim_holds_off_other_replicas_until_it_expires(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1), holder="loader-1/a")
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "HELD"}
    world.clock.advance(59)
    assert actions(await world.begin_batch(mapped(P1), holder="loader-2/a")) == {P1: "HELD"}
    world.clock.advance(1)
    answer = await world.begin_batch(mapped(P1), holder="loader-2/a")
    assert actions(answer) == {P1: "IN_DOUBT"}
    assert answer.decisions[0].intent_time.ToDatetime() == (world.clock.now() - timedelta(seconds=60)).replace(tzinfo=None)


async def test_a_restarted_replica_takes_over_at_once(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1), holder="loader-1/a")
    assert actions(await world.begin_batch(mapped(P1), holder="loader-1/b")) == {P1: "IN_DOUBT"}


async def test_one_process_does_not_work_on_a_record_in_two_batches(world: World) -> None:
    await world.begin()
    await world.expect(P1, batch_id="b1")
    await world.expect(P1, batch_id="b2")
    await world.begin_batch(mapped(P1), batch_id="b1")
    assert actions(await world.begin_batch(mapped(P1), batch_id="b2")) == {P1: "HELD"}
    assert actions(await world.begin_batch(mapped(P1), batch_id="b1")) == {P1: "IN_DOUBT"}
    await world.settle(outcome(P1, "CREATED", target_id="7"), batch_id="b1")
    assert actions(await world.begin_batch(mapped(P1), batch_id="b2")) == {P1: "DONE"}
    async with world.ledger.read() as reader:
        assert (await reader.phase_progress(RUN, PERSONS)).open_batch_count == 0


async def test_an_unknown_outcome_leaves_the_record_in_doubt_and_its_first_intent_counts(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    start = world.clock.now()
    await world.begin_batch(mapped(P1))
    assert not await world.settle(outcome(P1, "UNKNOWN"))
    assert await world.state(P1) == "in_doubt"
    world.clock.advance(30)
    answer = await world.begin_batch(mapped(P1))
    assert actions(answer) == {P1: "IN_DOUBT"}
    assert answer.decisions[0].intent_time.ToDatetime() == start.replace(tzinfo=None)
    # Not tried again: the first intent is still without outcome.
    assert not await world.settle(outcome(P1, "NOT_TRIED"))
    assert actions(await world.begin_batch(mapped(P1))) == {P1: "IN_DOUBT"}
    assert await world.settle(outcome(P1, "CREATED", target_id="7"))


async def test_a_claim_not_used_is_withdrawn_with_its_intent(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1))
    assert not await world.settle(outcome(P1, "NOT_TRIED"))
    assert (await world.get(P1)).intent_time is None
    assert actions(await world.begin_batch(mapped(P1))) == {P1: "CREATE"}


@pytest.mark.requirement("L-15")
async def test_a_creation_told_too_late_counts_and_a_second_one_is_never_swallowed(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1), holder="loader-1/a")
    world.clock.advance(61)
    await world.begin_batch(mapped(P1), holder="loader-2/a")
    await world.settle(outcome(P1, "CREATED", target_id="7", tokens=5), holder="loader-1/a")
    assert (await world.get(P1)).target_id == "7"
    await world.settle(outcome(P1, "UNKNOWN"), holder="loader-2/a")
    assert await world.state(P1) == "loaded"
    await world.settle(outcome(P1, "CREATED", target_id="9"), holder="loader-2/a")
    assert (await world.get(P1)).target_id == "7"
    (item,) = await items(world)
    assert (item.reason, item.is_blocking) == ("DUPLICATE_KEY", False)
    assert "record.duplicated" in await world.event_kinds()
    # The second copy is known, so that a rollback takes it back like the first.
    copy = await world.get(f"{P1}/copy-9")
    assert (copy.state, copy.target_id, copy.is_preexisting) == (RecordState.LOADED, "9", False)
    async with world.ledger.read() as reader:
        undone = await reader.list_records_to_undo(M, copy.phase, "person")
    assert [record.target_id for record in undone] == ["9", "7"]


@pytest.mark.requirement("L-11")
async def test_changed_values_are_updated_against_the_last_image(world: World) -> None:
    await world.begin(options=Options(conflict_policy="target"))
    await load(world)
    await world.expect(P1, batch_id="b2")
    answer = await world.begin_batch(mapped(P1, name="Anna"), batch_id="b2")
    decision = answer.decisions[0]
    assert actions(answer) == {P1: "UPDATE"}
    assert (decision.target_id, decision.last_image_json, decision.conflict_policy) == ("1", b'{"name":"Ann"}', "target")
    # An update whose outcome is unknown is repeated freely.
    assert not await world.settle(outcome(P1, "UNKNOWN"), batch_id="b2")
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), batch_id="b2")) == {P1: "UPDATE"}
    new = mapped(P1, name="Anna")
    done = outcome(P1, "UPDATED", image_json=b'{"name":"Anna"}', payload_digest=new.payload_digest)
    assert await world.settle(done, batch_id="b2")
    await world.expect(P1, batch_id="b3")
    assert actions(await world.begin_batch(new, batch_id="b3")) == {P1: "DONE"}


@pytest.mark.requirement("L-15")
async def test_the_pre_image_of_what_was_there_before_is_the_first_one_seen(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    first = mapped(P1, name="Ann")
    await world.begin_batch(first)
    await world.settle(outcome(P1, "MATCHED", target_id="7", payload_digest=first.payload_digest))
    assert (await world.state(P1), (await world.get(P1)).is_preexisting) == ("matched", True)
    for number, (name, pre_image) in enumerate((("Anna", b'{"name":"A."}'), ("Annie", b'{"name":"Anna","phone":"1"}')), 2):
        batch_id = f"b{number}"
        await world.expect(P1, batch_id=batch_id)
        record = mapped(P1, name=name)
        await world.begin_batch(record, batch_id=batch_id)
        await world.settle(outcome(P1, "UPDATED", pre_image_json=pre_image, payload_digest=record.payload_digest), batch_id=batch_id)
    record_now = await world.get(P1)
    assert record_now.pre_image == '{"name":"A.","phone":"1"}'
    assert (record_now.state, record_now.is_preexisting) == (RecordState.LOADED, True)


# references


@pytest.mark.requirement("X-01")
async def test_references_resolve_by_key_with_policy_and_fallback(world: World) -> None:
    await world.begin()
    await world.know(
        world.record(O1, RecordState.LOADED, target_id="100", phase=ORGANIZATIONS),
        world.record("organization:client/2", RecordState.REJECTED, phase=ORGANIZATIONS),
        world.record("user:schema/fallback", RecordState.MATCHED, target_id="5", phase=1, is_preexisting=True),
    )
    await world.expect(P1, P2)
    answer = await world.begin_batch(
        mapped(P1, [reference(O1), reference("user:employee/9", "FALLBACK", "user:schema/fallback")]),
        mapped(P2, [reference("organization:client/2", "DROP")]),
    )
    assert actions(answer) == {P1: "CREATE", P2: "CREATE"}
    assert dict(answer.reference_ids) == {O1: "100", "user:employee/9": "5"}
    assert list(answer.dropped_references) == ["organization:client/2"]


@pytest.mark.requirement("X-01", "L-16")
@pytest.mark.parametrize("state", [None, RecordState.REJECTED, RecordState.WAITING, RecordState.SKIPPED, RecordState.UNDONE])
async def test_a_record_whose_reference_is_missing_waits_in_review_and_goes_on_later(world: World, state: RecordState | None) -> None:
    await world.begin()
    if state is not None:
        await world.know(world.record(O1, state, phase=ORGANIZATIONS, target_id="9" if state is RecordState.UNDONE else ""))
    await world.expect(P1)
    person = mapped(P1, [reference(O1)])
    assert actions(await world.begin_batch(person)) == {P1: "BLOCKED"}
    (item,) = await items(world)
    assert (item.reason, item.key, item.is_blocking) == ("REFERENCE_MISSING", P1, True)
    assert O1 in item.message
    async with world.ledger.read() as reader:
        assert (await reader.phase_progress(RUN, PERSONS)).open_batch_count == 0
    await world.know(world.record(O1, RecordState.LOADED, target_id="100", phase=ORGANIZATIONS))
    await world.expect(P1, batch_id="b2")
    assert actions(await world.begin_batch(person, batch_id="b2")) == {P1: "CREATE"}
    assert await world.settle(outcome(P1, "CREATED", target_id="7"), batch_id="b2")
    assert await items(world) == []
    (closed,) = await items(world, includes_resolved=True)
    assert closed.resolution is Resolution.RETRY


async def test_a_reference_that_is_just_being_loaded_is_waited_for(world: World) -> None:
    await world.begin()
    await world.know(world.record("person:client/9", RecordState.CLAIMED, holder="loader-2/a"))
    await world.expect(P1)
    assert actions(await world.begin_batch(mapped(P1, [reference("person:client/9")]))) == {P1: "HELD"}
    assert await world.state(P1) == "expected"


@pytest.mark.requirement("L-16")
@pytest.mark.parametrize(("resolution", "action"), [(Resolution.WITHOUT_REFERENCE, "CREATE"), (Resolution.SKIP, "DONE")])
async def test_a_persons_decision_on_a_missing_reference_is_followed(world: World, resolution: Resolution, action: str) -> None:
    await world.begin()
    state = RecordState.SKIPPED if resolution is Resolution.SKIP else RecordState.WAITING
    await world.know(world.record(P1, state, resolution=resolution))
    await world.expect(P1)
    answer = await world.begin_batch(mapped(P1, [reference(O1)]))
    assert actions(answer) == {P1: action}
    if action == "CREATE":
        assert list(answer.dropped_references) == [O1]


@pytest.mark.requirement("L-16")
async def test_who_maps_is_told_what_goes_without_its_references(world: World) -> None:
    await world.begin()
    await world.know(world.record(P1, RecordState.WAITING, resolution=Resolution.WITHOUT_REFERENCE))
    await world.know(world.record(O1, RecordState.WAITING, resolution=Resolution.RETRY, phase=ORGANIZATIONS))
    request = pb.ListReleasedRequest(migration_id=M, keys=[P1, O1, "person:client/404"])
    assert list((await world.servicer.ListReleased(request, CONTEXT)).keys) == [P1]
    with pytest.raises(InvalidRequestError, match="at most 1000"):
        await world.servicer.ListReleased(pb.ListReleasedRequest(migration_id=M, keys=["k"] * 1001), CONTEXT)


@pytest.mark.requirement("L-16")
async def test_a_conflict_waits_and_the_decision_goes_to_the_loader(world: World) -> None:
    await world.begin()
    await load(world)
    await world.expect(P1, batch_id="b2")
    new = mapped(P1, name="Anna")
    await world.begin_batch(new, batch_id="b2")
    assert await world.settle(outcome(P1, "WAITING", reason="CONFLICT", message="both sides"), batch_id="b2")
    (item,) = await items(world)
    assert (item.reason, item.is_blocking) == ("CONFLICT", True)
    await world.know(replace(await world.get(P1), resolution=Resolution.USE_SOURCE))
    await world.expect(P1, batch_id="b3")
    answer = await world.begin_batch(new, batch_id="b3")
    assert (actions(answer), answer.decisions[0].conflict_policy) == ({P1: "UPDATE"}, "source")
    assert await world.settle(outcome(P1, "UPDATED", payload_digest=new.payload_digest), batch_id="b3")
    assert (await world.get(P1)).resolution is Resolution.NONE
    assert await items(world) == []


async def test_a_refused_record_is_tried_again_only_with_other_values_or_when_asked(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1, name="Ann"))
    assert await world.settle(outcome(P1, "REJECTED", reason="TARGET_REJECTED", message="no"))
    await world.expect(P1, batch_id="b2")
    assert actions(await world.begin_batch(mapped(P1, name="Ann"), batch_id="b2")) == {P1: "DONE"}
    assert await world.state(P1) == "rejected"
    await world.expect(P1, batch_id="b3")
    assert actions(await world.begin_batch(mapped(P1, name="Anna"), batch_id="b3")) == {P1: "CREATE"}


@pytest.mark.requirement("L-04")
async def test_a_flag_opens_an_item_that_holds_nothing_up(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1))
    assert await world.settle(outcome(P1, "MATCHED", target_id="5", flag_reason="OWNER_UNMATCHED", message="fallback used"))
    (item,) = await items(world)
    assert (item.reason, item.is_blocking, await world.state(P1)) == ("OWNER_UNMATCHED", False, "matched")


# refusals


async def test_no_work_is_given_when_paused_over_too_early_or_unknown(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.expect("deal:order/1", batch_id="late", phase=DEALS)
    with pytest.raises(UnavailableError):
        await world.begin_batch(mapped("deal:order/1"), batch_id="late", phase=DEALS)
    with pytest.raises(NotFoundError):
        await world.begin_batch(mapped(P1), batch_id="unheard-of")
    async with world.ledger.transaction() as tx:
        await tx.save_migration(paused(world.migration(), PauseKind.USER, "", "lunch", None))
    with pytest.raises(PausedError):
        await world.begin_batch(mapped(P1))
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration())
        await tx.save_run(world.run(state=RunState.CANCELLED))
    with pytest.raises(PreconditionError):
        await world.begin_batch(mapped(P1))
    assert await world.state(P1) == "expected"


async def test_outcomes_are_stored_even_when_the_run_was_paused_or_cancelled_since(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1))
    async with world.ledger.transaction() as tx:
        await tx.save_migration(paused(world.migration(), PauseKind.USER, "", "stop", None))
        await tx.save_run(world.run(state=RunState.CANCELLED))
    assert await world.settle(outcome(P1, "CREATED", target_id="7", tokens=5))
    assert (await world.state(P1), await tokens(world)) == ("loaded", 5)


async def test_calls_of_the_batch_as_a_whole_are_counted_once(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    await world.begin_batch(mapped(P1))
    listing = [pb.TargetCall(method="GET", path="/api/v2/persons", status=200, token_count=10)]
    for _ in range(2):
        await world.settle(outcome(P1, "CREATED", target_id="7", tokens=5), shared_calls=listing, request_id="s")
    assert await tokens(world) == 15


@pytest.mark.parametrize(
    "broken",
    [
        outcome(P1, "UNSPECIFIED"),
        outcome(P1, "CREATED"),
        outcome(P1, "REJECTED"),
        outcome(P1, "WAITING", reason="NONSENSE"),
        outcome("person:client/404", "NOT_TRIED"),
    ],
    ids=["no result", "no id", "no reason", "unknown reason", "unknown record"],
)
async def test_an_outcome_that_breaks_the_contract_is_refused_whole(world: World, broken: pb.RecordOutcome) -> None:
    await world.begin()
    await world.expect(P1, P2)
    await world.begin_batch(mapped(P1), mapped(P2))
    with pytest.raises(InvalidRequestError):
        await world.settle(outcome(P2, "CREATED", target_id="8"), broken)
    assert await world.state(P2) == "claimed"


# undo


@pytest.mark.requirement("L-15")
async def test_undo_deletes_what_we_made_and_restores_what_was_there(world: World) -> None:
    await world.begin()
    await load(world, P1)
    preexisting = world.record(P2, RecordState.LOADED, target_id="2", is_preexisting=True, pre_image='{"name":"B."}', image='{"name":"Bob"}')
    matched = world.record("person:client/3", RecordState.MATCHED, target_id="3", is_preexisting=True)
    await world.know(preexisting, matched, world.record("person:client/4", RecordState.IN_DOUBT, intent_time=world.clock.now()))
    async with world.ledger.transaction() as tx:
        await tx.save_run(world.run("run-back", kind=RunKind.ROLLBACK))
    keys = (P1, P2, "person:client/3", "person:client/4")
    await world.expect(*keys, batch_id="u1", run_id="run-back", is_undo=True)
    records = [mapped(key) for key in keys]
    answer = await world.begin_batch(*records, batch_id="u1", run_id="run-back", is_undo=True)
    assert actions(answer) == {P1: "DELETE", P2: "RESTORE", "person:client/3": "DONE", "person:client/4": "IN_DOUBT"}
    assert answer.decisions[1].pre_image_json == b'{"name":"B."}'
    assert answer.run_kind == "rollback"
    assert not await world.settle(outcome(P1, "UNKNOWN"), outcome(P2, "RESTORED"), batch_id="u1", run_id="run-back")
    assert actions(await world.begin_batch(records[0], batch_id="u1", run_id="run-back", is_undo=True)) == {P1: "DELETE"}
    done = [outcome(P1, "DELETED"), outcome("person:client/4", "DELETED")]
    assert await world.settle(*done, batch_id="u1", run_id="run-back")
    async with world.ledger.read() as reader:
        assert await reader.list_records_to_undo(M, PERSONS, "person") == []
    assert await world.state("person:client/3") == "matched"


@pytest.mark.requirement("L-15")
async def test_a_load_after_a_rollback_begins_anew(world: World) -> None:
    await world.begin()
    await world.know(world.record(P1, RecordState.UNDONE, target_id="1", payload_digest=mapped(P1).payload_digest, create_order=1))
    await world.expect(P1)
    answer = await world.begin_batch(mapped(P1))
    assert actions(answer) == {P1: "CREATE"}
    assert answer.decisions[0].target_id == ""
    assert await world.settle(outcome(P1, "CREATED", target_id="2"))
    assert (await world.get(P1)).target_id == "2"


@pytest.mark.requirement("L-15")
async def test_an_undo_that_is_refused_is_listed_once_and_shown(world: World) -> None:
    await world.begin()
    await load(world)
    async with world.ledger.transaction() as tx:
        await tx.save_run(world.run("run-back", kind=RunKind.ROLLBACK))
    await world.expect(P1, batch_id="u1", run_id="run-back", is_undo=True)
    await world.begin_batch(mapped(P1), batch_id="u1", run_id="run-back", is_undo=True)
    assert await world.settle(outcome(P1, "REJECTED", reason="TARGET_FORBIDDEN", message="403"), batch_id="u1", run_id="run-back")
    async with world.ledger.read() as reader:
        assert await reader.list_records_to_undo(M, PERSONS, "person", run_id="run-back") == []
        assert len(await reader.list_records_to_undo(M, PERSONS, "person", run_id="run-back-2")) == 1
    assert [item.reason for item in await items(world)] == ["TARGET_FORBIDDEN"]


# the target


async def test_lookup_knows_whose_a_target_id_is(world: World) -> None:
    await world.begin()
    await load(world)
    answer = await world.servicer.LookupTargets(pb.LookupTargetsRequest(migration_id=M, target_entity="person", target_ids=["1", "2"]), CONTEXT)
    assert [(known.target_id, known.key) for known in answer.targets] == [("1", P1)]


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("TARGET_QUOTA_EXHAUSTED", PauseKind.TARGET_QUOTA),
        ("TARGET_BLOCKED", PauseKind.OUTAGE),
        ("TARGET_UNAUTHORIZED", PauseKind.ERROR),
    ],
)
async def test_a_target_that_stops_work_pauses_the_running_migrations_into_it(world: World, reason: str, kind: PauseKind) -> None:
    await world.begin()
    await world.expect(P1)
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration("idle"))
    request = pb.ReportTargetRequest(connection=TARGET, reason=reason, message="stopped")
    request.resume_time.FromDatetime((world.clock.now() + timedelta(minutes=5)).replace(tzinfo=None))
    for _ in range(2):
        await world.servicer.ReportTarget(request, CONTEXT)
    async with world.ledger.read() as reader:
        found = {migration.migration_id: migration.pause_kind for migration in await reader.list_migrations()}
    assert found == {M: kind, "idle": PauseKind.NONE}
    with pytest.raises(PausedError):
        await world.begin_batch(mapped(P1))
    await world.servicer.ReportTarget(pb.ReportTargetRequest(connection=TARGET), CONTEXT)
    if kind is PauseKind.TARGET_QUOTA:
        # A call that went well may be older than the pause; only a look at the budget ends it.
        with pytest.raises(PausedError):
            await world.begin_batch(mapped(P1))
        await world.servicer.ReportTarget(pb.ReportTargetRequest(connection=TARGET, is_quota_found=True), CONTEXT)
    assert actions(await world.begin_batch(mapped(P1))) == {P1: "CREATE"}
    kinds = await world.event_kinds()
    assert (kinds.count("migration.paused"), kinds.count("migration.resumed")) == (1, 1)


async def test_a_persons_pause_is_not_lifted_by_the_target(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.save_migration(paused(world.migration(), PauseKind.USER, "", "lunch", None))
    await world.servicer.ReportTarget(pb.ReportTargetRequest(connection=TARGET, reason="TARGET_BLOCKED"), CONTEXT)
    await world.servicer.ReportTarget(pb.ReportTargetRequest(connection=TARGET), CONTEXT)
    async with world.ledger.read() as reader:
        migration = await reader.get_migration(M)
    assert migration is not None
    assert migration.pause_kind is PauseKind.USER


async def test_a_target_pause_ends_by_itself_at_its_time(world: World) -> None:
    await world.begin()
    await world.expect(P1)
    request = pb.ReportTargetRequest(connection=TARGET, reason="TARGET_QUOTA_EXHAUSTED")
    request.resume_time.FromDatetime((world.clock.now() + timedelta(minutes=5)).replace(tzinfo=None))
    await world.servicer.ReportTarget(request, CONTEXT)
    world.clock.advance(301)
    assert actions(await world.begin_batch(mapped(P1))) == {P1: "CREATE"}
