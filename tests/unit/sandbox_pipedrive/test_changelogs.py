"""The change logs of deals, persons and organizations."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.pipedrive.account.changes import differences
from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Driver, Start


@pytest.fixture
def clock() -> SandboxClock:
    return SandboxClock(lambda: 1_760_000_000.0, lambda: 100.0)


async def _log(api: Driver, path: str) -> list[tuple[str, str | None, str | None]]:
    return [(entry["field_key"], entry["old_value"], entry["new_value"]) for entry in (await api.get(f"/v1/{path}/changelog")).data]


async def test_what_an_update_replaced_is_logged_newest_first(start: Start, clock: SandboxClock) -> None:
    api = start(clock)
    old = (await api.get("/api/v2/deals/1")).data
    assert await _log(api, "deals/1") == []
    await api.patch("/api/v2/deals/1", {"title": "First"})
    clock.advance(61)
    await api.patch("/api/v2/deals/1", {"title": "First", "value": 12.5, "owner_id": 2})
    newest = (await api.get("/v1/deals/1/changelog")).data
    assert {entry["field_key"] for entry in newest[:-1]} == {"value", "user_id"}
    value = next(entry for entry in newest if entry["field_key"] == "value")
    assert value == {
        "field_key": "value",
        "old_value": str(old["value"]),
        "new_value": "12.5",
        "actor_user_id": 1,
        "time": "2025-10-09 08:54:21",
        "change_source": "api",
        "change_source_user_agent": None,
        "is_bulk_update_flag": False,
    }
    assert (newest[-1]["field_key"], newest[-1]["old_value"], newest[-1]["time"]) == ("title", old["title"], "2025-10-09 08:53:20")


async def test_values_are_told_part_by_part_in_terms_of_version_1(api: Driver) -> None:
    field = (await api.post("/api/v2/personFields", {"field_name": "Fee", "field_type": "monetary"})).data["field_code"]
    person = (await api.post("/api/v2/persons", {"name": "Ann Bo", "emails": [{"value": "a@example.com"}]})).data["id"]
    assert await _log(api, f"persons/{person}") == []
    await api.patch(f"/api/v2/persons/{person}", {"custom_fields": {field: {"value": 5, "currency": "EUR"}}})
    await api.patch(f"/api/v2/persons/{person}", {"custom_fields": {field: {"value": 7, "currency": "EUR"}}})
    await api.patch(f"/api/v2/persons/{person}", {"emails": [{"value": "b@example.com", "primary": True}, {"value": "c@example.com"}]})
    assert (await _log(api, f"persons/{person}")) == [
        ("email", "a@example.com", "b@example.com,c@example.com"),
        (field, "5", "7"),
        (f"{field}_currency", None, "EUR"),
        (field, None, "5"),
    ]


async def test_deleting_is_a_change_too(api: Driver) -> None:
    await api.delete("/api/v2/deals/1")
    await api.delete("/api/v2/organizations/1")
    assert ("status", "open", "deleted") in await _log(api, "deals/1")
    assert await _log(api, "organizations/1") == [("active_flag", "1", "0")]


async def test_cursor_walks_to_the_end(api: Driver) -> None:
    for number in range(5):
        await api.patch("/api/v2/organizations/2", {"name": f"Name {number}"})
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        answer = await api.get("/v1/organizations/2/changelog", limit="2", **cursor)
        seen += [entry["new_value"] for entry in answer.data]
        cursor = {"cursor": answer.body["additional_data"]["next_cursor"]}
    assert seen == ["Name 4", "Name 3", "Name 2", "Name 1", "Name 0"]
    assert cursor == {"cursor": None}
    assert (await api.get("/v1/organizations/2/changelog", cursor="nonsense")).status == 400
    assert (await api.get("/v1/organizations/999/changelog")).status == 404


async def test_changes_are_no_part_of_the_visible_state(api: Driver) -> None:
    before = await api.control("GET", "digest")
    name = (await api.get("/api/v2/organizations/3")).data["name"]
    await api.patch("/api/v2/organizations/3", {"name": "Other"})
    await api.patch("/api/v2/organizations/3", {"name": name})
    assert await api.control("GET", "digest") == before
    assert len(await _log(api, "organizations/3")) == 2


_VALUES = (
    st.none() | st.integers(0, 3) | st.fixed_dictionaries({}, optional={"value": st.integers(0, 3), "currency": st.sampled_from(["EUR", "USD"])})
)
_RECORDS = st.builds(
    lambda name, time, custom: {"id": 1, "name": name, "update_time": time, "is_deleted": False, "custom_fields": custom},
    st.sampled_from("ab"),
    st.sampled_from("xy"),
    st.dictionaries(st.sampled_from("kl"), _VALUES),
)


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the parts of its values under keys of their own."""
    flat = {"name": record["name"]}
    for code, value in record["custom_fields"].items():
        parts = value if isinstance(value, dict) else {"value": value}
        flat |= {code if part == "value" else f"{code}_{part}": item for part, item in parts.items()}
    return {key: value for key, value in flat.items() if value is not None}


@given(_RECORDS, _RECORDS)
def test_log_turns_what_was_into_what_is(before: dict[str, Any], after: dict[str, Any]) -> None:
    found = list(differences("person", before, after))
    was, became = _flat(before), _flat(after)
    assert len({key for key, _, _ in found}) == len(found)
    for key, old, new in found:
        assert (was.get(key), became.get(key)) == (old, new)
        assert old != new
    assert {**was, **{key: new for key, _, new in found}} == {**dict.fromkeys(was.keys() - became.keys()), **became}
