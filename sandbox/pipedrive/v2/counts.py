"""Values that lists add on request (`include_fields`), counted from the store."""

from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.memberships import followers_of, people_of
from sandbox.pipedrive.store.store import Record

_CONTACT_COUNTS = (
    "next_activity_id", "last_activity_id", "open_deals_count", "related_open_deals_count", "closed_deals_count", "related_closed_deals_count",
    "email_messages_count", "activities_count", "done_activities_count", "undone_activities_count", "files_count", "notes_count", "followers_count",
    "won_deals_count", "related_won_deals_count", "lost_deals_count", "related_lost_deals_count", "smart_bcc_email",
)  # fmt: skip
ORGANIZATION_COUNTS = (*_CONTACT_COUNTS, "people_count")
ORGANIZATION_GET_COUNTS = ORGANIZATION_COUNTS
PERSON_COUNTS = (
    *_CONTACT_COUNTS, "participant_open_deals_count", "participant_closed_deals_count", "last_incoming_mail_time", "last_outgoing_mail_time",
    "marketing_status", "doi_status",
)  # fmt: skip
PERSON_GET_COUNTS = PERSON_COUNTS
DEAL_COUNTS = (
    "next_activity_id", "last_activity_id", "first_won_time", "products_count", "files_count", "notes_count", "followers_count",
    "email_messages_count", "activities_count", "done_activities_count", "undone_activities_count", "participants_count",
    "last_incoming_mail_time", "last_outgoing_mail_time", "smart_bcc_email", "source_lead_id",
)  # fmt: skip
DEAL_GET_COUNTS = DEAL_COUNTS

_LINKS = {"organization": "org_id", "person": "person_id", "deal": "deal_id"}
_NULL = frozenset({"smart_bcc_email", "last_incoming_mail_time", "last_outgoing_mail_time", "marketing_status", "doi_status"})
_ZERO = frozenset({
    "email_messages_count", "related_open_deals_count", "related_closed_deals_count", "related_won_deals_count", "related_lost_deals_count",
})  # fmt: skip


def counts(account: Account, kind: str, record: Record, names: list[str]) -> dict[str, Any]:
    """Return the values asked for. What the sandbox does not simulate (mail) is null or 0."""
    return {name: _count(account, kind, record, name) for name in names}


def _count(account: Account, kind: str, record: Record, name: str) -> Any:
    if name in _NULL:
        return None
    if name in _ZERO:
        return 0
    column, store = _LINKS[kind], account.store

    def linked(other: str) -> list[Record]:
        return [item for item in store[other].find(column, record["id"]) if not item["is_deleted"]]

    match name:
        case "source_lead_id":
            return record.get("source_lead_id")
        case "first_won_time":
            return record.get("first_won_time") or record["won_time"]
        case "products_count":
            return len(linked("deal_product"))
        case "files_count":
            return len(linked("file"))
        case "notes_count":
            return len(linked("note"))
        case "people_count":
            return len(linked("person"))
        case "followers_count":
            return len(followers_of(account, kind, record["id"]))
        case "participants_count":
            return len(people_of(account, record))
        case "participant_open_deals_count" | "participant_closed_deals_count":
            taking_part = [account.live("deal", participant["deal_id"]) for participant in linked("participant")]
            return sum(deal is not None and (deal["status"] == "open") == (name == "participant_open_deals_count") for deal in taking_part)
        case "activities_count" | "done_activities_count" | "undone_activities_count" | "next_activity_id" | "last_activity_id":
            return activity_count(linked("activity"), name)
        case _:
            statuses = {
                "open_deals_count": ("open",),
                "won_deals_count": ("won",),
                "lost_deals_count": ("lost",),
                "closed_deals_count": ("won", "lost"),
            }
            return sum(deal["status"] in statuses[name] for deal in linked("deal"))


def activity_count(activities: list[Record], name: str) -> Any:
    """Return how many of a record's activities there are in a state, or the id of the next or last one."""
    done = [activity for activity in activities if activity["done"]]
    waiting = [activity for activity in activities if not activity["done"]]

    def when(activity: Record) -> tuple[str, str, int]:
        return (activity["due_date"] or "", activity["due_time"] or "", activity["id"])

    match name:
        case "activities_count":
            return len(activities)
        case "done_activities_count":
            return len(done)
        case "undone_activities_count":
            return len(waiting)
        case "next_activity_id":
            return min(waiting, key=when)["id"] if waiting else None
        case _:
            return max(done, key=when)["id"] if done else None
