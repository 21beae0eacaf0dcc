"""Exports of Novo Work Order in every form they come in: the same account is read from all of them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.bundles.writer import BundleWriter, Dialect
from sandbox.novo_work_order.changes import later
from sandbox.novo_work_order.generator import Plan, generate
from sandbox.novo_work_order.writing import MAIL_METHOD, write_account, write_database
from services.common.connections import Connection
from services.extractor.connector import START, ConnectorContext
from services.extractor.connectors.novo_work_order.connector import NovoWorkOrder
from tests.fakes.clock import FakeClock
from tests.fixtures.bundle.toy import EVERYTHING, Frozen, NoGate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox.novo_work_order.account import Account

PLAN = Plan(size=5, large_bytes=5_000)
Read = dict[str, dict[str, dict[str, Any]]]


@asynccontextmanager
async def opened(place: Path, frozen: Frozen | None = None, **options: Any) -> AsyncIterator[NovoWorkOrder]:
    def no_client(*_: Any, **__: Any) -> Any:
        raise AssertionError("a bundle needs no network")

    context = ConnectorContext(Connection("source", str(place)), options, NoGate(), frozen or Frozen(), FakeClock(), no_client)
    async with NovoWorkOrder.connect(context) as connector:
        yield connector


async def read(place: Path, frozen: Frozen | None = None, **options: Any) -> Read:
    """Read everything as {entity: {id: data}}; deleted rows are marked."""
    found: Read = {}
    async with opened(place, frozen, **options) as connector:
        for entity in await connector.list_entities():
            rows = found.setdefault(entity.name, {})
            async for page in connector.read(entity.name, START, EVERYTHING):
                rows.update({one.source_id: {**one.data, **({"is_deleted": True} if one.is_deleted else {})} for one in page.records})
                if frozen is not None:
                    frozen.freeze(entity.name, page)
    del found["bundle_finding"]
    return found


def written(folder: Path, account: Account | None = None, *, is_renamed: bool = False, **form: Any) -> Path:
    return write_account(account or generate(PLAN), BundleWriter(folder, **form), is_renamed=is_renamed)


async def test_values_have_their_type_and_ids_are_texts(tmp_path: Path) -> None:
    account, found = generate(PLAN), await read(written(tmp_path / "a"))
    assert {name: len(rows) for name, rows in found.items() if rows} == {
        "department": 5,
        "location": 8,
        "user": 7,
        "account": 5,
        "contact": len(account.tables["contacts"]),
        "asset": len(account.tables["assets"]),
        "part": 7,
        "pm_schedule": 13,
        "pm_step": len(account.tables["pm_steps"]),
        "work_order": 15,
        "work_order_note": len(account.tables["work_order_notes"]),
        "status_change": len(account.tables["work_order_status_log"]),
        "labor": len(account.tables["work_order_labor"]),
        "part_use": len(account.tables["work_order_parts"]),
        "user_defined_field": 6,
        "attachment": len(account.tables["attachments"]),
    }
    row, order = account.tables["work_orders"][0], found["work_order"]["20000"]
    assert order["asset_ids"] == row["Asset ID"]
    assert order["assigned_to"] == row["Assigned To"]
    assert (order["labor_cost"], order["total_cost"]) == (row["Labor Cost"], row["Total Cost"])
    assert order["added_time"][:19] == row["Date Added"].isoformat()
    assert order["added_time"][19:] in {"-04:00", "-05:00"}
    assert order["properties"]["Ward"] == row["UDF: Ward"]
    assert found["part"]["00123-A"]["part_id"] == "00123-A"
    schedule = found["pm_schedule"]["1"]
    assert (schedule["every"], schedule["unit"], schedule["is_active"]) == (3, "Months", True)


@pytest.mark.parametrize(
    "form",
    [
        {"is_zip": True},
        {"is_xlsx": True},
        {"is_xlsx": True, "is_zip": True},
        {"dialect": Dialect(encoding="utf-8", line_end="\n")},
        {"dialect": Dialect(delimiter=";", quotes_all=True)},
        {"dialect": Dialect(encoding="utf-16", delimiter="\t")},
    ],
)
async def test_the_form_of_an_export_changes_nothing(tmp_path: Path, form: dict[str, Any]) -> None:
    assert await read(written(tmp_path / "b", **form)) == await read(written(tmp_path / "a"))


@pytest.mark.requirement("G-08")
async def test_a_tenants_own_names_are_read_by_the_layout_in_the_bundle_or_by_an_option(tmp_path: Path) -> None:
    plain = await read(written(tmp_path / "a"))
    renamed = written(tmp_path / "b", is_renamed=True)
    assert await read(renamed) == plain
    layout = (renamed / "layout.yaml").read_text()
    (renamed / "layout.yaml").unlink()
    with pytest.raises(Exception, match="work_orders"):
        await read(renamed)
    assert await read(renamed, layout=yaml.safe_load(layout)) == plain


@pytest.mark.requirement("G-08")
async def test_an_export_of_the_database_is_read_by_its_upper_case_heads(tmp_path: Path) -> None:
    plain = await read(written(tmp_path / "a"))
    found = await read(write_database(generate(PLAN), BundleWriter(tmp_path / "b")))
    came = {one: data.pop("other_columns") for one, data in found["work_order"].items()}
    assert found == plain  # titles, descriptions, states, times, accounts, and notes with whether they are internal
    by_mail = {"CASE_ADD_METHOD": str(MAIL_METHOD), "CASE_ADD_MAILFROM": "resident@example.com"}
    assert list(came.values())[:2] == [{"CASE_ADD_METHOD": "1"}, by_mail]  # what no head of the layout takes is kept
    # The report writer leaves the notes' ids out: nobody can tell them apart then, and a person is asked.
    notes = (tmp_path / "b" / "CASE_NOTES.csv").read_text("utf-8-sig").splitlines()
    (tmp_path / "b" / "CASE_NOTES.csv").write_text("\n".join([notes[0].replace("NOTE_ID", "NOTE_KEY"), *notes[1:]]))
    with pytest.raises(Exception, match="row_ids"):
        await read(tmp_path / "b")
    anew = await read(tmp_path / "b", row_ids=["work_order_note"])
    assert len(anew["work_order_note"]) == len(plain["work_order_note"])
    assert {one["work_order_id"] for one in anew["work_order_note"].values()} == {one["work_order_id"] for one in plain["work_order_note"].values()}


@pytest.mark.requirement("G-08")
async def test_without_a_manifest_the_time_zone_is_asked(tmp_path: Path) -> None:
    place = written(tmp_path / "a", manifest=None)
    with pytest.raises(Exception, match="time_zone"):
        await read(place)
    assert await read(place, time_zone="America/New_York") == await read(written(tmp_path / "b"))


@pytest.mark.requirement("L-11")
async def test_a_later_export_gives_what_changed_and_what_is_gone(tmp_path: Path) -> None:
    frozen = Frozen()
    await read(written(tmp_path / "a"), frozen)
    frozen.extraction = 2
    changes = later(generate(PLAN), 1)
    found: dict[str, set[str]] = {}
    gone: dict[str, set[str]] = {}
    async with opened(written(tmp_path / "b", changes.account), frozen) as connector:
        for entity in NovoWorkOrder.entities[1:]:
            async for page in connector.read(entity.name, START, replace(EVERYTHING, changed_since=datetime(2026, 2, 1, tzinfo=UTC))):
                for one in page.records:
                    (gone if one.is_deleted else found).setdefault(entity.name, set()).add(one.source_id)
    assert found["work_order"] == {*changes.changed["work_orders"], *changes.added["work_orders"]}
    assert found["asset"] == set(changes.changed["assets"])
    assert gone["work_order"] == set(changes.deleted["work_orders"])
    assert gone["work_order_note"] == set(changes.deleted["work_order_notes"])
