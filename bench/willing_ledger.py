"""What stands in for the ledger where only reading is measured: it has seen nothing before, grants every call, and answers at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from services.extractor.ports import Checkpoint, Grant, Report, State


@dataclass
class WillingLedger:
    """Says yes to everything and notices the end.

    Attributes:
        failure: what went wrong last; empty: nothing.
        ended: set when the extraction has ended, well or not.
    """

    failure: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def checkpoints(self, extraction_id: str) -> dict[str, Checkpoint]:
        """Nothing was read before."""
        del extraction_id
        return {}

    async def report(self, report: Report) -> None:
        """Notices the end, and every failure on the way."""
        if report.state in {State.FAILED, State.NO_ACCESS}:
            self.failure = report.message
        if not report.entity and report.state in {State.DONE, State.FAILED}:
            self.ended.set()

    async def debit(self, connection: str, day: str, daily_limit: int, extraction_id: str) -> Grant:
        """Grants the call."""
        del connection, day, daily_limit, extraction_id
        return Grant(1, 0)
