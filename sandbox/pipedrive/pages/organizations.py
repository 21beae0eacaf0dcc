"""Organizations: the list and the page of one, with what belongs to it."""

from dataclasses import dataclass, field

from sandbox.pipedrive.pages import values
from sandbox.pipedrive.pages.contacts import contact_rows
from sandbox.pipedrive.pages.deal import followers
from sandbox.pipedrive.pages.deals import deals_of
from sandbox.pipedrive.pages.leads import leads_of
from sandbox.pipedrive.pages.page import Page, Query, letters, slice_of
from sandbox.pipedrive.pages.reader import Reader, Ref
from sandbox.pipedrive.pages.timeline import timeline

_ON_TOP = frozenset({"name", "label_ids", "owner_id"})
_TREE_MAX = 200
"""Organizations shown in a tree."""
CONTACTS_MAX = 100


@dataclass(slots=True)
class Branch:
    """One organization in the tree of parents and children."""

    ref: Ref
    is_here: bool = False
    children: list["Branch"] = field(default_factory=list)


def show_all(reader: Reader, query: Query) -> Page:
    """List the organizations by name."""
    order = reader.order("organization")
    found = slice_of(reader, "organization", order, "/organizations", query)
    rows = [
        {
            "ref": reader.ref_to("organization", record),
            "chips": reader.chips("organization", record),
            "address": values.address(record["address"]),
            "people": len(reader.live("person", "org_id", record["id"])),
            "deals": sum(deal["status"] == "open" for deal in reader.live("deal", "org_id", record["id"])),
            "owner": reader.user(record["owner_id"]),
        }
        for record in found.records
    ]
    return Page("organizations.html", "Organizations", "organizations", {"slice": found, "rows": rows, "letters": letters(order, "/organizations")})


def show(reader: Reader, query: Query, org_id: int) -> Page | None:
    """Show an organization."""
    record = reader.store["organization"].get(org_id)
    if record is None:
        return None
    ref = reader.ref_to("organization", record)
    people = reader.live("person", "org_id", org_id)
    return Page(
        "organization.html",
        ref.text,
        "organizations",
        {
            "record": record,
            "chips": reader.chips("organization", record),
            "owner": reader.user(record["owner_id"]),
            "rows": values.rows(reader, "organization", record, _ON_TOP),
            "tree": _tree(reader, org_id),
            "related": _related(reader, org_id),
            "people": contact_rows(reader, people[:CONTACTS_MAX]),
            "people_count": len(people),
            "deals": deals_of(reader, "org_id", org_id),
            "leads": leads_of(reader, "organization_id", org_id),
            "followers": followers(reader, "organization", org_id),
            "known": [ref.href],
            "timeline": timeline(reader, "organization", "org_id", record, query),
        },
    )


def _tree(reader: Reader, org_id: int) -> Branch | None:
    """Return the tree an organization stands in, from its topmost parent down; None when it stands alone."""
    top, seen = org_id, {org_id}
    while (parents := [item for item in _ends(reader, "rel_linked_org_id", top, "rel_owner_org_id") if item not in seen]) and len(seen) < _TREE_MAX:
        top = parents[0]
        seen.add(top)
    seen = {top}
    tree = _branch(reader, top, org_id, seen)
    return tree if tree is not None and tree.children else None


def _branch(reader: Reader, org_id: int, here: int, seen: set[int]) -> Branch | None:
    """Return an organization with its children. Relations may go round in circles, so each organization is taken once."""
    ref = reader.ref("organization", org_id)
    if ref is None:
        return None
    branch = Branch(ref, org_id == here)
    for child in _ends(reader, "rel_owner_org_id", org_id, "rel_linked_org_id"):
        if child not in seen and len(seen) < _TREE_MAX:
            seen.add(child)
            found = _branch(reader, child, here, seen)
            if found is not None:
                branch.children.append(found)
    return branch


def _ends(reader: Reader, end: str, org_id: int, other: str) -> list[int]:
    """Return the other ends of the parent relations of an organization: in them the owner is the parent."""
    return [relation[other] for relation in reader.live("organization_relation", end, org_id) if relation["type"] == "parent"]


def _related(reader: Reader, org_id: int) -> list[Ref]:
    ends = (("rel_owner_org_id", "rel_linked_org_id"), ("rel_linked_org_id", "rel_owner_org_id"))
    refs = [
        reader.ref("organization", relation[other])
        for end, other in ends
        for relation in reader.live("organization_relation", end, org_id)
        if relation["type"] == "related"
    ]
    return [ref for ref in refs if ref is not None]
