"""STEL Order fails in every way it is known to."""

import pytest

from tests.e2e.harness import Installation, Rehearsal
from tests.fault.proof import SMALL, UNLIMITED, assert_complete, assert_sums_agree
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


async def message_of_stop(rehearsal: Rehearsal) -> str:
    """Wait until the migration says that it does not go on; returns what it says."""

    async def says_something() -> bool:
        migration = await rehearsal.migration()
        return migration.pause_kind != pb.PAUSE_KIND_UNSPECIFIED or migration.latest_run.state == pb.RUN_STATE_FAILED

    await rehearsal.until(says_something, what="a message", seconds_max=60)
    migration = await rehearsal.migration()
    return f"{migration.latest_run.reason} {migration.latest_run.message} {migration.pause_message}"


async def go_on(rehearsal: Rehearsal) -> None:
    """Go on with the audit after the cause was seen to: resume when paused, start again when failed."""
    migration = await rehearsal.migration()
    if migration.latest_run.state == pb.RUN_STATE_FAILED:
        await rehearsal.start("audit")
    else:
        await rehearsal.client.resume(rehearsal.migration_id)
    rehearsal.expect_success(await rehearsal.finish(), "audit")


@pytest.mark.requirement("L-06")
async def test_a_wrong_key_is_named_and_a_right_one_goes_on(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.stel.control("POST", "key", {"key": "changed-in-stel-order"})
        await rehearsal.start("audit")
        assert "key" in (await message_of_stop(rehearsal)).lower()
        installed.connect(f"{rehearsal.migration_id}-source", f"{rehearsal.stel.url}/app", "changed-in-stel-order")
        await go_on(rehearsal)


@pytest.mark.requirement("L-06")
async def test_an_unreachable_source_is_named_and_found_again(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        name = f"{rehearsal.migration_id}-source"
        installed.connect(name, "http://127.0.0.1:9/app", rehearsal.keys[0])
        await rehearsal.start("audit")
        message = await message_of_stop(rehearsal)
        assert "SOURCE_UNREACHABLE" in message or "reach" in message or "answer" in message
        installed.connect(name, f"{rehearsal.stel.url}/app", rehearsal.keys[0])
        await go_on(rehearsal)


@pytest.mark.requirement("L-06")
async def test_a_used_up_day_waits_for_the_next_one_and_says_so(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.stel.control("POST", "quota", {"per_day": 1000, "used_today": 995})
        await rehearsal.start("audit")

        async def is_waiting() -> bool:
            return (await rehearsal.migration()).pause_kind == pb.PAUSE_KIND_SOURCE_QUOTA

        await rehearsal.until(is_waiting, what="a pause for the source's quota", seconds_max=60)
        assert (await rehearsal.migration()).HasField("resume_time")
        await rehearsal.stel.control("POST", "quota", {"per_day": 0})
        await go_on(rehearsal)


@pytest.mark.requirement("L-06", "X-04")
async def test_broken_json_costs_one_collection_and_names_it(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.stel.faults({"kind": "broken_json", "path": "^/app/services"})
        await rehearsal.step("audit")
        events = [event async for event in rehearsal.client.export_audit(rehearsal.migration_id)]
        assert any(b"services" in event.payload_json and b"SOURCE_MALFORMED" in event.payload_json for event in events)
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        await assert_sums_agree(rehearsal)


@pytest.mark.requirement("L-06")
async def test_a_missing_right_costs_one_collection_and_the_rest_goes_on(installed: Installation) -> None:
    async with installed.rehearsal(source=(*SMALL, "--deny", "incidents,assets"), target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        await assert_sums_agree(rehearsal)


@pytest.mark.requirement("L-06", "X-08")
async def test_passing_failures_leave_no_trace(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.stel.faults(
            {"kind": "status", "status": 500, "path": "^/app/clients", "times": 1},
            {"kind": "status", "status": 503, "body": "<html>back soon</html>", "path": "^/app/contacts", "times": 1},
            {"kind": "cut", "path": "^/app/salesEstimates", "times": 1},
            {"kind": "cut_before", "path": "^/app/workOrders", "times": 1},
            {"kind": "broken_json", "path": "^/app/products", "times": 1},
            {"kind": "not_json", "path": "^/app/salesOrders", "times": 1},
        )
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        rules = (await rehearsal.stel.control("GET", "faults"))["rules"]
        assert [rule["fired"] for rule in rules] == [1] * 6
        await assert_complete(rehearsal)


@pytest.mark.requirement("L-06")
async def test_the_plans_minute_is_respected_without_a_single_refusal(installed: Installation) -> None:
    options = pb.MigrationOptions(connector_json='{"plan": "pro", "calls_per_minute": 20, "calls_per_day": 0}')
    async with installed.rehearsal(source=(*SMALL, "--calls-per-minute", "20"), target=UNLIMITED, options=options) as rehearsal:
        await rehearsal.start("audit")
        with pytest.raises(TimeoutError):
            await rehearsal.finish(seconds_max=8)
        journal = await rehearsal.stel.control("GET", "journal")
        assert journal["statuses"].keys() == {"200"}
        assert 15 <= journal["counted_count"] <= 20
        await rehearsal.client.pause(rehearsal.migration_id)
