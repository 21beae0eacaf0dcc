"""What workers ask of the ledger for one page, and what that leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.common.errors import UnavailableError
from services.ledger.audit import verify_trail
from services.ledger.domain import RecordFilter
from services.ledger.ledger_servicer import LedgerServicer
from tests.contract.ledger.world import CONTEXT, RUN, M, World, mapped, outcome
from tests.fakes.clock import FakeClock
from transload.v1 import ledger_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.ledger.sql.ledger import SqlLedger

NO_CALLS = pb.DebitSourceCallsRequest(connection="stel", day="2026-05-04", daily_limit=100, request_id="look")
KEYS = ("person:client/1", "person:client/2")
ATTEMPTS = 40


class Journey:
    """What workers ask of the ledger for one page, each step repeated until it was answered."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.page = world.page()
        self.reasons: list[str] = []
        """Of the refusals met on the way."""

    def steps(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        world, servicer = self.world, self.world.servicer
        debit = pb.DebitSourceCallsRequest(
            connection="stel", day="2026-05-04", call_count=7, daily_limit=100, extraction_id=self.page.extraction_id, request_id="debit-1"
        )
        hold = pb.HoldBudgetRequest(connection="pipedrive-acme", holder="loader-1/a")
        hold.term.FromSeconds(60)
        records = [mapped(key, name=key) for key in KEYS]
        outcomes = [
            outcome(record.key, "CREATED", tokens=5, target_id=record.key[-1], image_json=b"{}", payload_digest=record.payload_digest)
            for record in records
        ]
        return {
            "RecordPage": lambda: world.record_page(self.page, "1", "2"),
            "RecordTransform": self._transform,
            "BeginBatch": lambda: world.begin_batch(*records, request_id="begin-x"),
            "SettleBatch": lambda: world.settle(*outcomes, request_id="settle-x"),
            "DebitSourceCalls": lambda: servicer.DebitSourceCalls(debit, CONTEXT),
            "HoldBudget": lambda: servicer.HoldBudget(hold, CONTEXT),
            "GetWorkContext": lambda: servicer.GetWorkContext(pb.GetWorkContextRequest(migration_id=M), CONTEXT),
        }

    async def _transform(self) -> bool:
        return await self.world.transform(await self.world.announce(self.page), KEYS)

    async def persist(self, step: Callable[[], Awaitable[Any]]) -> None:
        for _ in range(ATTEMPTS):
            try:
                await step()
            except UnavailableError as error:
                self.reasons.append(error.reason)
            else:
                return
        raise AssertionError("the ledger did not go on by itself")

    async def take(self, *, before: Callable[[str], None] = lambda _: None) -> None:
        await self.persist(self.world.begin)
        for name, step in self.steps().items():
            before(name)
            await self.persist(step)


async def state(ledger: SqlLedger) -> dict[str, Any]:
    """What stands in the ledger, without what differs between two equal ways."""
    async with ledger.read() as reader:
        records = await reader.list_records(M, RecordFilter(), limit=100)
        run = await reader.get_run(RUN)
        events = await reader.list_events(M)
        report = await verify_trail(reader, M)
        assert run is not None
        assert report.is_whole, report.message
        return {
            "records": sorted((record.key, record.state, record.target_id) for record in records),
            "tokens": run.token_count,
            # That a batch was asked for again is told again; what happened to its records is not.
            "events": list(dict.fromkeys((event.kind, event.key, event.result) for event in events)),
            "results": len([event for event in events if event.key]),
            "used": (await LedgerServicer(ledger=ledger, clock=FakeClock()).DebitSourceCalls(NO_CALLS, CONTEXT)).used_count,
            "pages": [page.page_id for page in await reader.list_pages(M, after_sequence=0, limit=10)],
        }
