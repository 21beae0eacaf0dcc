"""The connector against the simulator: everything the account holds is frozen once, and a delta brings what changed."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sandbox.common.clock import Clock
from sandbox.stel_order.application import Options, StelOrder
from sandbox.stel_order.control import Control
from sandbox.stel_order.generator import Plan, generate
from sandbox.stel_order.mutations import mutate
from sandbox.stel_order.quota import CallQuota
from sandbox.stel_order.store import Store
from services.extractor.connectors.stel_order.entities import COLLECTIONS
from services.extractor.ports import State
from tests.fixtures.stel_order.stand_in import KEY
from tests.fixtures.stel_order.world import World


class SimulatedSource:
    """The simulator in the place of the extractor tests' own stand-in."""

    def __init__(self, simulator: StelOrder) -> None:
        self.simulator = simulator

    def transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=Control(self.simulator, "control"))


def world_of(clients: int, *denied: str) -> tuple[World, StelOrder]:
    clock = Clock()
    simulator = StelOrder(
        generate(Store(), Plan(clients=clients)), Options(key=KEY, denied=set(denied)), clock, CallQuota(clock, per_minute=0, per_day=0)
    )
    return World(source=SimulatedSource(simulator)), simulator  # type: ignore[arg-type]


@pytest.mark.requirement("L-06", "X-06")
async def test_every_record_of_the_simulator_is_frozen_once() -> None:
    world, simulator = world_of(150)
    await world.extract()
    for collection in COLLECTIONS:
        listed = [str(record["id"]) for record in simulator.account.store.records(collection.entity.source_name) if not record["deleted"]]
        assert sorted(world.ids(collection.entity.name)) == sorted(listed), collection.entity.name
    assert simulator.journal.write_attempts == 0
    failed = [report for report in world.ledger.reports if report.state in {State.FAILED, State.NO_ACCESS}]
    assert failed == []


@pytest.mark.requirement("X-07")
async def test_files_are_frozen_by_content_and_odd_ones_are_named() -> None:
    world, _ = world_of(150)
    await world.extract()
    files = [envelope for entity in ("entity_attachment", "item_image", "asset_image", "document_pdf") for envelope in world.envelopes(entity)]
    problems = sorted(envelope["file"]["problem"] for envelope in files if envelope["file"]["problem"])
    assert problems == ["FILE_TOO_LARGE", "FILE_UNAVAILABLE"]
    assert 20 <= len(files) <= 26
    assert len(world.store.file_bytes) == len(files) - 3, "two attachments share their bytes, two have none"
    assert b"token=" not in b"".join(
        content for digest, content in world.store.page_bytes.items() if b'"link_digest"' in content and b'"file"' in content
    )


@pytest.mark.requirement("L-11")
async def test_a_delta_brings_exactly_what_changed() -> None:
    world, simulator = world_of(30)
    await world.extract()
    since = datetime.now(UTC) - timedelta(minutes=5)
    changes = mutate(simulator.account, 1, datetime.now(UTC))
    await world.extract(extraction_id="x2", changed_since=since, includes_deleted=True)
    seen = {(collection.entity.source_name, int(found)) for collection in COLLECTIONS for found in world.ids(collection.entity.name, "x2")}
    wanted = {(change["collection"], change["id"]) for change in changes if change["kind"] != "touched"}
    rows = [
        simulator.account.store.get("ordinaryInvoiceReceipts", number) for collection, number in wanted if collection == "ordinaryInvoiceReceipts"
    ]
    paid = {("ordinaryInvoices", int(row.record()["original-element-id"])) for row in rows if row is not None}
    assert paid - wanted, "an invoice that says nothing of its change is read with its receipt"
    stamped = {collection.entity.source_name for collection in COLLECTIONS if collection.change_method != "all"}
    assert {one for one in seen if one[0] in stamped and one[0] != "entityAttachments"} == wanted | paid


@pytest.mark.requirement("L-06")
async def test_a_missing_right_costs_one_collection() -> None:
    world, _ = world_of(5, "incidents")
    await world.extract()
    refused = [report.entity for report in world.ledger.reports if report.state is State.NO_ACCESS]
    assert refused == ["incident"]
    assert world.ids("client")
