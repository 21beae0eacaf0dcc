"""Caps whose numbers are options: the last one fits, the next is refused with the recorded envelope, a deleted one makes room."""

from typing import Any

import pytest

from sandbox.pipedrive.gateway.errors import ERROR_INFO
from tests.unit.sandbox_pipedrive.driver import Start

LINE = {"product_id": 1, "item_price": 1, "quantity": 1}
CONDITIONS = {"glue": "and", "conditions": [{"glue": "and", "conditions": []}, {"glue": "or", "conditions": []}]}


@pytest.mark.parametrize(
    ("option", "path", "body", "thing_and_owner", "delete"),
    [
        ("notes_per_deal_max", "/v1/notes", {"content": "x", "deal_id": 40}, ("note", "deal"), "/v1/notes/{id}"),
        ("deal_products_max", "/api/v2/deals/40/products", LINE, ("deal product", "deal"), "/api/v2/deals/40/products/{id}"),
        ("filters_max", "/v1/filters", {"name": "x", "type": "deals", "conditions": CONDITIONS}, ("filter", "company"), "/v1/filters/{id}"),
        (
            "organization_relations_max",
            "/v1/organizationRelationships",
            {"type": "parent", "rel_owner_org_id": 1, "rel_linked_org_id": 2},
            ("organization relation", "company"),
            "/v1/organizationRelationships/{id}",
        ),
    ],
)
async def test_count_is_capped(start: Start, *, option: str, path: str, body: dict[str, Any], thing_and_owner: tuple[str, str], delete: str) -> None:
    thing, owner = thing_and_owner
    api = start(**{option: 3})
    while (await api.post("/api/v2/deals", {"title": "x"})).data["id"] < 40:
        pass
    made = []
    for number in range(3):
        change = {"rel_linked_org_id": 2 + number} if "rel_linked_org_id" in body else {}
        made.append((await api.post(path, {**body, **change})).data["id"])
    extra = {**body, "rel_linked_org_id": 9} if "rel_linked_org_id" in body else body
    refused = await api.post(path, extra)
    assert refused.status == 403
    assert refused.body == {
        "success": False,
        "error": f"Couldn't add {thing}. You've reached the {thing} per {owner} limit.",
        "error_info": ERROR_INFO,
        "data": None,
        "additional_data": None,
    }
    assert (await api.delete(delete.format(id=made[0]))).status == 200
    assert (await api.post(path, extra)).status in {200, 201}


async def test_lines_in_bulk_are_added_all_or_none(start: Start) -> None:
    api = start(deal_products_max=4)
    deal = (await api.post("/api/v2/deals", {"title": "x"})).data["id"]
    path = f"/api/v2/deals/{deal}/products"
    assert (await api.post(f"{path}/bulk", {"data": [LINE] * 3})).status == 201
    assert (await api.post(f"{path}/bulk", {"data": [LINE] * 2})).status == 403
    assert len((await api.get(path)).data) == 3


async def test_notes_of_others_do_not_count(start: Start) -> None:
    api = start(notes_per_deal_max=1)
    for _ in range(3):
        assert (await api.post("/v1/notes", {"content": "x", "org_id": 1})).status == 200
