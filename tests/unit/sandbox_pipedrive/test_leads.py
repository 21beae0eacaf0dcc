"""Leads, their labels and fields."""

import re
from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Answer, Driver, Start

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NO_CONTACT = 'One of the "person_id" or "organization_id" must be set.'


async def _lead(api: Driver, **values: Any) -> dict[str, Any]:
    answer = await api.post("/v1/leads", {"title": "Lead", "person_id": 1, **values})
    assert answer.status == 201, answer.body
    lead: dict[str, Any] = answer.data
    return lead


async def _labels(api: Driver) -> dict[str, str]:
    return {label["name"]: label["id"] for label in (await api.get("/v1/leadLabels")).data}


async def test_lead_is_created_with_defaults(api: Driver) -> None:
    lead = await _lead(api)
    assert UUID.fullmatch(lead["id"])
    assert (lead["owner_id"], lead["creator_id"], lead["person_id"], lead["organization_id"]) == (1, 1, 1, None)
    assert (lead["source_name"], lead["origin"], lead["origin_id"], lead["source_deal_id"]) == ("API", "API", None, None)
    assert (lead["value"], lead["visible_to"], lead["label_ids"], lead["was_seen"], lead["is_archived"]) == (None, "7", [], False, False)
    assert TIME.fullmatch(lead["add_time"])
    assert lead["add_time"] == lead["update_time"]
    assert re.fullmatch(r"[a-z-]+\+\d+\+lead\w{22}@pipedrivemail\.com", lead["cc_email"])
    assert (await api.get(f"/v1/leads/{lead['id']}")).data == lead
    assert (await api.get(f"/v1/leads/{lead['id'].upper()}")).data == lead


async def test_lead_takes_everything(api: Driver) -> None:
    labels = await _labels(api)
    given = {
        "title": "Boiler",
        "owner_id": 2,
        "label_ids": [labels["Hot"], labels["Cold"]],
        "person_id": 1,
        "organization_id": 2,
        "value": {"amount": 12.5, "currency": "USD"},
        "expected_close_date": "2027-01-31",
        "visible_to": "3",
        "was_seen": True,
        "origin_id": "form-7",
        "channel": None,
        "channel_id": "letter",
    }
    lead = await _lead(api, **given)
    assert {name: lead[name] for name in given} == given


async def test_channel_is_one_of_the_companys(api: Driver) -> None:
    option = (await api.post("/api/v2/dealFields/channel/options", [{"label": "Billboard"}])).data[0]["id"]
    assert (await _lead(api, channel=option))["channel"] == option
    refused = await api.post("/v1/leads", {"title": "x", "person_id": 1, "channel": option + 1})
    assert (refused.status, refused.error) == (400, '"channel" is not a known channel')


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"person_id": 1}, '"title" is required'),
        ({"title": "", "person_id": 1}, '"title" is not allowed to be empty'),
        ({"title": "x" * 256, "person_id": 1}, '"title" length must be less than or equal to 255 characters long'),
        ({"title": 7, "person_id": 1}, '"title" must be a string'),
        ({"title": "x"}, NO_CONTACT),
        ({"title": "x", "person_id": None, "organization_id": None}, NO_CONTACT),
        ({"title": "x", "person_id": 999}, "Person 999 not found"),
        ({"title": "x", "organization_id": 999}, "Organization 999 not found"),
        ({"title": "x", "person_id": True}, '"person_id" must be a number'),
        ({"title": "x", "person_id": 1, "owner_id": 6}, "User 6 not found or not active"),
        ({"title": "x", "person_id": 1, "value": {"amount": 1}}, '"value.currency" is required'),
        ({"title": "x", "person_id": 1, "value": {"currency": "EUR"}}, '"value.amount" is required'),
        ({"title": "x", "person_id": 1, "value": {"amount": "1", "currency": "EUR"}}, '"value.amount" must be a number'),
        ({"title": "x", "person_id": 1, "value": {"amount": 1, "currency": "XXX"}}, '"value.currency" is not a known currency'),
        ({"title": "x", "person_id": 1, "value": 5}, '"value" must be of type object'),
        ({"title": "x", "person_id": 1, "visible_to": 3}, '"visible_to" must be a string'),
        ({"title": "x", "person_id": 1, "visible_to": "4"}, '"visible_to" must be one of [1, 3, 5, 7]'),
        ({"title": "x", "person_id": 1, "expected_close_date": "31.1.2027"}, '"expected_close_date" must be in YYYY-MM-DD format'),
        ({"title": "x", "person_id": 1, "was_seen": 1}, '"was_seen" must be a boolean'),
        ({"title": "x", "person_id": 1, "label_ids": ["hot"]}, '"label_ids[0]" must be a valid GUID'),
        ({"title": "x", "person_id": 1, "label_ids": ["00000000-0000-4000-8000-000000000000"]}, "not found"),
        ({"title": "x", "person_id": 1, "is_archived": True}, '"is_archived" is not allowed'),
        ({"title": "x", "person_id": 1, "add_time": "2020-01-01"}, '"add_time" is not allowed'),
        ({"title": "x", "person_id": 1, "f" * 40: "x"}, "is not allowed"),
    ],
)
async def test_lead_is_refused(api: Driver, body: dict[str, Any], text: str) -> None:
    before = len(api.account.store["lead"])
    answer = await api.post("/v1/leads", body)
    assert (answer.status, answer.body["data"], answer.body["additional_data"]) == (400, None, None)
    assert text in answer.error
    assert len(api.account.store["lead"]) == before


async def test_unknown_keys_can_be_ignored(start: Start) -> None:
    api = start(lead_keys="ignore")
    assert (await _lead(api, add_time="2020-01-01", nonsense=1))["title"] == "Lead"


async def test_255_characters_fit(api: Driver) -> None:
    assert len((await _lead(api, title="ñ" * 255))["title"]) == 255


async def test_plan_decides_who_may_see(start: Start) -> None:
    api = start(plan="lite")
    assert (await _lead(api))["visible_to"] == "3"
    assert (await api.post("/v1/leads", {"title": "x", "person_id": 1, "visible_to": "7"})).status == 400


async def test_contact_stays_needed_after_a_change(api: Driver) -> None:
    lead = await _lead(api)
    path = f"/v1/leads/{lead['id']}"
    refused = await api.patch(path, {"person_id": None})
    assert (refused.status, refused.error) == (400, NO_CONTACT)
    changed = (await api.patch(path, {"person_id": None, "organization_id": 2})).data
    assert (changed["person_id"], changed["organization_id"]) == (None, 2)


async def test_change_keeps_what_is_absent(api: Driver) -> None:
    lead = await _lead(api, value={"amount": 5, "currency": "EUR"}, expected_close_date="2027-01-01", channel_id="a")
    path = f"/v1/leads/{lead['id']}"
    changed = (await api.patch(path, {"title": "New"})).data
    assert changed == {**lead, "title": "New", "update_time": changed["update_time"]}
    cleared = (await api.patch(path, {"value": None, "expected_close_date": None, "channel_id": None, "title": None})).data
    assert (cleared["value"], cleared["expected_close_date"], cleared["channel_id"], cleared["title"]) == (None, None, None, "New")
    assert (await api.patch(path, {"origin_id": "x"})).error == '"origin_id" is not allowed'


async def test_archived_leads_have_a_list_of_their_own(api: Driver) -> None:
    lead = await _lead(api)
    await api.patch(f"/v1/leads/{lead['id']}", {"is_archived": True})
    assert lead["id"] not in [item["id"] for item in (await api.get("/v1/leads")).data]
    archived = (await api.get("/v1/leads/archived")).data
    assert lead["id"] in [item["id"] for item in archived]
    assert all(item["is_archived"] for item in archived)
    assert (await api.get(f"/v1/leads/{lead['id']}")).data["is_archived"] is True


async def test_deleted_lead_is_gone(api: Driver) -> None:
    lead = await _lead(api)
    path = f"/v1/leads/{lead['id']}"
    assert (await api.delete(path)).body == {"success": True, "data": {"id": lead["id"]}}
    for answer in (await api.get(path), await api.patch(path, {"title": "x"}), await api.delete(path), await api.get(path + "/permittedUsers")):
        assert answer.status == 404
        assert answer.body == {
            "success": False,
            "error": "requested lead not found",
            "error_info": "Object was not found.",
            "data": None,
            "additional_data": None,
        }
    assert lead["id"] not in [item["id"] for item in (await api.get("/v1/leads")).data]
    assert (await api.get("/v1/leads/not-a-uuid")).error == "requested lead not found"


async def test_deleted_lead_can_be_shown(start: Start) -> None:
    api = start(deleted_get="200")
    lead = await _lead(api)
    await api.delete(f"/v1/leads/{lead['id']}")
    assert (await api.get(f"/v1/leads/{lead['id']}")).status == 200
    assert (await api.patch(f"/v1/leads/{lead['id']}", {"title": "x"})).status == 404


async def test_leads_are_listed_in_pages_and_order(start: Start) -> None:
    api = start(seed=None)
    person = (await api.post("/api/v2/persons", {"name": "P"})).data["id"]
    assert (await api.get("/v1/leads")).data == []
    for title in ("b", "c", "a"):
        await _lead(api, title=title, person_id=person)
    assert [lead["title"] for lead in (await api.get("/v1/leads")).data] == ["b", "c", "a"]
    page = await api.get("/v1/leads", limit="2", start="1")
    assert [lead["title"] for lead in page.data] == ["c", "a"]
    assert page.body["additional_data"] == {"start": 1, "limit": 2, "more_items_in_collection": False}
    assert (await api.get("/v1/leads", limit="2")).body["additional_data"]["more_items_in_collection"] is True
    for sort, expected in (("title ASC", ["a", "b", "c"]), ("title DESC", ["c", "b", "a"]), ("owner_id, title DESC", ["c", "b", "a"])):
        assert [lead["title"] for lead in (await api.get("/v1/leads", sort=sort)).data] == expected
    for sort in ("value ASC", "title UP", "title ASC x"):
        assert (await api.get("/v1/leads", sort=sort)).status == 400
    for name in ("id", "creator_id", "was_seen", "expected_close_date", "next_activity_id", "add_time", "update_time"):
        assert len((await api.get("/v1/leads", sort=f"{name} DESC")).data) == 3


async def test_leads_are_filtered(start: Start) -> None:
    api = start(seed=None)
    persons = [(await api.post("/api/v2/persons", {"name": "P"})).data["id"] for _ in range(2)]
    organization = (await api.post("/api/v2/organizations", {"name": "O"})).data["id"]
    await _lead(api, title="one", person_id=persons[0], owner_id=2)
    await _lead(api, title="two", person_id=persons[1], organization_id=organization)

    async def titles(**query: Any) -> list[str]:
        return [lead["title"] for lead in (await api.get("/v1/leads", **query)).data]

    assert await titles(owner_id="2") == ["one"]
    assert await titles(person_id=str(persons[1])) == ["two"]
    assert await titles(organization_id=str(organization)) == ["two"]
    assert await titles(organization_id=str(organization), owner_id="2") == []
    now = api.account.now()
    api.account.clock.advance(60)
    lead = api.account.store["lead"].records[2]
    await api.patch(f"/v1/leads/{lead['uuid']}", {"was_seen": True})
    assert await titles(updated_since=now) == ["one", "two"]
    assert await titles(updated_since=api.account.now()) == ["two"]
    assert (await api.get("/v1/leads", updated_since="yesterday")).status == 400
    assert (await api.get("/v1/leads", owner_id="x")).status == 400
    assert (await api.get("/v1/leads", filter_id="999")).status == 404


async def test_saved_filter_picks_leads(api: Driver) -> None:
    fields = {field["key"]: field["id"] for field in (await api.get("/v1/leadFields", limit="500")).data}
    line = {"object": "lead", "field_id": str(fields["title"]), "operator": "=", "value": "Lead one"}
    groups = [{"glue": "and", "conditions": [line]}, {"glue": "or", "conditions": []}]
    made = await api.post("/v1/filters", {"name": "f", "type": "leads", "conditions": {"glue": "and", "conditions": groups}})
    await _lead(api, title="Lead one")
    await _lead(api, title="Lead two")
    found = (await api.get("/v1/leads", filter_id=str(made.data["id"]), owner_id="3")).data
    assert [lead["title"] for lead in found] == ["Lead one"]


async def test_custom_fields_are_those_of_deals_flat_and_without_nulls(api: Driver) -> None:
    fields = api.account.fields
    text = fields.create_custom("deal", "Text", "varchar", None)["field_code"]
    price = fields.create_custom("deal", "Price", "monetary", None)["field_code"]
    option = fields.create_custom("deal", "Kind", "enum", ["a", "b"])
    of_person = fields.create_custom("person", "Other", "varchar", None)["field_code"]
    given = {text: "ref-1", price: 12, f"{price}_currency": "USD", option["field_code"]: str(option["options"][1]["id"])}
    lead = await _lead(api, **given)
    assert {name: value for name, value in lead.items() if len(name) >= 40} == given
    path = f"/v1/leads/{lead['id']}"
    changed = (await api.patch(path, {text: None})).data
    assert text not in changed
    assert (changed[price], changed[f"{price}_currency"]) == (12, "USD")
    assert (await api.patch(path, {of_person: "x"})).status == 400
    assert (await api.patch(path, {option["field_code"]: "999"})).status == 400
    assert (await api.get("/v1/leads")).data[-1][price] == 12


async def test_next_activity_is_shown(api: Driver) -> None:
    lead = await _lead(api)
    await api.post("/api/v2/activities", {"lead_id": lead["id"], "due_date": "2027-05-01"})
    sooner = (await api.post("/api/v2/activities", {"lead_id": lead["id"], "due_date": "2027-04-01"})).data
    await api.post("/api/v2/activities", {"lead_id": lead["id"], "due_date": "2027-03-01", "done": True})
    assert (await api.get(f"/v1/leads/{lead['id']}")).data["next_activity_id"] == sooner["id"]


async def test_private_lead_is_seen_by_owner_and_admins(api: Driver) -> None:
    await api.control("POST", "tokens", {"user_id": 2, "token": "of-two"})
    mine, open_lead = await _lead(api, owner_id=3, visible_to="1"), await _lead(api)
    assert (await api.get(f"/v1/leads/{mine['id']}/permittedUsers")).data == [1, 3]
    assert (await api.get(f"/v1/leads/{open_lead['id']}/permittedUsers")).data == [1, 2, 3, 4, 5]
    assert (await api.send("GET", f"/v1/leads/{mine['id']}", token="of-two")).status == 404
    seen = [lead["id"] for lead in (await api.send("GET", "/v1/leads", token="of-two")).data]
    assert open_lead["id"] in seen
    assert mine["id"] not in seen


async def test_labels_live(api: Driver) -> None:
    assert [(label["name"], label["color"]) for label in (await api.get("/v1/leadLabels")).data][:3] == [
        ("Hot", "red"),
        ("Warm", "yellow"),
        ("Cold", "blue"),
    ]
    label = (await api.post("/v1/leadLabels", {"name": "Fair", "color": "dark-gray"})).data
    assert UUID.fullmatch(label["id"])
    assert TIME.fullmatch(label["add_time"])
    path = f"/v1/leadLabels/{label['id']}"
    assert (await api.patch(path, {"name": "Trade"})).data == {**label, "name": "Trade"}
    lead = await _lead(api, label_ids=[label["id"], label["id"]])
    assert lead["label_ids"] == [label["id"]]
    assert (await api.delete(path)).data == {"id": label["id"]}
    for answer in (await api.delete(path), await api.patch(path, {"name": "x"}), await api.delete("/v1/leadLabels/x")):
        assert (answer.status, answer.body["error_info"]) == (404, "Object was not found.")
    assert (await api.get(f"/v1/leads/{lead['id']}")).data["label_ids"] == []
    assert (await api.post("/v1/leads", {"title": "x", "person_id": 1, "label_ids": [label["id"]]})).status == 400


@pytest.mark.parametrize("body", [{"name": "x"}, {"color": "red"}, {"name": "x", "color": "black"}, {"name": "", "color": "red"}, {"name": 1}])
async def test_label_is_refused(api: Driver, body: dict[str, Any]) -> None:
    assert (await api.post("/v1/leadLabels", body)).status == 400


async def test_new_account_has_default_labels_and_no_leads(start: Start) -> None:
    api = start(seed=None)
    assert list(await _labels(api)) == ["Hot", "Warm", "Cold"]
    assert (await api.get("/v1/leads/archived")).data == []


async def test_seeded_leads_are_the_same_for_the_same_seed(start: Start) -> None:
    def seeds(answer: Answer) -> list[tuple[Any, ...]]:
        return [(lead["title"], lead["id"], lead["add_time"], lead["person_id"], lead["label_ids"]) for lead in answer.data]

    one, two, three = [seeds(await start(seed=seed).get("/v1/leads")) for seed in (7, 7, 8)]
    assert len(one) == 3
    assert one == two
    assert one != three


async def test_sources_and_fields_are_listed(api: Driver) -> None:
    names = [source["name"] for source in (await api.get("/v1/leadSources")).data]
    assert len(names) == 10
    assert {"API", "Deal", "Manually created"} <= set(names)
    custom = api.account.fields.create_custom("deal", "Ref", "varchar", None)
    of_leads = {field["key"]: field for field in (await api.get("/v1/leadFields", limit="500")).data}
    of_deals = {field["key"]: field for field in (await api.get("/v1/dealFields", limit="500")).data}
    assert of_leads[custom["field_code"]] == {**of_deals[custom["field_code"]]}
    assert {"title", "owner_id", "label_ids", "person_id", "organization_id", "value", "expected_close_date", "channel"} <= set(of_leads)
    assert not {"pipeline_id", "stage_id", "status"} & set(of_leads)
    assert {"pipeline_id", "stage_id", "status"} <= set(of_deals)
    of_notes = (await api.get("/v1/noteFields")).data
    assert of_notes[0]["key"] == "content"
    assert {field["key"]: field.get("options") for field in of_notes}["pinned_to_deal_flag"][0] == {"id": 1, "label": "Yes"}


async def test_leads_and_open_deals_have_one_cap(start: Start) -> None:
    api = start(open_deals_max=14)
    counts = await api.control("GET", "counts")
    room = 14 - counts["open_deals"] - 3
    assert room >= 1
    made = [await _lead(api) for _ in range(room)]
    refused = await api.post("/v1/leads", {"title": "x", "person_id": 1})
    assert (refused.status, refused.body["code"]) == (403, "feature_capping_deals_limit")
    assert (await api.post("/api/v2/deals", {"title": "x"})).body["code"] == "feature_capping_deals_limit"
    assert (await api.patch(f"/v1/leads/{made[0]['id']}", {"title": "y"})).status == 200
    await api.patch(f"/v1/leads/{made[0]['id']}", {"is_archived": True})
    assert (await api.post("/api/v2/deals", {"title": "x"})).status == 200
    assert (await api.patch(f"/v1/leads/{made[0]['id']}", {"is_archived": False})).status == 403


async def test_an_account_may_begin_over_its_cap(start: Start) -> None:
    api = start(open_deals_max=0)
    assert len((await api.get("/v1/leads")).data) == 3
    assert (await api.post("/v1/leads", {"title": "x", "person_id": 1})).status == 403


async def test_older_plans_count_deals_alone(start: Start) -> None:
    api = start(open_deals_max=1, seed=None, cap_counts="deals")
    person = (await api.post("/api/v2/persons", {"name": "P"})).data["id"]
    for _ in range(3):
        await _lead(api, person_id=person)
    assert (await api.post("/api/v2/deals", {"title": "x"})).status == 200
    assert (await api.post("/api/v2/deals", {"title": "x"})).status == 403


async def test_count_of_leads_survives_a_restart(start: Start, tmp_path: Any) -> None:
    api = start(database=tmp_path / "state.db")
    await _lead(api)
    count, first = api.account.open_leads, (await api.get("/v1/leads")).data
    api.account.store.close()
    again = start(database=tmp_path / "state.db")
    assert again.account.open_leads == count == 4
    assert (await again.get("/v1/leads")).data == first
    assert (await _lead(again))["id"] not in [lead["id"] for lead in first]


async def test_export_has_leads_and_labels(api: Driver) -> None:
    before = await api.control("GET", "export")
    assert [label["name"] for label in before["state"]["lead_labels"]][:3] == ["Hot", "Warm", "Cold"]
    assert len(before["state"]["leads"]) == 4
    lead = await _lead(api, value={"amount": 5.0, "currency": "EUR"})
    after = await api.control("GET", "export")
    assert after["digest"] != before["digest"]
    assert after["state"]["leads"][-1]["uuid"] == lead["id"]
    await api.delete(f"/v1/leads/{lead['id']}")
    assert (await api.control("GET", "export"))["digest"] == before["digest"]


async def test_reset_brings_the_same_leads(api: Driver) -> None:
    before = (await api.control("GET", "digest"))["digest"]
    await _lead(api)
    await api.control("POST", "reset")
    assert (await api.control("GET", "digest"))["digest"] == before
    assert api.account.open_leads == 3
