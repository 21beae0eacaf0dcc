"""A whole installation with a load on its way, to be attacked, and a look at it afterwards: a migration of somebody else must still go well."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from tests.e2e.harness import installation
from tests.fuzz.campaign import Campaign
from tests.fuzz.installed import learn_values, overheard, served_methods
from tests.fuzz.requests import Known
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.fuzz.installed import Method

CLIENTS: Final = 4
SLOW: Final = {"kind": "slow", "seconds": 1.0, "method": "POST"}
"""So that the load is under way while it is attacked."""


@asynccontextmanager
async def attacked_installation(folder: Path, *, seed: int, database_url: str = "") -> AsyncIterator[tuple[Campaign, list[Method]]]:
    """Yield what attacks an installation in the middle of a load, and all of its methods."""
    env = {"TRANSLOAD_LEDGER_DATABASE_URL": database_url} if database_url else {}
    async with installation(folder, env) as installed, installed.rehearsal(size=CLIENTS) as rehearsal:
        known = Known()
        async with overheard(installed.stack.nats_url, known):
            await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
            await rehearsal.pipedrive.faults(SLOW)
            await rehearsal.start("load")
            await rehearsal.until_requests(1)
        methods = await served_methods(installed.stack.addresses)
        name = rehearsal.migration_id
        url = database_url or f"sqlite:///{installed.stack.data_dir / 'ledger.db'}"
        await learn_values(known, url, methods, name, (f"{name}-source", f"{name}-target"))
        yield Campaign(installed, known, seed), methods


async def prove_well(campaign: Campaign) -> None:
    """Take another migration from its beginning to the end of its load, which needs every service and both streams."""
    async with campaign.installation.rehearsal(size=CLIENTS) as witness:
        await witness.run_to(pb.MIGRATION_STATE_LOADED)
        states = {record.state for record in await witness.records()}
    if not states <= {"loaded", "matched", "skipped", "rejected", "waiting"} or "loaded" not in states:
        campaign.note(f"the migration after the attack left records {sorted(states)}", "")
    await campaign.look_after()
