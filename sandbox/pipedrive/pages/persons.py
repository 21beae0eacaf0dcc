"""Persons: the list and the page of one."""

from sandbox.pipedrive.pages import values
from sandbox.pipedrive.pages.contacts import contact_rows, organization_card
from sandbox.pipedrive.pages.deal import followers
from sandbox.pipedrive.pages.deals import deals_of
from sandbox.pipedrive.pages.leads import leads_of
from sandbox.pipedrive.pages.page import Page, Query, letters, slice_of
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.pages.timeline import timeline

_ON_TOP = frozenset({"name", "label_ids", "owner_id", "org_id"})


def show_all(reader: Reader, query: Query) -> Page:
    """List the persons by name."""
    order = reader.order("person")
    found = slice_of(reader, "person", order, "/persons", query)
    rows = contact_rows(reader, found.records)
    return Page("persons.html", "Persons", "persons", {"slice": found, "rows": rows, "letters": letters(order, "/persons")})


def show(reader: Reader, query: Query, person_id: int) -> Page | None:
    """Show a person."""
    record = reader.store["person"].get(person_id)
    if record is None:
        return None
    ref = reader.ref_to("person", record)
    organization = organization_card(reader, record["org_id"])
    return Page(
        "person.html",
        ref.text,
        "persons",
        {
            "record": record,
            "chips": reader.chips("person", record),
            "owner": reader.user(record["owner_id"]),
            "rows": values.rows(reader, "person", record, _ON_TOP),
            "organization": organization,
            "picture": reader.picture("picture", "person_id", person_id),
            "deals": deals_of(reader, "person_id", person_id),
            "leads": leads_of(reader, "person_id", person_id),
            "followers": followers(reader, "person", person_id),
            "known": [ref.href] + ([organization.ref.href] if organization is not None else []),
            "timeline": timeline(reader, "person", "person_id", record, query),
        },
    )
