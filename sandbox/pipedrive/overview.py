"""A page for a person who wants to see at a glance what the simulated account holds. All data is escaped."""

from html import escape
from typing import Any

from sandbox.pipedrive.account import Account
from sandbox.pipedrive.journal import Journal
from sandbox.pipedrive.limits import Limits

_LATEST = 8
_SHOWN = {
    "organization": ("Organizations", "name"),
    "person": ("Persons", "name"),
    "deal": ("Deals", "title"),
    "deal_product": ("Deal products", "name"),
    "product": ("Products", "name"),
    "activity": ("Activities", "subject"),
    "note": ("Notes", "content"),
    "file": ("Files", "name"),
    "organization_relation": ("Organization relations", "type"),
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}h2{margin-top:2rem}.m{color:#666}"
)


def overview(account: Account, limits: Limits, journal: Journal) -> str:
    """Return the page."""
    budget = limits.state()
    options = account.options
    company = account.store.meta["company"]["company_name"]
    spent = (
        f"{budget['used']:,} of {budget['budget']:,} tokens spent today"
        if options.limits
        else f"{budget['used']:,} tokens spent today, limits are off"
    )
    return (
        f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(company)}</title>"
        f"<style>{_STYLE}</style></head><body><h1>{escape(company)}</h1>"
        f"<p class=m>A simulated Pipedrive account, not the real one. Plan {escape(options.plan)}, {options.seats} seats; {spent}; "
        f"{journal.total:,} API requests since start.</p>{_counts(account)}{_pipelines(account)}{_latest(account)}</body></html>"
    )


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    def cells(row: tuple[Any, ...], tag: str) -> str:
        return "".join(f"<{tag} class=n>{cell:,}</{tag}>" if isinstance(cell, int) else f"<{tag}>{escape(str(cell))}</{tag}>" for cell in row)

    return f"<table><tr>{cells(head, 'th')}</tr>" + "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows) + "</table>"


def _counts(account: Account) -> str:
    rows: list[tuple[Any, ...]] = []
    for kind, (title, _) in _SHOWN.items():
        deleted = sum(record["is_deleted"] for record in account.store[kind])
        rows.append((title, len(account.store[kind]) - deleted, deleted))
    return "<h2>Records</h2>" + _table(("Kind", "In the account", "In the trash"), rows)


def _pipelines(account: Account) -> str:
    counts: dict[tuple[int, str], int] = {}
    for deal in account.store["deal"]:
        if not deal["is_deleted"]:
            key = (deal["stage_id"], deal["status"])
            counts[key] = counts.get(key, 0) + 1
    rows: list[tuple[Any, ...]] = [
        (pipeline["name"], stage["name"], *(counts.get((stage["id"], status), 0) for status in ("open", "won", "lost")))
        for pipeline in account.store["pipeline"]
        if not pipeline["is_deleted"]
        for stage in account.stages_of(pipeline["id"])
    ]
    return "<h2>Pipelines</h2>" + _table(("Pipeline", "Stage", "Open", "Won", "Lost"), rows)


def _latest(account: Account) -> str:
    parts = []
    for kind, (title, column) in _SHOWN.items():
        table = account.store[kind]
        rows: list[tuple[Any, ...]] = []
        for record in table.before(1 << 62):
            if len(rows) == _LATEST:
                break
            if not record["is_deleted"]:
                rows.append((record["id"], str(record[column])[:120], record["add_time"]))
        if rows:
            parts.append(f"<h2>Latest {title.lower()}</h2>" + _table(("Id", "Name", "Created"), rows))
    return "".join(parts)
