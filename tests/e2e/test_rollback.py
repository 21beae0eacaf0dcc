"""Taking back, between real processes: what was there before, what people did meanwhile, parts, and the rehearsal of a sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.e2e.checker import diff_of
from tests.e2e.harness import installation
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.e2e.harness import Installation, Rehearsal

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SMALL = ("--clients", "12")
UNLIMITED = ("--limits", "off")
TOKENS_OF_LOAD_MAX = 0.60
PLAN_ERROR_MAX = 0.02


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def installed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("rollback")
    async with installation(folder) as running:
        yield running


async def people(rehearsal: Rehearsal, *deeds: dict[str, Any]) -> list[dict[str, Any]]:
    """Let people do something in the web application."""
    done: list[dict[str, Any]] = (await rehearsal.pipedrive.control("POST", "people", {"do": list(deeds)}))["done"]
    assert all(deed["status"] < 300 for deed in done), done
    return done


def call(method: str, path: str, body: Any = None) -> dict[str, Any]:
    return {"call": {"method": method, "path": path, "body": body}}


def edit(record: pb.RecordView, values: dict[str, Any]) -> dict[str, Any]:
    return {"edit": {"kind": record.target_entity, "id": int(record.target_id), "values": values}}


async def state(rehearsal: Rehearsal) -> dict[str, Any]:
    exported: dict[str, Any] = json.loads(await rehearsal.pipedrive.export())["state"]
    return exported


def one(table: list[dict[str, Any]], number: str) -> dict[str, Any] | None:
    return next((record for record in table if str(record["id"]) == number), None)


async def kept_by(rehearsal: Rehearsal) -> dict[str, pb.KeptRecord]:
    return {record.key: record async for record in rehearsal.client.iterate_kept(rehearsal.migration_id)}


async def take_back(rehearsal: Rehearsal, **scope: Any) -> pb.Migration:
    await rehearsal.client.rollback(rehearsal.migration_id, pb.TakeBackScope(**scope))
    return rehearsal.expect_success(await rehearsal.finish(), "rollback")


async def make_own_schema(rehearsal: Rehearsal) -> None:
    """Give the account some of the schema the mapping will want, so that it is found and added to instead of made."""
    await people(
        rehearsal,
        call("POST", "/api/v2/pipelines", {"name": "STEL Quotes"}),
        call("POST", "/v1/activityTypes", {"name": "Payment", "icon_key": "task"}),
        call("POST", "/api/v2/productFields", {"field_name": "STEL Kind", "field_type": "enum", "options": [{"label": "Product"}]}),
        call("POST", "/api/v2/dealFields", {"field_name": "STEL Status", "field_type": "varchar"}),
    )
    pipeline = max(one["id"] for one in (await state(rehearsal))["pipelines"])
    await people(rehearsal, call("POST", "/api/v2/stages", {"name": "Pending", "pipeline_id": pipeline}))


@pytest.mark.requirement("L-15")
async def test_the_account_is_as_before_but_for_what_people_did(installed: Installation) -> None:
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=5) as rehearsal:
        await make_own_schema(rehearsal)
        before = await rehearsal.pipedrive.export()
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        loaded = {record.target_entity: record for record in reversed(await rehearsal.records(state="loaded"))}
        stage = next(one for one in (await state(rehearsal))["stages"] if one not in json.loads(before)["state"]["stages"])
        await people(
            rehearsal,
            edit(loaded["organization"], {"name": "Renamed by Ana"}),
            edit(loaded["note"], {"content": "<p>Called back</p>"}),
            edit(loaded["product"], {"description": "Ana's words"}),
            call("POST", "/api/v2/activities", {"subject": "Ana's call", "deal_id": int(loaded["deal"].target_id)}),
            call("POST", "/api/v2/deals", {"title": "Ana's deal", "stage_id": stage["id"], "pipeline_id": stage["pipeline_id"]}),
        )
        seen = await state(rehearsal)
        theirs = {kind: [one for one in seen[kind] if "Ana's" in str(one.get("subject") or one.get("title"))] for kind in ("activities", "deals")}

        migration = await take_back(rehearsal)
        assert migration.state == pb.MIGRATION_STATE_ROLLED_BACK
        kept = await kept_by(rehearsal)
        for entity, fields in {"organization": ["name"], "note": ["content"], "product": ["description"]}.items():
            record = kept[loaded[entity].key]
            assert (record.reason, list(record.fields)) == ("edited", fields)
        assert kept[loaded["deal"].key].reason == "needed"
        assert any(record.target_entity == "stage" and record.target_id == str(stage["id"]) for record in kept.values())
        now = await state(rehearsal)
        for kind, entity in {"organizations": "organization", "notes": "note", "products": "product"}.items():
            assert one(now[kind], loaded[entity].target_id) == one(seen[kind], loaded[entity].target_id)
        for kind, records in theirs.items():
            assert [one(now[kind], str(record["id"])) for record in records] == records
        # Nothing of ours stands there but what the list names.
        listed = {(record.target_entity, record.target_id) for record in kept.values()}
        for kind, entity in {"deals": "deal", "persons": "person", "organizations": "organization", "notes": "note", "files": "file"}.items():
            known = {record["id"] for record in json.loads(before)["state"].get(kind, [])} | {record["id"] for record in theirs.get(kind, [])}
            assert {(entity, str(record["id"])) for record in now[kind] if record["id"] not in known} <= listed

        with pytest.raises(TransloadCallError, match="--edited delete"):
            await rehearsal.client.rollback(rehearsal.migration_id)
        await take_back(rehearsal, deletes_edited=True)
        assert not [record for record in (await kept_by(rehearsal)).values() if record.reason != "theirs"]
        left = [line for line in diff_of(before, await rehearsal.pipedrive.export()) if "Ana's" not in line]
        assert left == []


@pytest.mark.requirement("L-15")
async def test_it_costs_what_the_plan_says_and_less_than_the_goal(installed: Installation) -> None:
    async with installed.rehearsal(source=("--clients", "40"), target=UNLIMITED, sample_size=20) as rehearsal:
        await make_own_schema(rehearsal)
        before = await rehearsal.pipedrive.export()
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        plan = await rehearsal.client.plan_rollback(rehearsal.migration_id)
        foreseen = json.loads(await rehearsal.client.plan_load(rehearsal.migration_id))
        migration = await take_back(rehearsal)
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
        assert await kept_by(rehearsal) == {}
        spent = migration.latest_run.token_count
        assert abs(spent - plan.token_count) <= PLAN_ERROR_MAX * spent, (spent, plan)
        assert abs(spent - foreseen["steps"]["rollback"]["tokens"]) <= PLAN_ERROR_MAX * spent, (spent, foreseen["rows"])
        assert spent <= TOKENS_OF_LOAD_MAX * plan.load_token_count, (spent, plan.load_token_count)


@pytest.mark.requirement("L-15", "X-04", "L-09")
async def test_a_sample_is_rehearsed_then_a_record_goes_alone(installed: Installation) -> None:
    options = pb.MigrationOptions(connector_json='{"plan": "pro", "calls_per_minute": 0, "calls_per_day": 0}', requires_rehearsal=True)
    async with installed.rehearsal(source=SMALL, target=UNLIMITED, sample_size=5, options=options) as rehearsal:
        before = await rehearsal.pipedrive.export()
        await rehearsal.run_to(pb.MIGRATION_STATE_PREPARED)
        prepared = await rehearsal.pipedrive.export()
        await rehearsal.run_to(pb.MIGRATION_STATE_APPROVED)
        with pytest.raises(TransloadCallError, match="rehearsal") as refusal:
            await rehearsal.start("load")
        assert refusal.value.reason == "NOT_REHEARSED"
        assert (await take_back(rehearsal, is_sample=True)).is_rehearsed
        assert diff_of(prepared, await rehearsal.pipedrive.export()) == []
        await rehearsal.step("load")

        records = await rehearsal.records(state="loaded")
        deals = {record.source_key: record for record in records if record.target_entity == "deal"}
        deal = next(iter(deals.values()))
        await take_back(rehearsal, key=deal.key)
        now = await state(rehearsal)
        assert one(now["deals"], deal.target_id) is None
        for kind in ("activities", "notes", "files", "deal_products"):
            assert not [record for record in now[kind] if str(record.get("deal_id")) == deal.target_id]
        assert len(now["deals"]) == len(json.loads(before)["state"]["deals"]) + len(deals) - 1
        for entity in (await rehearsal.summary()).entities:
            final = entity.loaded_count + entity.matched_count + entity.skipped_count + entity.rejected_count + entity.waiting_count
            assert (entity.extracted_count, 0) == (final, entity.pending_count), entity
        await rehearsal.step("reconcile")
        assert not [page.mismatches async for page in rehearsal.client.iterate_mismatches(rehearsal.migration_id) if page.mismatches]
        await rehearsal.step("delta")
        assert len((await state(rehearsal))["deals"]) == len(now["deals"])
        await rehearsal.client.run_delta(rehearsal.migration_id, includes_rolled_back=True)
        rehearsal.expect_success(await rehearsal.finish(), "delta")
        assert len((await state(rehearsal))["deals"]) == len(now["deals"]) + 1
        await take_back(rehearsal)
        assert diff_of(before, await rehearsal.pipedrive.export()) == []
