"""Every kind of object that is made in Pipedrive loses answers, in a real installation: each is there once and goes away with a rollback."""

import pytest

from tests.e2e.checker import diff_of
from tests.e2e.harness import Installation, Rehearsal
from tests.fault.proof import SMALL, UNLIMITED, assert_complete, assert_owned_once
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PATHS = {
    "custom_field": r"/(deal|person|organization|product)Fields$",
    "field_option": r"Fields/[^/]+/options$",
    "pipeline": r"/pipelines$",
    "stage": r"/stages$",
    "activity_type": r"/activityTypes$",
    "product": r"/api/v2/products$",
    "organization": r"/organizations$",
    "person": r"/persons$",
    "deal": r"/api/v2/deals$",
    "line_item": r"/deals/\d+/products(/bulk)?$",
    "activity": r"/activities$",
    "note": r"/notes$",
    "file": r"/files$",
}
"""Of organization relations this source has none; `tests/unit/loader/test_faults.py` has them."""
FAULTS = {"cut_after": 1, "error_after": 2, "empty_200": 3, "cut_before": 4}
"""The answer is cut, is a 500, is empty: each after the effect; the request is cut on its way. Which call of a kind it meets."""


async def lose_answers(rehearsal: Rehearsal) -> None:
    rules = [{"kind": kind, "method": "POST", "path": path, "nth": [number]} for path in PATHS.values() for kind, number in FAULTS.items()]
    await rehearsal.pipedrive.faults(*rules)


async def fired(rehearsal: Rehearsal, kind: str) -> set[str]:
    """Of which kinds of objects a fault has met a call."""
    rules = (await rehearsal.pipedrive.control("GET", "faults"))["rules"]
    return {name for name, path in PATHS.items() if any(rule["path"] == path and rule["kind"] == kind and rule["fired"] for rule in rules)}


@pytest.mark.requirement("X-04", "L-05", "L-10", "L-15")
async def test_lost_answers_to_every_kind_of_create_leave_each_object_there_once(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await lose_answers(rehearsal)
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        assert await fired(rehearsal, "cut_after") == set(PATHS)
        assert len(await fired(rehearsal, "error_after")) >= len(PATHS) - 3  # of some kinds there is one object only
        await assert_complete(rehearsal)
        await assert_owned_once(rehearsal, before)
        await rehearsal.pipedrive.clear_faults()
        await rehearsal.step("rollback")
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
