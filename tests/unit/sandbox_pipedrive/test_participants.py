"""Participants of deals in version 1."""

from typing import Any

from tests.unit.sandbox_pipedrive.driver import Driver, Start

PATH = "/v1/deals/1/participants"


async def _people(api: Driver, path: str = PATH) -> list[int]:
    return [item["person_id"]["value"] for item in (await api.get(path)).data or ()]


async def test_participant_is_shown_with_person_and_deal(api: Driver) -> None:
    answer = await api.post(PATH, {"person_id": 5})
    participant = answer.data
    assert (participant["person_id"]["value"], participant["person"]["id"], participant["person"]["owner_id"]["value"]) == (5, 5, 5)
    assert participant["person"]["org_id"]["value"] == 5
    assert participant["related_item_data"] == {"deal_id": 1, "title": (await api.get("/api/v2/deals/1")).data["title"]}
    assert participant["added_by_user_id"]["id"] == 1
    assert participant["active_flag"] is True
    assert set(answer.body["related_objects"]) == {"user", "person"}
    assert set((await api.get(PATH)).body["related_objects"]) == {"user", "person", "organization"}


async def test_main_person_comes_first_and_stays(api: Driver) -> None:
    await api.post(PATH, {"person_id": 5})
    listed: list[dict[str, Any]] = (await api.get(PATH)).data
    assert [item["person_id"]["value"] for item in listed] == [1, 5]
    assert "main person" in (await api.delete(f"{PATH}/{listed[0]['id']}")).error
    assert (await api.delete(f"{PATH}/{listed[1]['id']}")).data == {"id": listed[1]["id"]}
    assert await _people(api) == [1]
    assert (await api.delete(f"{PATH}/{listed[1]['id']}")).status == 404


async def test_main_person_can_be_left_out(start: Start) -> None:
    api = start(main_participant=False)
    assert (await api.get(PATH)).data is None
    await api.post(PATH, {"person_id": 1})
    assert await _people(api) == [1]


async def test_adding_twice_is_an_option(api: Driver, start: Start) -> None:
    assert (await api.post(PATH, {"person_id": 5})).status == 200
    assert (await api.post(PATH, {"person_id": 5})).status == 400
    lenient = start(participant_twice="same")
    first, second = (await lenient.post(PATH, {"person_id": 5})).data, (await lenient.post(PATH, {"person_id": 5})).data
    assert first["id"] == second["id"]
    assert await _people(lenient) == [1, 5]


async def test_unknown_persons_and_deals_are_refused(api: Driver) -> None:
    assert "must be given" in (await api.post(PATH, {})).error
    assert (await api.post(PATH, {"person_id": 999})).status == 400
    assert (await api.get("/v1/deals/999/participants")).status == 404


async def test_changelog_tells_who_came_and_went(api: Driver) -> None:
    participant = (await api.post(PATH, {"person_id": 5})).data
    await api.delete(f"{PATH}/{participant['id']}")
    first = (await api.get("/v1/deals/1/participantsChangelog", limit=1)).body
    assert [(entry["action"], entry["person_id"], entry["actor_user_id"]) for entry in first["data"]] == [("added", 5, 1)]
    second = (await api.get("/v1/deals/1/participantsChangelog", cursor=first["additional_data"]["next_cursor"])).body
    assert [entry["action"] for entry in second["data"]] == ["deleted"]
    assert second["additional_data"]["next_cursor"] is None


async def test_participants_count_and_are_the_people_of_the_deal(api: Driver) -> None:
    await api.post(PATH, {"person_id": 5})
    await api.post("/v1/deals/2/participants", {"person_id": 5})
    assert (await api.get("/api/v2/deals/1", include_fields="participants_count")).data["participants_count"] == 2
    assert [person["id"] for person in (await api.get("/api/v2/persons", deal_id=1)).data] == [1, 5]
    assert [person["id"] for person in (await api.get("/api/v2/persons", deal_id=1, ids="5,6")).data] == [5]
    assert (await api.get("/api/v2/persons", deal_id=999)).data == []
    names = "participant_open_deals_count,participant_closed_deals_count"
    counted = (await api.get("/api/v2/persons/5", include_fields=names)).data
    statuses = [(await api.get(f"/api/v2/deals/{deal_id}")).data["status"] for deal_id in (1, 2)]
    assert (counted["participant_open_deals_count"], counted["participant_closed_deals_count"]) == (
        statuses.count("open"),
        2 - statuses.count("open"),
    )


async def test_deleted_persons_do_not_take_part(api: Driver) -> None:
    await api.post(PATH, {"person_id": 5})
    await api.delete("/api/v2/persons/5")
    await api.delete("/api/v2/persons/1")
    assert (await api.get(PATH)).data is None
