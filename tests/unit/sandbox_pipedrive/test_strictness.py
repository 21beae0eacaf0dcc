"""Version 2 refuses what the real one refuses, with the words recorded of it."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver, Start

UNKNOWN_HASH = "0" * 40


@pytest.mark.requirement("G-01")
@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("deals", {"title": "x", "add_time": "2024-01-01T00:00:00Z"}, "Parameter 'add_time' is not allowed for this request"),
        ("deals", {"title": "x", UNKNOWN_HASH: "y"}, f"Parameter '{UNKNOWN_HASH}' is not allowed for this request"),
        ("deals", {"title": "x", "custom_fields": {UNKNOWN_HASH: "y"}}, f"custom_fields: Unknown key '{UNKNOWN_HASH}'"),
        ("deals", {"title": "x", "value": "12"}, "value: The value is not a valid 'number'"),
        ("deals", {"title": "x", "is_archived": 0}, "is_archived: The value is not a valid 'boolean'"),
        ("deals", {"title": "x", "expected_close_date": None}, "expected_close_date: The value is not a valid 'string'"),
        ("deals", {"title": "x", "person_id": {"value": 1}}, "person_id: The value is not a valid 'integer'"),
        ("deals", {"title": "x", "won_time": "2024-01-01T00:00:00Z"}, "won_time: won_time can only be set when status is won"),
        ("deals", {"title": "x", "status": "won", "lost_time": "2024-01-01T00:00:00Z"}, "lost_time can only be set when status is lost"),
        ("deals", {"title": "x", "status": "open", "close_time": "2024-01-01T00:00:00Z"}, "close_time can only be set"),
        ("deals", {"title": "x", "lost_reason": "price"}, "lost_reason can only be set when status is lost"),
        ("deals", {"title": "x", "status": "deleted"}, "status: The value must be one of: open, won, lost"),
        ("deals", {"title": "x", "is_deleted": True}, "is_deleted"),
        ("deals", {"title": " "}, "title: This value should not be blank."),
        ("deals", {}, "title: The value is required"),
        ("deals", {"title": "x", "label_ids": [999]}, "label_ids[0]: Unknown label '999'"),
        ("deals", {"title": "x", "label_ids": "1,2"}, "label_ids: The value is not a valid 'array'"),
        ("deals", {"title": "x", "currency": "XXX"}, "currency: Currency 'XXX' is not known"),
        ("deals", {"title": "x", "stage_id": 99}, "stage_id: Stage 99 not found"),
        ("deals", {"title": "x", "pipeline_id": 99}, "pipeline_id: Pipeline 99 not found"),
        ("deals", {"title": "x", "owner_id": 99}, "owner_id: User 99 not found or not active"),
        ("deals", {"title": "x", "owner_id": 6}, "owner_id: User 6 not found or not active"),
        ("deals", {"title": "x", "org_id": 999}, "org_id: Organization 999 not found"),
        ("deals", {"title": "x", "visible_to": "3"}, "visible_to: The value is not a valid 'integer'"),
        ("deals", {"title": "x", "probability": 101}, "probability: The value must be between 0 and 100"),
        ("persons", {}, "name: Name must be given."),
        ("persons", {"first_name": "", "last_name": ""}, "name: Name must be given."),
        (
            "persons",
            {"name": "x", "emails": [{"value": "a", "primary": True}, {"value": "b", "primary": True}]},
            "emails: Only one item can be primary",
        ),
        ("persons", {"name": "x", "emails": "a@example.com"}, "emails: The value is not a valid 'array'"),
        ("persons", {"name": "x", "emails": [{"label": "work"}]}, "emails[0].value: The value is required"),
        ("persons", {"name": "x", "phones": [{"value": "1", "kind": "x"}]}, "phones[0].kind: Parameter 'kind' is not allowed"),
        ("persons", {"name": "x", "add_time": "2024-01-01 00:00:00"}, "add_time: This value is not a valid datetime."),
        ("persons", {"name": "x", "add_time": "2024-01-01T00:00:00.123Z"}, "add_time: This value is not a valid datetime."),
        ("persons", {"name": "x", "add_time": "2024-02-30T00:00:00Z"}, "add_time: This value is not a valid datetime."),
        ("organizations", {"name": ""}, "name: This value should not be blank."),
        ("organizations", {"name": "x", "address": "Main Street 1"}, "address: The value is not a valid 'object'"),
        ("organizations", {"name": "x", "address": {"locality": "Bilbao"}}, "address.value: The value is required"),
        ("organizations", {"name": "x", "employee_count": "5"}, "employee_count: The value is not a valid 'integer'"),
        ("products", {"name": "x", "prices": [{"currency": "EUR", "price": 1}, {"currency": "EUR", "price": 2}]}, "prices: Only one price"),
        ("products", {"name": "x", "add_time": "2024-01-01T00:00:00Z"}, "Parameter 'add_time' is not allowed"),
        ("products", {"name": "x", "category": 999}, "category: Unknown option '999'"),
        ("products", {"name": "x", "billing_frequency": "weekly"}, "billing_frequency_cycles: The value is required"),
        ("activities", {"type": "no_such_type"}, "type: Activity type 'no_such_type' not found"),
        ("activities", {"person_id": 1}, "Parameter 'person_id' is not allowed for this request"),
        ("activities", {"due_time": "25:00"}, "due_time: This value is not a valid datetime."),
        ("activities", {"due_date": "01/02/2024"}, "due_date: This value is not a valid date."),
        ("activities", {"participants": [{"person_id": 999}]}, "participants[0].person_id: Person 999 not found"),
        ("activities", {"done": 1}, "done: The value is not a valid 'boolean'"),
        ("activities", {"note": "x" * 100_001}, "note: This value is too long"),
        ("pipelines", {"name": ""}, "name: This value should not be blank."),
        ("stages", {"name": "x", "pipeline_id": 99}, "pipeline_id: Pipeline 99 not found"),
    ],
)
async def test_create_is_refused(api: Driver, path: str, body: dict[str, Any], message: str) -> None:
    answer = await api.post(f"/api/v2/{path}", body)
    assert answer.status == 400
    assert answer.body["success"] is False
    assert answer.body["code"] == "ERR_SCHEMA_VALIDATION_FAILED"
    assert answer.error.startswith("Validation failed: ")
    assert message in answer.error


async def test_all_problems_are_named_at_once(api: Driver) -> None:
    answer = await api.post("/api/v2/deals", {"value": "1", "nonsense": 1})
    assert answer.error == (
        "Validation failed: value: The value is not a valid 'number'; "
        "nonsense: Parameter 'nonsense' is not allowed for this request; title: The value is required"
    )


async def test_refused_request_leaves_nothing_behind(api: Driver) -> None:
    before = await api.control("GET", "digest")
    await api.post("/api/v2/deals", {"title": "x", "nonsense": 1})
    assert await api.control("GET", "digest") == before


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"nonsense": "1"}, "Parameter 'nonsense' is not allowed"),
        ({"limit": "501"}, "limit: The value must be between 1 and 500"),
        ({"limit": "0"}, "limit"),
        ({"limit": "ten"}, "limit: The value is not a valid 'integer'"),
        ({"cursor": "garbage"}, "cursor"),
        ({"sort_by": "title"}, "sort_by"),
        ({"sort_direction": "up"}, "sort_direction"),
        ({"updated_since": "2024-01-01T00:00:00.500Z"}, "updated_since: This value is not a valid datetime."),
        ({"updated_since": "2024-01-01"}, "updated_since: This value is not a valid datetime."),
        ({"ids": ",".join(map(str, range(1, 102)))}, "ids"),
        ({"custom_fields": ",".join(f"{number:040x}" for number in range(16))}, "custom_fields"),
        ({"include_fields": "nonsense"}, "include_fields is not allowed"),
        ({"status": "closed"}, "status"),
        ({"add_time": "2024-01-01"}, "Parameter 'add_time' is not allowed"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
async def test_list_query_is_refused(api: Driver, query: dict[str, str], message: str) -> None:
    answer = await api.get("/api/v2/deals", **query)
    assert answer.status == 400
    assert message in answer.error


async def test_activities_have_no_type_filter(api: Driver) -> None:
    assert (await api.get("/api/v2/activities", type="call")).status == 400


async def test_products_have_no_updated_until(api: Driver) -> None:
    assert (await api.get("/api/v2/products", updated_since="2024-01-01T00:00:00Z")).status == 200
    assert (await api.get("/api/v2/products", updated_until="2024-01-01T00:00:00Z")).status == 400


async def test_paging_is_refused_where_one_record_is_read(api: Driver) -> None:
    assert (await api.get("/api/v2/deals/1", limit="1")).status == 400


async def test_queries_are_refused_on_writes(api: Driver) -> None:
    assert (await api.post("/api/v2/persons", {"name": "x"}, nonsense="1")).status == 400
    assert (await api.post("/api/v2/persons", {"name": "x"}, api_token="token-of-ada")).status == 200


async def test_body_that_is_not_json(api: Driver) -> None:
    assert (await api.post("/api/v2/persons", b"name=x")).status == 400


async def test_features_the_account_lacks_are_refused(api: Driver, start: Start) -> None:
    assert (await api.post("/api/v2/persons", {"name": "x", "job_title": "Boss"})).status == 403
    assert (await api.post("/api/v2/persons", {"name": "x", "marketing_status": "subscribed"})).status == 403
    assert (await start(contact_sync=True).post("/api/v2/persons", {"name": "x", "job_title": "Boss"})).data["job_title"] == "Boss"
    bare = start(organization_extras=False)
    assert (await bare.post("/api/v2/organizations", {"name": "x", "website": "https://example.com"})).status == 400


@pytest.mark.parametrize(("choice", "status", "length"), [("refuse", 400, 0), ("cut", 200, 255), ("accept", 200, 300)])
async def test_long_names_are_an_option(start: Start, choice: str, status: int, length: int) -> None:
    answer = await start(long_names=choice).post("/api/v2/organizations", {"name": "n" * 300})
    assert answer.status == status
    if length:
        assert len(answer.data["name"]) == length


async def test_visibility_follows_the_plan(start: Start) -> None:
    small = start(plan="lite")
    assert (await small.post("/api/v2/persons", {"name": "x"})).data["visible_to"] == 3
    assert (await small.post("/api/v2/persons", {"name": "x", "visible_to": 7})).status == 400
