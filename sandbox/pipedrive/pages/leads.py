"""Leads: the list and the page of one. Their custom fields are those of deals."""

from typing import Any

from sandbox.pipedrive.pages import look, values
from sandbox.pipedrive.pages.board import Choice
from sandbox.pipedrive.pages.contacts import organization_card, person_card
from sandbox.pipedrive.pages.deals import next_activity
from sandbox.pipedrive.pages.page import Page, Query, slice_of
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.pages.timeline import timeline
from sandbox.pipedrive.pages.values import Part, Row
from sandbox.pipedrive.store.store import Record

_ON_TOP = frozenset({"title", "value", "currency", "status", "stage_id", "pipeline_id", "org_id", "person_id", "owner_id", "label_ids"})


def show_all(reader: Reader, query: Query) -> Page:
    """List the leads, the latest first."""
    chosen = "archived_lead" if query.get("show") == "archived" else "lead"
    order = reader.order(chosen)
    found = slice_of(reader, "lead", order, "/leads", query, show="archived" if chosen != "lead" else None)
    choices = [
        Choice("Open", "/leads", chosen == "lead", len(reader.order("lead"))),
        Choice("Archived", "/leads?show=archived", chosen != "lead", len(reader.order("archived_lead"))),
    ]
    rows = [_row(reader, record) for record in found.records]
    return Page("leads.html", "Leads", "leads", {"slice": found, "rows": rows, "choices": choices})


def show(reader: Reader, query: Query, lead_id: int) -> Page | None:
    """Show a lead."""
    lead = reader.store["lead"].get(lead_id)
    if lead is None:
        return None
    ref = reader.ref_to("lead", lead)
    organization, person = organization_card(reader, lead["organization_id"]), person_card(reader, lead["person_id"])
    rows = values.rows(reader, "deal", lead, _ON_TOP)
    if lead.get("source_name"):
        rows.filled.insert(0, Row("Source", (Part(str(lead["source_name"])),)))
    return Page(
        "lead.html",
        ref.text,
        "leads",
        {
            "record": lead,
            "chips": reader.lead_chips(lead),
            "value": look.money(lead["value"], lead["currency"]),
            "owner": reader.user(lead["owner_id"]),
            "organization": organization,
            "person": person,
            "rows": rows,
            "known": [ref.href, *(contact.ref.href for contact in (organization, person) if contact is not None)],
            "timeline": timeline(reader, "lead", "lead_id", lead, query),
        },
    )


def leads_of(reader: Reader, column: str, record_id: int) -> list[dict[str, Any]]:
    """Return the leads of an organization or a person, the latest first."""
    return [_row(reader, lead) for lead in reversed(reader.live("lead", column, record_id))]


def _row(reader: Reader, lead: Record) -> dict[str, Any]:
    return {
        "ref": reader.ref_to("lead", lead),
        "chips": reader.lead_chips(lead),
        "value": look.money(lead["value"], lead["currency"]),
        "organization": reader.ref("organization", lead["organization_id"]),
        "person": reader.ref("person", lead["person_id"]),
        "is_archived": lead["is_archived"],
        "next": None if lead["is_archived"] else next_activity(reader, "lead_id", lead["uuid"]),
        "created": look.day(lead["add_time"]),
        "owner": reader.user(lead["owner_id"]),
    }
