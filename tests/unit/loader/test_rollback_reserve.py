"""What is kept of a day for a rollback is there when the load has spent all it may (L-15, G-03)."""

from __future__ import annotations

from typing import Any

import pytest

from services.common.errors import RateLimitedError
from services.loader.pipedrive.client import CallContext
from services.loader.quota.leases import Priority
from services.loader.readback import ReadBack
from tests.unit.loader import payloads
from tests.unit.loader.test_worker import ORG, result_of
from tests.unit.loader.world import CONNECTION, World


async def load_all(world: World, batches: list[dict[str, Any]]) -> None:
    for batch in batches:
        await world.load("organization", batch)


@pytest.mark.requirement("L-15", "G-03")
async def test_a_rollback_goes_on_with_what_was_kept_for_it_when_the_loads_share_is_spent() -> None:
    world = World(limits=True, plan="lite", seats=1)
    await world.load("organization", {ORG: payloads.organization()})
    # Others spend the day but for less than the reserve, 5 % of 30,000.
    assert world.app.engine.people.do({"spend": 28_900})["status"] == 200
    batches = [{f"organization:client/{number}": payloads.organization(f"Org {number}")} for number in range(2, 9)]
    with pytest.raises(RateLimitedError):
        await load_all(world, batches)
    world.ledger.resume()
    reader = ReadBack(client=world.targets.client(CONNECTION), context=CallContext(priority=Priority.VERIFY))
    with pytest.raises(RateLimitedError):
        await anext(reader.pages("organization", [], []))
    reader = ReadBack(client=world.targets.client(CONNECTION), context=CallContext(priority=Priority.ROLLBACK))
    assert [page async for page in reader.pages("organization", [], [])]
    world.ledger.run_kind = "rollback"
    assert result_of((await world.undo("organization", [ORG]))[ORG]) == "DELETED"
