"""Operations of version 1 that version 2 replaced: the same records under old names."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Driver, Start


@pytest.fixture
def old(start: Start) -> Driver:
    """An account that still serves them."""
    return start(deprecated_v1=True)


async def _deal(old: Driver, **body: Any) -> Any:
    return (await old.post("/v1/deals", {"title": "Boiler", "org_id": 1, **body})).data


async def test_gone_without_the_option(api: Driver) -> None:
    for method, path in (("GET", "/v1/deals"), ("POST", "/v1/persons"), ("PUT", "/v1/stages/1"), ("GET", "/v1/itemSearch")):
        answer = await api.send(method, path, {})
        assert (answer.status, answer.body["data"]) == (410, None)
    assert (await api.get("/v1/deals/summary")).status == 200
    assert (await api.get("/v1/deals/archived")).status == 200


async def test_deal_keeps_the_time_it_was_added(old: Driver) -> None:
    deal = await _deal(
        old, value="12.50", person_id="2", user_id=3, status="won", add_time="2019-01-02 03:04:05", won_time="2019-02-03 04:05:06", visible_to="3"
    )
    assert (deal["add_time"], deal["won_time"], deal["close_time"]) == ("2019-01-02 03:04:05", "2019-02-03 04:05:06", "2019-02-03 04:05:06")
    assert (deal["value"], deal["visible_to"], deal["active"], deal["deleted"]) == (12.5, "3", False, False)
    assert (deal["user_id"]["value"], deal["person_id"]["value"], deal["org_id"]["name"]) == (3, 2, "Talleres Ibarra S.L.")
    shown = (await old.get(f"/api/v2/deals/{deal['id']}")).data
    assert (shown["add_time"], shown["won_time"], shown["value"]) == ("2019-01-02T03:04:05Z", "2019-02-03T04:05:06Z", 12.5)
    assert (shown["owner_id"], shown["person_id"], shown["org_id"], shown["visible_to"]) == (3, 2, 1, 3)
    changed = (await old.put(f"/v1/deals/{deal['id']}", {"add_time": "2001-01-01 00:00:00", "title": "Pump"})).data
    assert (changed["title"], changed["add_time"]) == ("Pump", "2019-01-02 03:04:05")


async def test_answer_of_a_deal_has_related_objects(old: Driver) -> None:
    answer = await old.get("/v1/deals/1")
    related = answer.body["related_objects"]
    assert related["user"][str(answer.data["user_id"]["value"])]["name"] == answer.data["owner_name"]
    assert related["organization"]["1"]["name"] == answer.data["org_name"]
    assert related["person"]["1"]["email"] == answer.data["person_id"]["email"]


async def test_one_deal_tells_more_than_a_list(start: Start) -> None:
    old = start(SandboxClock(wall=lambda: datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC).timestamp()), deprecated_v1=True)
    deal_id = (await _deal(old, add_time="2025-01-30 12:00:00"))["id"]
    activity = (await old.post("/v1/activities", {"deal_id": deal_id, "subject": "Ring"})).data
    answer = await old.get(f"/v1/deals/{deal_id}")
    assert answer.data["age"] == {"y": 1, "m": 1, "d": 1, "h": 0, "i": 0, "s": 30, "total_seconds": 395 * 86_400 + 30}
    assert answer.data["stay_in_pipeline_stages"] == {"times_in_stages": {"1": 0}, "order_of_stages": [1, 2, 3, 4, 5]}
    assert (answer.data["next_activity"]["id"], answer.data["last_activity"]) == (activity["id"], None)
    assert answer.body["related_objects"]["stage"]["1"]["pipeline_name"] == answer.body["related_objects"]["pipeline"]["1"]["name"]
    assert answer.body["additional_data"]["dropbox_email"] == f"sandbox-field-services+deal{deal_id}@pipedrivemail.com"
    assert "age" not in (await old.get("/v1/deals")).data[0]
    assert (await old.get("/v1/organizations/1")).data["next_activity"] is None
    await old.put(f"/v1/activities/{activity['id']}", {"org_id": 1, "done": 1})
    assert (await old.get("/v1/organizations/1")).data["last_activity"]["subject"] == "Ring"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"org_id": 1}, "Deal title must be given."),
        ({"title": " ", "org_id": 1}, "Deal title must be given."),
        ({"title": "x"}, "A deal must be associated with at least one person or organization."),
        ({"id": 7, "title": "x", "org_id": 1}, "Inserting ID with POST request is not allowed"),
        ({"title": "x", "org_id": 999}, "org_id: Organization 999 not found"),
        ({"title": "x", "org_id": 1, "add_time": "yesterday"}, "add_time must be in the format YYYY-MM-DD HH:MM:SS"),
        ({"title": "x", "org_id": 1, "won_time": "2020-01-01 00:00:00"}, "won_time: won_time can only be set when status is won"),
        ({"title": "x", "org_id": 1, "is_archived": "maybe"}, "is_archived must be 0 or 1"),
        ({"title": "x", "org_id": "one"}, "org_id must be an integer"),
        ({"title": "x", "org_id": 1, "value": "much"}, "value: The value is not a valid 'number'"),
    ],
)
async def test_deal_is_refused(old: Driver, body: dict[str, Any], text: str) -> None:
    answer = await old.post("/v1/deals", body)
    assert (answer.status, answer.error) == (400, text)
    assert answer.body["error_info"].startswith("Please check")
    assert "code" not in answer.body


async def test_cap_keeps_its_code(start: Start) -> None:
    old = start(deprecated_v1=True, seed=None, open_deals_max=0)
    await old.post("/v1/organizations", {"name": "x"})
    answer = await old.post("/v1/deals", {"title": "x", "org_id": 1})
    assert (answer.status, answer.body["code"]) == (403, "feature_capping_deals_limit")


async def test_null_clears_the_expected_close_date(old: Driver) -> None:
    deal = await _deal(old, expected_close_date="2020-05-06")
    assert deal["expected_close_date"] == "2020-05-06"
    assert (await old.put(f"/v1/deals/{deal['id']}", {"value": None})).data["expected_close_date"] == "2020-05-06"
    assert (await old.put(f"/v1/deals/{deal['id']}", {"expected_close_date": None})).data["expected_close_date"] is None
    assert (await old.patch(f"/api/v2/deals/{deal['id']}", {"expected_close_date": None})).status == 400


async def test_custom_fields_are_flat(old: Driver) -> None:
    price = (await old.post("/v1/dealFields", {"name": "Price", "field_type": "monetary"})).data["key"]
    kinds = (await old.post("/v1/dealFields", {"name": "Kind", "field_type": "set", "options": [{"label": "a"}, {"label": "b"}]})).data
    a, b = (option["id"] for option in kinds["options"])
    deal = await _deal(old, **{price: 20, f"{price}_currency": "USD", kinds["key"]: f"{a},{b}", "0" * 40: "unknown"})
    assert (deal[price], deal[f"{price}_currency"], deal[kinds["key"]]) == (20, "USD", f"{a},{b}")
    assert (await old.get(f"/api/v2/deals/{deal['id']}")).data["custom_fields"][price] == {"value": 20, "currency": "USD"}
    changed = (await old.put(f"/v1/deals/{deal['id']}", {price: None})).data
    assert (changed[price], changed[f"{price}_currency"], changed[kinds["key"]]) == (None, None, f"{a},{b}")
    assert (await old.put(f"/v1/deals/{deal['id']}", {kinds["key"]: "9999"})).status == 400


async def test_deal_is_deleted_by_status_and_by_request(old: Driver) -> None:
    one, two, three = [(await _deal(old))["id"] for _ in range(3)]
    before = old.account.open_deals
    gone = (await old.put(f"/v1/deals/{one}", {"status": "deleted"})).data
    assert (gone["deleted"], gone["status"]) == (True, "deleted")
    assert (await old.delete("/v1/deals", ids=f"{one},{two},{three}")).data == {"id": [two, three]}
    assert old.account.open_deals == before - 3
    missing = await old.put(f"/v1/deals/{one}", {"title": "x"})
    assert (missing.status, missing.error) == (404, "Please enter valid Deal ID to update deal.")
    assert [deal["id"] for deal in (await old.get("/v1/deals", status="deleted")).data] == [one, two, three]


async def test_list_of_deals(old: Driver) -> None:
    everything = (await old.get("/v1/deals")).data
    assert [deal["id"] for deal in everything] == list(range(1, 13))
    mine = (await old.get("/v1/deals", user_id="3")).data or []
    assert {deal["user_id"]["value"] for deal in mine} <= {3}
    assert len((await old.get("/v1/deals", owned_by_you="1", user_id="3")).data or []) == sum(deal["user_id"]["value"] == 1 for deal in everything)
    page = await old.get("/v1/deals", sort="value DESC, id ASC", start="1", limit="2")
    assert [deal["value"] for deal in page.data] == sorted((deal["value"] for deal in everything), reverse=True)[1:3]
    assert page.body["additional_data"]["pagination"]["next_start"] == 3
    assert (await old.get("/v1/deals", sort="secret")).status == 400
    assert (await old.get("/v1/deals", status="nonsense")).status == 400
    won = (await old.get("/v1/deals", status="won", stage_id=str(everything[1]["stage_id"]))).data or []
    assert all(deal["status"] == "won" and deal["stage_id"] == everything[1]["stage_id"] for deal in won)


async def test_saved_filter_takes_precedence_over_the_user(old: Driver) -> None:
    fields = {field["key"]: field["id"] for field in (await old.get("/v1/dealFields")).data}
    lines = [{"object": "deal", "field_id": fields["status"], "operator": "=", "value": "lost"}]
    groups = [{"glue": "and", "conditions": lines}, {"glue": "or", "conditions": []}]
    body = {"name": "lost", "type": "deals", "conditions": {"glue": "and", "conditions": groups}}
    filter_id = str((await old.post("/v1/filters", body)).data["id"])
    found = (await old.get("/v1/deals", filter_id=filter_id, user_id="999")).data
    assert found
    assert {deal["status"] for deal in found} == {"lost"}


async def test_person_in_old_terms(old: Driver) -> None:
    labels = [option["id"] for option in (await old.get("/api/v2/personFields/label_ids")).data["options"]]
    body = {"name": "Rosa Vidal", "email": "r@example.com", "phone": [{"value": "1", "primary": "true", "label": "home"}, "2"], "org_id": 1}
    person = (await old.post("/v1/persons", body | {"label": labels[1], "add_time": "2018-01-01 00:00:00"})).data
    assert person["email"] == [{"value": "r@example.com", "primary": True, "label": "work"}]
    assert [entry["value"] for entry in person["phone"]] == ["1", "2"]
    assert (person["label"], person["label_ids"], person["add_time"]) == (labels[1], [labels[1]], "2018-01-01 00:00:00")
    assert (person["owner_id"]["value"], person["org_id"]["value"], person["active_flag"], person["first_char"]) == (1, 1, True, "r")
    both = (await old.put(f"/v1/persons/{person['id']}", {"label_ids": labels[:2]})).data
    assert (both["label"], both["label_ids"]) == (labels[0], labels[:2])
    one = (await old.put(f"/v1/persons/{person['id']}", {"label": labels[3], "email": "", "add_time": "2017-01-01 00:00:00"})).data
    assert (one["label_ids"], one["add_time"]) == ([labels[3]], "2017-01-01 00:00:00")
    assert (await old.get(f"/api/v2/persons/{person['id']}")).data["emails"] == []
    assert (await old.put(f"/v1/persons/{person['id']}", {"label": None})).data["label"] is None
    assert (await old.post("/v1/persons", {"email": "a@example.com"})).error == "Name must be given."
    assert (await old.put(f"/v1/persons/{person['id']}", {"name": ""})).error == "Name must be given."
    assert (await old.post("/v1/persons", {"first_name": "Ana", "last_name": "Gil"})).data["name"] == "Ana Gil"


async def test_recorded_text_of_the_marketing_status(start: Start) -> None:
    answer = await start(deprecated_v1=True, campaigns=True).post("/v1/persons", {"name": "x", "marketing_status": "subscribed"})
    assert answer.error == "Email must be given if marketing status is set."


async def test_organization_with_a_flat_address(old: Driver) -> None:
    organization = (await old.post("/v1/organizations", {"name": "Acme", "address": "Main Street 1", "address_locality": "Bilbao"})).data
    assert (organization["address"], organization["address_locality"], organization["owner_id"]["value"]) == ("Main Street 1", "Bilbao", 1)
    assert (await old.get(f"/api/v2/organizations/{organization['id']}")).data["address"]["locality"] == "Bilbao"
    changed = (await old.put(f"/v1/organizations/{organization['id']}", {"address_route": "Main Street"})).data
    assert (changed["address"], changed["address_route"], changed["address_locality"]) == ("Main Street 1", "Main Street", "Bilbao")
    moved = (await old.put(f"/v1/organizations/{organization['id']}", {"address": "Side Street 2"})).data
    assert (moved["address"], moved["address_locality"]) == ("Side Street 2", None)
    assert (await old.put(f"/v1/organizations/{organization['id']}", {"address": None})).data["address"] is None
    assert (await old.post("/v1/organizations", {})).error == "Organization name must be given."


async def test_lists_of_contacts(old: Driver) -> None:
    persons = (await old.get("/v1/persons", first_char="S")).data
    assert [person["name"] for person in persons] == ["Siobhán O'Brien", "Sam Green"]
    assert (await old.get("/v1/persons", user_id="999")).data is None
    assert [item["id"] for item in (await old.get("/v1/organizations", sort="id DESC", limit="2")).data] == [12, 11]
    assert [person["id"] for person in (await old.get("/v1/organizations/3/persons")).data] == [3]
    assert [deal["id"] for deal in (await old.get("/v1/organizations/3/deals")).data] == [3]
    assert [deal["id"] for deal in (await old.get("/v1/persons/3/deals", status="all_not_deleted")).data] == [3]
    assert (await old.get("/v1/persons/999/deals")).status == 404


async def test_persons_of_a_deal_are_the_main_one_and_the_participants(old: Driver) -> None:
    await old.post("/v1/deals/3/participants", {"person_id": 5})
    assert [person["id"] for person in (await old.get("/v1/deals/3/persons")).data] == [3, 5]


async def test_activity_in_old_terms(old: Driver) -> None:
    people = [{"person_id": 3, "primary_flag": True}, {"person_id": 2}]
    body = {
        "subject": "Visit", "type": "meeting", "deal_id": 1, "person_id": 2, "org_id": 1, "due_date": "2020-02-03", "due_time": "09:30",
        "duration": "01:15", "done": 1, "busy_flag": True, "location": "Here 1", "user_id": 2, "participants": people,
        "attendees": [{"email_address": "a@example.com", "is_organizer": 1}],
    }  # fmt: skip
    answer = await old.post("/v1/activities", body)
    activity = answer.data
    assert answer.status == 201
    assert [(entry["person_id"], entry["primary_flag"]) for entry in activity["participants"]] == [(2, True), (3, False)]
    assert (activity["person_id"], activity["done"], activity["busy_flag"], activity["location"]) == (2, True, True, "Here 1")
    assert (activity["due_time"], activity["duration"], activity["user_id"], activity["deal_title"]) == (
        "09:30",
        "01:15",
        2,
        "Talleres Ibarra S.L. deal",
    )
    assert activity["attendees"][0]["email_address"] == "a@example.com"
    assert set(answer.body["related_objects"]) == {"user", "person", "organization", "deal"}
    shown = (await old.get(f"/api/v2/activities/{activity['id']}")).data
    assert (shown["due_time"], shown["owner_id"], shown["location"]["value"]) == ("09:30:00", 2, "Here 1")
    changed = (await old.put(f"/v1/activities/{activity['id']}", {"done": 0, "note": "<b>x</b>", "deal_id": None})).data
    assert (changed["done"], changed["note"], changed["deal_id"], changed["person_id"]) == (False, "<b>x</b>", None, 2)
    assert (await old.post("/v1/activities", {"due_date": "tomorrow"})).status == 400


async def test_more_activities_are_announced(old: Driver) -> None:
    one = await old.post("/v1/activities", {"org_id": 1})
    two = await old.post("/v1/activities", {"org_id": 1})
    announced = [answer.body["additional_data"]["more_activities_scheduled_in_context"] for answer in (one, two)]
    assert announced == [False, True]


async def test_lists_of_activities(old: Driver) -> None:
    for body in ({"user_id": 2, "org_id": 1}, {"type": "meeting", "due_date": "2020-01-01"}, {"done": 1, "due_date": "2021-01-01", "org_id": 1}):
        await old.post("/v1/activities", body)

    async def ids(path: str = "/v1/activities", **query: str) -> list[int]:
        return [activity["id"] for activity in (await old.get(path, **query)).data or []]

    assert await ids() == [2, 3]  # the caller's own
    assert await ids(user_id="0") == [1, 2, 3]
    assert await ids(user_id="2") == [1]
    assert await ids(type="meeting,lunch") == [2]
    assert await ids(start_date="2020-06-01", end_date="2021-06-01") == [3]
    assert await ids(done="1") == [3]
    assert await ids("/v1/organizations/1/activities") == [1, 3]
    assert await ids("/v1/organizations/1/activities", exclude="1") == [3]
    assert await ids("/v1/organizations/1/activities", done="0") == [1]
    shares = (await old.get("/v1/organizations/1/activities")).body["additional_data"]["activity_distribution"]
    assert shares["2"] == {"activities": {"call": 1}, "name": "Lucía García", "activity_count": 1, "share": 50}
    assert (await old.get("/v1/activities", start_date="soon")).status == 400
    assert (await old.delete("/v1/activities", ids="1,99")).data == {"id": [1]}


async def test_product_in_old_terms(old: Driver) -> None:
    prices = [{"currency": "EUR", "price": "10.5", "cost": 3, "overhead_cost": "2"}]
    product = (await old.post("/v1/products", {"name": "Valve", "selectable": 0, "prices": prices, "visible_to": "3", "owner_id": 2})).data
    assert (product["prices"][0]["price"], product["prices"][0]["overhead_cost"]) == (10.5, 2)
    assert (product["selectable"], product["visible_to"], product["owner_id"]["id"], product["active_flag"]) == (False, "3", 2, True)
    assert (await old.get(f"/api/v2/products/{product['id']}")).data["prices"][0]["direct_cost"] == 2
    listed = await old.get("/v1/products", ids="1,2,99", get_summary="true", first_char="i")
    assert [item["name"] for item in listed.data] == ["Inspection"]
    assert listed.body["additional_data"]["summary"] == {"total_count": 1}
    assert (await old.put(f"/v1/products/{product['id']}", {"active_flag": False})).data["active_flag"] is False
    assert (await old.get(f"/api/v2/products/{product['id']}")).status == 404


async def test_pipelines_and_stages_have_an_order_that_can_be_set(old: Driver) -> None:
    pipeline = (await old.post("/v1/pipelines", {"name": "Service", "deal_probability": 1, "order_nr": 0})).data
    assert (pipeline["active"], pipeline["deal_probability"], pipeline["order_nr"]) == (True, True, 0)
    assert [item["name"] for item in (await old.get("/v1/pipelines")).data] == ["Service", "Pipeline"]
    stage = (await old.post("/v1/stages", {"name": "Late", "pipeline_id": 1, "rotten_flag": 1, "rotten_days": "7"})).data
    assert (stage["rotten_flag"], stage["rotten_days"], stage["active_flag"]) == (True, 7, True)
    await old.put(f"/v1/stages/{stage['id']}", {"order_nr": 0})
    listed = (await old.get("/v1/stages", pipeline_id="1", limit="2")).data
    assert [(item["name"], item["pipeline_name"]) for item in listed] == [("Late", "Pipeline"), ("Qualified", "Pipeline")]
    assert (await old.get("/v1/stages", pipeline_id="99")).status == 404
    assert (await old.delete("/v1/stages", ids=str(stage["id"]))).data == {"id": [stage["id"]]}
    assert (await old.delete(f"/v1/pipelines/{pipeline['id']}")).data == {"id": pipeline["id"]}


async def test_lines_of_a_deal_in_old_terms(old: Driver) -> None:
    line = (await old.post("/v1/deals/1/products", {"product_id": "2", "item_price": "5.5", "quantity": 2, "enabled_flag": 1})).data
    assert (line["sum"], line["enabled_flag"], line["product_attachment_id"], line["active_flag"]) == (11, True, line["id"], True)
    changed = (await old.put(f"/v1/deals/1/products/{line['id']}", {"quantity": 3})).data
    assert (changed["quantity"], changed["sum"]) == (3, 16.5)
    listed = await old.get("/v1/deals/1/products", include_product_data="1")
    assert listed.data[0]["product"]["name"] == "Filter set"
    totals = listed.body["additional_data"]
    assert (totals["products_quantity_total"], totals["products_sum_total"]) == (3, 16.5)
    assert "product" not in (await old.get("/v1/deals/1/products")).data[0]
    assert (await old.post("/v1/deals/1/products", {"product_id": 2})).error == "item_price must be given."
    assert (await old.post("/v1/deals/1/products", {"product_id": 99, "item_price": 1, "quantity": 1})).error == "product_id: Product 99 not found"
    assert (await old.delete(f"/v1/deals/1/products/{line['id']}")).data == {"id": line["id"]}


async def test_collections_walk_by_cursor_and_are_for_admins(old: Driver) -> None:
    found, query = [], {"limit": "5"}
    while True:
        answer = await old.get("/v1/deals/collection", **query)
        found += [deal["id"] for deal in answer.data]
        if answer.body["additional_data"]["next_cursor"] is None:
            break
        query["cursor"] = answer.body["additional_data"]["next_cursor"]
    assert found == list(range(1, 13))
    assert isinstance(answer.data[0]["org_id"], int)
    assert (await old.get("/v1/persons/collection", first_char="s", owner_id="999")).data == []
    assert len((await old.get("/v1/organizations/collection", until="2099-01-01 00:00:00")).data) == 12
    assert (await old.get("/v1/organizations/collection", since="2099-01-01 00:00:00")).data == []
    assert isinstance((await old.get("/v1/organizations/collection")).data[0]["owner_id"], int)
    assert (await old.get("/v1/activities/collection", since="soon")).status == 400
    assert (await old.get("/v1/deals/collection", cursor="nonsense")).status == 400
    token = (await old.control("POST", "tokens", {"user_id": 2}))["token"]
    assert (await old.send("GET", "/v1/deals/collection", token=token)).status == 403


async def test_search_in_old_pages(old: Driver) -> None:
    answer = await old.get("/v1/itemSearch", term="green", start="1", limit="1")
    assert len(answer.data["items"]) == 1
    assert answer.data["related_items"] == []
    assert answer.body["additional_data"]["pagination"]["next_start"] == 2
    assert [hit["item"]["id"] for hit in (await old.get("/v1/organizations/search", term="Green Valley")).data["items"]] == [12]
    values = (await old.get("/v1/itemSearch/field", term="OLD-00", field_type="productField", field_key="code")).data
    assert values[:2] == [{"code": "OLD-001"}, {"code": "OLD-002"}]
    query = {"term": "contact3@customer.example", "field_type": "personField", "field_key": "email", "exact_match": "true", "return_item_ids": "1"}
    assert (await old.get("/v1/itemSearch/field", **query)).data == [{"id": 3, "email": "contact3@customer.example"}]
    assert (await old.get("/v1/itemSearch/field", term="x", field_type="noField", field_key="x")).status == 400
    assert (await old.get("/v1/deals/search", term="")).status == 400


async def test_lists_that_are_still_documented(api: Driver) -> None:
    await api.patch("/api/v2/deals/4", {"is_archived": True})
    assert [deal["id"] for deal in (await api.get("/v1/deals/archived")).data] == [4]
    assert (await api.get("/v1/deals/archived", org_id="5")).data is None
    assert (await api.get("/v1/deals/archived", product_id="1")).data is None
    deals = [deal for deal in (await api.get("/api/v2/deals")).data if deal["status"] == "open"]
    everyone = (await api.get("/v1/pipelines/1/deals", everyone="1")).data
    assert sorted(deal["id"] for deal in everyone) == [deal["id"] for deal in deals]
    mine = (await api.get("/v1/pipelines/1/deals")).data or []
    assert len(mine) == sum(deal["owner_id"] == 1 for deal in deals)
    stage_id = deals[0]["stage_id"]
    in_stage = (await api.get(f"/v1/stages/{stage_id}/deals", everyone="1")).data
    assert [deal["id"] for deal in in_stage] == [deal["id"] for deal in deals if deal["stage_id"] == stage_id]
    assert (await api.get("/v1/stages/99/deals")).status == 404
