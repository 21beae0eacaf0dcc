"""What a search shows besides what matched."""

import pytest

from tests.unit.sandbox_pipedrive.driver import Driver
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
