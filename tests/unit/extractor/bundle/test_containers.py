"""Folders and ZIPs: found, newest first, and refused when they would lead out, unpack without end, or cannot be trusted."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from sandbox.bundles import hostile
from sandbox.bundles.writer import BundleWriter, zip_folder
from services.common.errors import ConfigurationError
from services.extractor.connectors.bundle.container import BundleRefusedError, Folder, Zip, local_path, safe_path
from tests.fixtures.bundle.toy import bundle, records, toy

TABLE = b"Customer ID,Name\n1,Ann\n"


async def names(place: Path) -> list[str]:
    async with toy(place) as source:
        return [record.data["name"] for record in await records(source, "customer")]


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_zip_is_read_with_or_without_a_folder_on_top(tmp_path: Path, wrapped: bool) -> None:
    prefix = "novo-export/" if wrapped else ""
    members = {f"{prefix}customers.csv": TABLE, "__MACOSX/._customers.csv": b"\0", f"{prefix}.DS_Store": b"x"}
    assert await names(hostile.zip_with(tmp_path / "export.zip", members)) == ["Ann"]


@pytest.mark.parametrize(
    "name", ["CUSTOMERS.CSV", "Clients.txt", "customers.tsv", "sub folder/customers.csv", "customers_1.csv", "Customers (2).csv"]
)
async def test_tables_are_found_by_stem(tmp_path: Path, name: str) -> None:
    BundleWriter(tmp_path / "b", manifest={}).finish()
    place = tmp_path / "b" / name
    place.parent.mkdir(exist_ok=True)
    place.write_bytes(TABLE)
    assert await names(tmp_path / "b") == ["Ann"]


async def test_a_table_in_several_files_is_one(tmp_path: Path) -> None:
    bundle(tmp_path, customers_10="Name,CUST_ID\nTen,10\n", customers_2="Customer ID,Name\n2,Two\n", customers="Customer ID,Name\n1,Ann\n")
    async with toy(tmp_path, page_rows=1) as source:
        assert [(one.source_id, one.data["name"]) for one in await records(source, "customer")] == [("1", "Ann"), ("2", "Two"), ("10", "Ten")]


async def test_the_newest_of_several_bundles_is_taken_by_the_stamp_in_its_name(tmp_path: Path) -> None:
    for stamp, name in (("20260302-0900", "Old"), ("20260304-0900", "New"), ("20251231", "Oldest")):
        bundle(tmp_path / f"toy-export-{stamp}", customers=f"Customer ID,Name\n1,{name}\n")
    assert await names(tmp_path) == ["New"]
    bundle(tmp_path / "x", customers="Customer ID,Name\n1,Zipped\n")
    zip_folder(tmp_path / "x", tmp_path / "toy-export-20260305-1000.zip")
    (tmp_path / "x").rename(tmp_path.parent / f"{tmp_path.name}-away")
    assert await names(tmp_path) == ["Zipped"]


async def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="customers"):
        await names(tmp_path)
    with pytest.raises(ConfigurationError, match="no folder or ZIP"):
        await names(tmp_path / "nothing")
    (tmp_path / "not.zip").write_bytes(b"PK but no archive")
    with pytest.raises(BundleRefusedError, match="not a ZIP"):
        await names(tmp_path / "not.zip")


def test_urls() -> None:
    assert local_path("file:///data/my%20export") == Path("/data/my export")
    assert local_path("/data/x") == Path("/data/x")
    for url in ("https://example.com/x", "file://server/share"):
        with pytest.raises(ConfigurationError):
            local_path(url)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "C:\\x", "\\\\server\\share\\x", "a\0b", "", ".", "..\\x"])
def test_paths_that_lead_out(path: str) -> None:
    assert safe_path(path) is None


@pytest.mark.parametrize(("path", "inner"), [("./a//b", "a/b"), ("a\\b.txt", "a/b.txt"), ("..a/b..", "..a/b.."), ("ä/株", "ä/株")])
def test_paths_that_stay(path: str, inner: str) -> None:
    assert safe_path(path) == inner


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize("name", ["../customers.csv", "/etc/cron.d/x", "a/../../x.csv", "C:\\windows\\x.csv", "..\\x.csv"])
async def test_a_zip_that_leads_out_is_refused_whole(tmp_path: Path, name: str) -> None:
    path = hostile.zip_with(tmp_path / "export.zip", {"customers.csv": TABLE, name: b"x"})
    with pytest.raises(BundleRefusedError, match="leads out"):
        await names(path)


@pytest.mark.requirement("X-08")
async def test_a_zip_bomb_is_refused_before_anything_is_unpacked(tmp_path: Path) -> None:
    path = hostile.bomb(tmp_path / "export.zip", "customers.csv")
    assert path.stat().st_size < 100_000
    with pytest.raises(BundleRefusedError, match="would unpack"):
        await names(path)
    small = hostile.zip_with(tmp_path / "small.zip", {"customers.csv": TABLE, "b.bin": os.urandom(4_000)})
    with pytest.raises(BundleRefusedError, match="unpacked_bytes_max"):
        async with toy(small, unpacked_bytes_max=3_000) as source:
            await source.check()


async def test_links_passwords_and_doubles_in_a_zip_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRefusedError, match="link"):
        await names(hostile.zip_with(tmp_path / "link.zip", {"customers.csv": TABLE, "x.csv": b"/etc/passwd"}, link="x.csv"))
    with pytest.raises(BundleRefusedError, match="password"):
        await names(hostile.zip_with(tmp_path / "secret.zip", {"customers.csv": TABLE}, is_encrypted=True))
    with zipfile.ZipFile(tmp_path / "double.zip", "w") as archive:
        archive.writestr("customers.csv", TABLE)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("customers.csv", TABLE)
    with pytest.raises(BundleRefusedError, match="twice"):
        await names(tmp_path / "double.zip")


async def test_a_zip_whose_bytes_are_damaged_stops_the_table(tmp_path: Path) -> None:
    content = b"Customer ID,Name\n" + b"".join(b"%d,Name %d\n" % (number, number * 7919) for number in range(5_000))
    path = hostile.zip_with(tmp_path / "export.zip", {"customers.csv": content})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    async with toy(path) as source:
        finding = next(one for one in (await source.findings()).findings if one.code == "table_broken")
    assert "copy the bundle again" in finding.message


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes(b"secret")
    inside = tmp_path / "bundle"
    inside.mkdir()
    (inside / "customers.csv").symlink_to(tmp_path / "secret.csv")
    (inside / "attachments").symlink_to(tmp_path)
    folder = Folder(inside)
    assert list(folder.members()) == []
    assert folder.find("customers.csv") is None
    assert folder.resolve("attachments/secret.csv") is None
    with pytest.raises(OSError, match=r"symbolic|link"):
        folder.open("customers.csv")


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_files_are_found_in_any_letter_case_and_form_of_accents(tmp_path: Path, kind: str) -> None:
    writer = BundleWriter(tmp_path / "b", is_zip=kind == "zip", manifest=None)
    writer.raw("Attachments/Work Order/7/Caf\u00e9.PDF", b"x")
    writer.raw("customers.csv", TABLE)
    place = writer.finish()
    container = Zip(place) if kind == "zip" else Folder(place)
    try:
        found = container.resolve("attachments/work order/7/Cafe\u0301.pdf")
        assert found is not None
        with container.open(found.path) as file:
            assert file.read() == b"x"
        assert container.resolve("attachments/work order/8/x") is None
    finally:
        container.close()
