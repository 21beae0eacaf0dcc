"""Ids of a source may hold slashes, colons, hashes, percent signs and letters of any script; one may begin as another one does, or end as a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from services.ledger.domain import RunKind
from tests.unit.ledger.coordinator import test_erasing as erasing
from tests.unit.ledger.coordinator import test_repair_runs as repairing
from tests.unit.ledger.coordinator.test_kept_records import roll_back
from tests.unit.ledger.coordinator.test_reconcile_runs import mismatches, place
from tests.unit.ledger.coordinator.test_review_and_sums import items, resolve
from tests.unit.ledger.coordinator.world import CONTEXT, M, World
from transload.v1 import migration_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Collection

SHORT, LONG = "V-3", "V-3/4"
ODD = (SHORT, LONG, "V-3/copy-4", "a:b#c%2F d?e=1&f", "ñandú/日本/٣", "7/", "%2F", "client/1", "..")


@pytest.fixture
def odd(world: World) -> World:
    """Clients and orders with such ids, beside the common ones."""
    world.source["client"] = {"1": {"name": "Client 1"}} | {one: {"name": f"Client {one}"} for one in ODD}
    orders = {one: {"client": one, "amount": number + 1} for number, one in enumerate(ODD)}
    world.source["sales_order"] = (
        {"1": {"client": "1", "amount": 99}} | orders | {"9/1": {"client": "404", "amount": 9}, "9": {"client": "404", "amount": 9}}
    )
    return world


def person(source_id: str) -> str:
    return f"person:client/{source_id}"


async def standing(world: World, entity: str, name: str) -> set[Any]:
    return {image[name] for (kind, _), image in world.pipedrive.records.items() if kind == entity and name in image}


async def rows(world: World) -> set[tuple[str, str]]:
    answer = await world.service.ListMismatches(pb.ListMismatchesRequest(migration_id=M), CONTEXT)
    return {(one.key, one.kind) for one in answer.mismatches}


async def spoil(world: World, source_ids: Collection[str]) -> None:
    """Let somebody edit the person of each client."""
    for one in source_ids:
        world.pipedrive.records[place(world, "person", "name", f"Client {one}")]["name"] = f"Somebody {one}"
    await mismatches(world)


async def copy_deal(world: World, target_id: str, source_id: str) -> str:
    """Let somebody copy the deal of an order; answers the key of the mismatch that tells it."""
    field = place(world, "custom_field", "field_name", "Transload ID")[1]
    world.pipedrive.records["deal", target_id] = {"title": "a copy", f"custom_fields.{field}": f"stel/sales_order/{source_id}"}
    return f"deal:stel/sales_order/{source_id}"


@pytest.mark.requirement("L-13", "L-16", "X-04")
async def test_all_are_loaded_and_agree_and_one_review_item_is_decided_alone(odd: World) -> None:
    await odd.until_loaded()
    assert await standing(odd, "person", "name") == {"Client 1", *(f"Client {one}" for one in ODD)}
    assert await standing(odd, "deal", "title") >= {f"Order {one}" for one in ODD}
    assert not (await mismatches(odd)).mismatches
    waiting = [one for one in await items(odd) if one.source_key.startswith("sales_order/")]
    assert {one.source_key for one in waiting} == {"sales_order/9", "sales_order/9/1"}
    await resolve(odd, "skip", ids=[one.review_item_id for one in waiting if one.source_key == "sales_order/9/1"])
    assert {one.source_key for one in await items(odd) if one.source_key.startswith("sales_order/")} == {"sales_order/9"}
    for source_id, state in (("9", "waiting"), ("9/1", "skipped")):
        found = await odd.service.GetRecord(pb.GetRecordRequest(migration_id=M, key=f"sales_order/{source_id}"), CONTEXT)
        assert found.source_state == state


@pytest.mark.requirement("L-14")
async def test_journey_proof_and_erasure_of_each_are_its_own(odd: World) -> None:
    await odd.until_loaded()
    await spoil(odd, ODD)
    copies = {one: await copy_deal(odd, str(9000 + number), one) for number, one in enumerate(ODD)}
    await mismatches(odd)
    left = await rows(odd)
    assert left >= {(person(one), "different") for one in ODD} | {(key, "unexpected") for key in copies.values()}
    for one in ODD:
        found = await odd.service.GetRecord(pb.GetRecordRequest(migration_id=M, key=person(one)), CONTEXT)
        assert found.source_key == f"client/{one}"
        keys = {record.key for record in found.records}
        assert keys == {f"{kind}:client/{one}" for kind in ("organization", "person", "note")}
        for key in (person(one), f"client/{one}"):
            proof = await odd.service.ProveRecord(pb.ProveRecordRequest(migration_id=M, key=key), CONTEXT)
            assert (proof.source_key, {event.event.key for event in proof.events if event.event.key}) == (f"client/{one}", keys)
        for key, row in ((person(one), (person(one), "different")), (f"deal:sales_order/{one}", (copies[one], "unexpected"))):
            source_key = key.partition(":")[2]
            erased = await odd.service.ErasePayloads(erasing.asked(key=key), CONTEXT)
            assert (list(erased.source_keys), left - await rows(odd)) == ([source_key], {row})
            left -= {row}


@pytest.mark.requirement("L-13")
async def test_each_is_repaired_alone_and_copies_belong_to_their_own_source_records(odd: World) -> None:
    await odd.until_loaded()
    await spoil(odd, ODD)
    copies = {one: await copy_deal(odd, str(9000 + number), one) for number, one in enumerate(ODD)}
    await mismatches(odd)
    for repaired in (SHORT, LONG):
        await repairing.repair(odd, person(repaired))
        others = ODD[ODD.index(repaired) + 1 :]
        assert await standing(odd, "person", "name") == {
            "Client 1",
            *(f"Client {one}" for one in ODD if one not in others),
            *(f"Somebody {one}" for one in others),
        }
    assert await repairing.accept(odd, copies[LONG]) == 1
    await repairing.repair(odd, kind="unexpected")
    assert {at for at in odd.pipedrive.records if at[1].startswith("90")} == {("deal", str(9000 + ODD.index(LONG)))}
    for number, one in enumerate(ODD):
        key = f"deal:sales_order/{one}/copy-{9000 + number}"
        found = await odd.service.GetRecord(pb.GetRecordRequest(migration_id=M, key=key), CONTEXT)
        assert found.source_key == f"sales_order/{one}"
        assert key in {record.key for record in found.records}
    await repairing.repair(odd)
    assert not (await mismatches(odd)).mismatches


@pytest.mark.requirement("L-15")
async def test_one_record_is_taken_back_without_those_whose_ids_begin_alike(odd: World) -> None:
    await odd.until_loaded()
    left = {"Client 1", *(f"Client {one}" for one in ODD)}
    for one in ODD[:6]:
        await roll_back(odd, key=person(one))
        left -= {f"Client {one}"}
        assert await standing(odd, "person", "name") == left
    await odd.run(RunKind.ROLLBACK)
    assert not await standing(odd, "person", "name")
