"""More readers than connections: all of them wait their turn, and none keeps those from going on who have one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import text

from services.ledger.sql.engine import READERS_MAX, opened

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection

    from services.ledger.sql.session import Runner

SECONDS_MAX = 20.0
"""Less than the 30 s for which a connection is waited for."""


def _one(connection: Connection) -> int:
    return int(connection.execute(text("SELECT 1")).scalar_one())


async def test_readers_beyond_the_connections_wait_and_all_are_answered(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'ledger.db'}") as database:

        async def by_steps() -> int:
            async with database.read() as run:
                first = await run(_one)
                await asyncio.sleep(0)
                return first + await run(_one)

        async def whole() -> int:
            async def work(run: Runner) -> int:
                return await run(_one)

            return await database.read_whole(work)

        async with asyncio.timeout(SECONDS_MAX):
            answers = await asyncio.gather(*(one() for _ in range(5 * READERS_MAX) for one in (by_steps, whole)))
    assert sum(answers) == 5 * READERS_MAX * 3
