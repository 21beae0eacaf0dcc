"""What was erased is gone from the database's files, not only from its tables (SQLite)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.common.errors import UnavailableError
from services.ledger.domain import EventDraft, RecordState
from services.ledger.sql import engine
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import M, World
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.requirement("L-14")

PLANTED = b"planted.secret@example.com"
RECORDS = 400


def mentions(folder: Path) -> dict[str, int]:
    """How often the planted text stands in each file of the database."""
    return {path.name: path.read_bytes().count(PLANTED) for path in folder.iterdir() if PLANTED in path.read_bytes()}


async def fill(ledger: SqlLedger, rng: random.Random, count: int = RECORDS) -> World:
    """Records of very different sizes that hold the text, written again and again, so that pages split, merge and overflow."""
    world = World(ledger, FakeClock())
    await world.begin()
    for _ in range(4):
        numbers = rng.sample(range(count), count // 2)
        async with ledger.transaction() as tx:
            texts = [PLANTED.decode() + "x" * rng.choice((0, 30, 900, 9000)) for _ in numbers]
            records = [
                world.record(f"person:client/{number}", RecordState.LOADED, image=text, message=text, intent_record=text.encode())
                for number, text in zip(numbers, texts, strict=True)
            ]
            await tx.save_records(records)
            await tx.append_events(
                M, [EventDraft("record.created", "x", source_key=one.source_key, payload={"message": one.image}) for one in records]
            )
    return world


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("by_record", [False, True])
async def test_nothing_is_left_in_any_file(tmp_path: Path, seed: int, by_record: bool) -> None:
    async with SqlLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=FakeClock()) as ledger:
        await fill(ledger, random.Random(seed))
        assert mentions(tmp_path)
        async with ledger.transaction() as tx:
            if by_record:
                await tx.erase_records(M, [f"client/{number}" for number in range(RECORDS)], with_images=True)
            else:
                await tx.erase_payloads(M, with_images=True)
        await ledger.scrub()
        assert mentions(tmp_path) == {}


async def test_a_crash_before_the_files_were_scrubbed_is_made_up_for_at_the_next_start(tmp_path: Path) -> None:
    folder, copy = tmp_path / "first", tmp_path / "crashed"
    folder.mkdir()
    async with SqlLedger.open(f"sqlite:///{folder / 'ledger.db'}", clock=FakeClock()) as ledger:
        await fill(ledger, random.Random(7), 20)
        async with ledger.transaction() as tx:
            await tx.erase_payloads(M, with_images=True)
        copy.mkdir()
        for path in folder.iterdir():  # as the files stand when the process is killed
            (copy / path.name).write_bytes(path.read_bytes())
    assert mentions(copy)
    async with SqlLedger.open(f"sqlite:///{copy / 'ledger.db'}", clock=FakeClock()):
        assert mentions(copy) == {}


async def test_a_reader_in_the_way_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_SECONDS", 0.05)
    async with SqlLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=FakeClock()) as ledger:
        world = await fill(ledger, random.Random(1))
        async with ledger.read() as reader:
            await reader.get_migration(M)
            async with ledger.transaction() as tx:
                await tx.erase_payloads(M, with_images=True)
            with pytest.raises(UnavailableError, match="ask again"):
                await ledger.scrub()
        await ledger.scrub()
        assert mentions(tmp_path) == {}
        assert (await world.get("person:client/1")).image == ""
