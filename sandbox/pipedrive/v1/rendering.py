"""Version 1's view of the records that version 2 manages: other names, flat custom fields and addresses, flags for states.

Links are plain ids here, as in recents, merges, timelines and webhooks. What the sandbox does not simulate (mail, calendars) is null or 0.
"""

from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.clock import v1_time
from sandbox.pipedrive.account.currencies import CURRENCIES, round_money
from sandbox.pipedrive.account.public_images import picture_urls
from sandbox.pipedrive.account.schema import ADDRESS_PARTS
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import times
from sandbox.pipedrive.v1.flat_fields import to_v1
from sandbox.pipedrive.v1.users import COMPANY_ID
from sandbox.pipedrive.v2.counts import counts

Render = Callable[[Record], dict[str, Any]]

_SYMBOLS = {code: symbol for code, _, _, symbol in CURRENCIES}
_DEAL_COUNTS = [
    "products_count", "files_count", "notes_count", "followers_count", "email_messages_count", "activities_count", "done_activities_count",
    "undone_activities_count", "participants_count", "last_incoming_mail_time", "last_outgoing_mail_time", "first_won_time",
]  # fmt: skip
_CONTACT_COUNTS = [
    "open_deals_count", "related_open_deals_count", "closed_deals_count", "related_closed_deals_count", "won_deals_count",
    "related_won_deals_count", "lost_deals_count", "related_lost_deals_count", "email_messages_count", "activities_count", "done_activities_count",
    "undone_activities_count", "files_count", "notes_count", "followers_count",
]  # fmt: skip
_PERSON_COUNTS = [
    *_CONTACT_COUNTS, "participant_open_deals_count", "participant_closed_deals_count", "last_incoming_mail_time", "last_outgoing_mail_time",
]  # fmt: skip
_CALENDAR = (
    "gcal_event_id", "google_calendar_id", "google_calendar_etag", "calendar_sync_include_context", "last_notification_time",
    "last_notification_user_id", "notification_language_id",
)  # fmt: skip


class Rendering:
    """Renders deals, persons, organizations, activities, products, pipelines and stages of one account."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self._by_kind: dict[str, Render] = {
            "deal": self.deal,
            "person": self.person,
            "organization": self.organization,
            "activity": self.activity,
            "product": self.product,
            "pipeline": pipeline,
            "stage": stage,
        }

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds it renders."""
        return frozenset(self._by_kind)

    def render(self, kind: str, record: Record) -> dict[str, Any]:
        """Return a record as version 1 shows it."""
        return self._by_kind[kind](record)

    def deal(self, deal: Record) -> dict[str, Any]:
        """Return a deal."""
        store = self.account.store
        step = store["stage"].get(deal["stage_id"])
        weighted = round_money(deal["value"] * self._probability(deal) / 100, deal["currency"])
        return {
            "id": deal["id"],
            "creator_user_id": deal["creator_user_id"],
            "user_id": deal["owner_id"],
            "person_id": deal["person_id"],
            "org_id": deal["org_id"],
            "stage_id": deal["stage_id"],
            "pipeline_id": deal["pipeline_id"],
            "title": deal["title"],
            "value": deal["value"],
            "currency": deal["currency"],
            **times(deal),
            "stage_change_time": v1_time(deal["stage_change_time"]),
            "active": deal["status"] == "open" and not deal["is_deleted"],
            "deleted": deal["is_deleted"],
            "is_archived": deal["is_archived"],
            "archive_time": v1_time(deal["archive_time"]),
            "status": "deleted" if deal["is_deleted"] else deal["status"],
            "probability": deal["probability"],
            **self._activities("deal", deal),
            "lost_reason": deal["lost_reason"],
            "visible_to": str(deal["visible_to"]),
            "close_time": v1_time(deal["close_time"]),
            "won_time": v1_time(deal["won_time"]),
            "lost_time": v1_time(deal["lost_time"]),
            "expected_close_date": deal["expected_close_date"],
            "label": ",".join(map(str, deal["label_ids"])) or None,
            **_timed(counts(self.account, "deal", deal, _DEAL_COUNTS)),
            "stage_order_nr": step["order_nr"] if step is not None else None,
            "person_name": self.name_of("person", deal["person_id"]),
            "org_name": self.name_of("organization", deal["org_id"]),
            "owner_name": self.name_of("user", deal["owner_id"]),
            "formatted_value": money_text(deal["value"], deal["currency"]),
            "weighted_value": weighted,
            "formatted_weighted_value": money_text(weighted, deal["currency"]),
            "weighted_value_currency": deal["currency"],
            "rotten_time": None,
            "cc_email": None,
            "org_hidden": False,
            "person_hidden": False,
            **{name: deal.get(name) for name in ("origin_id", "channel", "channel_id", "acv", "arr", "mrr")},
            "origin": deal.get("origin", "API"),
            **{f"{name}_currency": deal["currency"] if deal.get(name) is not None else None for name in ("acv", "arr", "mrr")},
            **self.custom_fields("deal", deal),
        }

    def person(self, person: Record) -> dict[str, Any]:
        """Return a person."""
        return {
            "id": person["id"],
            "company_id": COMPANY_ID,
            "owner_id": person["owner_id"],
            "org_id": person["org_id"],
            "name": person["name"],
            "first_name": person["first_name"],
            "last_name": person["last_name"],
            **_timed(counts(self.account, "person", person, _PERSON_COUNTS)),
            "active_flag": not person["is_deleted"],
            "phone": person["phones"] or [{"value": "", "primary": True}],
            "email": person["emails"] or [{"value": "", "primary": True}],
            "primary_email": next((email["value"] for email in person["emails"] if email["primary"]), None),
            "first_char": person["name"][:1].lower(),
            **times(person),
            "visible_to": str(person["visible_to"]),
            "picture_id": self._picture(person),
            **self._activities("person", person),
            "label": person["label_ids"][0] if person["label_ids"] else None,
            "label_ids": person["label_ids"],
            "org_name": self.name_of("organization", person["org_id"]),
            "owner_name": self.name_of("user", person["owner_id"]),
            "cc_email": None,
            **self.custom_fields("person", person),
        }

    def organization(self, organization: Record) -> dict[str, Any]:
        """Return an organization."""
        return {
            "id": organization["id"],
            "company_id": COMPANY_ID,
            "owner_id": user_object(self.account, organization["owner_id"]),
            "name": organization["name"],
            "active_flag": not organization["is_deleted"],
            "picture_id": None,
            "country_code": None,
            "first_char": organization["name"][:1].lower(),
            **times(organization),
            "visible_to": str(organization["visible_to"]),
            "label": organization["label_ids"][0] if organization["label_ids"] else None,
            "label_ids": organization["label_ids"],
            "owner_name": self.name_of("user", organization["owner_id"]),
            "cc_email": None,
            **counts(self.account, "organization", organization, [*_CONTACT_COUNTS, "people_count"]),
            **flat_address("address", organization["address"]),
            **self._activities("organization", organization),
            **self.custom_fields("organization", organization),
        }

    def activity(self, activity: Record) -> dict[str, Any]:
        """Return an activity."""
        return {
            "id": activity["id"],
            "company_id": COMPANY_ID,
            "user_id": activity["owner_id"],
            "done": activity["done"],
            "type": activity["type"],
            "reference_type": None,
            "reference_id": None,
            "conference_meeting_client": None,
            "conference_meeting_url": None,
            "conference_meeting_id": None,
            "due_date": activity["due_date"],
            "due_time": (activity["due_time"] or "")[:5],
            "duration": (activity["duration"] or "")[:5],
            "busy_flag": activity["busy"],
            **times(activity),
            "marked_as_done_time": v1_time(activity["marked_as_done_time"]),
            "subject": activity["subject"],
            "public_description": activity["public_description"],
            **flat_address("location", activity["location"]),
            "org_id": activity["org_id"],
            "person_id": activity["person_id"],
            "deal_id": activity["deal_id"],
            "lead_id": activity["lead_id"],
            "project_id": activity["project_id"],
            "active_flag": not activity["is_deleted"],
            "update_user_id": activity.get("last_update_user_id"),
            "source_timezone": None,
            "rec_rule": None,
            "rec_rule_extension": None,
            "rec_master_activity_id": None,
            "series": [],
            "note": activity["note"],
            "created_by_user_id": activity["creator_user_id"],
            "attendees": [_attendee(entry) for entry in activity["attendees"]],
            "participants": [{"person_id": entry["person_id"], "primary_flag": entry["primary"]} for entry in activity["participants"]],
            "org_name": self.name_of("organization", activity["org_id"]),
            "person_name": self.name_of("person", activity["person_id"]),
            "deal_title": self.name_of("deal", activity["deal_id"]),
            "owner_name": self.name_of("user", activity["owner_id"]),
            "person_dropbox_bcc": None,
            "deal_dropbox_bcc": None,
            "assigned_to_user_id": activity["owner_id"],
            "file": None,
            **dict.fromkeys(_CALENDAR),
        }

    def product(self, product: Record) -> dict[str, Any]:
        """Return a product."""
        files = [file for file in self.account.store["file"].find("product_id", product["id"]) if not file["is_deleted"]]
        prices = [
            {"id": position, "product_id": product["id"], "price": price["price"], "currency": price["currency"], "cost": price["cost"],
             "overhead_cost": price["direct_cost"], "notes": price["notes"]}
            for position, price in enumerate(product["prices"], 1)
        ]  # fmt: skip
        return {
            "id": product["id"],
            "name": product["name"],
            "code": product["code"],
            "description": product["description"],
            "unit": product["unit"],
            "tax": product["tax"],
            "category": str(product["category"]) if product["category"] is not None else None,
            "active_flag": not product["is_deleted"],
            "selectable": product["is_linkable"],
            "first_char": product["name"][:1].lower(),
            "visible_to": product["visible_to"],
            "owner_id": product["owner_id"],
            "files_count": len(files),
            **times(product),
            "billing_frequency": product["billing_frequency"],
            "billing_frequency_cycles": product["billing_frequency_cycles"],
            "prices": prices,
            **self.custom_fields("product", product),
        }

    def _picture(self, person: Record) -> dict[str, Any] | None:
        picture = self.account.live("picture", person.get("picture_id"))
        return None if picture is None else picture_object(self.account, picture)

    def custom_fields(self, kind: str, record: Record) -> dict[str, Any]:
        """Return the custom fields as keys of the record itself, null where it has no value."""
        return to_v1(self.account.fields.custom[kind], record["custom_fields"], with_empty=True)

    def name_of(self, kind: str, record_id: int | None) -> str | None:
        """Return the name or title of a linked record, deleted or not."""
        record = self.account.store[kind].get(record_id or 0)
        return None if record is None else record["title" if kind == "deal" else "name"]

    def _probability(self, deal: Record) -> float:
        """Chance of a deal in percent: its own, else its stage's."""
        if deal["status"] != "open":
            return 100 if deal["status"] == "won" else 0
        if deal["probability"] is not None:
            return float(deal["probability"])
        step = self.account.store["stage"].get(deal["stage_id"])
        return 100 if step is None else float(step["deal_probability"])

    def _activities(self, kind: str, record: Record) -> dict[str, Any]:
        """Return what a record shows of its next and its last activity."""
        ids = counts(self.account, kind, record, ["next_activity_id", "last_activity_id"])
        coming, past = (self.account.store["activity"].get(ids[name] or 0) for name in ("next_activity_id", "last_activity_id"))
        shown = {
            **ids,
            "next_activity_date": coming["due_date"] if coming is not None else None,
            "next_activity_time": coming["due_time"] if coming is not None else None,
            "last_activity_date": past["due_date"] if past is not None else None,
        }
        if kind == "deal":
            for name in ("subject", "type", "duration", "note"):
                shown[f"next_activity_{name}"] = coming[name] if coming is not None else None
        return shown


def pipeline(record: Record) -> dict[str, Any]:
    """Return a pipeline."""
    return {
        "id": record["id"],
        "name": record["name"],
        "url_title": record["name"].replace(" ", "-"),
        "order_nr": record["order_nr"],
        "active": not record["is_deleted"],
        "deal_probability": record["is_deal_probability_enabled"],
        **times(record),
        "selected": record["order_nr"] == 1,
    }


def stage(record: Record) -> dict[str, Any]:
    """Return a stage."""
    return {
        "id": record["id"],
        "order_nr": record["order_nr"],
        "name": record["name"],
        "active_flag": not record["is_deleted"],
        "deal_probability": record["deal_probability"],
        "pipeline_id": record["pipeline_id"],
        "rotten_flag": record["is_deal_rot_enabled"],
        "rotten_days": record["days_to_rotten"],
        **times(record),
    }


def picture_object(account: Account, picture: Record, base: str = "") -> dict[str, Any]:
    """Return a picture of a person, its addresses below a base. It never changes; the time of that is as in the official example."""
    return {
        "id": picture["id"],
        "item_type": "person",
        "item_id": picture["person_id"],
        "active_flag": not picture["is_deleted"],
        "add_time": v1_time(picture["add_time"]),
        "update_time": "0000-00-00 00:00:00",
        "added_by_user_id": picture["creator_user_id"],
        "pictures": picture_urls(account, picture, base),
    }


def user_object(account: Account, user_id: int) -> dict[str, Any] | None:
    """Return a user as an object inside another record."""
    user = account.store["user"].get(user_id)
    if user is None:
        return None
    return {
        "id": user_id,
        "name": user["name"],
        "email": user["email"],
        "has_pic": 0,
        "pic_hash": None,
        "active_flag": user["active_flag"],
        "value": user_id,
    }


def flat_address(name: str, address: Record | None) -> dict[str, Any]:
    """Return an address as a text and keys for its parts."""
    given = address or {}
    parts = {f"{name}_{part}": given.get(part) for part in ADDRESS_PARTS if part != "value"}
    return {name: given.get("value"), **parts, f"{name}_formatted_address": given.get("formatted_address")}


def money_text(amount: float, currency: str) -> str:
    """Return an amount as people read it."""
    return f"{_SYMBOLS.get(currency, currency)}{amount:,}"


def _timed(values: dict[str, Any]) -> dict[str, Any]:
    return {name: v1_time(value) if name.endswith("_time") else value for name, value in values.items()}


def _attendee(entry: Record) -> dict[str, Any]:
    return {
        "email_address": entry["email"],
        "is_organizer": int(bool(entry.get("is_organizer"))),
        "name": entry.get("name"),
        "person_id": entry.get("person_id"),
        "status": entry.get("status") or "noreply",
        "user_id": entry.get("user_id"),
    }
