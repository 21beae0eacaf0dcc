"""Followers in both versions, and who began and ceased to follow."""

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start
from tests.unit.sandbox_pipedrive.fake_time import FakeTime

PLURALS = ("deals", "persons", "organizations", "products")


@pytest.mark.parametrize("plural", PLURALS)
async def test_follower_is_added_once_and_removed_by_user(api: Driver, plural: str) -> None:
    path = f"/api/v2/{plural}/2/followers"
    answer = await api.post(path, {"user_id": 3})
    assert (answer.status, answer.data["user_id"]) == (201, 3)
    assert (await api.post(path, {"user_id": 3})).status == 400
    assert [item["user_id"] for item in (await api.get(path)).data] == [3]
    assert (await api.delete(f"{path}/3")).data == {"user_id": 3}
    assert (await api.delete(f"{path}/3")).status == 404
    assert (await api.get(path)).data == []
    assert (await api.post(path, {"user_id": 3})).status == 201


@pytest.mark.parametrize(("plural", "column"), zip(PLURALS, ("deal_id", "person_id", "org_id", "product_id"), strict=True))
async def test_version_1_shows_the_same_followers_by_their_own_id(api: Driver, plural: str, column: str) -> None:
    path = f"/v1/{plural}/2/followers"
    assert (await api.get(path)).data is None
    await api.post(f"/api/v2/{plural}/2/followers", {"user_id": 4})
    answer = await api.post(path, {"user_id": "3"})
    assert answer.status == (201 if plural == "products" else 200)
    assert (answer.data["user_id"], answer.data[column]) == (3, 2)
    followers = (await api.get(path)).data
    assert [item["user_id"] for item in followers] == [4, 3]
    assert (await api.delete(f"{path}/{answer.data['id']}")).data == {"id": answer.data["id"]}
    assert [item["user_id"] for item in (await api.get(f"/api/v2/{plural}/2/followers")).data] == [4]
    assert (await api.post(path, {"user_id": 4})).status == 400


async def test_pages_of_followers(api: Driver) -> None:
    for user_id in (5, 2, 4):
        await api.post("/api/v2/deals/1/followers", {"user_id": user_id})
    first = (await api.get("/api/v2/deals/1/followers", limit=2)).body
    assert [item["user_id"] for item in first["data"]] == [5, 2]
    second = (await api.get("/api/v2/deals/1/followers", limit=2, cursor=first["additional_data"]["next_cursor"])).body
    assert ([item["user_id"] for item in second["data"]], second["additional_data"]["next_cursor"]) == ([4], None)
    assert (await api.get("/api/v2/deals/1/followers", sort_by="id")).status == 400


async def test_changelog_tells_who_came_and_went(start: Start) -> None:
    time = FakeTime()
    api = start(time.clock())
    path = "/api/v2/persons/1/followers"
    await api.post(path, {"user_id": 2})
    time.sleep(60)
    await api.delete(f"{path}/2")
    time.sleep(60)
    await api.post(path, {"user_id": 2})
    log = (await api.get(f"{path}/changelog")).data
    assert [(entry["action"], entry["actor_user_id"], entry["follower_user_id"]) for entry in log] == [
        ("added", 1, 2),
        ("deleted", 1, 2),
        ("added", 1, 2),
    ]
    assert len({entry["time"] for entry in log}) == 3
    first = (await api.get(f"{path}/changelog", limit=2)).body
    assert first["data"] == log[:2]
    assert (await api.get(f"{path}/changelog", limit=2, cursor=first["additional_data"]["next_cursor"])).data == log[2:]


async def test_followers_of_a_user_are_read_only(api: Driver) -> None:
    assert (await api.get("/api/v2/users/2/followers")).data == []
    assert (await api.get("/v1/users/2/followers")).data == []
    assert (await api.get("/v1/users/99/followers")).status == (await api.get("/api/v2/users/99/followers")).status == 404
    assert (await api.post("/api/v2/users/2/followers", {"user_id": 1})).status == 405


@pytest.mark.parametrize("body", [{}, {"user_id": "3"}, {"user_id": 99}, {"user_id": 6}, {"user_id": 3, "id": 1}])
async def test_wrong_followers_are_refused(api: Driver, body: dict[str, object]) -> None:
    assert (await api.post("/api/v2/deals/1/followers", body)).status == 400


async def test_followers_are_counted(api: Driver) -> None:
    await api.post("/api/v2/organizations/3/followers", {"user_id": 3})
    shown = (await api.get("/api/v2/organizations/3", include_fields="followers_count")).data
    assert shown["followers_count"] == 1


async def test_followers_of_deleted_records_are_gone_from_the_export(api: Driver) -> None:
    before = await api.control("GET", "digest")
    deal_id = (await api.post("/api/v2/deals", {"title": "x"})).data["id"]
    await api.post(f"/api/v2/deals/{deal_id}/followers", {"user_id": 3})
    assert await api.control("GET", "digest") != before
    await api.delete(f"/api/v2/deals/{deal_id}")
    assert (await api.get(f"/api/v2/deals/{deal_id}/followers")).status == 404
    assert await api.control("GET", "digest") == before
