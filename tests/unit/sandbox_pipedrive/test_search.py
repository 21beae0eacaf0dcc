"""What a search shows besides what matched."""

from typing import Any

import pytest

from tests.unit.sandbox_pipedrive.driver import TOKEN, Driver, Start
from tests.unit.sandbox_pipedrive.multipart import HEADERS, multipart


@pytest.fixture
async def found(api: Driver) -> dict[str, int]:
    """An organization with a person, and a deal of both."""
    organization = (await api.post("/api/v2/organizations", {"name": "Quince Ltd", "address": {"value": "Ghent"}})).data["id"]
    person = (await api.post("/api/v2/persons", {"name": "Rowan Sorb", "org_id": organization})).data["id"]
    deal = (await api.post("/api/v2/deals", {"title": "Teak", "org_id": organization, "person_id": person})).data["id"]
    return {"organization": organization, "person": person, "deal": deal}


async def test_related_items_of_an_organization_are_its_people_and_deals(api: Driver, found: dict[str, int]) -> None:
    data = (await api.get("/api/v2/itemSearch", term="Quince", search_for_related_items="true")).data
    assert [(hit["item"]["type"], hit["item"]["id"]) for hit in data["items"]] == [("organization", found["organization"])]
    assert [(hit["item"]["type"], hit["item"]["id"]) for hit in data["related_items"]] == [("deal", found["deal"]), ("person", found["person"])]
    assert {hit["result_score"] for hit in data["related_items"]} == {0}


async def test_related_items_are_there_on_request_only_and_never_twice(api: Driver, found: dict[str, int]) -> None:
    assert "related_items" not in (await api.get("/api/v2/itemSearch", term="Rowan")).data
    await api.patch(f"/api/v2/deals/{found['deal']}", {"title": "Quince floor"})
    data = (await api.get("/api/v2/itemSearch", term="Quince", search_for_related_items="true")).data
    assert [hit["item"]["type"] for hit in data["items"]] == ["deal", "organization"]
    assert [hit["item"]["type"] for hit in data["related_items"]] == ["person"]


async def test_only_the_common_search_shows_the_address_of_a_deals_organization(api: Driver, found: dict[str, int]) -> None:
    common = (await api.get("/api/v2/itemSearch", term="Teak", item_types="deal")).data["items"][0]["item"]
    own = (await api.get("/api/v2/deals/search", term="Teak")).data["items"][0]["item"]
    assert common["organization"] == {"id": found["organization"], "name": "Quince Ltd", "address": "Ghent"}
    assert own["organization"] == {"id": found["organization"], "name": "Quince Ltd"}


async def test_searches_find_nothing_that_the_caller_may_not_see(start: Start) -> None:
    api = start(plan="premium")
    organization = (await api.post("/api/v2/organizations", {"name": "Quince Ltd"})).data["id"]
    deal = (await api.post("/api/v2/deals", {"title": "Teak", "org_id": organization, "visible_to": 1})).data["id"]
    other = (await api.control("POST", "tokens", {"user_id": 2}))["token"]

    for path in ("itemSearch", "deals/search"):
        found = [(await api.send("GET", f"/api/v2/{path}", token=token, term="Teak")).data["items"] for token in (TOKEN, other)]
        assert [len(items) for items in found] == [1, 0]
    by_field: dict[str, Any] = {"term": "Teak", "entity_type": "deal", "field": "title"}
    assert (await api.get("/api/v2/itemSearch/field", **by_field)).data == [{"id": deal, "name": "Teak"}]
    assert (await api.send("GET", "/api/v2/itemSearch/field", token=other, **by_field)).data == []
    related = (await api.send("GET", "/api/v2/itemSearch", token=other, term="Quince", search_for_related_items="true")).data
    assert [item["item"]["id"] for item in related["related_items"] if item["item"]["type"] == "deal"] == []
    assert (await api.send("GET", f"/v1/deals/{deal}/files", token=other)).status == 404


async def test_optional_values_are_shown_on_request(api: Driver) -> None:
    await api.post("/api/v2/products", {"name": "Umbrella", "prices": [{"currency": "EUR", "price": 12.5}]})
    plain = (await api.get("/api/v2/products/search", term="Umbrella")).data["items"][0]["item"]
    priced = (await api.get("/api/v2/products/search", term="Umbrella", include_fields="product.price")).data["items"][0]["item"]
    assert priced == plain | {"price": 12.5}


async def test_unknown_item_types_are_refused(api: Driver) -> None:
    assert "item_types" in (await api.get("/api/v2/itemSearch", term="Teak", item_types="deal,colour")).error


async def test_files_are_found_by_name(api: Driver, found: dict[str, int]) -> None:
    body = multipart("file", "Yew report.pdf", b"%PDF", deal_id=found["deal"])
    file = (await api.send("POST", "/v1/files", body, headers=HEADERS)).data["id"]
    item = (await api.get("/api/v2/itemSearch", term="yew rep")).data["items"][0]["item"]
    assert item == {"id": file, "type": "file", "name": "Yew report.pdf", "url": f"/files/{file}/download"}


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("itemSearch", "fields", "title,colour"),
        ("itemSearch", "include_fields", "lead.was_seen"),
        ("deals/search", "fields", "email"),
        ("deals/search", "status", "deleted"),
        ("deals/search", "person_id", "Teak"),
        ("organizations/search", "include_fields", "person.picture"),
    ],
)
async def test_names_that_a_search_does_not_know_are_refused(api: Driver, path: str, name: str, value: str) -> None:
    answer = await api.get(f"/api/v2/{path}", term="Teak", **{name: value})

    assert answer.status == 400
    assert answer.body["code"] == "ERR_SCHEMA_VALIDATION_FAILED"
    assert name in answer.error
