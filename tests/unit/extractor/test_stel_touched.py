"""Invoices whose receipts changed are read again in a delta, although their own stamps stand still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.fixtures.stel_order.stand_in import STAMP, StandIn, row
from tests.fixtures.stel_order.world import CrashError, World

SINCE = datetime(2026, 2, 1, tzinfo=UTC)
ENTITIES = ["ordinary_invoice_receipt", "ordinary_invoice"]
NEW = "2026-02-02T00:00:00+0000"


def invoice(number: int, **fields: Any) -> dict[str, Any]:
    return row(number, **{"full-reference": f"FAC{number}", "paid-total-amount": 0, **fields})


def receipt(number: int, invoice_id: int) -> dict[str, Any]:
    return row(number, **{"original-element-id": str(invoice_id), STAMP: NEW})


async def read_once(*invoices: dict[str, Any], **source: Any) -> World:
    """Let a first extraction read all invoices, then pay some of them."""
    world = World(StandIn({"ordinaryInvoices": list(invoices), "ordinaryInvoiceReceipts": []}, **source))
    await world.extract(extraction_id="first", entities=ENTITIES)
    world.source.calls.clear()
    return world


def pay(world: World, *invoice_ids: int) -> None:
    for number, invoice_id in enumerate(invoice_ids, start=900):
        world.source.collections["ordinaryInvoiceReceipts"].append(receipt(number, invoice_id))
        next(one for one in world.source.collections["ordinaryInvoices"] if one["id"] == invoice_id)["paid-total-amount"] = 10


def paid(world: World, extraction_id: str) -> dict[str, Any]:
    return {one["id"]: one["data"]["paid-total-amount"] for one in world.envelopes("ordinary_invoice", extraction_id)}


@pytest.mark.requirement("L-11", "SO-06")
@pytest.mark.parametrize("references", ["honoured", "ignored", "refused"])
async def test_an_invoice_is_read_again_when_a_receipt_of_it_is_new(references: str) -> None:
    world = await read_once(*(invoice(number) for number in range(1, 6)), references=references)
    pay(world, 2, 4)
    world.source.collections["ordinaryInvoiceReceipts"].append(receipt(990, 4_000))
    await world.extract(extraction_id="second", entities=ENTITIES, changed_since=SINCE)
    assert paid(world, "second") == {"2": 10, "4": 10}


async def test_nothing_more_is_asked_when_no_receipt_is_new() -> None:
    world = await read_once(invoice(1))
    await world.extract(extraction_id="second", entities=ENTITIES, changed_since=SINCE)
    assert world.source.count("ordinaryInvoices") == 1
    assert paid(world, "second") == {}


async def test_fifty_are_asked_for_with_one_call_and_a_comma_alone() -> None:
    world = await read_once(*(invoice(number) for number in range(1, 61)), invoice(61, **{"full-reference": "FAC,61"}))
    pay(world, *range(1, 62))
    await world.extract(extraction_id="second", entities=ENTITIES, changed_since=SINCE)
    assert len(paid(world, "second")) == 61
    asked = [url.params["full-reference"] for url in world.source.calls if "full-reference" in url.params]
    assert [value.count("FAC") for value in asked] == [50, 10, 1]
    assert asked[2] == "FAC,61"


@pytest.mark.requirement("L-06")
@pytest.mark.parametrize("references", ["honoured", "refused"])
@pytest.mark.parametrize("pages_before", range(5))
async def test_a_crash_after_any_page_loses_none_of_them(pages_before: int, references: str) -> None:
    world = await read_once(*(invoice(number) for number in range(1, 121)), references=references)
    pay(world, *range(1, 121))
    world.ledger.crash_after_pages = len(world.ledger.recorded) + pages_before
    try:
        await world.extract(extraction_id="second", entities=ENTITIES, changed_since=SINCE)
    except CrashError:
        world.ledger.crash_after_pages = None
        await world.extract(extraction_id="second", entities=ENTITIES, changed_since=SINCE)
    assert paid(world, "second") == {str(number): 10 for number in range(1, 121)}
