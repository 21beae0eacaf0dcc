"""Saved filters: their shape, what each line asks of a record, and their use by lists."""

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.relative_dates import HELPERS, span_of
from tests.unit.sandbox_pipedrive.driver import Driver, Start

SPANS = [{"value": "2026-01-01", "until": "2026-02-01"}, {"value": "2026-03-01", "until": "2026-05-01"}]
MONDAY = datetime(2026, 3, 30, 12, 0, tzinfo=UTC).timestamp()


async def _field_id(api: Driver, entity: str, key: str) -> str:
    found = (await api.get(f"/v1/{entity}Fields", limit="500")).data
    return str(next(field["id"] for field in found if field["key"] == key))


def _conditions(*lines: dict[str, Any], either: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    return {"glue": "and", "conditions": [{"glue": "and", "conditions": list(lines)}, {"glue": "or", "conditions": list(either)}]}


async def _save(api: Driver, type_: str, *lines: dict[str, Any], either: tuple[dict[str, Any], ...] = ()) -> int:
    body = {"name": "mine", "type": type_, "conditions": _conditions(*lines, either=either)}
    return int((await api.post("/v1/filters", body)).data["id"])


async def _line(api: Driver, object_: str, key: str, operator: str, value: Any = None) -> dict[str, Any]:
    return {"object": object_, "field_id": await _field_id(api, object_, key), "operator": operator, "value": value, "extra_value": None}


async def _custom(api: Driver, kind: str, values: list[Any], **extra: Any) -> str:
    """Add a custom deal field and a deal for each value; return its hash."""
    code = str((await api.post("/api/v2/dealFields", {"field_name": kind, "field_type": kind, **extra})).data["field_code"])
    for position, value in enumerate(values):
        assert (await api.post("/api/v2/deals", {"title": f"{kind} {position}", "custom_fields": {code: value}})).status == 200
    return code


async def _picked(api: Driver, code: str, operator: str, value: Any = None) -> list[str]:
    """Return the titles of the deals a single line picks, of those that have the field."""
    filter_id = await _save(api, "deals", await _line(api, "deal", code, operator, value), await _line(api, "deal", "title", "NOT LIKE '%$'", "deal"))
    return [deal["title"].split()[1] for deal in (await api.get("/api/v2/deals", filter_id=filter_id)).data]


@pytest.mark.parametrize(
    ("kind", "values", "operator", "operand", "picked"),
    [
        ("varchar", ["Alpha", "beta", None], "=", "ALPHA", "0"),
        ("varchar", ["Alpha", "beta", None], "!=", "alpha", "12"),
        ("varchar", ["Alpha", "beta", None], "IS NOT NULL", None, "01"),
        ("varchar", ["Alpha", "beta", None], "IS NULL", None, "2"),
        ("varchar", ["Alpha", "beta"], "LIKE '%$%'", "ET", "1"),
        ("varchar", ["Alpha", "beta"], "LIKE '$%'", "al", "0"),
        ("varchar", ["Alpha", "beta"], "NOT LIKE '$%'", "al", "1"),
        ("varchar", ["Alpha", "beta"], "LIKE '%$'", "ta", "1"),
        ("double", [1, 2.5, 10], ">", "2", "12"),
        ("double", [1, 2.5, 10], "<=", 2.5, "01"),
        ("monetary", [{"value": 5, "currency": "EUR"}, {"value": 50, "currency": "EUR"}], ">=", "50", "1"),
        ("date", ["2026-03-29", "2026-03-30", "2026-04-01"], "=", "today", "1"),
        ("date", ["2026-03-29", "2026-03-30", "2026-04-01"], "=", "this_month", "01"),
        ("date", ["2026-03-29", "2026-03-30", "2026-04-01"], ">", "this_month", "2"),
        ("date", ["2026-03-29", "2026-03-30", "2026-04-01"], "<", "2026-03-30", "0"),
        ("date", ["2026-03-29", None], "!=", "2026-03-29", "1"),
        ("daterange", SPANS, "includes", "2026-01-15", "0"),
        ("daterange", SPANS, "ends_after", "2026-02-01", "1"),
        ("daterange", SPANS, "does_not_end_at", "2026-05-01", "0"),
        ("time", [{"value": "08:00"}, {"value": "17:30:00"}], ">", "08:00", "1"),
        ("timerange", [{"value": "08:00", "until": "10:00"}, {"value": "11:00", "until": "12:00"}], "ends_e_before", "10:00", "0"),
        ("user", [1, 2], "=", "2", "1"),
        ("people", [1, None], "IS NOT NULL", "", "0"),
        ("org", [3, 4], "!=", "3", "1"),
        ("phone", ["+34 1", "+35 1"], "LIKE '$%'", "+35", "1"),
        ("address", [{"value": "Main Street 1"}, {"value": "Side Street 1"}], "LIKE '%$%'", "side", "1"),
    ],
)  # fmt: skip
async def test_operators(*, start: Start, kind: str, values: list[Any], operator: str, operand: Any, picked: str) -> None:
    api = start(SandboxClock(wall=lambda: MONDAY))
    code = await _custom(api, kind, values)
    assert await _picked(api, code, operator, operand) == list(picked)


async def test_options_of_custom_fields(api: Driver) -> None:
    field = (await api.post("/api/v2/dealFields", {"field_name": "s", "field_type": "set", "options": [{"label": "a"}, {"label": "b"}]})).data
    a, b = (option["id"] for option in field["options"])
    for position, ids in enumerate(([a], [a, b], None)):
        await api.post("/api/v2/deals", {"title": f"set {position}", "custom_fields": {field["field_code"]: ids}})
    assert await _picked(api, field["field_code"], "=", str(a)) == ["0"]
    assert await _picked(api, field["field_code"], "contains", str(a)) == ["0", "1"]
    assert await _picked(api, field["field_code"], "contains", f"{a},{b}") == ["1"]
    assert await _picked(api, field["field_code"], "not_contains", str(b)) == ["0", "2"]
    single = (await api.post("/api/v2/dealFields", {"field_name": "e", "field_type": "enum", "options": [{"label": "a"}]})).data
    await api.post("/api/v2/deals", {"title": "enum 9", "custom_fields": {single["field_code"]: single["options"][0]["id"]}})
    assert await _picked(api, single["field_code"], "=", single["options"][0]["id"]) == ["9"]


async def test_filter_is_shown_with_its_conditions(api: Driver) -> None:
    line = await _line(api, "deal", "status", "=", "open")
    body = {"name": "Open", "type": "deals", "conditions": _conditions(line)}
    saved = (await api.post("/v1/filters", body, include_field_code="true")).data
    assert (saved["name"], saved["type"], saved["active_flag"], saved["visible_to"]) == ("Open", "deals", True, "1")
    assert saved["conditions"]["conditions"][0]["conditions"] == [line | {"json_value_flag": False, "field_code": "status"}]
    assert "field_code" not in (await api.get(f"/v1/filters/{saved['id']}")).data["conditions"]["conditions"][0]["conditions"][0]
    assert "conditions" not in (await api.get("/v1/filters", type="deals")).data[0]
    assert (await api.get("/v1/filters", type="org")).data is None


async def test_filter_is_changed_and_deleted(api: Driver) -> None:
    line = await _line(api, "deal", "status", "=", "won")
    filter_id = await _save(api, "deals", line)
    won = (await api.get("/api/v2/deals", filter_id=filter_id)).data
    assert won
    assert {deal["status"] for deal in won} == {"won"}
    # What was read can be sent back.
    conditions = (await api.get(f"/v1/filters/{filter_id}", include_field_code="true")).data["conditions"]
    conditions["conditions"][0]["conditions"][0]["value"] = "lost"
    changed = (await api.put(f"/v1/filters/{filter_id}", {"conditions": conditions})).data
    assert changed["name"] == "mine"
    assert {deal["status"] for deal in (await api.get("/api/v2/deals", filter_id=filter_id)).data} == {"lost"}
    others = [await _save(api, "deals", line) for _ in range(2)]
    assert (await api.delete(f"/v1/filters/{filter_id}")).data == {"id": filter_id}
    assert (await api.get(f"/v1/filters/{filter_id}")).status == 404
    assert (await api.get("/api/v2/deals", filter_id=filter_id)).status == 404
    assert (await api.delete("/v1/filters", ids=f"{others[0]},{filter_id},{others[1]}")).data == {"id": others}


@pytest.mark.parametrize(
    ("conditions", "text"),
    [
        (None, "one group glued with 'and'"),
        ({"glue": "or", "conditions": []}, "one group glued with 'and'"),
        ({"glue": "and", "conditions": [{"glue": "and", "conditions": []}]}, "two groups"),
        ({"glue": "and", "conditions": [{"glue": "and", "conditions": []}] * 2}, "two groups"),
        ({"glue": "and", "conditions": [{"glue": "and", "conditions": []}, 1]}, "groups of conditions"),
        ({"glue": "and", "conditions": [{"glue": "and", "conditions": [{}] * 16}, {"glue": "or", "conditions": [{}]}]}, "at most 16 conditions"),
        (_conditions({"object": "deal", "field_id": "1"}), "needs object, field_id and operator"),
        (_conditions({"object": "deal", "field_id": "1", "operator": "=", "other": 1}), "needs object, field_id and operator"),
        (_conditions({"object": "stage", "field_id": "1", "operator": "="}), "Object 'stage' can not be used"),
        (_conditions({"object": "deal", "field_id": "9999", "operator": "="}), "Field '9999' of object 'deal' not found"),
        (_conditions({"object": "person", "field_id": "1", "operator": "="}), "Field '1' of object 'person' not found"),
        (_conditions({"object": "deal", "field_id": "1", "operator": "contains", "value": "x"}), "Operator 'contains' can not be used"),
        (_conditions({"object": "deal", "field_id": 1, "operator": "="}), "value must be given"),
        (_conditions({"object": "deal", "field_id": "1", "operator": "=", "value": []}), "must be a text, a number or null"),
        (_conditions({"object": "deal", "field_id": "2", "operator": ">", "value": "x"}), "'x' is not a number"),
    ],
)
async def test_conditions_are_refused(api: Driver, conditions: Any, text: str) -> None:
    answer = await api.post("/v1/filters", {"name": "x", "type": "deals", "conditions": conditions})
    assert answer.status == 400
    assert text in answer.error
    assert "error_info" in answer.body


async def test_lines_of_a_deleted_field_find_nothing(api: Driver) -> None:
    code = await _custom(api, "varchar", ["x"])
    filter_id = await _save(api, "deals", await _line(api, "deal", code, "IS NOT NULL"))
    assert len((await api.get("/api/v2/deals", filter_id=filter_id)).data) == 1
    await api.delete(f"/api/v2/dealFields/{code}")
    assert (await api.get("/api/v2/deals", filter_id=filter_id)).data == []


async def test_or_and_linked_objects(api: Driver) -> None:
    names = [await _line(api, "organization", "name", "=", name) for name in ("Green Valley Farms", "Nordlicht Elektro GmbH")]
    filter_id = await _save(api, "deals", await _line(api, "deal", "value", ">", "0"), either=tuple(names))
    assert len((await api.get("/api/v2/deals", filter_id=filter_id)).data) == 2
    people = await _save(api, "people", await _line(api, "person", "email", "=", "contact3@customer.example"), names[0])
    assert (await api.get("/api/v2/persons", filter_id=people)).data == []
    people = await _save(api, "people", await _line(api, "person", "email", "=", "contact3@customer.example"))
    assert [person["id"] for person in (await api.get("/api/v2/persons", filter_id=people)).data] == [3]


async def test_filter_overrides_ids_and_quick_filters_but_not_status(api: Driver) -> None:
    filter_id = await _save(api, "deals", await _line(api, "deal", "value", ">", "0"))
    everything = [deal["id"] for deal in (await api.get("/api/v2/deals")).data]
    shown = await api.get("/api/v2/deals", filter_id=filter_id, ids="1", owner_id="999", stage_id="999")
    assert [deal["id"] for deal in shown.data] == everything
    won = (await api.get("/api/v2/deals", filter_id=filter_id, status="won")).data
    assert 0 < len(won) < len(everything)
    people = await _save(api, "people", await _line(api, "person", "name", "IS NOT NULL"))
    assert len((await api.get("/api/v2/persons", filter_id=people, deal_id="1")).data) == 12


async def test_some_quick_filters_count_beside_a_filter(api: Driver) -> None:
    await api.post("/api/v2/activities", {"subject": "Open"})
    await api.post("/api/v2/activities", {"subject": "Done", "done": True})
    activities = await _save(api, "activity", await _line(api, "activity", "subject", "IS NOT NULL"))
    shown = (await api.get("/api/v2/activities", filter_id=activities, done="true", owner_id="999")).data
    assert [activity["subject"] for activity in shown] == ["Done"]
    products = await _save(api, "products", await _line(api, "product", "name", "IS NOT NULL"))
    owner = (await api.get("/api/v2/products/1")).data["owner_id"]
    owned = (await api.get("/api/v2/products", filter_id=products, owner_id=owner, ids="2")).data
    assert 1 in [product["id"] for product in owned]
    assert {product["owner_id"] for product in owned} == {owner}


async def test_every_list_takes_filters_of_its_own_records(api: Driver) -> None:
    await api.post("/api/v2/activities", {"subject": "Visit"})
    await api.patch("/api/v2/deals/1", {"is_archived": True})
    for type_, object_, key, path in (
        ("deals", "deal", "title", "deals/archived"), ("org", "organization", "name", "organizations"), ("products", "product", "name", "products"),
        ("activity", "activity", "subject", "activities"),
    ):  # fmt: skip
        filter_id = await _save(api, type_, await _line(api, object_, key, "IS NOT NULL"))
        assert (await api.get(f"/api/v2/{path}", filter_id=filter_id)).data
        assert "is not for" in (await api.get("/api/v2/persons", filter_id=filter_id)).error
    done = await _save(api, "activity", await _line(api, "activity", "done", "=", "1"))
    assert (await api.get("/api/v2/activities", filter_id=done)).data == []
    assert (await api.get("/api/v2/deals", filter_id="999")).error == "Filter not found"


async def test_pages_of_a_filtered_list(api: Driver) -> None:
    filter_id = await _save(api, "org", await _line(api, "organization", "name", "IS NOT NULL"))
    found, cursor = [], ""
    while True:
        answer = await api.get("/api/v2/organizations", filter_id=filter_id, limit="5", **({"cursor": cursor} if cursor else {}))
        found += [organization["id"] for organization in answer.data]
        cursor = answer.body["additional_data"]["next_cursor"]
        if cursor is None:
            break
    assert found == list(range(1, 13))


async def test_helpers_name_operators_and_relative_dates(api: Driver) -> None:
    helpers = (await api.get("/v1/filters/helpers")).data
    assert helpers["operators"]["double"][">"] == "is more than"
    assert helpers["operators"]["enum"][0] == {"=": "is"}
    assert helpers["relative_dates"]["Relative dates"]["in_1_month"] == "in 1 month"


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("last_quarter", "2025-10-01", "2025-12-31"), ("this_quarter", "2026-01-01", "2026-03-31"), ("this_week", "2026-03-30", "2026-04-05"),
        ("1_months_ago", "2026-02-28", "2026-02-28"), ("in_6_months", "2026-09-30", "2026-09-30"), ("last_month", "2026-02-01", "2026-02-28"),
        ("before_today", "0001-01-01", "2026-03-29"), ("later_or_tomorrow", "2026-03-31", "9999-12-31"), ("in_2_weeks", "2026-04-13", "2026-04-13"),
    ],
)  # fmt: skip
def test_relative_dates(name: str, first: str, last: str) -> None:
    span = span_of(name, datetime.fromtimestamp(MONDAY, UTC).date())
    assert span is not None
    assert (span[0].isoformat(), span[1].isoformat()) == (first, last)


def test_every_relative_date_has_days() -> None:
    today = datetime.fromtimestamp(MONDAY, UTC).date()
    for names in HELPERS.values():
        for name in names:
            span = span_of(name, today)
            assert span is not None
            assert span[0] <= span[1]


async def test_leads_are_filtered_by_the_fields_of_deals_and_of_their_contact(api: Driver) -> None:
    code = (await api.post("/v1/dealFields", {"name": "Floor", "field_type": "double"})).data["key"]
    for position, floor in enumerate((1, 2, 3)):
        lead = {"title": f"Lift {position}", "organization_id": position + 1, code: floor, "value": {"amount": 10 * floor, "currency": "EUR"}}
        await api.post("/v1/leads", lead)
    fields = {field["key"]: str(field["id"]) for field in (await api.get("/v1/leadFields", limit="500")).data}

    async def picked(*lines: dict[str, Any]) -> list[str]:
        filter_id = await _save(api, "leads", *lines)
        return [lead["title"] for lead in (await api.get("/v1/leads", filter_id=str(filter_id), owner_id="999")).data if "Lift" in lead["title"]]

    assert await picked({"object": "lead", "field_id": fields[code], "operator": ">", "value": "1"}) == ["Lift 1", "Lift 2"]
    assert await picked({"object": "lead", "field_id": fields[code], "operator": "IS NOT NULL"}, await _line(api, "deal", "value", "<", 20)) == [
        "Lift 0"
    ]
    assert await picked({"object": "lead", "field_id": fields["organization_id"], "operator": "=", "value": 3}) == ["Lift 2"]
    assert await picked(await _line(api, "organization", "name", "LIKE '$%'", "nordlicht")) == ["Lift 1"]


async def test_summary_of_a_filter(api: Driver) -> None:
    filter_id = await _save(api, "deals", await _line(api, "deal", "status", "=", "won"))
    won = [deal for deal in (await api.get("/api/v2/deals")).data if deal["status"] == "won"]
    assert (await api.get("/v1/deals/summary", filter_id=str(filter_id), user_id="999")).data["total_count"] == len(won)
    await api.patch(f"/api/v2/deals/{won[0]['id']}", {"is_archived": True})
    assert (await api.get("/v1/deals/summary/archived")).data["total_count"] == 1
    assert (await api.get("/v1/deals/summary", filter_id=str(filter_id))).data["total_count"] == len(won) - 1
