"""What is particular about the Pipedrive account: the rights of the token, and several migrations that make one account's schema at once."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.harness import USERS, Installation, installation
from transload.v1 import migration_service_pb2 as pb

pytestmark = pytest.mark.slow

BESIDE = "beside"


@pytest.mark.requirement("G-02", "L-01")
async def test_a_token_without_admin_rights_is_named_by_the_audit_and_by_the_schema(tmp_path: Path) -> None:
    users = [USERS[0] | {"admin": False}, *USERS[1:]]
    async with installation(tmp_path) as installed, installed.rehearsal(source=("--clients", "2"), users=users) as rehearsal:
        await rehearsal.step("audit")
        report = json.loads(await rehearsal.client.get_audit(rehearsal.migration_id))
        assert any("visibility groups may hide records from it" in remark for remark in report["remarks"])
        await rehearsal.confirm()
        await rehearsal.start("schema")
        migration = await rehearsal.finish()
        assert migration.latest_run.reason == "TARGET_FORBIDDEN"
        assert "use the token of an administrator" in migration.latest_run.message


@pytest.mark.requirement("L-05")
async def test_two_migrations_that_make_one_accounts_schema_at_once_make_it_once(tmp_path: Path) -> None:
    async with installation(tmp_path) as installed, installed.rehearsal(source=("--clients", "2")) as rehearsal:
        client = rehearsal.client
        await client.create_migration(
            connector="stel_order",
            source_connection=f"{rehearsal.migration_id}-source",
            target_connection=f"{rehearsal.migration_id}-target",
            migration_id=BESIDE,
            options=pb.MigrationOptions(connector_json=rehearsal.default_options().connector_json, source_account=BESIDE),
        )
        both = (rehearsal.migration_id, BESIDE)
        await asyncio.gather(*(audited(installed, migration_id) for migration_id in both))
        await asyncio.gather(*(client.apply_schema(migration_id) for migration_id in both))
        runs = [(await client.wait(migration_id)).latest_run for migration_id in both]
        assert [run.state for run in runs] == [pb.RUN_STATE_SUCCEEDED] * 2, [run.message for run in runs]
        state = json.loads(await rehearsal.pipedrive.export())["state"]
        for kind in ("fields", "pipelines", "activity_types"):
            names = Counter((one.get("entity"), one.get("field_name") or one.get("name"), one.get("field_type")) for one in state[kind])
            assert {name: count for name, count in names.items() if count > 1} == {}, kind
        first, second = sorted([await looked_and_ended(installed, migration_id, run) for migration_id, run in zip(both, runs, strict=True)])
        assert first[1] <= second[0], "the second looks at the account when the first is done with it"
        results = [{entry.result: entry.count for entry in run.results if entry.target_entity == "custom_field"} for run in runs]
        created, matched = (sum(one.get(word, 0) for one in results) for word in ("created", "matched"))
        assert created == matched > 0, "what one made the other found"


async def audited(installed: Installation, migration_id: str) -> None:
    """Take a migration up to a confirmed mapping."""
    await installed.client.start_audit(migration_id)
    assert (await installed.client.wait(migration_id)).latest_run.state == pb.RUN_STATE_SUCCEEDED
    await installed.client.confirm_mapping(migration_id, (await installed.client.get_mapping(migration_id)).digest)


async def looked_and_ended(installed: Installation, migration_id: str, run: pb.Run) -> tuple[int, int]:
    """When a run looked at the account, and when it ended, nanoseconds."""
    events = [event async for event in installed.client.export_audit(migration_id)]
    own = [event for event in events if json.loads(event.payload_json or b"{}").get("run_id") == run.run_id]
    (looked,) = [event for event in own if event.kind == "target.inspected"]
    (ended,) = [event for event in own if event.kind == "run.succeeded"]
    return looked.event_time.ToNanoseconds(), ended.event_time.ToNanoseconds()
