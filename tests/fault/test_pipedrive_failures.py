"""Pipedrive fails in every way it is known to."""

from typing import Any

import pytest

from tests.e2e.harness import Installation, Rehearsal
from tests.fault.proof import SMALL, UNLIMITED, assert_complete, assert_sums_agree
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

WRITES = "^/api/v2/(organizations|persons|deals|products|activities)|^/v1/notes|^/api/v1/notes"


@pytest.mark.requirement("X-04", "L-10")
@pytest.mark.parametrize("kind", ["cut_after", "error_after", "cut_before", "error_before"])
async def test_an_answer_that_never_comes_leads_to_one_record(installed: Installation, kind: str) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        await rehearsal.pipedrive.faults({"kind": kind, "method": "POST", "path": WRITES, "probability": 0.1, "seed": 7})
        await rehearsal.step("load")
        rules = (await rehearsal.pipedrive.control("GET", "faults"))["rules"]
        assert rules[0]["fired"] > 5
        await assert_complete(rehearsal)


@pytest.mark.requirement("G-03")
async def test_a_429_of_somebody_elses_making_is_waited_out(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        body = {"success": False, "error": "request over limit"}
        headers = {"retry-after": "1", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}
        await rehearsal.pipedrive.faults({"kind": "status", "status": 429, "path": "/persons", "times": 3, "body": body, "headers": headers})
        await rehearsal.step("load")
        await assert_complete(rehearsal)


async def stop_at_load(rehearsal: Rehearsal, *rules: dict[str, Any]) -> pb.Migration:
    """Start a load that meets the given faults; returns the migration once it says that it does not go on."""
    await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
    if rules:
        await rehearsal.pipedrive.faults(*rules)
    await rehearsal.start("load")
    return await wait_for_pause(rehearsal)


async def wait_for_pause(rehearsal: Rehearsal) -> pb.Migration:
    async def is_paused() -> bool:
        return (await rehearsal.migration()).pause_kind != pb.PAUSE_KIND_UNSPECIFIED

    await rehearsal.until(is_paused, what="the migration to say that it is paused", seconds_max=60)
    return await rehearsal.migration()


async def finish_load(rehearsal: Rehearsal) -> None:
    rehearsal.expect_success(await rehearsal.finish(), "load")
    await assert_complete(rehearsal)


@pytest.mark.requirement("L-10")
async def test_a_refused_token_stops_with_a_clear_message_and_resume_goes_on(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        await rehearsal.pipedrive.control("POST", "revoke", {})
        await rehearsal.start("load")
        migration = await wait_for_pause(rehearsal)
        assert migration.pause_kind == pb.PAUSE_KIND_ERROR
        assert "token" in migration.pause_message.lower()
        await rehearsal.pipedrive.control("POST", "tokens", {"token": "a-new-token"})
        installed.connect(f"{rehearsal.migration_id}-target", rehearsal.pipedrive.url, "a-new-token")
        await rehearsal.client.resume(rehearsal.migration_id)
        await finish_load(rehearsal)


@pytest.mark.requirement("G-03")
async def test_a_used_up_day_pauses_with_the_time_it_goes_on(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=("--plan", "ultimate", "--seats", "5"), sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        await rehearsal.pipedrive.control("POST", "budget", {"remaining": 300})
        await rehearsal.start("load")
        migration = await wait_for_pause(rehearsal)
        assert migration.pause_kind == pb.PAUSE_KIND_TARGET_QUOTA
        assert migration.HasField("resume_time")
        await rehearsal.pipedrive.control("POST", "budget", {"used": 0})
        await rehearsal.client.resume(rehearsal.migration_id)
        await finish_load(rehearsal)


@pytest.mark.requirement("G-03")
async def test_a_block_by_cloudflare_is_seen_and_left_in_peace(installed: Installation) -> None:
    page = "<!DOCTYPE html><html><head><title>Attention Required! | Cloudflare</title></head><body>Sorry, you have been blocked</body></html>"
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        migration = await stop_at_load(rehearsal, {"kind": "status", "status": 403, "path": "/persons", "body": page})
        assert "cloudflare" in migration.pause_message.lower()
        fired = (await rehearsal.pipedrive.control("GET", "faults"))["rules"][0]["fired"]
        assert fired < 20
        await rehearsal.pipedrive.clear_faults()
        await rehearsal.client.resume(rehearsal.migration_id)
        await finish_load(rehearsal)


async def test_an_outage_is_waited_out_without_help(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        await rehearsal.pipedrive.faults({"kind": "status", "status": 500, "path": "/organizations|/persons", "times": 12})
        await rehearsal.step("load")
        await assert_complete(rehearsal)


@pytest.mark.requirement("L-07", "X-04")
async def test_a_refused_record_does_not_hold_up_the_others(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        body = {"success": False, "error": "Validation failed: name is haunted", "code": "ERR_SCHEMA_VALIDATION_FAILED"}
        await rehearsal.pipedrive.faults({"kind": "status", "status": 400, "method": "POST", "path": "/activities$", "times": 2, "body": body})
        await rehearsal.step("load")
        refused = [record for record in await rehearsal.records(reason="TARGET_REJECTED") if record.target_entity == "activity"]
        assert len(refused) == 2
        assert all("haunted" in record.message for record in refused)
        await assert_sums_agree(rehearsal)
