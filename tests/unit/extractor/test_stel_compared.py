"""Documents whose lines were edited behind the back of their stamps: found by comparing all of them, where that is asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fixtures.stel_order.stand_in import StandIn, row
from tests.fixtures.stel_order.world import CrashError, World

SINCE = datetime(2026, 3, 20, tzinfo=UTC)
COUNT = 1_100
"""Three pages."""
EDITED = (3, 700, 1_100)


def order(number: int) -> dict[str, Any]:
    return row(number, lines=[{"id": number, "units": 1}])


def units(world: World, extraction_id: str) -> dict[str, int]:
    return {one["id"]: one["data"]["lines"][0]["units"] for one in world.envelopes("sales_order", extraction_id)}


async def edited_world(count: int = COUNT) -> World:
    """Read all orders once, then let somebody edit a line of some, which leaves their stamps alone."""
    world = World(StandIn({"salesOrders": [order(number) for number in range(1, count + 1)]}))
    await world.extract(extraction_id="first", entities=["sales_order"])
    for number in EDITED:
        world.source.collections["salesOrders"][number - 1]["lines"] = [{"id": number, "units": 2}]
    world.source.calls.clear()
    return world


@pytest.mark.requirement("L-11", "SO-05")
@pytest.mark.parametrize(("compares", "found", "calls"), [(True, {str(number): 2 for number in EDITED}, 4), (False, {}, 1)])
async def test_an_edited_line_is_found_where_all_documents_are_compared(compares: bool, found: dict[str, int], calls: int) -> None:
    world = await edited_world()
    choices: dict[str, Any] = {"entities": ["sales_order"], "changed_since": SINCE, "options": {"full_compare": compares}}
    await world.extract(extraction_id="second", **choices)
    assert units(world, "second") == found
    assert world.source.count("salesOrders") == calls
    await world.extract(extraction_id="third", **choices)
    assert units(world, "third") == {}


@pytest.mark.requirement("L-06", "L-11")
@pytest.mark.parametrize("pages_before", range(4))
async def test_a_crash_after_any_page_loses_none_of_them(pages_before: int) -> None:
    world = await edited_world()
    choices: dict[str, Any] = {"entities": ["sales_order"], "changed_since": SINCE, "options": {"full_compare": True}}
    world.ledger.crash_after_pages = len(world.ledger.recorded) + pages_before
    try:
        await world.extract(extraction_id="second", **choices)
    except CrashError:
        world.ledger.crash_after_pages = None
        await world.extract(extraction_id="second", **choices)
    assert units(world, "second") == {str(number): 2 for number in EDITED}
