"""A ledger that is killed keeps everything it acknowledged, and nothing by half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.common.clock import SystemClock
from services.ledger.audit import verify_trail
from services.ledger.domain import RecordFilter
from services.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
COMMITS = 40

WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from services.common.clock import SystemClock
from services.ledger.domain import EventDraft, Migration, Record
from services.ledger.sql.ledger import SqlLedger

async def write(url):
    async with SqlLedger.open(url, clock=SystemClock()) as ledger:
        async with ledger.transaction() as tx:
            await tx.save_migration(Migration("m", "M", "c", "s", "t", datetime.now(UTC)))
        for number in range(1, 10_000):
            async with ledger.transaction() as tx:
                await tx.append_event("m", EventDraft("test", "child", payload={"number": number}))
                await tx.save_records([Record("m", f"person:client/{number}", "person", "client", str(number), 6)])
            print(number, flush=True)

asyncio.run(write(sys.argv[1]))
"""


@pytest.fixture
def child(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, f"sqlite:///{tmp_path / 'ledger.db'}"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.requirement("L-14")
async def test_a_killed_ledger_lost_nothing_it_acknowledged(child: subprocess.Popen[str], tmp_path: Path) -> None:
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        acknowledged = int(line)
        if acknowledged == COMMITS:
            break
    child.kill()
    rest = child.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    async with SqlLedger.open(f"sqlite:///{tmp_path / 'ledger.db'}", clock=SystemClock()) as ledger, ledger.read() as reader:
        verdict = await verify_trail(reader, "m")
        record_count = await reader.count_records("m", RecordFilter())
    assert acknowledged >= COMMITS
    assert verdict.is_whole
    assert acknowledged <= verdict.event_count <= acknowledged + 1
    assert record_count == verdict.event_count
