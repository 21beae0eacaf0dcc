"""What was erased leaves PostgreSQL's files with the VACUUM FULL that the operations guide names."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.ledger.domain import EventDraft, RecordState
from services.ledger.sql.ledger import SqlLedger
from tests.contract.ledger.world import M, World

if TYPE_CHECKING:
    from tests.fakes.clock import FakeClock

pytestmark = [pytest.mark.parametrize("database_url", ["postgresql"], indirect=True), pytest.mark.requirement("L-14")]

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "operations.md"
PLANTED = b"planted.secret@example.com"


def tables() -> list[str]:
    """Tables the guide names."""
    line = next(line for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| PostgreSQL | `VACUUM FULL` of "))
    return re.findall(r"`([a-z_]+)`", line)


async def files_with_it(url: str) -> list[str]:
    """Files of the database's tables that hold the planted text."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CHECKPOINT")
        folder = await connection.fetchval("SHOW data_directory")
        number = await connection.fetchval("SELECT oid FROM pg_database WHERE datname = current_database()")
    finally:
        await connection.close()
    return await asyncio.to_thread(lambda: [path.name for path in Path(folder, "base", str(number)).iterdir() if PLANTED in path.read_bytes()])


async def test_what_was_erased_is_gone_from_the_files(database_url: str, clock: FakeClock) -> None:
    text = PLANTED.decode()
    async with SqlLedger.open(database_url, clock=clock) as ledger:
        world = World(ledger, clock)
        await world.begin()
        async with ledger.transaction() as tx:
            await tx.save_records([world.record(f"person:client/{number}", RecordState.LOADED, image=text, message=text) for number in range(50)])
            await tx.append_events(M, [EventDraft("record.created", "x", source_key="client/1", payload={"message": text})])
        assert await files_with_it(database_url)
        async with ledger.transaction() as tx:
            await tx.erase_payloads(M, with_images=True)
        connection = await asyncpg.connect(database_url)
        for name in tables():
            await connection.execute(f"VACUUM FULL {name}")
        await connection.close()
        assert await files_with_it(database_url) == []
