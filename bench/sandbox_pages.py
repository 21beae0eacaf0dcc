"""Measures how long the simulator needs for its pages with few and with many deals: `python bench/sandbox_pages.py [COUNT ...]`.

Prints milliseconds a page with an account of each size (default 1,000 and 100,000 deals) and the ratio of the last to the first.
`first` is the first time a page is asked for, when its order is derived from all records; the others are the median of the following
times. Between two of them one deal changes, as in a running migration.
"""

import asyncio
import statistics
import sys
import time
from http import HTTPStatus

from sandbox.common.asgi import Request
from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.gateway.app import PipedriveApp
from sandbox.pipedrive.options import Options

COUNTS_DEFAULT = (1_000, 100_000)
REPEATS = 15
_STATUSES = ("open", "open", "won", "lost")


def fill(count: int) -> PipedriveApp:
    """Return an account with so many deals, each with an organization, a person, an activity and a note."""
    account = Account(Options(seed=1, limits=False))
    app = PipedriveApp(account)
    templates = {kind: next(iter(account.store[kind])) for kind in ("organization", "person", "deal", "note")}
    owners = [user["id"] for user in account.store["user"]]
    stages = [stage["id"] for stage in account.store["stage"]]
    for number in range(count):
        ids = {kind: account.store[kind].next_id() for kind in (*templates, "activity")}
        place = {"org_id": ids["organization"], "person_id": ids["person"]}
        account.store.put("organization", {**templates["organization"], "id": ids["organization"], "name": f"Company {number * 7919 % count:06d}"})
        account.store.put("person", {**templates["person"], "id": ids["person"], "name": f"Person {number}", "org_id": ids["organization"]})
        deal = {**templates["deal"], "id": ids["deal"], "title": f"Deal {number} of company {number % 97}", "value": number % 9_000, **place}
        deal |= {"status": _STATUSES[number % 4], "owner_id": owners[number % len(owners)], "stage_id": stages[number % len(stages)]}
        account.store.put("deal", deal)
        account.store.put("note", {**templates["note"], "id": ids["note"], "deal_id": ids["deal"], "org_id": ids["organization"]})
        account.store.put("activity", _activity(ids["activity"], ids["deal"], number, place))
    return app


def _activity(activity_id: int, deal_id: int, number: int, place: dict[str, int]) -> dict[str, object]:
    empty = dict.fromkeys(("due_time", "duration", "location", "public_description", "priority", "outcome", "note", "lead_id"))
    due = f"2026-{number % 12 + 1:02d}-{number % 28 + 1:02d}"
    now = "2026-01-01T00:00:00Z"
    return {
        "id": activity_id, "subject": f"Call {number}", "type": "call", "owner_id": 1, "deal_id": deal_id, **place, **empty, "due_date": due,
        "done": number % 2 == 0, "is_deleted": False, "add_time": now, "update_time": now, "participants": [], "attendees": [],
    }  # fmt: skip


PAGES = {
    "board": "/",
    "board, all statuses": "/pipeline/1?status=all",
    "board, one owner": "/pipeline/1?owner=2",
    "stage list": "/stage/1",
    "deal": "/deal/500",
    "organization": "/organization/500",
    "organizations": "/organizations",
    "activities": "/activities",
    "search, rare word": "/search?q=deal+777+",
    "search, no match": "/search?q=nothingofthesort",
    "search, common word": "/search?q=company",
}


def measure(app: PipedriveApp) -> dict[str, tuple[float, float]]:
    """Return milliseconds of the first and of a usual request for each page."""
    found = {}
    for name, path in PAGES.items():
        times = []
        for _ in range(REPEATS):
            deal = app.account.store["deal"].records[500]
            app.account.store.put("deal", {**deal, "value": deal["value"] + 1})
            bare, _, query = path.partition("?")
            start = time.perf_counter()
            response = asyncio.run(app.handle(Request("GET", bare, query.encode())))
            times.append(1_000 * (time.perf_counter() - start))
            assert response.status == HTTPStatus.OK, path
        found[name] = times[0], statistics.median(times[1:])
    return found


def main() -> None:
    """Print the figures."""
    counts = [int(argument) for argument in sys.argv[1:]] or list(COUNTS_DEFAULT)
    results = [measure(fill(count)) for count in counts]
    print("page".ljust(22) + "".join(f"{count:>12,} first{'usual':>9}" for count in counts) + "    ratio")
    for name in PAGES:
        row = "".join(f"{result[name][0]:15.1f} ms{result[name][1]:6.1f} ms" for result in results)
        print(f"{name:22}{row}{results[-1][name][1] / results[0][name][1]:8.1f}x")


if __name__ == "__main__":
    main()
