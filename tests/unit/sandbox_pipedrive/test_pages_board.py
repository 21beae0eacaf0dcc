"""What the board and the pages of contacts say about deals."""

import re

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.clock import SandboxClock
from tests.unit.sandbox_pipedrive.driver import Driver, Start

NOW = 1_770_000_000.0  # 2026-02-02T02:40:00Z
DAY = 86_400


async def _page(driver: Driver, path: str) -> str:
    bare, _, query = path.partition("?")
    response = await driver.app.handle(Request("GET", bare, query.encode()))
    assert response.status == 200, path
    return response.body.decode()


def _card(page: str, title: str) -> str:
    """Return the card of a deal on a board."""
    return next(match[0] for match in re.finditer(r"(?s)<article.*?</article>", page) if title in match[0])


def _empty(start: Start) -> Driver:
    return start(SandboxClock(lambda: NOW, lambda: 0.0), seed=None)


async def test_card_tells_what_is_next(start: Start) -> None:
    driver = _empty(start)
    for title, due in (("Missed", "2026-01-30"), ("Now", "2026-02-02"), ("Later", "2026-02-20"), ("Never", None)):
        deal = (await driver.post("/api/v2/deals", {"title": title})).data["id"]
        if due is not None:
            await driver.post("/api/v2/activities", {"deal_id": deal, "due_date": due})
            await driver.post("/api/v2/activities", {"deal_id": deal, "due_date": "2026-12-12"})
            await driver.post("/api/v2/activities", {"deal_id": deal, "due_date": "2020-01-01", "done": True})
    page = await _page(driver, "/")
    assert "3 days overdue" in _card(page, "Missed")
    assert "today" in _card(page, "Now")
    assert "20\u00a0Feb\u00a02026" in _card(page, "Later")
    assert "No activity" in _card(page, "Never")


async def test_idle_deals_are_marked_when_their_stage_says_so(start: Start) -> None:
    driver = _empty(start)
    await driver.post("/api/v2/deals", {"title": "Left alone"})
    await driver.patch("/api/v2/stages/1", {"is_deal_rot_enabled": True, "days_to_rotten": 5})
    assert "idle" not in _card(await _page(driver, "/"), "Left alone")
    await driver.control("POST", "clock", {"advance_seconds": 8 * DAY})
    assert "idle +3 d" in _card(await _page(driver, "/"), "Left alone")
    await driver.patch("/api/v2/deals/1", {"value": 1})
    assert "idle" not in _card(await _page(driver, "/"), "Left alone")


async def test_sums_stand_by_currency_the_company_s_first(start: Start) -> None:
    driver = _empty(start)
    for value, currency in ((0.1, "EUR"), (0.2, "EUR"), (5000, "USD"), (7, "JPY")):
        await driver.post("/api/v2/deals", {"title": "x", "value": value, "currency": currency})
    found = re.findall(r'class="amount">([^<]+)<', await _page(driver, "/"))
    assert [amount.replace("\u00a0", " ") for amount in found] == ["EUR 0.30", "USD 5,000.00", "JPY 7"]


async def test_closed_and_archived_deals_have_their_mark(start: Start) -> None:
    driver = _empty(start)
    await driver.post("/api/v2/deals", {"title": "Won one", "status": "won", "won_time": "2026-01-05T10:00:00Z"})
    await driver.post("/api/v2/deals", {"title": "Lost one", "status": "lost", "lost_reason": "Too dear"})
    await driver.post("/api/v2/deals", {"title": "Old one", "is_archived": True})
    page = await _page(driver, "/pipeline/1?status=all")
    assert ">Won<" in _card(page, "Won one")
    assert "5\u00a0Jan\u00a02026" in _card(page, "Won one")
    assert ">Lost<" in _card(page, "Lost one")
    assert "Old one" not in page
    assert "Archived" in _card(await _page(driver, "/pipeline/1?status=archived"), "Old one")
    lost = await _page(driver, "/deal/2")
    assert "Too dear" in lost
    assert "Archived" in await _page(driver, "/deal/3")


async def test_a_deleted_stage_is_shown_while_it_holds_deals(start: Start) -> None:
    driver = _empty(start)
    assert "Negotiations Started" in await _page(driver, "/")
    await driver.post("/api/v2/deals", {"title": "Stranded", "stage_id": 5})
    await driver.delete("/api/v2/stages/5")
    page = await _page(driver, "/")
    assert "Stranded" in page
    assert "Deleted" in page
    await driver.delete("/api/v2/deals/1")
    assert "Negotiations Started" not in await _page(driver, "/")


async def test_pipelines_are_chosen_with_their_counts(start: Start) -> None:
    driver = _empty(start)
    pipeline = (await driver.post("/api/v2/pipelines", {"name": "Second"})).data["id"]
    assert "This pipeline has no stages" in await _page(driver, f"/pipeline/{pipeline}")
    await driver.post("/api/v2/stages", {"name": "Only", "pipeline_id": pipeline})
    await driver.post("/api/v2/deals", {"title": "There", "pipeline_id": pipeline})
    page = await _page(driver, "/")
    assert "There" not in page
    assert re.search(rf'href="/pipeline/{pipeline}"[^>]*>Second <span class="count">1<', page)
    assert "There" in await _page(driver, f"/pipeline/{pipeline}")


async def test_big_customers_show_a_part_of_their_deals(start: Start) -> None:
    driver = _empty(start)
    await driver.post("/api/v2/organizations", {"name": "Big"})
    for number in range(130):
        await driver.post("/api/v2/deals", {"title": f"Deal {number}", "org_id": 1, "status": "won" if number >= 5 else "open"})
    page = await _page(driver, "/organization/1")
    assert page.count('href="/deal/') == 100
    assert "100 of them are shown" in page
    assert all(f'href="/deal/{number}"' in page for number in (1, 5, 130))


async def test_a_step_for_each_stage_and_days_in_it(start: Start) -> None:
    driver = _empty(start)
    await driver.post("/api/v2/deals", {"title": "x", "stage_id": 2})
    await driver.control("POST", "clock", {"advance_seconds": 3 * DAY})
    page = await _page(driver, "/deal/1")
    assert re.findall(r'<li class="(\w+)"[^>]* title="([^"]+)"', page) == [
        ("passed", "Qualified"),
        ("current", "Contact Made"),
        ("ahead", "Demo Scheduled"),
        ("ahead", "Proposal Made"),
        ("ahead", "Negotiations Started"),
    ]
    assert "3\u00a0days in this stage" in page
