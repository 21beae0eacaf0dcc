"""Processes die in the middle of the work, by SIGKILL, and nobody helps."""

import asyncio
import contextlib

import pytest

from tests.e2e.checker import diff_of
from tests.e2e.harness import Installation, Rehearsal
from tests.fault.proof import SMALL, UNLIMITED, assert_complete
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

REQUESTS_BEFORE_KILL = 60


async def load_with(rehearsal: Rehearsal, *, requests: int = REQUESTS_BEFORE_KILL) -> asyncio.Task[pb.Migration]:
    """Start the full load and return a task that ends with it, once Pipedrive has had so many requests."""
    await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
    await rehearsal.pipedrive.control("DELETE", "journal")
    await rehearsal.start("load")
    await rehearsal.until_requests(requests)
    return asyncio.create_task(rehearsal.finish())


@pytest.mark.requirement("X-04")
@pytest.mark.parametrize("service", ["loader", "transformer", "ledger", "nats"])
async def test_a_killed_process_costs_nothing_but_time(installed: Installation, service: str) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        loading = await load_with(rehearsal)
        installed.kill(service)
        rehearsal.expect_success(await loading, "load")
        assert installed.stack.restart_count(service) >= 1
        await assert_complete(rehearsal)


@pytest.mark.requirement("X-04", "L-10")
async def test_a_loader_killed_again_and_again_still_loads_everything_once(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        loading = await load_with(rehearsal, requests=20)
        for requests in (50, 90, 130):
            with contextlib.suppress(AssertionError):
                installed.kill("loader")
            await rehearsal.until_requests(requests)
        rehearsal.expect_success(await loading, "load")
        await assert_complete(rehearsal)


@pytest.mark.requirement("X-04")
async def test_the_whole_store_of_nats_may_be_deleted_during_the_load(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        loading = await load_with(rehearsal)
        await installed.wipe_nats()
        rehearsal.expect_success(await loading, "load")
        await assert_complete(rehearsal)


@pytest.mark.requirement("L-06")
async def test_an_extractor_killed_while_reading_goes_on_where_it_was(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        await rehearsal.stel.faults({"kind": "slow", "path": "/app/work", "seconds": 1.0})
        await rehearsal.start("audit")

        async def is_midway() -> bool:
            journal = await rehearsal.stel.control("GET", "journal")
            return any(call["path"] == "/app/workOrders" for call in journal["calls"])

        await rehearsal.until(is_midway, what="work orders being read")
        installed.kill("extractor")
        rehearsal.expect_success(await rehearsal.finish(), "audit")
        journal = await rehearsal.stel.control("GET", "journal")
        assert sum(call["path"] == "/app/clients" for call in journal["calls"]) == 1
        counts = (await rehearsal.truth())["counts"]
        extracted = {entity.source_entity: entity.extracted_count for entity in (await rehearsal.summary()).entities}
        assert extracted["client"] == counts["clients"]
        assert extracted["work_order"] == counts["workOrders"]


@pytest.mark.requirement("L-10", "X-04")
async def test_after_a_power_cut_the_stack_goes_on_where_the_ledger_stands(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=1) as rehearsal:
        loading = await load_with(rehearsal)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await installed.cut_power()
        rehearsal.expect_success(await rehearsal.finish(), "load")
        await assert_complete(rehearsal)


@pytest.mark.requirement("L-15")
@pytest.mark.parametrize("service", ["loader", "ledger"])
async def test_a_rollback_of_half_a_load_survives_deaths_and_keeps_what_people_did(installed: Installation, service: str) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=5) as rehearsal:
        before = await rehearsal.pipedrive.export()
        loading = await load_with(rehearsal)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        edited = next(record for record in await rehearsal.records(state="loaded") if record.target_entity == "organization")
        deed = {"edit": {"kind": "organization", "id": int(edited.target_id), "values": {"name": "Renamed by Ana"}}}
        await rehearsal.pipedrive.control("POST", "people", {"do": deed})
        await rehearsal.pipedrive.control("DELETE", "journal")
        await rehearsal.start("rollback")
        await rehearsal.until_requests(40)
        installed.kill(service)
        rehearsal.expect_success(await rehearsal.finish(), "rollback")
        kept = {record.key: record async for record in rehearsal.client.iterate_kept(rehearsal.migration_id)}
        assert list(kept[edited.key].fields) == ["name"]
        # The organization stays, with the custom fields it has values in, and nothing else does.
        assert {record.target_entity for record in kept.values()} <= {"organization", "custom_field", "field_option"}
        await rehearsal.client.rollback(rehearsal.migration_id, pb.TakeBackScope(deletes_edited=True))
        rehearsal.expect_success(await rehearsal.finish(), "rollback")
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
