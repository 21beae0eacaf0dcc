"""Defaults, rules and times of the records of version 2."""

from typing import Any

import pytest

from sandbox.pipedrive.account.account import is_open
from tests.unit.sandbox_pipedrive.driver import Driver, Start


async def test_new_deal_has_the_defaults(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x"})).data
    assert (deal["owner_id"], deal["status"], deal["value"], deal["currency"]) == (1, "open", 0, "EUR")
    assert (deal["pipeline_id"], deal["stage_id"], deal["visible_to"], deal["origin"]) == (1, 1, 7, "API")
    assert deal["won_time"] is deal["lost_time"] is deal["close_time"] is deal["expected_close_date"] is None
    assert deal["is_deleted"] is False
    assert len(deal["add_time"]) == len("2024-01-01T00:00:00Z")


async def test_stage_decides_the_pipeline(api: Driver) -> None:
    pipeline = (await api.post("/api/v2/pipelines", {"name": "Quotes"})).data["id"]
    assert (await api.post("/api/v2/deals", {"title": "x", "pipeline_id": pipeline})).status == 400
    stages = [(await api.post("/api/v2/stages", {"name": name, "pipeline_id": pipeline})).data["id"] for name in ("One", "Two")]
    deal = (await api.post("/api/v2/deals", {"title": "x", "stage_id": stages[1]})).data
    assert (deal["pipeline_id"], deal["stage_id"]) == (pipeline, stages[1])
    assert (await api.post("/api/v2/deals", {"title": "x", "pipeline_id": pipeline})).data["stage_id"] == stages[0]
    assert (await api.post("/api/v2/deals", {"title": "x", "pipeline_id": 1, "stage_id": stages[0]})).status == 400
    assert (await api.patch(f"/api/v2/deals/{deal['id']}", {"pipeline_id": 1})).data["stage_id"] == 1


async def test_closed_deals_keep_their_times(api: Driver) -> None:
    won = (await api.post("/api/v2/deals", {"title": "x", "status": "won", "won_time": "2020-05-06T22:30:00Z"})).data
    assert (won["won_time"], won["close_time"], won["lost_time"]) == ("2020-05-06T22:30:00Z", "2020-05-06T22:30:00Z", None)
    assert won["local_won_date"] == "2020-05-07"
    lost = {"title": "x", "status": "lost", "lost_time": "2020-05-06 01:02:03", "lost_reason": "price"}
    assert (await api.post("/api/v2/deals", lost)).data["lost_time"] == "2020-05-06T01:02:03Z"
    reopened = (await api.patch(f"/api/v2/deals/{won['id']}", {"status": "open"})).data
    assert reopened["won_time"] is reopened["close_time"] is None


async def test_status_without_a_time_is_closed_now(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x", "status": "won"})).data
    assert deal["won_time"] == deal["close_time"] == deal["add_time"]


async def test_archived_deals_are_listed_apart_and_refuse_edits(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x", "is_archived": True, "archive_time": "2024-01-01 00:00:00"})).data
    assert deal["archive_time"] == "2024-01-01T00:00:00Z"
    assert deal["id"] not in [item["id"] for item in (await api.get("/api/v2/deals")).data]
    assert deal["id"] in [item["id"] for item in (await api.get("/api/v2/deals/archived")).data]
    assert (await api.patch(f"/api/v2/deals/{deal['id']}", {"title": "y"})).status == 400
    assert (await api.patch(f"/api/v2/deals/{deal['id']}", {"is_archived": False})).data["archive_time"] is None


async def test_empty_close_date_stores_a_zero_date(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x", "expected_close_date": "2024-01-01"})).data
    assert (await api.patch(f"/api/v2/deals/{deal['id']}", {"expected_close_date": ""})).data["expected_close_date"] == "0000-00-00"


@pytest.mark.requirement("G-05")
async def test_open_deals_are_capped(start: Start) -> None:
    api = start(seed=None, open_deals_max=2)
    for _ in range(2):
        assert (await api.post("/api/v2/deals", {"title": "x"})).status == 200
    refused = await api.post("/api/v2/deals", {"title": "x"})
    assert refused.status == 403
    assert refused.body["code"] == "feature_capping_deals_limit"
    assert refused.error == "Couldn't add the deal. Open deals limit reached."
    closed = (await api.post("/api/v2/deals", {"title": "x", "status": "won"})).data
    assert (await api.post("/api/v2/deals", {"title": "x", "is_archived": True})).status == 200
    assert (await api.patch(f"/api/v2/deals/{closed['id']}", {"status": "open"})).status == 403
    await api.delete("/api/v2/deals/1")
    assert (await api.post("/api/v2/deals", {"title": "x"})).status == 200
    assert api.account.open_deals == sum(is_open(deal) for deal in api.account.store["deal"])


async def test_person_defaults(api: Driver) -> None:
    body = {"name": "María José Nuñez", "emails": [{"value": "a@example.com"}, {"value": "b@example.com", "label": "home"}]}
    person = (await api.post("/api/v2/persons", body)).data
    assert (person["first_name"], person["last_name"]) == ("María", "José Nuñez")
    assert person["emails"] == [
        {"value": "a@example.com", "primary": True, "label": "work"},
        {"value": "b@example.com", "primary": False, "label": "home"},
    ]
    assert person["phones"] == []
    renamed = (await api.patch(f"/api/v2/persons/{person['id']}", {"first_name": "Ana"})).data
    assert renamed["name"] == "Ana José Nuñez"
    assert (await api.patch(f"/api/v2/persons/{person['id']}", {"emails": []})).data["emails"] == []
    assert (await api.post("/api/v2/persons", {"first_name": "A", "last_name": ""})).data["name"] == "A"


@pytest.mark.parametrize("path", ["persons", "organizations"])
async def test_creation_time_can_be_given_once(api: Driver, path: str) -> None:
    record = (await api.post(f"/api/v2/{path}", {"name": "x", "add_time": "2019-01-01T10:00:00+02:00"})).data
    assert record["add_time"] == "2019-01-01T08:00:00Z"
    assert record["update_time"] != record["add_time"]
    assert (await api.patch(f"/api/v2/{path}/{record['id']}", {"add_time": "2018-01-01T00:00:00Z"})).status == 400


async def test_address_parts_left_out_are_lost(api: Driver) -> None:
    body = {"name": "x", "address": {"value": "Street 1", "locality": "Bilbao", "postal_code": "48001"}}
    organization = (await api.post("/api/v2/organizations", body)).data
    changed = (await api.patch(f"/api/v2/organizations/{organization['id']}", {"address": {"value": "Street 2"}})).data
    assert (changed["address"]["value"], changed["address"]["locality"]) == ("Street 2", None)


async def test_activity_defaults_and_participants(api: Driver) -> None:
    body = {
        "type": "meeting",
        "due_date": "2024-01-01",
        "due_time": "10:00",
        "duration": "01:30",
        "participants": [{"person_id": 2}, {"person_id": 1}],
    }
    activity = (await api.post("/api/v2/activities", body)).data
    assert (activity["subject"], activity["due_time"], activity["duration"]) == ("Meeting", "10:00:00", "01:30:00")
    assert activity["person_id"] == 2
    assert activity["participants"][0] == {"person_id": 2, "primary": True}
    assert activity["marked_as_done_time"] is None
    assert "attendees" not in activity
    done = (await api.patch(f"/api/v2/activities/{activity['id']}", {"done": True})).data
    assert done["marked_as_done_time"] is not None
    assert [item["id"] for item in (await api.get("/api/v2/activities", person_id="2")).data] == [activity["id"]]
    assert (await api.get("/api/v2/activities", person_id="1")).data == []
    assert (await api.get("/api/v2/activities", done="false")).data == []


async def test_product_without_prices_costs_nothing(api: Driver) -> None:
    created = await api.post("/api/v2/products", {"name": "x"})
    assert created.status == 201
    product = created.data
    assert [(price["price"], price["currency"], price["product_id"]) for price in product["prices"]] == [(0, "EUR", product["id"])]
    assert (product["is_linkable"], product["billing_frequency"], product["tax"]) == (True, "one-time", 0)
    prices = [{"currency": "USD", "price": 5.5}]
    assert len((await api.patch(f"/api/v2/products/{product['id']}", {"prices": prices})).data["prices"]) == 1


def _line(**values: Any) -> dict[str, Any]:
    return {"product_id": 1, "item_price": 10, "quantity": 2, **values}


async def test_lines_make_the_deal_value(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x", "value": 5})).data["id"]
    path = f"/api/v2/deals/{deal}/products"
    first = await api.post(path, _line(discount=10, tax=21))
    assert first.status == 201
    assert first.data["sum"] == 21.78
    assert (first.data["comments"], first.data["discount_type"], first.data["order_nr"]) == ("", "percentage", 10)
    bulk = await api.post(
        f"{path}/bulk", {"data": [_line(tax_method="inclusive", tax=21), _line(discount=5, discount_type="amount"), _line(is_enabled=False)]}
    )
    assert bulk.status == 201
    assert [line["sum"] for line in bulk.data] == [20, 15, 20]
    assert (await api.get(f"/api/v2/deals/{deal}")).data["value"] == 56.78
    await api.patch(f"{path}/{first.data['id']}", {"quantity": 1})
    assert (await api.get(f"/api/v2/deals/{deal}")).data["value"] == 45.89
    assert (await api.delete(f"{path}/{first.data['id']}")).data == {"id": first.data["id"]}
    assert (await api.patch(f"/api/v2/deals/{deal}", {"value": 99})).data["value"] == 99
    gone = await api.delete(path)
    assert len(gone.data["ids"]) == 3
    assert gone.body["additional_data"] == {"more_items_in_collection": False}
    assert (await api.get(path)).data == []


async def test_lines_can_leave_the_deal_value_alone(start: Start) -> None:
    api = start(recompute_value=False)
    deal = (await api.post("/api/v2/deals", {"title": "x", "value": 5})).data["id"]
    await api.post(f"/api/v2/deals/{deal}/products", _line())
    assert (await api.get(f"/api/v2/deals/{deal}")).data["value"] == 5


async def test_bulk_lines_are_all_or_none_and_at_most_100(api: Driver) -> None:
    path = "/api/v2/deals/1/products"
    assert "data[1].product_id" in (await api.post(f"{path}/bulk", {"data": [_line(), _line(product_id=999)]})).error
    assert (await api.get(path)).data == []
    assert (await api.post(f"{path}/bulk", {"data": [_line()] * 101})).status == 400
    assert len((await api.post(f"{path}/bulk", {"data": [_line()] * 100})).data) == 100
    assert (await api.post(f"{path}/bulk", [_line()])).status == 400


async def test_lines_of_many_deals(api: Driver) -> None:
    for deal in (1, 2):
        await api.post(f"/api/v2/deals/{deal}/products", _line())
    lines = (await api.get("/api/v2/deals/products", deal_ids="1,2,3")).data
    assert [line["deal_id"] for line in lines] == [1, 2]
    assert (await api.get("/api/v2/deals/products")).status == 400


async def test_deleting_is_soft_and_touches_nothing_else(api: Driver) -> None:
    deal = (await api.post("/api/v2/deals", {"title": "x", "org_id": 1, "person_id": 1})).data["id"]
    assert (await api.delete("/api/v2/organizations/1")).body == {"success": True, "data": {"id": 1}}
    assert (await api.get(f"/api/v2/deals/{deal}")).data["org_id"] == 1
    assert (await api.get("/api/v2/persons/1")).data["org_id"] == 1
    assert (await api.get("/api/v2/organizations", ids="1,2")).data[0]["id"] == 2
    await api.delete(f"/api/v2/deals/{deal}")
    deleted = (await api.get("/api/v2/deals", status="deleted")).data
    assert [(item["id"], item["status"], item["is_deleted"]) for item in deleted] == [(deal, "deleted", True)]


@pytest.mark.parametrize(("choice", "status"), [("404", 404), ("200", 200)])
async def test_reading_a_deleted_record_is_an_option(start: Start, choice: str, status: int) -> None:
    api = start(deleted_get=choice)
    await api.delete("/api/v2/persons/1")
    assert (await api.get("/api/v2/persons/1")).status == status
    assert (await api.delete("/api/v2/persons/1")).status == status
    assert (await api.patch("/api/v2/persons/1", {"name": "y"})).status == 404


@pytest.mark.parametrize(
    ("path", "body", "link"),
    [
        ("deals", {"title": "x"}, "org_id"),
        ("deals", {"title": "x"}, "person_id"),
        ("persons", {"name": "x"}, "org_id"),
        ("activities", {}, "deal_id"),
    ],
)
async def test_links_are_gained_moved_and_lost(api: Driver, path: str, body: dict[str, Any], link: str) -> None:
    record = (await api.post(f"/api/v2/{path}", body)).data["id"]
    for target in (1, 2, None, 3):
        assert (await api.patch(f"/api/v2/{path}/{record}", {link: target})).data[link] == target
        for other in (1, 2, 3):
            found = [item["id"] for item in (await api.get(f"/api/v2/{path}", **{link: str(other)})).data]
            assert (record in found) == (other == target)


async def test_statuses_of_creates(api: Driver) -> None:
    assert (await api.post("/api/v2/persons", {"name": "x"})).status == 200
    assert (await api.post("/api/v2/organizations", {"name": "x"})).status == 200
    assert (await api.post("/api/v2/pipelines", {"name": "x"})).status == 200


async def test_counts_are_added_on_request(api: Driver) -> None:
    await api.post("/api/v2/activities", {"org_id": 1, "done": True})
    shown = (await api.get("/api/v2/organizations/1", include_fields="people_count,notes_count,done_activities_count,next_activity_id")).data
    assert (shown["people_count"], shown["notes_count"], shown["done_activities_count"], shown["next_activity_id"]) == (1, 1, 1, None)


@pytest.mark.requirement("X-08")
@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "Ω≈ç√∫µ", "مرحبا \u202e abc", "👩‍🔧 Ltd", "a\tb", "'; DROP TABLE deals; --", " padded "]
)
async def test_names_arrive_unchanged(api: Driver, name: str) -> None:
    created = (await api.post("/api/v2/organizations", {"name": name})).data
    assert created["name"] == name
    page = await api.send("GET", "/", token=None)
    assert b"<script>alert" not in page.body


async def test_owner_only_records_are_hidden_from_other_users(api: Driver) -> None:
    await api.control("POST", "tokens", {"user_id": 2, "token": "lucia"})
    hidden = (await api.post("/api/v2/persons", {"name": "secret", "visible_to": 1})).data["id"]
    assert (await api.send("GET", f"/api/v2/persons/{hidden}", token="lucia")).status == 404
    assert hidden not in [person["id"] for person in (await api.send("GET", "/api/v2/persons", token="lucia")).data]
    assert (await api.send("POST", "/api/v2/pipelines", {"name": "x"}, token="lucia")).status == 403
    me = (await api.send("GET", "/v1/users/me", token="lucia")).data
    assert not any(access["admin"] for access in me["access"])


async def test_what_belongs_to_an_archived_deal_is_not_edited_either(api: Driver) -> None:
    product = (await api.post("/api/v2/products", {"name": "Larch board"})).data["id"]
    line = {"product_id": product, "item_price": 5, "quantity": 2}
    deal = (await api.post("/api/v2/deals", {"title": "Larch"})).data["id"]
    kept = (await api.post(f"/api/v2/deals/{deal}/products", line)).data["id"]
    await api.patch(f"/api/v2/deals/{deal}", {"is_archived": True})

    refused = [
        await api.post(f"/api/v2/deals/{deal}/products", line),
        await api.post(f"/api/v2/deals/{deal}/products/bulk", {"data": [line]}),
        await api.patch(f"/api/v2/deals/{deal}/products/{kept}", {"quantity": 3}),
        await api.delete(f"/api/v2/deals/{deal}/products/{kept}"),
        await api.delete(f"/api/v2/deals/{deal}/products"),
        await api.post(f"/api/v2/deals/{deal}/discounts", {"description": "Early", "amount": 5, "type": "amount"}),
        await api.post(f"/api/v2/deals/{deal}/installments", {"description": "First", "amount": 5, "billing_date": "2026-01-01"}),
    ]

    assert [(answer.status, "Archived deal" in answer.error) for answer in refused] == [(400, True)] * len(refused)
    assert [shown["quantity"] for shown in (await api.get(f"/api/v2/deals/{deal}/products")).data] == [2]
    await api.patch(f"/api/v2/deals/{deal}", {"is_archived": False})
    assert (await api.patch(f"/api/v2/deals/{deal}/products/{kept}", {"quantity": 3})).data["sum"] == 15


async def test_the_first_success_of_a_deal_is_remembered(api: Driver) -> None:
    first, second = "2020-03-01T09:00:00Z", "2024-03-01T09:00:00Z"
    deal = (await api.post("/api/v2/deals", {"title": "Yew", "status": "won", "won_time": first})).data["id"]

    for change in ({"status": "open"}, {"status": "won", "won_time": second}, {"status": "lost"}):
        await api.patch(f"/api/v2/deals/{deal}", change)
        shown = (await api.get(f"/api/v2/deals/{deal}", include_fields="first_won_time")).data
        assert shown["first_won_time"] == first
    assert shown["won_time"] is None


async def test_lines_of_a_hidden_deal_are_hidden_too(start: Start) -> None:
    api = start(plan="premium")
    deal = (await api.post("/api/v2/deals", {"title": "Yew", "visible_to": 1})).data["id"]
    other = (await api.control("POST", "tokens", {"user_id": 2}))["token"]

    assert (await api.send("GET", f"/api/v2/deals/{deal}/products", token=other)).status == 404


async def test_marketing_status_is_changed_once(start: Start) -> None:
    api = start(campaigns=True)
    person = (await api.post("/api/v2/persons", {"name": "Rowan", "emails": [{"value": "rowan@example.com"}]})).data["id"]

    shown = []
    for status in ("no_consent", "subscribed", "unsubscribed", "archived"):
        assert (await api.patch(f"/api/v2/persons/{person}", {"marketing_status": status})).status == 200
        shown.append((await api.get(f"/api/v2/persons/{person}", include_fields="marketing_status")).data["marketing_status"])

    assert shown == ["no_consent", "subscribed", "subscribed", "subscribed"]


@pytest.mark.parametrize(("option", "status"), [("accept", 201), ("refuse", 400)])
async def test_whether_products_that_are_not_linkable_go_on_deals_is_an_option(start: Start, option: str, status: int) -> None:
    api = start(unlinkable_products=option)
    product = (await api.post("/api/v2/products", {"name": "x", "is_linkable": False})).data
    answer = await api.post("/api/v2/deals/1/products", {"product_id": product["id"], "item_price": 1, "quantity": 1})
    assert answer.status == status
