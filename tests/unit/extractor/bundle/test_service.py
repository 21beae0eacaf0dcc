"""A bundle through the extractor itself: checked, extracted with its files, resumed, and remembered in nothing but pages."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from services.extractor.connector import FindingSeverity, ReadScope
from services.extractor.extraction import ExtractionSpec
from services.extractor.ports import State
from tests.fixtures.bundle.toy import ToyShop, bundle
from tests.fixtures.stel_order.world import World


def world_with(place: Path) -> World:
    return World(environ={"TRANSLOAD_CONNECTION_TOWN_URL": f"file://{place}"})


async def test_a_check_reads_everything_and_keeps_nothing(tmp_path: Path) -> None:
    world = world_with(bundle(tmp_path, customers="Customer ID,Name\n1,Ann\n1,Bob\n"))
    quick = await world.extractions().check(ToyShop, "town")
    assert (quick.base_url, quick.findings) == (f"file://{tmp_path}", None)
    found = (await world.extractions().check(ToyShop, "town", options={"duplicate_ids": "refuse"}, includes_content=True)).findings
    assert found is not None
    stop = next(one for one in found if one.severity is FindingSeverity.STOP)
    assert (stop.code, stop.entity, stop.option) == ("id_repeated", "customer", "duplicate_ids")
    assert world.ledger.recorded == {}


@pytest.mark.requirement("L-01", "L-06", "X-04")
async def test_an_extraction_freezes_findings_rows_and_files(tmp_path: Path) -> None:
    attachments = "Attachment ID,Module,Record ID,File Name,Path\n1,Customer,1,a.pdf,attachments/Customer/1/a.pdf\n2,Customer,1,b.pdf,gone.pdf\n"
    folder = bundle(tmp_path, customers="Customer ID,Name\n1,Ann\n2,Bob\n3,Cid\n", attachments=attachments, jobs="Title\nno id\n")
    place = folder / "attachments/Customer/1/a.pdf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"%PDF")
    world = world_with(folder)
    envelopes = await extract(world, "x1")
    assert [one["id"] for one in envelopes["customer"]] == ["1", "2", "3"]
    assert [one["file"]["problem"] for one in envelopes["attachment"]] == [None, "FILE_UNAVAILABLE"]
    assert envelopes["attachment"][0]["file"]["content_type"] == "application/pdf"
    codes = {one["data"]["code"] for one in envelopes["bundle_finding"] if one["data"]["kind"] == "finding"}
    assert {"file_missing", "id_column_missing", "table_missing"} <= codes
    failed = [report for report in world.ledger.reports if report.state is State.FAILED]
    assert [report.entity for report in failed] == ["job"]
    assert "row_ids" in failed[0].message
    bundle(tmp_path, customers="Customer ID,Name\n1,Ann\n3,Cid\n4,Dan\n", attachments=attachments, jobs="Title\nno id\n")
    changed = await extract(world, "x2", changed=True)
    assert {one["id"]: one["is_deleted"] for one in changed["customer"]} == {"2": True, "4": False}
    # A file that could not be had is tried again, the other is not copied twice.
    assert [one["id"] for one in changed["attachment"]] == ["2"]


@pytest.mark.requirement("L-11")
@pytest.mark.parametrize(("how", "found"), [("bytes", {"1", "2", "6"}), ("size", {"2", "6"}), ("ignore", set())])
async def test_a_file_that_was_replaced_comes_again_though_its_row_says_the_same(tmp_path: Path, how: str, found: set[str]) -> None:
    names = ("same.pdf", "longer.pdf", "equal.pdf", "touched.pdf", "gone.pdf", "large.pdf")
    rows = "".join(f"{number},Customer,1,{name},{name}\n" for number, name in enumerate(names, start=1))
    attachments = "Attachment ID,Module,Record ID,File Name,Path\n" + rows
    folder = bundle(tmp_path, attachments=attachments)
    place = folder / "attachments"
    place.mkdir()
    for name in names:
        (place / name).write_bytes(b"x" * 2_000 if name == "large.pdf" else b"%PDF one")
    world = world_with(folder)
    options: dict[str, Any] = {"file_changes": how}
    first = await extract(world, "x1", file_bytes_max=1_000, **options)
    assert [one["file"]["problem"] for one in first["attachment"]] == [None] * 5 + ["FILE_TOO_LARGE"]
    (place / "same.pdf").write_bytes(b"%PDF two")
    (place / "longer.pdf").write_bytes(b"%PDF longer")
    (place / "touched.pdf").write_bytes(b"%PDF one")
    (place / "gone.pdf").unlink()
    (place / "large.pdf").write_bytes(b"x" * 3_000)
    changed = await extract(world, "x2", changed=True, file_bytes_max=1_000, **options)
    assert {one["id"] for one in changed.get("attachment", [])} == found
    if how == "bytes":
        digests = {one["id"]: one["file"].get("digest") for one in changed["attachment"]}
        assert digests == {"1": hashlib.sha256(b"%PDF two").hexdigest(), "2": hashlib.sha256(b"%PDF longer").hexdigest(), "6": None}
    again = await extract(world, "x3", changed=True, file_bytes_max=1_000, **options)
    assert again.get("attachment", []) == []


async def extract(
    world: World, extraction_id: str, *, changed: bool = False, file_bytes_max: int = 0, **options: Any
) -> dict[str, list[dict[str, Any]]]:
    scope = ReadScope(changed_since=world.clock.now() if changed else None, includes_archived=True, includes_deleted=True)
    extractions = world.extractions()
    given = {"page_rows": 2, **options}
    await extractions.start(ExtractionSpec("m1", extraction_id, "toy_shop", "town", scope, frozenset(), file_bytes_max, given), ToyShop)
    job = extractions._jobs[extraction_id].task
    assert job is not None
    await job
    return {page.entity: world.envelopes(page.entity, extraction_id) for page in world.ledger.recorded.values()}
