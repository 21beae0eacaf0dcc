"""The pages that show the account: every link works, names stand where hashes are stored, and nothing of a record runs."""

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest

from sandbox.common.asgi import Request, Response
from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Driver, Start
from tests.unit.sandbox_pipedrive.pages_data import HOSTILE, Filled, fill_everything

NOW = 1_770_000_000.0  # 2026-02-02T02:40:00Z


@pytest.fixture
async def filled(start: Start) -> tuple[Driver, Filled]:
    driver = start(SandboxClock(lambda: NOW, lambda: 0.0), contact_sync=True)
    return driver, await fill_everything(driver)


async def _get(driver: Driver, path: str, accept: str = "text/html", method: str = "GET") -> Response:
    parts = urlsplit(path)
    return await driver.app.handle(Request(method, parts.path, parts.query.encode(), {b"accept": accept.encode()}))


async def _page(driver: Driver, path: str) -> str:
    response = await _get(driver, path)
    assert response.status == 200, path
    return response.body.decode()


class _Links(HTMLParser):
    """Collects what a page refers to, and what would run in it."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.dangers: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "iframe", "object", "embed", "style", "base"}:
            self.dangers.append(tag)
        for name, value in attrs:
            if name.startswith("on") or name in {"style", "srcdoc", "formaction"}:
                self.dangers.append(f"{tag} {name}")
            if name in {"href", "src", "action"} and value:
                if value.lower().lstrip().startswith(("javascript:", "vbscript:")) or (value.startswith("data:") and tag != "link"):
                    self.dangers.append(value)
                self.links.add(value)


def _links(text: str) -> _Links:
    parser = _Links()
    parser.feed(text)
    return parser


async def _crawl(driver: Driver) -> dict[str, Response]:
    found: dict[str, Response] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        response = found[path] = await _get(driver, path)
        if response.content_type.startswith(b"text/html"):
            waiting += [link.partition("#")[0] for link in _links(response.body.decode()).links if link.startswith("/")]
    return found


async def test_every_link_from_the_board_answers(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    found = await _crawl(driver)
    assert {path: response.status for path, response in found.items() if response.status != 200} == {}
    for path in (f"/deal/{ids.deal}", f"/lead/{ids.lead}", f"/file/{ids.picture}", "/activities?show=done", "/leads?show=archived", "/about"):
        assert path in found, path


async def test_no_page_of_a_hostile_account_holds_anything_that_runs(filled: tuple[Driver, Filled]) -> None:
    driver, _ = filled
    shown = 0
    for path, response in (await _crawl(driver)).items():
        if response.content_type.startswith(b"text/html"):
            text = response.body.decode()
            assert _links(text).dangers == [], path
            shown += HOSTILE.replace("<", "&lt;").replace(">", "&gt;").replace("'", "&#39;").replace('"', "&#34;") in text
            policy = dict(response.headers)[b"content-security-policy"].decode()
            assert "default-src 'none'" in policy
            assert "script-src" not in policy
    assert shown > 20


async def test_fields_stand_under_their_names_with_readable_values(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    page = _text(await _page(driver, f"/deal/{ids.deal}"))
    assert not re.search(r"\b[0-9a-f]{40}\b", page)
    for name, value in ids.deal_values.items():
        assert f"{name} {value}" in page, name
    assert "Ada Admin" in page
    assert "empty field" in page


async def test_deal_shows_lines_discounts_installments_and_people(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    page = _text(await _page(driver, f"/deal/{ids.deal}"))
    assert re.search(r"Pump .* EUR 1,234\.50 2 10 % 21 % excl\. EUR 2,688\.74 ", page)
    assert "Loyalty \u2212 5 %" in page
    assert "Down payment 1 Mar 2026 EUR 500.00" in page
    assert "Participants" in page
    assert "Followers LG Lucía García" in page


async def test_timeline_shows_what_is_planned_first_and_the_rest_newest_first(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    page = _text(await _page(driver, f"/deal/{ids.deal}"))
    planned, _, history = page.partition("History")
    assert "Overdue call" in planned
    assert "Overdue" in planned
    assert "Visit of long ago" in history
    assert history.index("plan.png") < history.index("Visit of long ago")
    assert "Title Before the change → became" in history
    assert history.index("Pinned") < history.index("plan.png")
    assert "A comment" in history


async def test_notes_are_shown_as_html_without_anything_active(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    page = await _page(driver, f"/deal/{ids.deal}")
    assert "<b>bold</b>" in page
    assert "evil.example" not in page
    assert 'rel="noopener noreferrer nofollow"' in page


async def test_deleted_records_are_shown_with_a_mark(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    await driver.delete(f"/api/v2/organizations/{ids.organization}")
    assert "Deleted" in _text(await _page(driver, f"/organization/{ids.organization}"))
    assert 'class="gone"' in await _page(driver, f"/deal/{ids.deal}")
    assert f'href="/organization/{ids.organization}"' not in await _page(driver, "/organizations")
    await driver.delete(f"/api/v2/deals/{ids.deal}")
    assert "Deleted" in _text(await _page(driver, f"/deal/{ids.deal}"))


async def test_organization_shows_its_tree_persons_and_deals(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    page = _text(await _page(driver, f"/organization/{ids.organization}"))
    assert re.search(r"Parent and children Mother S\.A\. .*Daughter S\.L\.", page)
    assert "Persons 1" in page
    assert "Related organizations Talleres Ibarra S.L." in page
    mother = _text(await _page(driver, f"/organization/{ids.mother}"))
    assert "Daughter S.L." in mother


async def test_relations_in_a_circle_end(api: Driver) -> None:
    for owner, linked in ((1, 2), (2, 3), (3, 1)):
        await api.post("/v1/organizationRelationships", {"type": "parent", "rel_owner_org_id": owner, "rel_linked_org_id": linked})
    for org_id in (1, 2, 3):
        assert "Parent and children" in await _page(api, f"/organization/{org_id}")


async def test_unknown_records_and_addresses_get_a_page_that_says_so(api: Driver) -> None:
    for path in (
        "/deal/999",
        "/organization/0",
        "/person/x",
        "/product/99999999999999999999",
        "/lead/99",
        "/file/99",
        "/stage/77",
        "/pipeline/77",
        "/nope",
    ):
        response = await _get(api, path)
        assert response.status == 404, path
        assert "Not found" in response.body.decode()


async def test_paths_of_the_api_stay_the_api(api: Driver) -> None:
    for path in ("/api/v2/deals", "/v1/users", "/api/v2/nothing"):
        assert (await _get(api, path)).status == 401
    assert (await _get(api, "/nothing", accept="*/*")).status == 401
    assert (await _get(api, "/deal/1", method="POST")).status == 401


async def test_pages_cost_nothing_and_work_when_the_budget_is_gone(start: Start) -> None:
    driver = start(limits=True)
    await driver.control("POST", "budget", {"remaining": 0})
    await driver.control("POST", "faults", {"kind": "error_before", "path": "."})
    assert (await driver.get("/api/v2/deals/1")).status == 429
    before = await driver.control("GET", "journal/summary")
    for path in ("/", "/deal/1", "/search?q=deal", "/about"):
        assert "text/html" in (await _get(driver, path)).content_type.decode()
    assert await driver.control("GET", "journal/summary") == before


async def test_looking_changes_nothing(filled: tuple[Driver, Filled]) -> None:
    driver, _ = filled
    before = await driver.control("GET", "digest")
    records = {kind: dict(table.records) for kind, table in driver.account.store.tables.items()}
    await _crawl(driver)
    assert await driver.control("GET", "digest") == before
    assert {kind: table.records for kind, table in driver.account.store.tables.items()} == records


async def test_changes_made_at_once_stand_together_and_what_was_undone_is_left_out(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    await driver.patch(f"/api/v2/deals/{ids.deal}", {"owner_id": 2, "probability": 30})
    await driver.patch(f"/api/v2/deals/{ids.deal}", {"probability": 60})
    await driver.patch(f"/api/v2/deals/{ids.deal}", {"owner_id": 1})
    page = await _page(driver, f"/deal/{ids.deal}")
    assert page.count('class="entry change') == 1
    assert "Probability empty → became 60 %" in _text(page)
    assert "Owner Ada Admin → " not in _text(page)


async def test_long_timelines_come_in_pages(api: Driver) -> None:
    for number in range(150):
        await api.post("/v1/notes", {"content": f"number {number}.", "deal_id": 1})
    first, second = await _page(api, "/deal/1"), await _page(api, "/deal/1?from=100")
    assert "number 149." in first
    assert "1\u2013100 of 151" in first
    assert "101\u2013151 of 151" in second
    assert [f"number {number}." in first for number in (50, 49)] == [True, False]
    assert "number 49." in second


async def test_lists_page_both_ways_and_start_at_a_letter(api: Driver) -> None:
    for number in range(120):
        await api.post("/api/v2/organizations", {"name": f"Xylo {number:03d}"})
    page = await _page(api, "/organizations")
    seen = set(re.findall(r"Xylo \d{3}", page))
    while (following := re.search(r'rel="next" href="([^"]+)"', page)) is not None:
        page = await _page(api, following[1])
        names = set(re.findall(r"Xylo \d{3}", page))
        assert not names & seen
        seen |= names
    assert len(seen) == 120
    back = re.search(r'rel="prev" href="([^"]+)"', page)
    assert back is not None
    assert "Xylo 0" in await _page(api, back[1])
    letter = re.search(r'href="([^"]+)">X</a>', page)
    assert letter is not None
    assert "Talleres" not in _text(await _page(api, letter[1])).partition("Owner")[2]


async def test_board_filters_by_status_and_owner_and_leads_to_more(api: Driver) -> None:
    for number in range(70):
        body = {"title": f"Many {number:02d}", "value": 1.5, "owner_id": 2 + number % 2, "stage_id": 1}
        await api.post("/api/v2/deals", body)
    page = await _page(api, "/pipeline/1?owner=2")
    assert "Many 68" in page
    assert "Many 69" not in page
    everyone = await _page(api, "/pipeline/1")
    more = re.search(r'class="more" href="([^"]+)"', everyone)
    assert more is not None
    stage = await _page(api, more[1].replace("&amp;", "&"))
    assert "Many 00" in stage
    assert "Many 69" not in stage
    won = _text(await _page(api, "/pipeline/1?status=won"))
    assert "Many" not in won
    assert "Won 3" in won


async def test_search_finds_words_in_any_order_case_and_accent(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    for term in ("JOSE+maria", "ibarra", "contact1@customer", "%2B34+600+000+001"):
        assert 'href="/person/1"' in await _page(driver, f"/search?q={term}"), term
    assert f'href="/product/{ids.product}"' in await _page(driver, "/search?q=pump")
    assert "Nothing was found" in await _page(driver, "/search?q=nosuchthing")
    await driver.delete("/api/v2/persons/1")
    assert 'href="/person/1"' not in await _page(driver, "/search?q=ibarra")


async def test_pictures_are_shown(api: Driver) -> None:
    pictures = set()
    for kind in ("person", "product"):
        for number in range(1, 13):
            pictures |= set(re.findall(r'class="portrait" src="([^"]+)"', await _page(api, f"/{kind}/{number}")))
    assert len(pictures) == 2
    for path in pictures:
        assert (await _get(api, path)).content_type == b"image/png"


async def test_files_open_without_a_token_and_never_as_a_page(filled: tuple[Driver, Filled]) -> None:
    driver, ids = filled
    picture, document = await _get(driver, f"/file/{ids.picture}"), await _get(driver, f"/file/{ids.hostile_file}")
    assert (picture.status, picture.content_type) == (200, b"image/png")
    headers = dict(picture.headers)
    assert headers[b"content-disposition"].startswith(b"inline; filename*=UTF-8''plan.png")
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert document.content_type == b"application/octet-stream"
    assert dict(document.headers)[b"content-disposition"].startswith(b"attachment; filename*=UTF-8''%3Cscript%3E")
    assert document.body == b"<script>alert(1)</script>"
    await driver.delete(f"/v1/files/{ids.picture}")
    assert (await _get(driver, f"/file/{ids.picture}")).status == 404


async def test_head_is_answered_like_get(api: Driver) -> None:
    for path in ("/", "/deal/1", "/style.css"):
        assert (await _get(api, path, method="HEAD")).status == 200


async def test_reset_shows_in_the_pages(api: Driver) -> None:
    await api.post("/api/v2/organizations", {"name": "Gone soon"})
    assert "Gone soon" in await _page(api, "/search?q=gone")
    await api.control("POST", "reset")
    assert "Gone soon" not in await _page(api, "/search?q=gone")
    assert "Talleres Ibarra" in await _page(api, "/organizations")


def _text(page: str) -> str:
    """What a page says, with single spaces."""
    text = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<title>.*?</title>|<svg.*?</svg>", " ", page))
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&#39;", "'"), ("&#34;", '"'), ("&amp;", "&")):
        text = text.replace(entity, character)
    return re.sub(r"\s+", " ", text)
