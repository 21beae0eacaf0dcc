"""An account in which everything a page can show is there once, and as hostile as the API lets it in."""

from dataclasses import dataclass
from typing import Any

from tests.unit.sandbox_pipedrive.driver import Driver

HOSTILE = """<script>alert('x')</script>"><img src=x onerror=alert(1)>"""
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0f01f00050001ff56c72f0d0000000049454e44ae426082"
)
_TYPES: dict[str, tuple[Any, str]] = {
    "varchar": ("A text", "A text"),
    "double": (1234.5, "1,234.5"),
    "phone": ("+34 600 111 222", "+34 600 111 222"),
    "date": ("2026-03-01", "1 Mar 2026"),
    "daterange": ({"value": "2026-03-01", "until": "2026-04-02"}, "1 Mar 2026 \u2013 2 Apr 2026"),
    "time": ({"value": "09:30:00"}, "09:30 (Europe/Madrid)"),
    "timerange": ({"value": "09:30:00", "until": "11:00:00"}, "09:30 \u2013 11:00 (Europe/Madrid)"),
    "monetary": ({"value": 9876.5, "currency": "USD"}, "USD 9,876.50"),
    "address": ({"value": "1 Long Road", "locality": "Bilbao"}, "1 Long Road, Bilbao"),
    "user": (2, "LG Lucía García"),
    "org": (1, "Talleres Ibarra S.L."),
    "people": (1, "María José Ibarra"),
}


@dataclass(frozen=True, slots=True)
class Filled:
    """Ids of what was made, and how the deal's custom fields read."""

    organization: int
    mother: int
    person: int
    product: int
    deal: int
    lead: int
    picture: int
    hostile_file: int
    deal_values: dict[str, str]


async def _custom_fields(driver: Driver) -> tuple[dict[str, Any], dict[str, str]]:
    values: dict[str, Any] = {}
    shown: dict[str, str] = {}
    for kind, (value, text) in _TYPES.items():
        field = (await driver.post("/api/v2/dealFields", {"field_name": f"My {kind}", "field_type": kind})).data
        values[field["field_code"]], shown[f"My {kind}"] = value, text
    for kind in ("enum", "set"):
        body = {"field_name": f"My {kind}", "field_type": kind, "options": [{"label": "First"}, {"label": "Second"}]}
        field = (await driver.post("/api/v2/dealFields", body)).data
        first, second = (option["id"] for option in field["options"])
        values[field["field_code"]], shown[f"My {kind}"] = (second, "Second") if kind == "enum" else ([first, second], "First Second")
    field = (await driver.post("/api/v2/dealFields", {"field_name": HOSTILE, "field_type": "text"})).data
    values[field["field_code"]] = HOSTILE
    await driver.post("/api/v2/dealFields", {"field_name": "Never filled", "field_type": "text"})
    return values, shown


async def fill_everything(driver: Driver) -> Filled:
    """Make one of each kind of record through the API."""
    organization = (await driver.post("/api/v2/organizations", {"name": f"Acme {HOSTILE}", "website": "javascript:alert(1)"})).data["id"]
    mother = (await driver.post("/api/v2/organizations", {"name": "Mother S.A.", "address": {"value": HOSTILE}})).data["id"]
    daughter = (await driver.post("/api/v2/organizations", {"name": "Daughter S.L.", "website": "https://example.com"})).data["id"]
    for owner, linked, kind in ((mother, organization, "parent"), (organization, daughter, "parent"), (organization, 1, "related")):
        body = {"type": kind, "rel_owner_org_id": owner, "rel_linked_org_id": linked}
        assert (await driver.post("/v1/organizationRelationships", body)).status == 200
    emails = [{"value": HOSTILE, "label": HOSTILE}, {"value": "a@example.com"}]
    body = {"name": f"Eve {HOSTILE}", "org_id": organization, "emails": emails, "phones": [{"value": HOSTILE}], "job_title": HOSTILE}
    person = (await driver.post("/api/v2/persons", body)).data["id"]
    values, shown = await _custom_fields(driver)
    label = (await driver.post("/api/v2/dealFields/label_ids/options", [{"label": HOSTILE}])).data[0]["id"]
    body = {"title": "Before the change", "org_id": organization, "person_id": person, "custom_fields": values, "label_ids": [label]}
    deal = (await driver.post("/api/v2/deals", body)).data["id"]
    await driver.patch(f"/api/v2/deals/{deal}", {"title": f"Deal {HOSTILE}"})
    product = await _products(driver, deal)
    await _activities(driver, deal, organization, person)
    picture, hostile_file = await _notes_and_files(driver, deal, product)
    lead = await _leads(driver, person, organization)
    await _closed(driver, organization)
    return Filled(organization, mother, person, product, deal, lead, picture, hostile_file, shown)


async def _products(driver: Driver, deal: int) -> int:
    prices = [{"currency": "EUR", "price": 1234.5, "notes": HOSTILE}, {"currency": "USD", "price": 3}]
    product = (await driver.post("/api/v2/products", {"name": "Pump", "code": HOSTILE, "description": HOSTILE, "prices": prices})).data["id"]
    await driver.post(f"/api/v2/products/{product}/variations", {"name": HOSTILE, "prices": [{"currency": "EUR", "price": 2}]})
    body = {"product_id": product, "item_price": 1234.5, "quantity": 2, "discount": 10, "tax": 21, "comments": HOSTILE}
    assert (await driver.post(f"/api/v2/deals/{deal}/products", body)).status == 201
    assert (await driver.post(f"/api/v2/deals/{deal}/discounts", {"description": "Loyalty", "amount": 5, "type": "percentage"})).status == 201
    body = {"description": "Down payment", "amount": 500, "billing_date": "2026-03-01"}
    assert (await driver.post(f"/api/v2/deals/{deal}/installments", body)).status == 200
    assert (await driver.post(f"/api/v2/deals/{deal}/followers", {"user_id": 2})).status == 201
    assert (await driver.post(f"/v1/deals/{deal}/participants", {"person_id": 1})).status == 200
    return int(product)


async def _activities(driver: Driver, deal: int, organization: int, person: int) -> None:
    shared = {"deal_id": deal, "org_id": organization, "participants": [{"person_id": person, "primary": True}]}
    for body in (
        {"subject": "Overdue call", "type": "call", "due_date": "2026-01-30", "due_time": "10:15", "duration": "01:30"},
        {"subject": HOSTILE, "type": "meeting", "due_date": "2027-01-01", "note": HOSTILE, "public_description": HOSTILE},
        {"subject": "Visit of long ago", "type": "lunch", "due_date": "2020-05-06", "done": True, "location": {"value": HOSTILE}},
    ):
        assert (await driver.post("/api/v2/activities", {**shared, **body})).status == 200


async def _notes_and_files(driver: Driver, deal: int, product: int) -> tuple[int, int]:
    content = '<p><b>bold</b> <a href="https://example.com">link</a><img src="https://evil.example/x.png"></p>'
    note = (await driver.post("/v1/notes", {"content": content, "deal_id": deal, "pinned_to_deal_flag": 1, "add_time": "2021-01-01 00:00:00"})).data[
        "id"
    ]
    assert (await driver.post(f"/v1/notes/{note}/comments", {"content": "A comment"})).status == 200
    return await _upload(driver, "plan.png", PNG, deal_id=deal), await _upload(
        driver, "<script>.html", b"<script>alert(1)</script>", deal_id=deal, product_id=product
    )


async def _upload(driver: Driver, name: str, content: bytes, **links: int) -> int:
    fields = "".join(f'--B\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n' for field, value in links.items())
    head = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    body = (fields + head).encode() + content + b"\r\n--B--\r\n"
    answer = await driver.send("POST", "/v1/files", body, headers={"content-type": "multipart/form-data; boundary=B"})
    return int(answer.data["id"])


async def _leads(driver: Driver, person: int, organization: int) -> int:
    body = {"title": f"Lead {HOSTILE}", "person_id": person, "organization_id": organization, "value": {"amount": 10, "currency": "EUR"}}
    assert (await driver.post("/v1/leads", body)).status == 201
    lead = driver.account.store["lead"].order[-1]
    body["title"] = "Archived lead"
    second = (await driver.post("/v1/leads", body)).data["id"]
    assert (await driver.patch(f"/v1/leads/{second}", {"is_archived": True})).status == 200
    return lead


async def _closed(driver: Driver, organization: int) -> None:
    for body in ({"status": "won"}, {"status": "lost", "lost_reason": HOSTILE}, {"is_archived": True}):
        assert (await driver.post("/api/v2/deals", {"title": HOSTILE, "org_id": organization, **body})).status == 200


LONG = "Supercalifragilistic Gesellschaft für außerordentlich umständliche Instandhaltungsdienstleistungen mbH & Co. KG, Castrillo Mota"
UNBROKEN = "W" * 200
ARABIC = "مؤسسة النور للصيانة والتشغيل والخدمات الفنية المتكاملة"
EMOJI = "👩\u200d🔧🔧 Söhne 🇪🇸"


async def fill_extremes(driver: Driver) -> tuple[str, ...]:
    """Make records with long, foreign and many parts; return the addresses of their pages."""
    stage = await _many_stages(driver)
    organizations, deals = [], []
    for name in (LONG, UNBROKEN, ARABIC, EMOJI):
        organization = (await driver.post("/api/v2/organizations", {"name": name, "address": {"value": name}})).data["id"]
        person = (
            await driver.post("/api/v2/persons", {"name": name, "org_id": organization, "emails": [{"value": f"{UNBROKEN}@example.com"}]})
        ).data["id"]
        body = {"title": name, "org_id": organization, "person_id": person, "value": 99_999_999.99, "currency": "KWD", "stage_id": stage}
        deals.append((await driver.post("/api/v2/deals", body)).data["id"])
        await driver.post("/v1/leads", {"title": name, "organization_id": organization})
        organizations.append(organization)
    for child in organizations[1:]:
        body = {"type": "parent", "rel_owner_org_id": organizations[0], "rel_linked_org_id": child}
        await driver.post("/v1/organizationRelationships", body)
    await _big_deal(driver, deals[0])
    pages = ("/pipeline/2", f"/stage/{stage}", "/organizations", "/persons", "/activities", "/leads", "/search?q=w")
    return (*pages, *(f"/deal/{deal}" for deal in deals), *(f"/organization/{organization}" for organization in organizations))


async def _many_stages(driver: Driver) -> int:
    pipeline = (await driver.post("/api/v2/pipelines", {"name": LONG})).data["id"]
    stages = [(await driver.post("/api/v2/stages", {"name": f"{number} {LONG}", "pipeline_id": pipeline})).data["id"] for number in range(20)]
    return int(stages[0])


async def _big_deal(driver: Driver, deal: int) -> None:
    """Give a deal 100 lines and 300 entries of its timeline."""
    lines = [{"product_id": 1, "item_price": 12.345, "quantity": 3, "comments": LONG} for _ in range(100)]
    assert (await driver.post(f"/api/v2/deals/{deal}/products/bulk", {"data": lines})).status == 201
    for number in range(150):
        note = {"content": f"<p>{LONG}</p><pre>{UNBROKEN}</pre><table><tr><td>{UNBROKEN}</td></tr></table>", "deal_id": deal}
        assert (await driver.post("/v1/notes", note)).status == 200
        activity = {"subject": f"{number} {LONG}", "deal_id": deal, "done": number % 2 == 0, "due_date": "2025-05-05"}
        assert (await driver.post("/api/v2/activities", activity)).status == 200
