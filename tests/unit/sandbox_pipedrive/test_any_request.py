"""Whatever is sent, the answer is a success or a refusal, never a defect of the simulator."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.pipedrive.options import Options
from tests.unit.sandbox_pipedrive.driver import CONTROL_KEY, TOKEN, Driver

PROFILE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
KEYS = (
    "name", "title", "subject", "first_name", "last_name", "emails", "phones", "address", "location", "label_ids", "custom_fields", "value",
    "currency", "status", "won_time", "lost_time", "close_time", "lost_reason", "probability", "expected_close_date", "stage_id", "pipeline_id",
    "owner_id", "person_id", "org_id", "deal_id", "visible_to", "add_time", "type", "due_date", "due_time", "duration", "participants",
    "attendees", "note", "done", "prices", "category", "tax", "billing_frequency", "billing_frequency_cycles", "product_id", "item_price",
    "quantity", "discount", "discount_type", "field_name", "field_type", "options", "label", "id", "data", "content", "pinned_to_deal_flag",
    "email", "phone", "active_flag", "conditions", "glue", "operator", "object",
    "user_id", "icon_key", "color", "order_nr", "rel_owner_org_id", "rel_linked_org_id", "is_archived", "archive_time", "ui_visibility",
)  # fmt: skip
PATHS = (
    "POST /api/v2/deals", "PATCH /api/v2/deals/{id}", "POST /api/v2/persons", "PATCH /api/v2/persons/{id}", "POST /api/v2/organizations",
    "POST /api/v2/products", "PATCH /api/v2/products/{id}", "PATCH /api/v2/organizations/{id}",
    "PATCH /api/v2/activities/{id}", "PATCH /api/v2/stages/{id}", "POST /api/v2/activities", "POST /api/v2/pipelines", "POST /api/v2/stages",
    "POST /api/v2/dealFields", "POST /api/v2/dealFields/label_ids/options", "PATCH /api/v2/dealFields/label_ids/options",
    "DELETE /api/v2/dealFields/label_ids/options", "POST /api/v2/deals/1/products", "POST /api/v2/deals/1/products/bulk", "POST /v1/notes",
    "PUT /v1/notes/{id}", "POST /v1/activityTypes", "PUT /v1/activityTypes/1", "POST /v1/organizationRelationships", "POST /v1/files",
    "PUT /v1/files/1", "POST /v1/dealFields", "PUT /v1/dealFields/{id}", "POST /v1/filters", "PUT /v1/filters/1",
    "POST /v1/deals", "PUT /v1/deals/{id}", "POST /v1/persons", "PUT /v1/persons/{id}", "POST /v1/organizations", "PUT /v1/organizations/{id}",
    "POST /v1/activities", "PUT /v1/activities/{id}", "POST /v1/products", "PUT /v1/products/{id}", "POST /v1/pipelines", "PUT /v1/stages/{id}",
    "POST /v1/deals/{id}/products",
)  # fmt: skip
LISTS = (
    "/api/v2/deals", "/api/v2/deals/archived", "/api/v2/persons", "/api/v2/organizations", "/api/v2/products", "/api/v2/activities", "/api/v2/stages",
    "/api/v2/dealFields", "/api/v2/deals/1/products", "/api/v2/deals/products", "/api/v2/itemSearch", "/api/v2/itemSearch/field",
    "/v1/deals", "/v1/persons", "/v1/organizations", "/v1/activities", "/v1/products", "/v1/stages", "/v1/deals/collection",
    "/v1/persons/collection", "/v1/activities/collection", "/v1/itemSearch", "/v1/itemSearch/field", "/v1/deals/search", "/v1/deals/archived",
    "/v1/pipelines/1/deals", "/v1/deals/1/products", "/v1/deals/1/activities", "/v1/dealFields", "/v1/filters", "/v1/deals/summary",
    "/api/v2/persons/search", "/v1/notes", "/v1/files", "/v1/organizationRelationships", "/v1/users/find",
)  # fmt: skip
PARAMETERS = (
    "limit", "cursor", "sort_by", "sort_direction", "ids", "updated_since", "updated_until", "custom_fields", "include_fields", "status", "deal_id",
    "org_id", "done", "deal_ids", "term", "field", "entity_type", "match", "fields", "start", "sort", "exact_match", "include_labels", "start_date",
    "filter_id", "user_id", "first_char", "owned_by_you", "since", "field_type", "field_key", "type", "exclude",
)  # fmt: skip

hashes: st.SearchStrategy[str] = st.sampled_from(KEYS)
plain = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12),
    st.sampled_from(["2024-01-01", "2024-01-01T00:00:00Z", "10:00", "won", "lost", "EUR", "enum", "call", "cogs", "parent", "weekly", 1, 2, [], {}]),
)  # fmt: skip
anything = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["value", "primary", "label", "person_id", "until", "currency", "price", *KEYS]), inner, max_size=4),
    ),
    max_leaves=8,
)
bodies = st.one_of(st.dictionaries(hashes, anything, max_size=7), anything)


@pytest.fixture(scope="module")
def shared() -> Driver:
    return Driver(Options(token=TOKEN, control_key=CONTROL_KEY, seed=7, limits=False, deprecated_v1=True))


def _run(action: Callable[[], Any]) -> Any:
    return asyncio.run(action())


@PROFILE
@given(request_line=st.sampled_from(PATHS), record_id=st.integers(1, 25), body=bodies)
def test_any_body_is_answered(shared: Driver, request_line: str, record_id: int, body: Any) -> None:
    method, path = request_line.format(id=record_id).split()
    answer = _run(lambda: shared.send(method, path, body))
    assert answer.status in {200, 201, 400, 403, 404}, answer.body


@PROFILE
@given(
    start=st.sampled_from(["name", "title"]),
    kind=st.sampled_from(["varchar", "double", "monetary", "date", "daterange", "time", "timerange", "enum", "set", "user", "address"]),
    value=anything,
)
def test_any_custom_value_is_answered(shared: Driver, start: str, kind: str, value: Any) -> None:
    async def act() -> int:
        entity, path = ("deal", "deals") if start == "title" else ("person", "persons")
        codes = [code for code, field in shared.account.fields.custom[entity].items() if field["field_type"] == kind]
        if not codes:
            body = {"field_name": kind, "field_type": kind, **({"options": [{"label": "a"}]} if kind in {"enum", "set"} else {})}
            codes = [(await shared.post(f"/api/v2/{entity}Fields", body)).data["field_code"]]
        return (await shared.post(f"/api/v2/{path}", {start: "x", "custom_fields": {codes[0]: value}})).status

    assert _run(act) in {200, 400}


@PROFILE
@given(
    path=st.sampled_from(LISTS),
    query=st.dictionaries(
        st.sampled_from(PARAMETERS), st.one_of(st.text(max_size=8), st.integers(-5, 600).map(str), st.just("9" * 5000)), max_size=4
    ),
)
def test_any_query_is_answered(shared: Driver, path: str, query: dict[str, str]) -> None:
    answer = _run(lambda: shared.get(path, **query))
    assert answer.status in {200, 400, 404}, answer.body


@PROFILE
@given(path=st.text(max_size=30), method=st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE"]))
def test_any_path_is_answered(shared: Driver, path: str, method: str) -> None:
    answer = _run(lambda: shared.send(method, f"/api/v2/deals/{path}", {}))
    assert answer.status < 500
