"""Everything is read back and compared; the diff shows the same of the sample."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from services.common.errors import NotFoundError
from services.ledger.domain import RunKind
from services.ledger.runs import reconcile
from tests.unit.ledger.coordinator.world import CONTEXT, CrashError, M, World
from transload.audit import files, statement
from transload.audit.verifier import verify_statement
from transload.client import _event_data, _head
from transload.v1 import migration_service_pb2 as pb
from transload.v1.migration_service_pb2 import DiffVerdict


async def mismatches(world: World) -> pb.ListMismatchesResponse:
    await world.run(RunKind.RECONCILE)
    return await world.service.ListMismatches(pb.ListMismatchesRequest(migration_id=M), CONTEXT)


def place(world: World, entity: str, name: str, value: str) -> tuple[str, str]:
    return next(at for at, image in world.pipedrive.records.items() if at[0] == entity and image.get(name) == value)


@pytest.mark.requirement("L-13")
async def test_a_whole_load_has_no_mismatches(world: World) -> None:
    await world.until_loaded()
    answer = await mismatches(world)
    assert answer.mismatch_count == 0
    # 5 organizations, persons and notes, 2 products, 3 deals, lines and values, 4 schema records.
    assert answer.record_count == 30
    assert answer.field_count > answer.record_count
    assert answer.HasField("end_time")


@pytest.mark.requirement("L-11", "L-13")
async def test_records_that_people_merged_are_all_found_under_the_one_that_stayed(world: World) -> None:
    await world.until_loaded()
    _, kept = place(world, "organization", "name", "Client 2")
    async with world.ledger.transaction() as tx:
        keys = [f"organization:client/{number}" for number in (2, 3, 4)]
        records = await tx.get_records(M, keys)
        for key in keys[1:]:
            del world.pipedrive.records["organization", records[key].target_id]
            await tx.save_records([replace(records[key], target_id=kept, image=records[keys[0]].image)])
    assert [(mismatch.key, mismatch.kind) for mismatch in (await mismatches(world)).mismatches] == []


@pytest.mark.requirement("L-13")
async def test_changed_and_missing_records_are_found_wherever_they_are_read(world: World) -> None:
    await world.until_loaded()
    world.pipedrive.records[place(world, "person", "name", "Client 2")]["name"] = "Somebody"
    world.pipedrive.records[place(world, "note", "content", "Client 3")]["content"] = "Other words"
    del world.pipedrive.records[place(world, "note", "content", "Client 4")]
    del world.pipedrive.records[place(world, "product", "name", "Pump")]
    world.pipedrive.records[place(world, "deal", "title", "Order 2")]["value"] = 999
    answer = await mismatches(world)
    found = {(mismatch.key, mismatch.target_field, mismatch.kind) for mismatch in answer.mismatches}
    assert found == {
        ("person:client/2", "name", "different"),
        ("note:client/3", "content", "different"),
        ("note:client/4", "", "missing"),
        ("product:product/1", "", "missing"),
        ("deal_value:sales_order/2", "value", "different"),
    }
    assert answer.mismatch_count == 5
    assert (await world.summary()).mismatch_count == 5
    finished = [event for event in await world.events() if event.kind == "reconciliation.finished"]
    assert finished[-1].result == "different"


@pytest.mark.requirement("L-13")
async def test_fields_others_wrote_are_theirs(world: World) -> None:
    await world.until_loaded()
    world.pipedrive.records[place(world, "person", "name", "Client 2")]["phone"] = "added by a person"
    world.pipedrive.records["note", "9999"] = {"content": "a note of somebody else"}
    assert (await mismatches(world)).mismatch_count == 0


@pytest.mark.requirement("L-13")
async def test_a_copy_with_our_external_id_is_unexpected(world: World) -> None:
    await world.until_loaded()
    field = place(world, "custom_field", "field_name", "Transload ID")[1]
    known = place(world, "deal", "title", "Order 2")
    world.pipedrive.records[known][f"custom_fields.{field}"] = "stel/sales_order/2"
    world.pipedrive.records["deal", "9998"] = {"title": "Order 2 (copy)", f"custom_fields.{field}": "stel/sales_order/2"}
    world.pipedrive.records["deal", "9999"] = {"title": "of another account", f"custom_fields.{field}": "other/sales_order/2"}
    answer = await mismatches(world)
    assert [(one.key, one.target_id, one.kind) for one in answer.mismatches] == [("deal:stel/sales_order/2", "9998", "unexpected")]


@pytest.mark.requirement("L-08")
async def test_the_diff_shows_the_sample_field_by_field(world: World) -> None:
    await world.until_prepared()
    await world.run(RunKind.SAMPLE)
    diff = await world.service.GetDiff(pb.GetDiffRequest(migration_id=M), CONTEXT)
    assert list(diff.coverage) == ["every object"]
    assert diff.different_count == 0
    assert diff.field_count == sum(len(record.fields) for record in diff.records)
    by_key = {record.key: record for record in diff.records}
    assert {"user:employee/1", "organization:client/1", "note:client/1", "deal:sales_order/1", "line_item:sales_order/1/1"} <= set(by_key)
    name = by_key["organization:client/1"].fields[0]
    assert (name.mapped_value_json, name.target_value_json, name.verdict) == (b'"Client 1"', b'"Client 1"', DiffVerdict.DIFF_VERDICT_SAME)
    created = {key for key in world.pipedrive.creations if ":schema/" not in key}
    assert {key.partition(":")[2].partition("/")[2].partition("/")[0] for key in created} == {"1"}


@pytest.mark.requirement("L-08")
async def test_the_diff_comes_in_pages(world: World) -> None:
    await world.until_prepared()
    await world.run(RunKind.SAMPLE)
    keys: list[str] = []
    token = ""
    while True:
        page = await world.service.GetDiff(pb.GetDiffRequest(migration_id=M, page_size=2, page_token=token), CONTEXT)
        keys.extend(record.key for record in page.records)
        token = page.next_page_token
        if not token:
            break
    assert len(keys) == len(set(keys)) == 8


async def report(world: World) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((await world.service.GetReconciliation(pb.GetReconciliationRequest(migration_id=M), CONTEXT)).report_json)
    return found


@pytest.mark.requirement("L-13")
async def test_each_entity_has_its_counts_and_each_list_is_read_once(world: World) -> None:
    await world.until_loaded()
    del world.pipedrive.records[place(world, "person", "name", "Client 2")]
    world.pipedrive.records[place(world, "person", "name", "Client 3")]["name"] = "Somebody"
    await mismatches(world)
    found = await report(world)
    assert found["entities"]["person"] == {
        "expected": 5,
        "found": 4,
        "missing": 1,
        "different": 1,
        "unexpected": 0,
        "fields": found["entities"]["person"]["fields"],
    }
    assert found["entities"]["deal_value"]["found"] == found["entities"]["deal"]["found"] == 3
    assert found["record_count"] == sum(sums["expected"] for sums in found["entities"].values()) == 30
    assert len(set(world.listed)) == len(world.listed)
    assert {entity for entity, _ in world.listed} == {"product", "organization", "person", "deal"}, "notes are few: read one by one"
    migration = await world.migration()
    assert found["mapping_digest"] == migration.mapping_digest
    assert len(found["mismatch_digest"]) == 64


@pytest.mark.requirement("L-13")
async def test_a_list_goes_on_where_it_was_and_begins_again_when_its_token_is_refused(world: World) -> None:
    await world.until_loaded()
    await mismatches(world)
    whole = await report(world)

    class OneToken(set[str]):
        """Refuses every token once, as a cursor that ran out."""

        def __contains__(self, token: object) -> bool:
            if not token or token in self.known:
                return False
            self.known.add(str(token))
            return True

        def __init__(self) -> None:
            super().__init__()
            self.known: set[str] = set()

    world.refused_tokens = OneToken()
    real = reconcile.PAGES_PER_STEP
    reconcile.PAGES_PER_STEP = 1
    try:
        await mismatches(world)
    finally:
        reconcile.PAGES_PER_STEP = real
    again = await report(world)
    assert again["entities"] == whole["entities"]
    assert world.refused_tokens.known


@pytest.mark.requirement("L-13")
async def test_a_death_at_any_point_of_a_reconciliation_counts_nothing_twice(world: World) -> None:
    await world.until_loaded()
    world.pipedrive.records[place(world, "person", "name", "Client 2")]["name"] = "Somebody"
    del world.pipedrive.records[place(world, "note", "content", "Client 4")]
    await mismatches(world)
    whole = await report(world)
    for at in range(1, 60, 4):
        run_id = await world.start(RunKind.RECONCILE)
        world.fuse.points, world.fuse.at = 0, at
        try:
            await world.finish(run_id)
        except CrashError:
            world.fuse.at = 0
            world.restart()
            await world.finish(run_id)
        world.fuse.at = 0
        found = await report(world)
        assert (found["entities"], found["mismatch_count"], found["mismatch_digest"]) == (
            whole["entities"],
            whole["mismatch_count"],
            whole["mismatch_digest"],
        )


@pytest.mark.requirement("L-13", "L-14")
async def test_the_statement_is_proven_without_the_ledger_and_no_word_can_be_changed(world: World) -> None:
    await world.until_loaded()
    await mismatches(world)
    answer = await world.service.GetReconciliation(pb.GetReconciliationRequest(migration_id=M), CONTEXT)
    event, payload = _event_data(answer.event.event), answer.event.event.payload_json
    proof = files.proof_bytes(M, "", _head(answer.head), [(event, payload, list(answer.event.path))])
    document = statement.statement_bytes(event, payload, proof)
    verdict = verify_statement(document, world.signer.public_key)
    assert (verdict.is_whole, verdict.is_pinned, verdict.kind, verdict.message) == (True, True, "statement", verdict.message)
    assert any("Result: whole" in line for line in orjson.loads(document)["statement"])
    for old, new in ((b"30 records", b"31 records"), (b"Result: whole", b"Result: Whole"), (b'\\"mismatch_count\\":0', b'\\"mismatch_count\\":1')):
        assert old in document
        assert not verify_statement(document.replace(old, new), world.signer.public_key).is_whole
    assert not verify_statement(document, "0" * 64).is_whole


@pytest.mark.requirement("L-13")
async def test_there_is_nothing_to_state_before_a_reconciliation_and_after_a_rollback(world: World) -> None:
    await world.until_loaded()
    with pytest.raises(NotFoundError):
        await report(world)
    await mismatches(world)
    await world.run(RunKind.ROLLBACK)
    with pytest.raises(NotFoundError):
        await report(world)
