"""The value of a deal after its lines: written where it differs, never over a person's value."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.loader import payloads
from tests.unit.loader.test_worker import DEAL, PRODUCT, base, result_of
from tests.unit.loader.world import World
from transload.v1 import ledger_service_pb2 as pb

KEY = "deal_value:sales_estimate/3"


@pytest.fixture
async def world() -> World:
    world = World()
    await base(world)
    await world.load("line_item", {"line_item:sales_estimate/3/1": payloads.line(DEAL, PRODUCT, tax=0)})
    return world


def wanted(value: float) -> dict[str, Any]:
    return {KEY: {"deal_id": {"$ref": DEAL}, "value": value, "currency": "EUR"}}


async def load(world: World, value: float) -> pb.RecordOutcome:
    world.app.journal.clear()
    outcome = (await world.load("deal_value", wanted(value)))[KEY]
    assert outcome is not None
    return outcome


def value(world: World) -> float:
    return float(world.live("deal")[-1]["value"])


def methods(world: World) -> list[str]:
    return [entry.method for entry in world.app.journal.entries]


@pytest.mark.requirement("SO-04")
async def test_a_value_that_is_right_already_costs_no_write(world: World) -> None:
    assert value(world) == 21
    assert result_of(await load(world, 21.0)) == "UNCHANGED"
    assert methods(world) == ["GET"]


@pytest.mark.requirement("SO-04", "SO-06")
async def test_a_value_that_differs_is_written(world: World) -> None:
    assert result_of(await load(world, 25.41)) == "UPDATED"
    assert value(world) == 25.41


@pytest.mark.requirement("RS-03", "D-01")
async def test_a_value_that_several_lines_bring_is_written_once(world: World) -> None:
    records = {f"deal_value:document_line/{line}": next(iter(wanted(25.41).values())) for line in range(4)}
    world.app.journal.clear()
    outcomes = await world.load("deal_value", records)
    assert sorted(result_of(outcome) for outcome in outcomes.values()) == ["UNCHANGED", "UNCHANGED", "UNCHANGED", "UPDATED"]
    assert methods(world) == ["GET", "PATCH"]
    assert value(world) == 25.41


@pytest.mark.requirement("L-11")
async def test_a_sum_pipedrive_made_of_changed_lines_is_no_persons_edit(world: World) -> None:
    await load(world, 25.41)
    await world.load("line_item", {"line_item:sales_estimate/3/1": payloads.line(DEAL, PRODUCT, tax=0, quantity=4)})
    assert value(world) == 42
    assert result_of(await load(world, 50.0)) == "UPDATED"
    assert value(world) == 50


@pytest.mark.requirement("L-11", "L-16")
@pytest.mark.parametrize(("policy", "result", "left"), [("", "WAITING", 77.0), ("target", "UNCHANGED", 77.0), ("source", "UPDATED", 50.0)])
async def test_a_persons_value_stands_until_decided(world: World, policy: str, result: str, left: float) -> None:
    await load(world, 25.41)
    await world.client.call("deals.update", world.context, ids={"id": world.ledger.entry(DEAL).target_id}, body={"value": 77})
    world.ledger.conflict_policy = policy
    outcome = await load(world, 50.0)
    assert result_of(outcome) == result
    assert value(world) == left
    assert policy or outcome.reason == "CONFLICT"


async def test_an_archived_deal_is_taken_out_and_put_back(world: World) -> None:
    await world.client.call("deals.update", world.context, ids={"id": world.ledger.entry(DEAL).target_id}, body={"is_archived": True})
    assert result_of(await load(world, 33.0)) == "UPDATED"
    assert (value(world), world.live("deal")[-1]["is_archived"]) == (33.0, True)


@pytest.mark.requirement("L-15")
async def test_taking_back_a_value_needs_no_call(world: World) -> None:
    await load(world, 25.41)
    world.app.journal.clear()
    assert result_of((await world.undo("deal_value", [KEY]))[KEY]) == "DELETED"
    assert methods(world) == []
