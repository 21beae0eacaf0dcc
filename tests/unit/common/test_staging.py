from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.errors import ConfigurationError, NotFoundError, UnavailableError
from services.common.staging import Staging


async def chunks(*parts: bytes, failure: Exception | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if failure is not None:
        raise failure


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.requirement("L-06")
async def test_a_page_is_kept_once_under_its_digest(staging: Staging, tmp_path: Path) -> None:
    digests = [await staging.put_page(b'[{"id":"1"}]') for _ in range(2)]
    assert digests == [hashlib.sha256(b'[{"id":"1"}]').hexdigest()] * 2
    assert await staging.get_page(digests[0]) == b'[{"id":"1"}]'
    assert names(tmp_path / "staging") == {f"pages/{digests[0]}"}


async def test_a_page_put_by_many_at_once_is_whole(staging: Staging) -> None:
    data = b"x" * 100_000
    digests = await asyncio.gather(*(staging.put_page(data) for _ in range(8)))
    assert await staging.get_page(digests[0]) == data


async def test_a_damaged_page_is_noticed(staging: Staging, tmp_path: Path) -> None:
    digest = await staging.put_page(b"[]")
    path = tmp_path / "staging" / "pages" / digest
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UnavailableError, match="is not what was written"):
        await staging.get_page(digest)


@pytest.mark.requirement("L-06")
async def test_a_file_of_any_size_is_kept_once_under_its_digest(staging: Staging, tmp_path: Path) -> None:
    parts = [b"a" * 3_000_000, b"b" * 3_000_000, b"c"]
    digest, byte_count = await staging.put_file(chunks(*parts))
    assert (digest, byte_count) == (hashlib.sha256(b"".join(parts)).hexdigest(), 6_000_001)
    assert (digest, byte_count) == await staging.put_file(chunks(*parts))
    assert b"".join([chunk async for chunk in staging.read_file(digest)]) == b"".join(parts)
    assert names(tmp_path / "staging") == {f"files/{digest}"}


@pytest.mark.requirement("D-04")
async def test_a_range_of_a_file_is_read_alone(staging: Staging) -> None:
    content = bytes(range(256)) * 12_000  # about 3 MB
    digest, _ = await staging.put_file(chunks(content))
    pieces = [chunk async for chunk in staging.read_file(digest, first_byte=7, byte_count=2_500_000)]
    assert b"".join(pieces) == content[7:2_500_007]
    assert len(pieces) > 1
    assert b"".join([chunk async for chunk in staging.read_file(digest, first_byte=0, byte_count=3)]) == content[:3]


async def test_an_empty_file_is_a_file(staging: Staging) -> None:
    digest, byte_count = await staging.put_file(chunks())
    assert byte_count == 0
    assert [chunk async for chunk in staging.read_file(digest)] == []


async def test_a_download_that_breaks_off_leaves_nothing(staging: Staging, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="cut"):
        await staging.put_file(chunks(b"half", failure=RuntimeError("cut")))
    assert names(tmp_path / "staging") == set()


async def test_what_is_not_there_is_not_found(staging: Staging) -> None:
    assert not await staging.exists("files/none")
    with pytest.raises(NotFoundError):
        await staging.get_blob("files/none")
    with pytest.raises(NotFoundError):
        _ = [chunk async for chunk in staging.read_file("none")]


async def test_a_blob_is_replaced(staging: Staging) -> None:
    await staging.put_blob("samples/m", b"1")
    await staging.put_blob("samples/m", b"2")
    assert await staging.get_blob("samples/m") == b"2"
    await staging.ping()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_without_permission_is_unavailable(staging: Staging, tmp_path: Path) -> None:
    (tmp_path / "staging").chmod(0o500)
    try:
        with pytest.raises(UnavailableError) as caught:
            await staging.put_blob("x", b"x")
    finally:
        (tmp_path / "staging").chmod(0o700)
    assert caught.value.reason == "STAGING_UNAVAILABLE"


async def test_a_folder_in_the_way_is_unavailable_for_every_write(tmp_path: Path) -> None:
    staging = Staging.open((tmp_path / "staging").as_uri())
    (tmp_path / "staging" / "incoming").write_text("a file where a folder must be")
    for write in (staging.put_blob("x", b"x"), staging.put_page(b"[]"), staging.put_file(chunks(b"x"))):
        with pytest.raises(UnavailableError) as caught:
            await write
        assert caught.value.reason == "STAGING_UNAVAILABLE"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the always full device")
async def test_a_full_disk_says_so(staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        with Path("/dev/full").open("wb", buffering=0) as device:
            device.write(path.name.encode())

    monkeypatch.setattr("services.common.staging._sync", full)
    with pytest.raises(UnavailableError, match="No space left on device") as caught:
        await staging.put_page(b"[]")
    assert caught.value.reason == "STAGING_UNAVAILABLE"
    monkeypatch.undo()
    assert await staging.get_page(await staging.put_page(b"[]")) == b"[]"


def test_an_unknown_store_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="TRANSLOAD_STAGING_URL"):
        Staging.open("gopher://x")
