"""The search of the pages: one box, results by kind."""

from typing import Any

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.page import Page, Query
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.store.store import Record

RESULTS = 20
TERM_MAX = 200
_KINDS = (("deal", "Deals"), ("lead", "Leads"), ("organization", "Organizations"), ("person", "Persons"), ("product", "Products"))


def search(reader: Reader, query: Query) -> Page:
    """Show the latest records of each kind that contain every word of the term."""
    term = query.get("q", "").strip()[:TERM_MAX]
    groups: list[dict[str, Any]] = []
    for kind, name in _KINDS if term else ():
        found = reader.find(kind, term, RESULTS + 1)
        if found:
            results = [{"ref": reader.ref_to(kind, record), "fact": _fact(reader, kind, record)} for record in found[:RESULTS]]
            groups.append({"name": name, "results": results, "has_more": len(found) > RESULTS})
    return Page("search.html", f"Search: {term}" if term else "Search", "", {"term": term, "groups": groups})


def _fact(reader: Reader, kind: str, record: Record) -> str:
    """Return what tells a record from others of the same name."""
    match kind:
        case "deal":
            organization = reader.ref("organization", record["org_id"])
            parts = [
                look.money(record["value"], record["currency"]),
                organization.text if organization is not None else "",
                record["status"].capitalize(),
            ]
        case "lead":
            parts = [look.money(record["value"], record["currency"])]
        case "organization":
            parts = [values.address(record["address"])]
        case "person":
            organization = reader.ref("organization", record["org_id"])
            parts = [organization.text if organization is not None else "", *(part.text for part in values.contacts(record["emails"], "email")[:1])]
        case _:
            parts = [record["code"] or ""]
    return " · ".join(filter(None, parts))
