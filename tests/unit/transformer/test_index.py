"""The snapshot index sees the newest version of every record and nothing later than its snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from services.transformer.snapshot.index import SnapshotIndex
from services.transformer.snapshot.link_fields import link_values
from tests.unit.transformer.support import Pages

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def index(tmp_path: Path, pages: Pages) -> Any:
    snapshot_index = SnapshotIndex(tmp_path / "index", pages=pages, store=pages, migrations_max=2)
    yield snapshot_index
    snapshot_index.close()


async def test_a_later_page_replaces_an_earlier_version_only_in_later_snapshots(pages: Pages, index: SnapshotIndex) -> None:
    pages.add("client", {"id": 1, "name": "old"}, {"id": 2, "name": "same"})
    pages.add("client", {"id": 1, "name": "new"})
    later = await index.ensure("m1", 2)
    earlier = await index.ensure("m1", 1)
    newest, oldest = later.get("client", "1"), earlier.get("client", "1")
    assert newest is not None
    assert oldest is not None
    assert (newest.data["name"], oldest.data["name"]) == ("new", "old")
    assert later.current([oldest]) == []
    assert later.current([newest]) == [newest]
    assert earlier.current([oldest]) == [oldest]
    assert earlier.current([]) == []
    assert [(record.id, record.data["name"]) for record in later.iterate("client")] == [("2", "same"), ("1", "new")]
    assert later.count("client") == 2
    assert later.entities() == ["client"]


async def test_children_follow_reference_fields_lists_and_lines(pages: Pages, index: SnapshotIndex) -> None:
    pages.add("contact", {"id": 10, "account-id": 1}, {"id": 9, "account-id": 1}, {"id": 11, "account-id": 2})
    pages.add("work_order", {"id": 5, "assets": [{"id": 7}, 8], "lines": [{"item-id": 58, "id": 1}]})
    pages.add("contact", {"id": 9, "account-id": 2})
    view = await index.ensure("m1", 0)
    assert [record.id for record in view.children("contact", "account-id", "1")] == ["10"]
    assert [record.id for record in view.children("contact", "account-id", "2")] == ["9", "11"]
    assert [record.id for record in view.children("work_order", "assets", "8")] == ["5"]
    assert [record.id for record in view.children("work_order", "lines.item-id", "58")] == ["5"]
    before = await index.ensure("m1", 2)
    assert [record.id for record in before.children("contact", "account-id", "1")] == ["9", "10"]


async def test_iterating_goes_on_past_one_read(pages: Pages, index: SnapshotIndex) -> None:
    pages.add("client", *({"id": number} for number in range(450)))
    pages.add("client", {"id": 3, "name": "again"})
    view = await index.ensure("m1", 0)
    seen = [record.id for record in view.iterate("client")]
    assert len(seen) == len(set(seen)) == 450
    assert seen[-1] == "3"


async def test_a_lost_or_broken_file_is_built_again(tmp_path: Path, pages: Pages, index: SnapshotIndex) -> None:
    pages.add("client", {"id": 1, "name": "x"})
    assert (await index.ensure("m1", 1)).get("client", "1")
    index.close()
    (tmp_path / "index" / "m1.db").write_bytes(b"not a database at all" * 400)
    fresh = SnapshotIndex(tmp_path / "index", pages=pages, store=pages)
    record = (await fresh.ensure("m1", 1)).get("client", "1")
    assert record is not None
    assert record.data["name"] == "x"
    fresh.close()


async def test_pages_are_read_once_and_survive_a_restart(tmp_path: Path, pages: Pages, index: SnapshotIndex) -> None:
    pages.add("client", {"id": 1})
    await index.ensure("m1", 1)
    await index.ensure("m1", 1)
    index.close()
    again = SnapshotIndex(tmp_path / "index", pages=pages, store=pages)
    await again.ensure("m1", 1)
    assert pages.read_count == 1
    again.close()


async def test_the_longest_unused_migration_is_evicted(tmp_path: Path, pages: Pages, index: SnapshotIndex) -> None:
    pages.add("client", {"id": 1})
    for migration_id in ("m1", "m2", "m1", "m3"):
        await index.ensure(migration_id, 1)
    assert sorted(path.name for path in (tmp_path / "index").glob("*.db")) == ["m1.db", "m3.db"]
    assert (await index.ensure("m2", 1)).get("client", "1") is not None


def test_empty_and_boolean_values_are_no_links() -> None:
    assert list(link_values({"account-id": None, "x-id": "", "is-id": True, "ownerId": 4, "rows": [True, {"id": ""}]})) == [("ownerId", "4")]
