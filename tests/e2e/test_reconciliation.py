"""People edit, delete and merge what was loaded, and bytes rot: all of it is found, repaired or accepted, and then everything is whole again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.e2e.harness import Rehearsal, installation
from transload.audit.verifier import verify_statement
from transload.v1 import migration_service_pb2 as pb

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.requirement("L-13")]


@dataclass(slots=True)
class Story:
    """What people did, and what was seen afterwards."""

    rehearsal: Rehearsal
    before: dict[str, Any] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    found: list[pb.Mismatch] = field(default_factory=list)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    planned: pb.RepairMismatchesResponse = field(default_factory=pb.RepairMismatchesResponse)
    left: dict[str, list[pb.Mismatch]] = field(default_factory=dict)
    statement: bytes = b""
    key: str = ""
    copy: str = ""
    after: dict[str, Any] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call Pipedrive as a person's browser does."""
        async with httpx.AsyncClient(headers={"x-api-token": self.rehearsal.keys[1]}, trust_env=False) as http:
            response = await http.request(method, f"{self.rehearsal.pipedrive.url}{path}", json=body)
        assert response.is_success, response.text
        return response.json()["data"]

    async def reconcile(self, name: str, **sizes: int) -> list[pb.Mismatch]:
        """Reconcile and keep the report."""
        client, migration_id = self.rehearsal.client, self.rehearsal.migration_id
        await client.reconcile(migration_id, **sizes)
        run = self.rehearsal.expect_success(await self.rehearsal.finish(), name).latest_run
        self.tokens[name] = run.token_count
        return await self.look(name)

    async def look(self, name: str) -> list[pb.Mismatch]:
        """Keep the report as it stands."""
        client, migration_id = self.rehearsal.client, self.rehearsal.migration_id
        self.reports[name] = json.loads((await client.get_reconciliation(migration_id)).report_json)
        return [one async for page in client.iterate_mismatches(migration_id) for one in page.mismatches]

    async def repair(self, name: str, *keys: str) -> None:
        """Repair some, or all."""
        answer = await self.rehearsal.client.repair(self.rehearsal.migration_id, keys, is_all=not keys)
        assert answer.HasField("run")
        self.rehearsal.expect_success(await self.rehearsal.finish(), name)
        self.left[name] = await self.look(name)

    async def state(self) -> dict[str, Any]:
        """Everything Pipedrive holds."""
        state: dict[str, Any] = json.loads(await self.rehearsal.pipedrive.export())["state"]
        return state


async def meddle(story: Story) -> None:
    """Let people work in Pipedrive, and one byte of a file rot."""
    records = [record for record in await story.rehearsal.records(state="loaded") if record.target_id]
    by_entity: dict[str, list[pb.RecordView]] = {}
    for record in records:
        by_entity.setdefault(record.target_entity, []).append(record)
    lined = {record.key.partition(":")[2].rpartition("/")[0].partition("/")[2].partition("/")[0] for record in by_entity["line_item"]}
    persons, organizations = by_entity["person"], by_entity["organization"]
    deal = next(record for record in by_entity["deal"] if record.source_key.rpartition("/")[2] in lined)
    valued = next(record for record in by_entity["deal"] if record.key != deal.key)
    activity, note, product = by_entity["activity"][0], by_entity["note"][0], by_entity["product"][0]
    files = by_entity["file"]
    story.keys = {
        "edited": persons[0].key,
        "accepted": persons[1].key,
        "deal": deal.key,
        "titled": valued.key,
        "activity": activity.key,
        "note": note.key,
        "product": product.key,
        "file": files[0].key,
        "rotten": files[1].key,
        "merged": organizations[1].key,
    }
    await story.call("PATCH", f"/api/v2/persons/{persons[0].target_id}", {"name": "Edited", "emails": [{"value": "x@example.com", "primary": True}]})
    await story.call("PATCH", f"/api/v2/persons/{persons[1].target_id}", {"name": "Better known as"})
    await story.call("PATCH", f"/api/v2/deals/{valued.target_id}", {"title": "Called otherwise"})
    await story.call("PATCH", f"/api/v2/activities/{activity.target_id}", {"subject": "Moved", "due_date": "2031-01-01", "due_time": "08:15"})
    await story.call("PUT", f"/v1/notes/{note.target_id}", {"content": "<p>other words</p>"})
    await story.call("PATCH", f"/api/v2/products/{product.target_id}", {"name": "Renamed"})
    await story.call("DELETE", f"/api/v2/deals/{deal.target_id}")
    await story.call("DELETE", f"/v1/files/{files[0].target_id}")
    await story.call("PUT", f"/v1/organizations/{organizations[1].target_id}/merge", {"merge_with_id": int(organizations[0].target_id)})
    shown = await story.call("GET", f"/api/v2/products/{product.target_id}")
    carried = next(code for code, value in shown["custom_fields"].items() if str(value).endswith(f"/{product.source_key}"))
    copy = await story.call("POST", "/api/v2/products", {"name": "A copy", "custom_fields": {carried: shown["custom_fields"][carried]}})
    story.copy = str(copy["id"])
    await story.rehearsal.pipedrive.control("POST", "rot", {"file": int(files[1].target_id)})


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    folder: Path = tmp_path_factory.mktemp("reconciliation")
    async with installation(folder) as installed, installed.rehearsal(source=("--clients", "20")) as rehearsal:
        told = Story(rehearsal)
        await rehearsal.run_to(pb.MIGRATION_STATE_LOADED)
        assert await told.reconcile("first", file_sample_size=-1) == []
        told.before = await told.state()
        await meddle(told)
        told.found = await told.reconcile("after people", file_sample_size=-1)
        client = rehearsal.client
        told.planned = await client.repair(rehearsal.migration_id, is_all=True, validate_only=True)
        await told.repair("one", told.keys["edited"])
        assert await client.accept_mismatches(rehearsal.migration_id, [told.keys["accepted"]]) == 1
        told.left["accepted"] = await told.look("accepted")
        await told.repair("all")
        copies = await client.repair(rehearsal.migration_id, kind="unexpected", is_all=True)
        assert dict(copies.action_counts) == {"delete": 1}
        rehearsal.expect_success(await rehearsal.finish(), "delete the copy")
        told.left["again"] = await told.reconcile("again", file_sample_size=-1)
        told.statement = await client.reconciliation_statement(rehearsal.migration_id)
        told.key = (await client.get_audit_head(rehearsal.migration_id)).public_key
        told.after = await told.state()
        yield told


async def test_everything_people_did_is_found(story: Story) -> None:
    found = {(one.key, one.kind) for one in story.found}
    names = {key: name for name, key in story.keys.items()}
    kinds = {names[key]: kind for key, kind in found if key in names}
    assert kinds == {name: "missing" if name in {"deal", "file", "merged"} else "different" for name in story.keys}
    fields = {(names[one.key], one.target_field) for one in story.found if one.key in names}
    assert {("edited", "name"), ("edited", "emails"), ("titled", "title"), ("note", "content"), ("rotten", "bytes"), ("product", "name")} <= fields
    assert {("activity", "subject"), ("activity", "due_date")} <= fields
    assert story.reports["after people"]["samples"]["file_bytes"]["wrong"] >= 1


async def test_before_it_is_done_it_is_said(story: Story) -> None:
    steps = {step.key: step.action for step in story.planned.steps}
    assert steps[story.keys["rotten"]] == "upload"
    assert steps[story.keys["deal"]] == steps[story.keys["file"]] == steps[story.keys["merged"]] == "create"
    assert steps[story.keys["edited"]] == steps[story.keys["note"]] == "patch"


async def test_one_is_repaired_and_one_accepted_alone(story: Story) -> None:
    keys = {one.key for one in story.found}
    assert {one.target_id for one in story.found if one.kind == "unexpected"} == {story.copy}
    assert {one.key for one in story.left["one"]} == keys - {story.keys["edited"]}
    assert {one.key for one in story.left["accepted"]} == keys - {story.keys["edited"], story.keys["accepted"]}


async def test_all_is_repaired_and_the_next_reconciliation_is_clean(story: Story) -> None:
    assert [(one.kind, one.target_id) for one in story.left["all"]] == [("unexpected", story.copy)]
    assert [(one.key, one.kind, one.target_field, one.expected_json, one.actual_json) for one in story.left["again"]] == []
    assert story.reports["again"]["mismatch_count"] == 0


async def test_nothing_is_there_twice(story: Story) -> None:
    counts = {
        kind: len([one for one in story.after[kind] if not one.get("is_deleted")])
        for kind in ("products", "persons", "deals", "notes", "files", "activities")
    }
    before = {kind: len([one for one in story.before[kind] if not one.get("is_deleted")]) for kind in counts}
    assert counts == before


async def test_the_statement_stands_without_the_ledger(story: Story) -> None:
    verdict = verify_statement(story.statement, story.key)
    assert (verdict.is_whole, verdict.is_pinned) == (True, True)
    assert any(line.startswith("Result: whole.") for line in json.loads(story.statement)["statement"])


async def test_who_decided_stands_in_the_trail(story: Story) -> None:
    events = [event async for event in story.rehearsal.client.export_audit(story.rehearsal.migration_id)]
    decided = {(event.kind, event.key) for event in events if event.kind.startswith("mismatch.")}
    assert ("mismatch.accepted", story.keys["accepted"]) in decided
    assert ("mismatch.repair", story.keys["edited"]) in decided
    assert (await story.rehearsal.client.verify_audit(story.rehearsal.migration_id)).is_whole
