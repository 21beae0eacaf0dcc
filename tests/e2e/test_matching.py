"""De-duplication before insert, through the real stack: an account of Pipedrive that holds some of the customers already."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.checker import diff_of
from tests.e2e.harness import Installation, Rehearsal, installation
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.requirement("L-15", "L-16")]

SOURCE = ("--clients", "12")
UNLIMITED = ("--limits", "off")


def options(rehearsal_options: pb.MigrationOptions, matching: str) -> pb.MigrationOptions:
    rehearsal_options.mapping_overrides_yaml = "matching:\n" + matching
    return rehearsal_options


def call(method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"call": {"method": method, "path": path, "body": body}}


async def people(rehearsal: Rehearsal, *deeds: dict[str, Any]) -> None:
    done = (await rehearsal.pipedrive.control("POST", "people", {"do": list(deeds)}))["done"]
    assert all(deed["status"] < 300 for deed in done), done


async def state(rehearsal: Rehearsal) -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(await rehearsal.pipedrive.export())["state"]
    return exported


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("matching")
    async with installation(folder) as running:
        yield running


async def test_records_that_exist_are_linked_and_filled_and_given_back_as_they_were(installed: Installation) -> None:
    connector = json.dumps({"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0})
    given = options(pb.MigrationOptions(connector_json=connector), "  organization: {policy: match_and_fill}\n")
    async with installed.rehearsal(source=SOURCE, target=UNLIMITED, options=given, sample_size=5) as rehearsal:
        truth = (await rehearsal.truth())["collections"]
        clients = [one for one in truth["clients"] if one.get("website") and not one.get("deleted")][:3]
        there = [call("POST", "/api/v2/organizations", {"name": f"{one['legal-name']} SL", "website": one["website"]}) for one in clients]
        await people(rehearsal, *there)
        before = await rehearsal.pipedrive.export()
        ids = sorted(one["id"] for one in json.loads(before)["state"]["organizations"])[-len(clients) :]
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        matched = [record for record in await rehearsal.records(target_entity="organization") if record.state == "matched"]
        assert sorted(int(record.target_id) for record in matched) == ids
        journey = await rehearsal.client.get_record(rehearsal.migration_id, matched[0].key)
        decided = next(json.loads(event.payload_json) for event in journey.events if event.kind == "match.decided")
        assert decided["candidates"][0]["reasons"][0].startswith("same domain (")
        await rehearsal.step("reconcile")
        page = await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))
        assert not page.mismatches
        await rehearsal.step("rollback")
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
