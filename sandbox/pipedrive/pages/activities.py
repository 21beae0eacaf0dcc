"""The list of activities, planned or done."""

from sandbox.pipedrive.pages.board import Choice
from sandbox.pipedrive.pages.page import Page, Query, slice_of
from sandbox.pipedrive.pages.reader import Reader
from sandbox.pipedrive.pages.timeline import activity_entry


def show_all(reader: Reader, query: Query) -> Page:
    """List activities: planned ones in the order they are due, done ones the latest first."""
    chosen = "done" if query.get("show") == "done" else "planned"
    found = slice_of(reader, "activity", reader.order(chosen), "/activities", query, show="done" if chosen == "done" else None)
    choices = [
        Choice("Planned", "/activities", chosen == "planned", len(reader.order("planned"))),
        Choice("Done", "/activities?show=done", chosen == "done", len(reader.order("done"))),
    ]
    entries = [activity_entry(reader, record) for record in found.records]
    return Page("activities.html", "Activities", "activities", {"slice": found, "entries": entries, "choices": choices})
