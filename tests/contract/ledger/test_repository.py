"""What every storage of the ledger must do; run on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from services.common.errors import TransloadError
from services.ledger.audit import verify_trail
from services.ledger.domain import (
    Batch,
    BatchState,
    EventDraft,
    Manifest,
    Mapping,
    Options,
    OutboxMessage,
    PageWork,
    PauseKind,
    PhaseCount,
    RecordFilter,
    RecordState,
    Report,
    ReportKind,
    Resolution,
    ReviewFilter,
    ReviewItem,
    RunState,
    SourceIssue,
    SourceState,
    WorkState,
    review_item_id,
)
from services.ledger.sql.engine import normalise_url, open_database
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import DEALS, EXTRACTION, ORGANIZATIONS, PERSONS, RUN, TARGET, M, World

if TYPE_CHECKING:
    from services.ledger.repository import Ledger
    from tests.fakes.clock import FakeClock


def draft(kind: str = "test.happened", **fields: object) -> EventDraft:
    return EventDraft(kind, "tester", payload=fields or None)


async def raw(url: str, statement: str) -> None:
    """Do what nobody should do: write past the repository."""
    database = open_database(normalise_url(url))
    try:
        async with database.write() as run:
            await run(lambda connection: connection.execute(text(statement)).close())
    finally:
        await database.close()


async def test_values_come_back_as_they_went_in(world: World) -> None:
    options = Options(includes_archived=True, source_account="Ärzte & Söhne", connector_json='{"plan": "pro"}')
    migration = world.migration(options=options, pause_kind=PauseKind.USER, resume_time=world.clock.now(), approver="Zoë \U0001f600")
    run = world.run(state=RunState.FAILED, end_time=world.clock.now(), message="'; DROP TABLE runs; --")
    async with world.ledger.transaction() as tx:
        await tx.save_migration(migration)
        await tx.save_run(run)
    async with world.ledger.read() as reader:
        assert await reader.get_migration(M) == migration
        assert await reader.latest_run(M) == run
        assert await reader.list_runs_by_state(RunState.FAILED) == [run]
        assert await reader.get_migration("nobody") is None


async def test_migrations_are_listed_newest_first_in_pages(world: World) -> None:
    async with world.ledger.transaction() as tx:
        for name in ("a", "b", "c", "d"):
            await tx.save_migration(world.migration(name))
            if name != "b":  # c is as old as b
                world.clock.advance(1)
    async with world.ledger.read() as reader:
        assert [found.migration_id for found in await reader.list_migrations(limit=2)] == ["d", "b"]
        assert [found.migration_id for found in await reader.list_migrations(after="b")] == ["c", "a"]
        assert [found.migration_id for found in await reader.list_migrations_of_target(TARGET)] == ["a", "b", "c", "d"]


async def test_saving_a_run_leaves_its_tokens_alone(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.add_run_tokens(RUN, 30, target_entity="deal")
        await tx.save_run(world.run(activity="loading"))
        await tx.add_run_tokens(RUN, 12, target_entity="deal")
    async with world.ledger.read() as reader:
        run = await reader.get_run(RUN)
        costs = await reader.list_run_costs(run.migration_id) if run else []
    assert run is not None
    assert (run.token_count, run.activity) == (42, "loading")
    assert [(cost.target_entity, cost.token_count) for cost in costs] == [("deal", 42)]


async def test_a_transaction_that_raises_leaves_nothing(world: World) -> None:
    await world.begin()

    async def fail() -> None:
        async with world.ledger.transaction() as tx:
            await tx.append_event(M, draft())
            await tx.save_records([world.record("person:client/1")])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with world.ledger.read() as reader:
        assert await reader.event_sequence(M) == 0
        assert await reader.get_records(M, ["person:client/1"]) == {}


async def test_reading_waits_for_no_writer_and_sees_no_half_work(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, draft())
        async with world.ledger.read() as reader:
            assert await reader.event_sequence(M) == 0
        assert await tx.event_sequence(M) == 1


async def test_writers_come_one_after_the_other(world: World) -> None:
    await world.begin()

    async def write(number: int) -> None:
        async with world.ledger.transaction() as tx:
            sequence = await tx.event_sequence(M)
            await asyncio.sleep(0)
            assert await tx.append_event(M, draft(number=number)) == sequence + 1

    await asyncio.gather(*(write(number) for number in range(20)))
    async with world.ledger.read() as reader:
        assert [event.sequence for event in await reader.list_events(M)] == list(range(1, 21))


async def test_listeners_hear_of_commits_only(world: World) -> None:
    heard: list[str] = []
    stop = world.ledger.subscribe(heard.append)
    await world.begin()
    assert heard == [M]

    async def fail() -> None:
        async with world.ledger.transaction() as tx:
            await tx.append_event(M, draft())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    stop()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, draft())
    assert heard == [M]


async def test_listeners_of_the_outbox_hear_of_queued_messages_only(world: World) -> None:
    heard: list[str] = []
    stop = world.ledger.subscribe(heard.append, outbox_only=True)
    await world.begin()
    message = OutboxMessage(f"raw.{M}.client", "id-1", b"1", M)
    assert heard == []
    async with world.ledger.transaction() as tx:
        await tx.add_outbox([message])
    assert heard == [M]
    await world.ledger.transact(lambda tx: tx.add_outbox([replace(message, message_id="id-2")]))
    assert heard == [M, M]
    stop()
    async with world.ledger.transaction() as tx:
        await tx.add_outbox([replace(message, message_id="id-3")])
    assert heard == [M, M]


@pytest.mark.requirement("L-14")
async def test_events_are_numbered_without_gaps_and_verify(world: World) -> None:
    await world.begin()
    for number in range(3):
        async with world.ledger.transaction() as tx:
            await tx.append_events(M, [draft(number=number), draft()])
            world.clock.advance(1)
    async with world.ledger.read() as reader:
        events = await reader.list_events(M, after_sequence=1, limit=3)
        verdict = await verify_trail(reader, M)
    assert [event.sequence for event in events] == [2, 3, 4]
    assert events[1].payload == b'{"number":1}'
    assert verdict.is_whole
    assert verdict.event_count == 6


@pytest.mark.requirement("L-14")
@pytest.mark.parametrize("statement", ["UPDATE events SET actor = 'me'", "DELETE FROM events", "UPDATE event_payloads SET salt = ''"])
async def test_the_database_itself_refuses_to_change_events(world: World, database_url: str, statement: str) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, draft(a=1))
    with pytest.raises(Exception, match=r"append-only|erased, not changed"):
        await raw(database_url, statement)


@pytest.mark.requirement("L-14")
@pytest.mark.parametrize(
    ("statement", "sequence"),
    [
        ("UPDATE events SET target_id = '99' WHERE sequence = 2", 2),
        ("UPDATE events SET hash = 'x' || substr(hash, 2) WHERE sequence = 3", 3),
        ("DELETE FROM events WHERE sequence = 2", 2),
        ("DELETE FROM events WHERE sequence = 4", 4),
        ("UPDATE event_payloads SET salt = '00' WHERE sequence = 1", 1),
    ],
    ids=["field", "hash", "middle", "end", "payload"],
)
async def test_tampering_past_the_triggers_is_found(world: World, database_url: str, statement: str, sequence: int) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_events(M, [draft(number=number) for number in range(4)])
    for name, table in (("events_keep", "events"), ("events_stay", "events"), ("event_payloads_keep", "event_payloads")):
        await raw(database_url, f"DROP TRIGGER {name}" + (f" ON {table}" if database_url.startswith("postgres") else ""))
    await raw(database_url, statement)
    async with world.ledger.read() as reader:
        verdict = await verify_trail(reader, M)
    # A changed hash shows at the event itself or at the one after it, that names the old one.
    assert not verdict.is_whole
    assert verdict.broken_sequence == sequence


@pytest.mark.requirement("L-14")
async def test_erasing_personal_data_keeps_the_chain_whole(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, draft(name="Jane"))
        await tx.save_records([world.record("person:client/1", RecordState.LOADED, target_id="7", image='{"name":"Jane"}', message="Jane")])
        await tx.save_report(Report(M, ReportKind.AUDIT, b'{"a": "Jane"}', world.clock.now()))
        await tx.add_report_rows(M, ReportKind.DIFF, [b"Jane"])
    async with world.ledger.transaction() as tx:
        await tx.erase_payloads(M, with_images=True)
    async with world.ledger.read() as reader:
        assert (await verify_trail(reader, M)).is_whole
        assert (await reader.list_events(M))[0].payload == b""
        record = (await reader.get_records(M, ["person:client/1"]))["person:client/1"]
        assert (record.image, record.message, record.target_id) == ("", "", "7")
        assert await reader.get_report(M, ReportKind.AUDIT) is None
        assert await reader.list_report_rows(M, ReportKind.DIFF) == []


async def test_events_of_a_source_record_include_those_of_what_it_became(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.append_event(M, EventDraft("record.created", "x", key="person:client/1", source_key="client/1"))
        await tx.append_event(M, EventDraft("record.created", "x", key="person:client/2", source_key="client/2"))
        await tx.append_event(M, EventDraft("source.skipped", "x", source_key="client/1"))
    async with world.ledger.read() as reader:
        assert [event.sequence for event in await reader.list_events_of_source(M, "client/1")] == [1, 3]


async def test_pages_get_their_sequence_and_come_in_order(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        assert [await tx.add_page(world.page(number=number)) for number in range(3)] == [1, 2, 3]
        assert await tx.add_page(world.page("contact")) == 4
    async with world.ledger.read() as reader:
        assert await reader.page_sequence(M) == 4
        assert [page.sequence for page in await reader.list_pages(M, after_sequence=1, until_sequence=3)] == [2, 3]
        assert [page.entity for page in await reader.list_pages(M, entity="contact")] == ["contact"]
        (page,) = await reader.get_pages(M, [f"{EXTRACTION}/client/1", "unknown"])
        assert (page.sequence, page.read_time) == (2, world.clock.now())


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize(
    ("records", "issues", "state"),
    [
        ([], [], "pending"),
        ([RecordState.EXPECTED], [], "pending"),
        ([RecordState.CLAIMED, RecordState.LOADED], [], "pending"),
        ([RecordState.IN_DOUBT], [], "pending"),
        ([RecordState.UNDONE], [], "pending"),
        ([RecordState.LOADED, RecordState.MATCHED], [], "loaded"),
        ([RecordState.MATCHED, RecordState.SKIPPED], [], "matched"),
        ([RecordState.SKIPPED], [], "skipped"),
        ([], [SourceState.SKIPPED], "skipped"),
        ([RecordState.LOADED], [SourceState.SKIPPED], "loaded"),
        ([RecordState.LOADED, RecordState.REJECTED], [], "rejected"),
        ([RecordState.EXPECTED], [SourceState.REJECTED], "rejected"),
        ([RecordState.REJECTED, RecordState.WAITING], [], "waiting"),
        ([RecordState.LOADED], [SourceState.REJECTED, SourceState.WAITING], "waiting"),
    ],
)
async def test_a_source_record_has_exactly_one_state(world: World, records: list[RecordState], issues: list[SourceState], state: str) -> None:
    await world.begin()
    await world.read_sources("client/1", "client/2", "contact/1")
    await world.know(*(world.record(f"person:client/1/{number}", state) for number, state in enumerate(records)))
    async with world.ledger.transaction() as tx:
        for phase, found in enumerate(issues, 1):
            await tx.replace_source_issues(M, phase, "client", ["1"], [SourceIssue(M, "client", "1", phase, found, "VALUE_INVALID")])
    async with world.ledger.read() as reader:
        counts = {count.source_entity: count for count in await reader.summarize_sources(M)}
        assert await reader.source_state(M, "client", "1") == state
        assert await reader.source_state(M, "client", "404") == ""
    client = counts["client"]
    assert getattr(client, f"{state}_count") == (2 if state == "pending" else 1)
    parts = (client.loaded_count, client.matched_count, client.skipped_count, client.rejected_count, client.waiting_count, client.pending_count)
    assert sum(parts) == client.extracted_count == 2
    assert counts["contact"].pending_count == 1


@pytest.mark.requirement("X-04")
async def test_an_entity_without_phases_is_skipped_as_a_whole_and_once(world: World) -> None:
    await world.begin()
    await world.read_sources("address/1", "address/2", "client/1")
    async with world.ledger.transaction() as tx:
        assert await tx.skip_entity(M, "address", "SKIPPED_REFERENCE_DATA", world.clock.now()) == 2
    async with world.ledger.transaction() as tx:
        assert await tx.skip_entity(M, "address", "SKIPPED_REFERENCE_DATA", world.clock.now()) == 0
    async with world.ledger.read() as reader:
        assert [(count.source_entity, count.skipped_count) for count in await reader.summarize_sources(M)] == [("address", 2), ("client", 0)]
        issues = await reader.list_source_issues(M, state="skipped", after="address/1")
    assert [issue.source_key for issue in issues] == ["address/2"]


async def test_targets_are_summed_in_phase_order(world: World) -> None:
    await world.begin()
    states = [RecordState.LOADED, RecordState.CLAIMED, RecordState.IN_DOUBT, RecordState.WAITING, RecordState.UNDONE]
    await world.know(*(world.record(f"deal:order/{number}", state, phase=DEALS) for number, state in enumerate(states)))
    await world.know(world.record("organization:client/1", RecordState.MATCHED, phase=ORGANIZATIONS))
    async with world.ledger.read() as reader:
        first, second = await reader.summarize_targets(M)
    assert (first.target_entity, first.expected_count, first.matched_count) == ("organization", 1, 1)
    assert (second.expected_count, second.loaded_count, second.pending_count, second.waiting_count, second.undone_count) == (5, 1, 2, 1, 1)


async def test_a_page_is_final_once_transformed_with_all_batches_final(world: World) -> None:
    await world.begin()
    page = world.page()
    batches = [Batch(name, M, RUN, PERSONS, "person", (f"person:client/{name}",), page.page_id) for name in ("b1", "b2")]
    async with world.ledger.transaction() as tx:
        await tx.add_page(page)
        await tx.save_page_work([PageWork(RUN, page.page_id, PERSONS, M)])
        assert not await tx.finish_page_work(RUN, page.page_id, PERSONS)
        await tx.add_batches(batches)
        await tx.save_page_work([PageWork(RUN, page.page_id, PERSONS, M, WorkState.TRANSFORMED)])
        await tx.set_batch_state("b1", BatchState.FINAL)
        progress = await tx.phase_progress(RUN, PERSONS)
        assert (progress.open_page_count, progress.open_batch_count, progress.record_count, progress.done_record_count) == (1, 1, 2, 1)
        await tx.add_batches(batches)  # announced again: b1 stays final
        await tx.set_batch_state("b2", BatchState.FINAL)
    async with world.ledger.read() as reader:
        assert [work.state for work in await reader.list_page_work(RUN, PERSONS)] == [WorkState.FINAL]
        assert await reader.list_page_work(RUN, PERSONS, [WorkState.ANNOUNCED]) == []
        assert await reader.list_batches(RUN, PERSONS, [BatchState.EXPECTED]) == []
        assert (await reader.phase_progress(RUN, PERSONS)).open_page_count == 0
        assert (await reader.phase_progress(RUN, DEALS)).page_count == 0


async def test_batches_that_no_longer_come_are_dropped_unless_final(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.add_batches([Batch(name, M, RUN, PERSONS, "person", ("k",), "p") for name in ("b1", "b2", "b3")])
        await tx.set_batch_state("b1", BatchState.FINAL)
        await tx.drop_batches(RUN, "p", PERSONS, {"b2"})
    async with world.ledger.read() as reader:
        assert [batch.batch_id for batch in await reader.list_batches(RUN, PERSONS)] == ["b1", "b2"]


@pytest.mark.requirement("L-15")
async def test_what_is_to_be_undone_comes_latest_first(world: World) -> None:
    await world.begin()
    await world.know(
        world.record("person:client/1", RecordState.LOADED, target_id="1", create_order=1),
        world.record("person:client/2", RecordState.LOADED, target_id="2", create_order=2),
        world.record("person:client/3", RecordState.MATCHED, target_id="3", create_order=3, is_preexisting=True),
        world.record("person:client/4", RecordState.LOADED, target_id="4", create_order=4, is_preexisting=True, pre_image='{"name":"x"}'),
        world.record("person:client/5", RecordState.IN_DOUBT, intent_time=world.clock.now()),
        world.record("person:client/6", RecordState.UNDONE, target_id="6", create_order=6),
        world.record("person:client/7", RecordState.REJECTED, target_id="7", create_order=7),
        world.record("person:client/8", RecordState.WAITING),
        world.record("person:client/9", RecordState.LOADED, target_id="9", create_order=9, undo_run_id="rollback-1"),
    )
    async with world.ledger.read() as reader:
        found = await reader.list_records_to_undo(M, PERSONS, "person", run_id="rollback-1")
        counts = await reader.count_records_to_undo(M)
    assert [record.source_id for record in found] == ["5", "7", "4", "2", "1"]
    assert [(count.delete_count, count.restore_count, count.in_doubt_count) for count in counts] == [(4, 1, 1)]


async def test_targets_are_found_over_all_migrations_into_the_same_account(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration("other"))
        await tx.save_migration(world.migration("elsewhere", target_connection="another"))
    await world.know(world.record("person:client/1", RecordState.LOADED, target_id="7"))
    async with world.ledger.read() as reader:
        assert await reader.find_targets(TARGET, "person", ["7", "8"]) == {"7": "person:client/1"}
        assert await reader.find_targets("another", "person", ["7"]) == {}


async def test_records_are_listed_by_key_and_filter(world: World) -> None:
    await world.begin()
    await world.know(*(world.record(f"person:client/{number:04}", RecordState.REJECTED, reason="VALUE_INVALID") for number in range(1200)))
    await world.know(world.record("deal:order/1", RecordState.LOADED, target_id="1", phase=DEALS))
    async with world.ledger.read() as reader:
        which = RecordFilter(states=(RecordState.REJECTED,), source_entity="client", target_entity="person", reason="VALUE_INVALID", phase=PERSONS)
        assert await reader.count_records(M, which) == 1200
        page = await reader.list_records(M, which, after_key="person:client/1197")
        assert [record.source_id for record in page] == ["1198", "1199"]
        assert len(await reader.get_records(M, [f"person:client/{number:04}" for number in range(1500)])) == 1200
        assert await reader.count_records(M, RecordFilter(has_target=True)) == 1
        assert [record.key for record in await reader.list_records_of_source(M, "order", "1")] == ["deal:order/1"]


async def test_gauges_read_their_sums(world: World) -> None:
    await world.begin()
    first, now = world.clock.now(), world.clock.advance
    lost = world.record("person:client/1", RecordState.IN_DOUBT, intent_time=first)
    now(5)
    later = world.record("person:client/2", RecordState.IN_DOUBT, intent_time=world.clock.now())
    done = world.record("deal:order/1", RecordState.LOADED, target_id="1", phase=DEALS, intent_time=first)
    await world.know(lost, later, done)
    async with world.ledger.transaction() as tx:
        await tx.open_review_items(
            [item(world, "person:client/1"), item(world, "person:client/2"), item(world, "person:client/3", "OWNER_UNMATCHED")]
        )
        await tx.add_outbox([OutboxMessage(migration_id=M, subject="raw.x.y", message_id="m1", payload=b"")])
    async with world.ledger.read() as reader:
        assert await reader.summarize_phases(M) == [
            PhaseCount(PERSONS, RecordState.IN_DOUBT, 2, first),
            PhaseCount(DEALS, RecordState.LOADED, 1, None),
        ]
        assert await reader.count_open_review_items_by_reason(M) == {"REFERENCE_MISSING": 2, "OWNER_UNMATCHED": 1}
        assert await reader.count_outbox() == len(await reader.list_outbox()) == 1
        assert await reader.latest_audit_head(M) is None


def item(world: World, key: str, reason: str = "REFERENCE_MISSING", *, is_blocking: bool = True, message: str = "look") -> ReviewItem:
    source_key = key.partition(":")[2]
    return ReviewItem(review_item_id(M, source_key, key, reason), M, reason, source_key, key, is_blocking, message, world.clock.now())


@pytest.mark.requirement("L-16")
async def test_the_same_matter_is_one_review_item_that_can_open_again(world: World) -> None:
    await world.begin()
    first = item(world, "person:client/1")
    flag = item(world, "person:client/2", "OWNER_UNMATCHED", is_blocking=False)
    async with world.ledger.transaction() as tx:
        await tx.open_review_items([first, flag])
        await tx.open_review_items([item(world, "person:client/1", message="look again")])
        assert await tx.count_open_review_items(M) == 2
        assert await tx.count_open_review_items(M, is_blocking=True) == 1
        ids = [first.review_item_id, flag.review_item_id]
        assert await tx.resolve_review_items(M, ids, Resolution.ACCEPT, "ann", world.clock.now()) == 2
        assert await tx.resolve_review_items(M, ids, Resolution.SKIP, "bob", world.clock.now()) == 0
        assert await tx.list_review_items(M, ReviewFilter()) == []
        await tx.open_review_items([first, flag])
    async with world.ledger.read() as reader:
        (opened,) = await reader.list_review_items(M, ReviewFilter())
        everything = await reader.list_review_items(M, ReviewFilter(includes_resolved=True))
    assert (opened.key, opened.order, opened.actor) == ("person:client/1", 1, "")
    assert [(found.order, found.resolution) for found in everything] == [(1, ""), (2, "accept")]


async def test_items_close_when_their_record_goes_on(world: World) -> None:
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.open_review_items([item(world, "person:client/1"), item(world, "person:client/1", "OWNER_UNMATCHED", is_blocking=False)])
        assert await tx.close_review_items(M, ["person:client/1", "person:client/2"], "loader-1", world.clock.now()) == 1
    async with world.ledger.read() as reader:
        (flag,) = await reader.list_review_items(M, ReviewFilter(source_key="client/1"))
    assert flag.reason == "OWNER_UNMATCHED"


async def test_the_outbox_keeps_order_and_takes_an_id_once(world: World) -> None:
    await world.begin()
    messages = [OutboxMessage(f"raw.{M}.client", f"id-{number}", bytes([number]), M) for number in (1, 2, 1, 3)]
    async with world.ledger.transaction() as tx:
        await tx.add_outbox(messages)
    async with world.ledger.transaction() as tx:
        waiting = await tx.list_outbox()
        await tx.remove_outbox([waiting[1].order])
    async with world.ledger.read() as reader:
        assert [message.message_id for message in await reader.list_outbox()] == ["id-1", "id-3"]
    assert [message.payload for message in waiting] == [b"\x01", b"\x02", b"\x03"]


async def test_documents_have_versions_and_replace_each_other(world: World) -> None:
    await world.begin()
    now = world.clock.now()
    async with world.ledger.transaction() as tx:
        for version in (1, 2):
            await tx.add_mapping(Mapping(M, version, f"d{version}", "a: 1", "[]", "ann", now))
        await tx.save_manifest(Manifest("mm", M, b"{}", now))
        await tx.save_manifest(Manifest("mm", M, b"other", now))
        await tx.save_report(Report(M, ReportKind.AUDIT, b"1", now))
        await tx.save_report(Report(M, ReportKind.AUDIT, b"2", now))
        await tx.replace_report_rows(M, ReportKind.DIFF, [b"a", b"b"])
        await tx.add_report_rows(M, ReportKind.DIFF, [b"c"])
        assert await tx.list_report_rows(M, ReportKind.DIFF, after=1) == [(2, b"b"), (3, b"c")]
        await tx.replace_report_rows(M, ReportKind.DIFF, [b"z"])
        await tx.save_response("r", b"answer", now)
        await tx.save_response("r", b"late", now)
    async with world.ledger.read() as reader:
        latest, first = await reader.get_mapping(M), await reader.get_mapping(M, 1)
        assert latest is not None
        assert first is not None
        assert (latest.version, first.digest) == (2, "d1")
        manifest, report = await reader.get_manifest("mm"), await reader.get_report(M, ReportKind.AUDIT)
        assert manifest is not None
        assert report is not None
        assert (manifest.content, report.content) == (b"{}", b"2")
        assert await reader.list_report_rows(M, ReportKind.DIFF) == [(1, b"z")]
        assert await reader.get_response("r") == b"answer"
        assert await reader.get_response("s") is None


async def test_everything_is_there_after_opening_again(database_url: str, clock: FakeClock) -> None:
    async with SqlLedger.open(database_url, clock=clock) as ledger:
        await World(ledger, clock).begin()
        async with ledger.transaction() as tx:
            await tx.append_event(M, draft(a=1))
    async with SqlLedger.open(database_url, clock=clock) as again:
        await again.ping()
        async with again.transaction() as tx:
            assert await tx.append_event(M, draft()) == 2
        async with again.read() as reader:
            assert (await verify_trail(reader, M)).is_whole


async def test_a_broken_rule_of_the_database_comes_out_as_ours_without_values(world: World) -> None:
    await world.begin()
    with pytest.raises(TransloadError) as failed:
        async with world.ledger.transaction() as tx:
            await tx.add_mapping(Mapping("nobody", 1, "d", "secret", "[]", "ann", world.clock.now()))
    assert "secret" not in str(failed.value)


async def test_what_a_block_itself_raises_is_not_blamed_on_the_database(world: World) -> None:
    async def fail(error: Exception) -> None:
        async with world.ledger.transaction():
            raise error

    for error in (ConnectionResetError("the stream's"), KeyError("x")):
        with pytest.raises(type(error)):
            await fail(error)


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 30, 300])
async def test_a_cancelled_transaction_leaves_nothing_and_the_next_one_works(world: World, turns: int) -> None:
    await world.begin()

    async def write_forever() -> None:
        async with world.ledger.transaction() as tx:
            while True:
                await tx.append_event(M, draft())

    for _ in range(3):
        task = asyncio.create_task(write_forever())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with world.ledger.transaction() as tx:
        assert await tx.append_event(M, draft()) == 1


async def test_a_repository_is_what_the_rules_ask_for(ledger: SqlLedger) -> None:
    rules: Ledger = ledger  # mypy checks the whole protocol here
    await rules.ping()
