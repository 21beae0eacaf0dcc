"""Loaders die while they write into records that were in Pipedrive before, and answers are lost: the end and the way back are the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.checker import diff_of
from tests.e2e.harness import Installation, Rehearsal, installation
from tests.fault.conftest import IMPATIENT
from tests.fault.proof import SMALL, UNLIMITED, assert_sums_agree
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.requirement("L-15", "X-04")]

POLICIES = "matching:\n  organization: {policy: update, within_source: merge_into_first, keys: [{key: domain, is_enough: true}]}\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """Two loaders, so that one goes on with what the other had in its hands."""
    folder: Path = tmp_path_factory.mktemp("matching")
    async with installation(folder, IMPATIENT, loaders=2) as running:
        yield running


async def fill_account(rehearsal: Rehearsal) -> dict[str, str]:
    """Make an organization by hand for each client with a website; answers which one it is by the client's key."""
    clients = [one for one in (await rehearsal.truth())["collections"]["clients"] if not one["deleted"] and one["website"] and one["legal-name"]]
    bodies: list[dict[str, Any]] = [{"name": f"By hand {one['id']}", "website": one["website"]} for one in clients]
    deeds = [{"call": {"method": "POST", "path": "/api/v2/organizations", "body": body}} for body in bodies]
    done = (await rehearsal.pipedrive.control("POST", "people", {"do": deeds}))["done"]
    assert all(deed["status"] < 300 for deed in done), done
    by_name = {one["name"]: str(one["id"]) for one in json.loads(await rehearsal.pipedrive.export())["state"]["organizations"]}
    return {f"organization:client/{one['id']}": by_name[f"By hand {one['id']}"] for one in clients}


async def linked(rehearsal: Rehearsal) -> dict[str, str]:
    return {record.key: record.target_id for record in await rehearsal.records(target_entity="organization", state="matched")}


@pytest.mark.parametrize("goes_back", ["at the end", "half-way"])
async def test_loaders_die_while_they_write_into_what_was_there(installed: Installation, goes_back: str) -> None:
    options = pb.MigrationOptions(
        connector_json=json.dumps({"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0}), mapping_overrides_yaml=POLICIES
    )
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, options=options, sample_size=1) as rehearsal:
        wanted = await fill_account(rehearsal)
        assert len(wanted) >= 4
        before = await rehearsal.pipedrive.export()
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        await rehearsal.pipedrive.faults(
            {"kind": "cut_after", "method": "PATCH", "path": "^/api/v2/organizations", "probability": 0.5, "seed": 3},
            {"kind": "slow", "method": "PATCH", "path": "^/api/v2/organizations", "seconds": 0.3},
        )
        await rehearsal.pipedrive.control("DELETE", "journal")
        await rehearsal.start("load")

        async def are_written() -> bool:
            entries = (await rehearsal.pipedrive.control("GET", "journal/summary"))["requests"]
            return int(entries) >= 12

        await rehearsal.until(are_written, what="organizations being written")
        for name in installed.stack.loaders:
            with contextlib.suppress(AssertionError):
                installed.kill(name)
            await asyncio.sleep(0.2)  # real processes: the other one goes on meanwhile
        if goes_back == "half-way":
            await rehearsal.start("rollback")
            rehearsal.expect_success(await rehearsal.finish(), "rollback")
            assert (await rehearsal.pipedrive.control("GET", "faults"))["rules"][0]["fired"] > 0
        else:
            rehearsal.expect_success(await rehearsal.finish(), "load")
            assert (await rehearsal.pipedrive.control("GET", "faults"))["rules"][0]["fired"] > 0
            await rehearsal.pipedrive.clear_faults()
            found = await linked(rehearsal)
            assert {key: found.get(key) for key in wanted} == wanted
            state = json.loads(await rehearsal.pipedrive.export())["state"]
            truth = {f"organization:client/{one['id']}": one["legal-name"] for one in (await rehearsal.truth())["collections"]["clients"]}
            names = {str(one["id"]): one["name"] for one in state["organizations"]}
            assert {key: names[target_id] for key, target_id in wanted.items()} == {key: truth[key].strip()[:255] for key in wanted}
            await assert_sums_agree(rehearsal)
            await rehearsal.step("rollback")
        assert sum(installed.stack.restart_count(name) for name in installed.stack.loaders) >= 1
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
