"""The store: look-ups agree with a scan, and a file gives back what was committed."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sandbox.pipedrive.store.kinds import KINDS
from sandbox.pipedrive.store.store import Store, Table

links = st.one_of(st.none(), st.integers(1, 3))


@given(puts=st.lists(st.tuples(st.integers(1, 5), links, links), max_size=30))
def test_look_up_agrees_with_a_scan(puts: list[tuple[int, int | None, int | None]]) -> None:
    table, seen = Table("deal"), set()
    for record_id, org_id, person_id in puts:
        new_id = record_id if record_id in seen else table.next_id()
        seen.add(new_id)
        table.put({"id": new_id, "org_id": org_id, "person_id": person_id})
    for column in KINDS["deal"].indexes:
        for value in (1, 2, 3):
            assert table.find(column, value) == [table.records[key] for key in sorted(table.records) if table.records[key].get(column) == value]
    assert [record["id"] for record in table.after(2)] == sorted(key for key in table.records if key > 2)
    assert [record["id"] for record in table.before(4)] == sorted((key for key in table.records if key < 4), reverse=True)


def test_file_gives_back_what_was_committed(tmp_path: Path) -> None:
    store = Store(tmp_path / "account.db")
    store.put("organization", {"id": 1, "name": "山"})
    store.set_meta("salt", "x")
    store.put_blob("digest", b"\x00\xff")
    store.commit()
    store.put("organization", {"id": 2, "name": "never committed"})
    _kill(store)
    again = Store(tmp_path / "account.db")
    assert list(again["organization"]) == [{"id": 1, "name": "山"}]
    assert again.meta == {"salt": "x"}
    assert again.get_blob("digest") == b"\x00\xff"
    again.clear()
    again.close()
    emptied = Store(tmp_path / "account.db")
    assert (list(emptied["organization"]), emptied.meta) == ([], {})
    emptied.close()


def _kill(store: Store) -> None:
    """Lose what is in memory, as a killed process does."""
    assert store._database is not None
    store._database.close()
