"""What is erased is gone, what others own stays, and the trail proves what it proved before; on every storage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from services.common.errors import InvalidRequestError, NotFoundError, PreconditionError
from services.ledger import erasure
from services.ledger.audit import verify_trail
from services.ledger.domain import (
    ERASED,
    EventDraft,
    MigrationState,
    RecordFilter,
    RecordState,
    ReportKind,
    ReviewFilter,
    ReviewItem,
    RunState,
    SourceIssue,
    SourceState,
)
from services.ledger.sql import erasure as storage
from tests.contract.ledger.world import M, World
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from services.ledger.domain import ErasedCount

pytestmark = pytest.mark.requirement("L-14")

ANN, BOB = "client/1", "client/2"
MAIL = "Ann.Example@example.com"
ASKED = erasure.Erase(M, "dpo@acme", "request 4711")


async def set_up(world: World, *, state: MigrationState = MigrationState.LOADED, run_state: RunState = RunState.SUCCEEDED) -> None:
    """Two people, each with records, events, messages and rows of reports."""
    await world.begin()
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration(state=state))
        await tx.save_run(world.run(state=run_state))
        for name, source_key, number in (("Ann", ANN, 1), ("Bob", BOB, 2)):
            image = f'{{"emails":[{{"value":"{name.lower()}.example@example.com"}}],"name":"{name}"}}'
            loaded = world.record(f"person:{source_key}", RecordState.LOADED, target_id=str(number), image=image, message=f"{name} has two phones")
            doubtful = world.record(f"note:{source_key}/1", RecordState.IN_DOUBT, intent_time=world.clock.now(), intent_record=image.encode())
            await tx.save_records([loaded, doubtful])
            created = EventDraft("record.created", "loader-1", f"person:{source_key}", source_key, str(number), "created", {"message": image})
            await tx.append_events(M, [created, EventDraft("source.skipped", "ledger", source_key=source_key, payload={"message": name})])
            issue = SourceIssue(M, "client", str(number), 3, SourceState.SKIPPED, "SKIPPED_ARCHIVED", f"{name} is archived")
            await tx.replace_source_issues(M, 3, "client", [str(number)], [issue])
            item = ReviewItem(
                f"item-{number}",
                M,
                "CONFLICT",
                source_key,
                f"person:{source_key}",
                is_blocking=True,
                message=f"{name} or not?",
                create_time=world.clock.now(),
            )
            await tx.open_review_items([item])
            await tx.add_report_rows(M, ReportKind.DIFF, [pb.DiffRecord(key=f"person:{source_key}", source_key=source_key).SerializeToString()])
            await tx.add_report_rows(M, ReportKind.RECONCILIATION, [pb.Mismatch(key=f"person:{source_key}").SerializeToString()])
        await tx.append_event(M, EventDraft("extraction.reported", "extractor", payload={"message": f"cannot read {MAIL.upper()}"}))


async def erase(world: World, request: erasure.Erase) -> ErasedCount:
    erasure.check_request(request)
    subject = await world.ledger.look(lambda reader: erasure.find_subject(reader, request))
    async with world.ledger.transaction() as tx:
        return await erasure.erase(tx, request, subject)


async def everything_kept(world: World) -> str:
    """All that is kept of people, as one text."""
    async with world.ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter())
        items = await reader.list_review_items(M, ReviewFilter(includes_resolved=True))
        issues = await reader.list_source_issues(M)
        events = await reader.list_events(M)
        rows = [row for kind in (ReportKind.DIFF, ReportKind.RECONCILIATION) for _, row in await reader.list_report_rows(M, kind)]
    texts = [text for record in records for text in (record.image, record.pre_image, record.message, str(record.intent_record))]
    texts += [item.message for item in items] + [issue.message for issue in issues]
    return "\n".join([*texts, *(str(event.payload) for event in events), *(str(row) for row in rows)])


@pytest.mark.parametrize("with_images", [False, True])
async def test_a_record_is_erased_and_others_are_not(world: World, with_images: bool) -> None:
    await set_up(world)
    erased = await erase(world, replace(ASKED, source_key=ANN, with_images=with_images))
    assert (erased.payload_count, erased.message_count, erased.row_count) == (2, 3, 2)
    assert (erased.image_count, erased.kept_image_count) == ((1, 1) if with_images else (0, 2))
    kept = await everything_kept(world)
    assert "Ann is archived" not in kept
    assert "Ann has two phones" not in kept
    assert ANN not in kept.replace(f'"{ANN}"', "")
    assert all(words in kept for words in ("Bob is archived", "Bob has two phones", "Bob or not?", '"name":"Bob"'))
    async with world.ledger.read() as reader:
        person, note = [(await reader.get_records(M, [key]))[key] for key in (f"person:{ANN}", f"note:{ANN}/1")]
        assert (person.target_id, bool(person.image)) == ("1", not with_images)
        assert note.intent_record  # in doubt: only by it can it be found out whether Pipedrive has it
        assert (await verify_trail(reader, M)).is_whole
        told = [event for event in await reader.list_events_of_source(M, ANN) if event.kind == ERASED]
    assert [(event.actor, event.result) for event in told] == [("dpo@acme", "erased")]
    assert b"request 4711" in told[0].payload


async def test_an_address_is_found_wherever_it_stands_and_is_not_written_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_PART_ROWS", 1)
    await set_up(world)
    erased = await erase(world, replace(ASKED, text=MAIL, with_images=True))
    assert erased.source_keys == [ANN]
    assert erased.payload_count == 3  # those of the record's events, and one of no record
    async with world.ledger.read() as reader:
        mentions = await reader.find_mentions(M, MAIL)
        assert mentions.source_keys == {ANN}  # the intent of what is in doubt
        assert not mentions.event_sequences
        assert (await reader.find_mentions(M, "bob.example@example.com")).source_keys == {BOB}
    assert MAIL.casefold() not in (await everything_kept(world)).casefold().replace(str(await doubtful(world)).casefold(), "")


async def doubtful(world: World) -> bytes:
    async with world.ledger.read() as reader:
        return (await reader.get_records(M, [f"note:{ANN}/1"]))[f"note:{ANN}/1"].intent_record


async def test_erasing_again_changes_nothing(world: World) -> None:
    await set_up(world)
    await erase(world, replace(ASKED, source_key=ANN))
    async with world.ledger.read() as reader:
        before = await reader.event_sequence(M)
    assert (await erase(world, replace(ASKED, source_key=ANN))).is_nothing
    async with world.ledger.read() as reader:
        assert await reader.event_sequence(M) == before


@pytest.mark.parametrize("with_images", [False, True])
async def test_a_closed_migration_is_erased_as_a_whole(world: World, with_images: bool) -> None:
    await set_up(world, state=MigrationState.COMPLETED)
    erased = await erase(world, replace(ASKED, is_everything=True, with_images=with_images))
    assert (erased.payload_count, erased.row_count, erased.image_count) == (5, 4, 2 if with_images else 0)
    again = await erase(world, replace(ASKED, is_everything=True, with_images=with_images))
    assert again.is_nothing
    async with world.ledger.read() as reader:
        assert (await verify_trail(reader, M)).is_whole
        assert [event.kind for event in await reader.list_events(M) if event.payload] == [ERASED]


async def test_what_stood_there_before_is_kept_until_nothing_can_be_rolled_back(world: World) -> None:
    await set_up(world)
    async with world.ledger.transaction() as tx:
        merged = world.record(f"organization:{ANN}", RecordState.LOADED, target_id="9", image="{}", pre_image='{"name":"Old"}', is_preexisting=True)
        await tx.save_records([merged])
    with pytest.raises(PreconditionError, match=f"organization:{ANN}"):
        await erase(world, replace(ASKED, source_key=ANN, with_images=True))
    assert not (await erase(world, replace(ASKED, source_key=ANN))).is_nothing
    async with world.ledger.transaction() as tx:
        await tx.save_migration(world.migration(state=MigrationState.COMPLETED))
    assert (await erase(world, replace(ASKED, source_key=ANN, with_images=True))).image_count == 2


async def test_nothing_is_erased_while_a_run_writes_or_before_the_migration_is_closed(world: World) -> None:
    await set_up(world, run_state=RunState.RUNNING)
    with pytest.raises(PreconditionError) as refused:
        await erase(world, replace(ASKED, source_key=ANN))
    assert refused.value.reason == "RUN_ACTIVE"
    async with world.ledger.transaction() as tx:
        await tx.save_run(world.run(state=RunState.SUCCEEDED))
    with pytest.raises(PreconditionError, match="completed or rolled back"):
        await erase(world, replace(ASKED, is_everything=True))
    for unknown in (replace(ASKED, source_key="client/99"), replace(ASKED, text="nobody@example.com")):
        with pytest.raises(NotFoundError):
            await erase(world, unknown)


@pytest.mark.parametrize(
    "wrong",
    [
        ASKED,
        replace(ASKED, source_key=ANN, text=MAIL),
        replace(ASKED, text="Ann"),
        replace(ASKED, source_key=ANN, reason=""),
        replace(ASKED, source_key=ANN, reason="x" * 201),
        replace(ASKED, text=MAIL, reason=f"asked by {MAIL.lower()}"),
        replace(ASKED, source_key=ANN, reason="asked by somebody@example.com"),
    ],
)
def test_a_request_that_names_no_subject_or_tells_who_it_is_is_refused(wrong: erasure.Erase) -> None:
    with pytest.raises(InvalidRequestError):
        erasure.check_request(wrong)
