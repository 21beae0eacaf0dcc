"""Transactions that run as a whole: kept when they end, gone when they fail."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.ledger.domain import Migration
from services.ledger.sql.ledger import SqlLedger, SqlTransaction
from tests.fakes.clock import FakeClock

pytestmark = pytest.mark.requirement("L-14")
MIGRATION = Migration("m", "M", "stel_order", source_connection="source", target_connection="target", create_time=datetime(2026, 1, 1, tzinfo=UTC))


async def _save(transaction: SqlTransaction) -> str:
    await transaction.save_migration(MIGRATION)
    return "saved"


async def _save_and_fail(transaction: SqlTransaction) -> None:
    await transaction.save_migration(MIGRATION)
    raise LookupError("not today")


async def _save_and_wait(transaction: SqlTransaction) -> None:
    await transaction.save_migration(MIGRATION)
    await asyncio.sleep(0)


async def test_what_it_answers_comes_back_and_listeners_hear_of_it(tmp_path: Path) -> None:
    async with SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", clock=FakeClock()) as ledger:
        heard: list[str] = []
        ledger.subscribe(heard.append)
        assert await ledger.transact(_save) == "saved"
        assert await ledger.look(lambda reader: reader.get_migration("m")) == MIGRATION
        assert heard == ["m"]


async def test_a_failure_leaves_nothing_and_comes_back_as_it_was(tmp_path: Path) -> None:
    async with SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", clock=FakeClock()) as ledger:
        with pytest.raises(LookupError, match="not today"):
            await ledger.transact(_save_and_fail)
        assert await ledger.look(lambda reader: reader.get_migration("m")) is None


async def test_waiting_for_something_else_is_refused(tmp_path: Path) -> None:
    async with SqlLedger.open(f"sqlite:///{tmp_path}/ledger.db", clock=FakeClock()) as ledger:
        with pytest.raises(RuntimeError, match="something else"):
            await ledger.transact(_save_and_wait)
        assert await ledger.look(lambda reader: reader.get_migration("m")) is None
        assert await ledger.transact(_save) == "saved"
