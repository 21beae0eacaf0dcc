"""The whole way of a migration, with a snapshot of everything worth looking at on the way."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.harness import Rehearsal
from transload.errors import TransloadCallError
from transload.v1 import migration_service_pb2 as pb


@dataclass(slots=True)
class Stop:
    """What was seen at one stop of the way."""

    export: bytes
    truth: dict[str, Any]
    summary: pb.Summary
    records: list[pb.RecordView]
    review_items: list[pb.ReviewItem]


@dataclass(slots=True)
class Journey:
    """Everything that was seen."""

    rehearsal: Rehearsal
    account: str
    before: bytes
    requests: Path
    """Every request to Pipedrive, as the simulator recorded it: JSON lines."""
    refusals: dict[str, str] = field(default_factory=dict)
    """What was tried too early, and the reason it was refused with."""
    audit: dict[str, Any] = field(default_factory=dict)
    mapping: pb.Mapping = field(default_factory=pb.Mapping)
    diff: list[pb.DiffRecord] = field(default_factory=list)
    diff_totals: pb.GetDiffResponse = field(default_factory=pb.GetDiffResponse)
    flagged_before_load: set[str] = field(default_factory=set)
    """Records in the review queue when nothing but the schema stood in Pipedrive."""
    stops: dict[str, Stop] = field(default_factory=dict)
    mismatches: dict[str, pb.ListMismatchesResponse] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    edited_organization: dict[str, Any] = field(default_factory=dict)
    reference_files: dict[str, bytes] = field(default_factory=dict)
    events: list[pb.Event] = field(default_factory=list)
    verification: pb.VerifyAuditResponse = field(default_factory=pb.VerifyAuditResponse)
    plan: pb.PlanRollbackResponse = field(default_factory=pb.PlanRollbackResponse)
    after: bytes = b""
    target_journal: dict[str, Any] = field(default_factory=dict)
    source_journal: dict[str, Any] = field(default_factory=dict)


async def travel(rehearsal: Rehearsal) -> Journey:
    """Go from creation to rollback."""
    client, migration_id = rehearsal.client, rehearsal.migration_id
    requests = rehearsal.installation.folder / "requests.jsonl"
    await rehearsal.pipedrive.control("POST", "recording", {"file": str(requests), "reads": True})
    journey = Journey(rehearsal, f"{migration_id}-source", await rehearsal.pipedrive.export(), requests)
    await _try_too_early(journey, "load", "schema", "rollback")
    await rehearsal.step("audit")
    journey.audit = json.loads(await client.get_audit(migration_id))
    journey.mapping = await client.get_mapping(migration_id)
    await _try_too_early(journey, "schema", "load")
    await rehearsal.confirm()
    await rehearsal.step("schema")
    journey.flagged_before_load = {item.source_key for item in await rehearsal.review_items()}
    await rehearsal.step("sample")
    await _try_too_early(journey, "load")
    async for page in client.iterate_diff(migration_id):
        journey.diff_totals = page
        journey.diff.extend(page.records)
    await client.approve(migration_id, journey.diff_totals.diff_digest)
    await rehearsal.step("load")
    journey.stops["load"] = await _look(rehearsal)
    journey.mismatches["load"] = await _reconcile(rehearsal)
    await _change_both_sides(journey)
    await rehearsal.step("delta")
    journey.stops["delta"] = await _look(rehearsal)
    journey.mismatches["delta"] = await _reconcile(rehearsal)
    async for name, content in client.export_reference_files(migration_id):
        journey.reference_files[name] = journey.reference_files.get(name, b"") + content
    journey.plan = await client.plan_rollback(migration_id)
    await _undo_edit(journey)
    await rehearsal.step("rollback")
    journey.after = await rehearsal.pipedrive.export()
    journey.events = [event async for event in client.export_audit(migration_id)]
    journey.verification = await client.verify_audit(migration_id)
    journey.target_journal = await rehearsal.pipedrive.control("GET", "journal/summary")
    journey.source_journal = await rehearsal.stel.control("GET", "journal")
    return journey


async def _look(rehearsal: Rehearsal) -> Stop:
    return Stop(
        await rehearsal.pipedrive.export(),
        await rehearsal.truth(),
        await rehearsal.summary(),
        await rehearsal.records(),
        await rehearsal.review_items(),
    )


async def _reconcile(rehearsal: Rehearsal) -> pb.ListMismatchesResponse:
    await rehearsal.step("reconcile")
    return await anext(aiter(rehearsal.client.iterate_mismatches(rehearsal.migration_id)))


async def _try_too_early(journey: Journey, *steps: str) -> None:
    state = pb.MigrationState.Name((await journey.rehearsal.migration()).state).removeprefix("MIGRATION_STATE_").lower()
    for step in steps:
        try:
            await journey.rehearsal.start(step)
        except TransloadCallError as error:
            journey.refusals[f"{state}/{step}"] = error.reason
        else:
            journey.refusals[f"{state}/{step}"] = "accepted"


async def _change_both_sides(journey: Journey) -> None:
    """Let the source change, and let a person edit a record in Pipedrive that the source does not change."""
    rehearsal = journey.rehearsal
    journey.changes = (await rehearsal.stel.control("POST", "mutate", {"seed": 1}))["changes"]
    changed = {change["id"] for change in journey.changes if change["collection"] == "clients"}
    untouched = next(record.target_id for record in journey.stops["load"].records if _is_plain_client(record, changed))
    answer = await _patch(rehearsal, untouched, "Edited by a person")
    journey.edited_organization = answer["data"]


async def _undo_edit(journey: Journey) -> None:
    """Take the person's edit back, so that rollback can be compared byte for byte."""
    first = json.loads(journey.stops["load"].export)["state"]["organizations"]
    edited = journey.edited_organization["id"]
    await _patch(journey.rehearsal, str(edited), next(one["name"] for one in first if one["id"] == edited))


def _is_plain_client(record: pb.RecordView, changed: set[int]) -> bool:
    return record.target_entity == "organization" and record.state == "loaded" and int(record.source_key.rpartition("/")[2]) not in changed


async def _patch(rehearsal: Rehearsal, organization_id: str, name: str) -> dict[str, Any]:
    url = f"{rehearsal.pipedrive.url}/api/v2/organizations/{organization_id}"
    async with httpx.AsyncClient(headers={"x-api-token": rehearsal.keys[1]}, trust_env=False) as http:
        response = await http.patch(url, json={"name": name})
    response.raise_for_status()
    answer: dict[str, Any] = response.json()
    return answer
