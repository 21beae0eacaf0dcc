"""Files of a bundle: found by path or folder, owned, opened, and those that are not there told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from services.extractor.connector import FileMissingError, RawRecord
from tests.fixtures.bundle.toy import EVERYTHING, ToyShop, bundle, pages, records, toy

HEADS = "Attachment ID,Module,Record ID,File Name,Path\n"


async def content(source: ToyShop, record: RawRecord) -> bytes:
    assert record.link is not None
    async with source.open_file(record.link) as file:
        return b"".join([chunk async for chunk in file.chunks])


def put(folder: Path, path: str, data: bytes = b"data") -> None:
    place = folder / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)


@pytest.mark.requirement("L-06")
async def test_files_by_path_by_folder_and_by_name_only(tmp_path: Path) -> None:
    rows = "1,Job,7,a.pdf,attachments/Job/7/a.pdf\n2,customer,8,B Ü.pdf,\n3,Job,7,c.txt,Job/7/c.txt\n"
    bundle(tmp_path, attachments=HEADS + rows)
    put(tmp_path, "attachments/Job/7/a.pdf", b"one" * 1_000_000)
    put(tmp_path, "attachments/Customer/8/B Ü.pdf", b"two")
    put(tmp_path, "attachments/Job/7/c.txt", b"three")
    async with toy(tmp_path) as source:
        found = await records(source, "attachment")
        assert [await content(source, one) for one in found] == [b"one" * 1_000_000, b"two", b"three"]
        assert await source.count_files("attachment", EVERYTHING) == 3
    assert [(one.data["owner_entity"], one.data["owner_id"], one.data["name"]) for one in found] == [
        ("job", "7", "a.pdf"),
        ("customer", "8", "B Ü.pdf"),
        ("job", "7", "c.txt"),
    ]


async def test_without_a_list_the_folders_tell(tmp_path: Path) -> None:
    bundle(tmp_path)
    put(tmp_path, "attachments/Job/7/a.pdf")
    put(tmp_path, "attachments/Customer/8/sub/b.pdf")
    put(tmp_path, "attachments/Customer/8/orders.csv", b"Customer ID,Name\n9,no table of ours\n")
    put(tmp_path, "attachments/loose.pdf")
    async with toy(tmp_path, page_rows=2) as source:
        found = await pages(source, "attachment")
        assert len(found) == 2
        for number, page in enumerate(found):
            assert await pages(source, "attachment", page.cursor) == found[number:]
        listed = [one for page in found for one in page.records]
        assert [one.source_id for one in listed] == [
            "attachments/Customer/8/orders.csv",
            "attachments/Customer/8/sub/b.pdf",
            "attachments/Job/7/a.pdf",
        ]
        assert listed[1].data["owner_entity"] == "customer"
        assert await content(source, listed[1]) == b"data"


async def test_files_that_are_missing_lead_out_or_stand_in_no_row(tmp_path: Path) -> None:
    rows = (
        "1,Job,7,gone.pdf,attachments/Job/7/gone.pdf\n"
        "2,Job,7,x,../../etc/passwd\n"
        "3,Job,7,y,\\\\server\\docs\\7\\y.pdf\n"
        "4,Job,7,z,https://files.example.com/z.pdf?token=secret\n"
        "5,Job,7,here.pdf,attachments/Job/7/here.pdf\n"
    )
    bundle(tmp_path, attachments=HEADS + rows)
    put(tmp_path, "attachments/Job/7/here.pdf")
    put(tmp_path, "attachments/Job/7/extra.pdf", b"extra")
    put(tmp_path, "docs/7/y.pdf", b"from the share")
    async with toy(tmp_path) as source:
        found = {one.code: one for one in (await source.findings()).findings if one.entity == "attachment"}
        counts = {code: found[code].count for code in ("file_missing", "file_outside", "file_linked", "file_unlisted")}
        assert counts == {"file_missing": 1, "file_outside": 2, "file_linked": 1, "file_unlisted": 1}
        listed = await records(source, "attachment")
        assert "secret" not in json.dumps([dict(one.data) for one in listed])
        for record in listed[:4]:
            with pytest.raises(FileMissingError):
                await content(source, record)
        assert await content(source, listed[4]) == b"data"
        assert (listed[5].source_id, await content(source, listed[5])) == ("attachments/Job/7/extra.pdf", b"extra")
    async with toy(tmp_path, shares={"\\\\SERVER\\docs": "docs"}) as source:
        assert await content(source, (await records(source, "attachment"))[2]) == b"from the share"


async def test_each_table_of_files_has_its_own_folder(tmp_path: Path) -> None:
    media = {
        "source_name": "media",
        "is_files": True,
        "id": ["media_id"],
        "columns": {"media_id": {"heads": "Media ID"}, "job_id": {"heads": "Job ID"}, "path": {"heads": "Path"}, "file": {"heads": "File"}},
        "file": {"path": "path", "name": "file", "folder": "media/{job_id}/{file}", "owner_entity": "job", "id": "job_id"},
    }
    bundle(tmp_path, attachments=HEADS + "1,Job,7,a.pdf,Job/7/a.pdf\n", media="Media ID,Job ID,Path,File\n1,7,7/a.pdf,a.pdf\n")
    put(tmp_path, "attachments/Job/7/a.pdf", b"attached")
    put(tmp_path, "media/7/a.pdf", b"taken")
    async with toy(tmp_path, layout={"entities": {"media": media}}) as source:
        (attached,) = await records(source, "attachment")
        (taken,) = await records(source, "media")
        assert (await content(source, attached), await content(source, taken)) == (b"attached", b"taken")
        assert (taken.data["owner_entity"], taken.data["owner_id"]) == ("job", "7")
        assert not [one for one in (await source.findings()).findings if one.code.startswith("file_")]
