"""What Pipedrive takes: the fields of each target entity, the kind of value in each, and the limits. Facts of its API, version 2 where it has one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """Kind of value a field takes."""

    TEXT = "text"
    HTML = "html"
    NUMBER = "number"
    INTEGER = "integer"
    BOOL = "bool"
    DATE = "date"
    DATETIME = "datetime"
    TIME = "time"
    CHOICE = "choice"
    EMAILS = "emails"
    PHONES = "phones"
    ADDRESS = "address"
    MONEY = "money"
    PRICES = "prices"
    LABELS = "labels"
    OPTION = "option"
    OPTIONS = "options"
    BUILT_IN_OPTION = "built_in_option"
    REFERENCE = "reference"
    PARTICIPANTS = "participants"
    USER = "user"
    STAGE = "stage"
    ACTIVITY_TYPE = "activity_type"
    OUTCOME = "outcome"
    RAW = "raw"


NAME_CHARACTERS_MAX: Final = 255
VARCHAR_CHARACTERS_MAX: Final = 255
TEXT_CHARACTERS_MAX: Final = 65_000
NOTE_BYTES_MAX: Final = 95_000
"""Pipedrive takes about 100,000 bytes in a note; a margin is left for what its own sanitiser adds."""
OPTION_LABEL_CHARACTERS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class TargetField:
    """One field of a target entity.

    Attributes:
        length: most characters it takes; 0: no limit known.
        choices: allowed values of a choice.
    """

    kind: Kind
    length: int = 0
    required: bool = False
    choices: tuple[str, ...] = ()


_NAME = TargetField(Kind.TEXT, NAME_CHARACTERS_MAX, required=True)
_REFERENCE = TargetField(Kind.REFERENCE)
_DATETIME = TargetField(Kind.DATETIME)
_TEXT = TargetField(Kind.TEXT)
_NUMBER = TargetField(Kind.NUMBER)
_BOOL = TargetField(Kind.BOOL)
_USER = TargetField(Kind.USER)
_LABELS = TargetField(Kind.LABELS)

TARGET_FIELDS: Final[Mapping[str, Mapping[str, TargetField]]] = {
    "user": {
        "email": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "name": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "is_active": _BOOL,
    },
    "organization": {
        "name": _NAME,
        "owner_id": _USER,
        "label_ids": _LABELS,
        "add_time": _DATETIME,
        "address": TargetField(Kind.ADDRESS),
        "website": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
    },
    "organization_relation": {
        "type": TargetField(Kind.CHOICE, choices=("parent", "related"), required=True),
        "rel_owner_org_id": TargetField(Kind.REFERENCE, required=True),
        "rel_linked_org_id": TargetField(Kind.REFERENCE, required=True),
    },
    "person": {
        "name": _NAME,
        "owner_id": _USER,
        "org_id": _REFERENCE,
        "label_ids": _LABELS,
        "add_time": _DATETIME,
        "emails": TargetField(Kind.EMAILS),
        "phones": TargetField(Kind.PHONES),
    },
    "product": {
        "name": _NAME,
        "code": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "description": TargetField(Kind.TEXT, TEXT_CHARACTERS_MAX),
        "unit": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "tax": _NUMBER,
        "category": TargetField(Kind.BUILT_IN_OPTION),
        "owner_id": _USER,
        "is_linkable": _BOOL,
        "prices": TargetField(Kind.PRICES),
    },
    "deal": {
        "title": _NAME,
        "owner_id": _USER,
        "person_id": _REFERENCE,
        "org_id": _REFERENCE,
        "stage_id": TargetField(Kind.STAGE),
        "value": _NUMBER,
        "currency": TargetField(Kind.TEXT, 3),
        "status": TargetField(Kind.CHOICE, choices=("open", "won", "lost")),
        "won_time": _DATETIME,
        "lost_time": _DATETIME,
        "close_time": _DATETIME,
        "lost_reason": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "probability": TargetField(Kind.INTEGER),
        "expected_close_date": TargetField(Kind.DATE),
        "label_ids": _LABELS,
        "is_archived": _BOOL,
        "archive_time": _DATETIME,
    },
    "line_item": {
        "deal_id": TargetField(Kind.REFERENCE, required=True),
        "product_id": TargetField(Kind.REFERENCE, required=True),
        "item_price": TargetField(Kind.NUMBER, required=True),
        "quantity": TargetField(Kind.NUMBER, required=True),
        "tax": _NUMBER,
        "comments": TargetField(Kind.TEXT, TEXT_CHARACTERS_MAX),
        "discount": _NUMBER,
        "discount_type": TargetField(Kind.CHOICE, choices=("percentage", "amount")),
        "tax_method": TargetField(Kind.CHOICE, choices=("exclusive", "inclusive", "none")),
        "is_enabled": _BOOL,
    },
    "activity": {
        "subject": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX),
        "type": TargetField(Kind.ACTIVITY_TYPE, required=True),
        "due_date": TargetField(Kind.DATE),
        "due_time": TargetField(Kind.TIME),
        "duration": TargetField(Kind.TIME),
        "done": _BOOL,
        "owner_id": _USER,
        "deal_id": _REFERENCE,
        "org_id": _REFERENCE,
        "participants": TargetField(Kind.PARTICIPANTS),
        "outcome": TargetField(Kind.OUTCOME),
        "note": TargetField(Kind.HTML, NOTE_BYTES_MAX),
        "location": TargetField(Kind.ADDRESS),
    },
    "note": {
        "content": TargetField(Kind.HTML, NOTE_BYTES_MAX, required=True),
        "add_time": _DATETIME,
        "deal_id": _REFERENCE,
        "org_id": _REFERENCE,
        "person_id": _REFERENCE,
        "user_id": _USER,
    },
    "file": {
        "name": TargetField(Kind.TEXT, NAME_CHARACTERS_MAX, required=True),
        "staging_name": TargetField(Kind.TEXT, required=True),
        "byte_count": TargetField(Kind.INTEGER, required=True),
        "first_byte": TargetField(Kind.INTEGER),
        "digest": _TEXT,
        "content_type": _TEXT,
        "deal_id": _REFERENCE,
        "org_id": _REFERENCE,
        "person_id": _REFERENCE,
        "product_id": _REFERENCE,
        "activity_id": _REFERENCE,
    },
    "deal_value": {
        "deal_id": TargetField(Kind.REFERENCE, required=True),
        "value": TargetField(Kind.NUMBER, required=True),
        "currency": TargetField(Kind.TEXT, 3),
    },
}
"""Fields a mapping may fill, by target entity."""

READ_ONLY_FIELDS: Final[Mapping[str, Mapping[str, str]]] = {
    "deal": {
        "add_time": "deals take no add_time on create in version 2 of the API: keep the date in a custom field",
        "update_time": "update_time is always set by Pipedrive",
        "stage_change_time": "stage_change_time is always set by Pipedrive",
        "pipeline_id": "the stage decides the pipeline: give stage_id",
    },
    "activity": {
        "person_id": "an activity's person is set through participants",
        "add_time": "activities take no add_time: give due_date and due_time",
        "marked_as_done_time": "marked_as_done_time is set by Pipedrive when the activity becomes done",
    },
    "product": {"add_time": "products take no add_time: keep the date in a custom field"},
    "note": {"product_id": "notes cannot be linked to products: use a text field or a file on the product"},
    "file": {"add_time": "files take no add_time", "note_id": "a file cannot be linked to a note: link it to the note's deal or organization"},
    "line_item": {"currency": "line items have the currency of their deal", "name": "a line item has the name of its product: use comments"},
}
"""What Pipedrive does not take, each with the fact and the way out."""

ICON_KEYS: Final = frozenset(
    (
        *("task", "email", "meeting", "deadline", "call", "lunch", "calendar", "downarrow", "document", "smartphone", "camera", "scissors", "cogs"),
        *("bubble", "uparrow", "checkbox", "signpost", "shuffle", "addressbook", "linegraph", "picture", "car", "world", "search", "clip", "sound"),
        *("brush", "key", "padlock", "pricetag", "suitcase", "finish", "plane", "loop", "wifi", "truck", "cart", "bulb", "bell", "presentation"),
    )
)
"""Icons an activity type may have."""
CUSTOM_FIELD_ENTITIES: Final = ("deal", "person", "organization", "product")
"""Target entities with custom fields; activities, notes, pipelines, stages and line items have none through the API."""
EXTERNAL_ID_FIELD: Final = "transload_id"
EXTERNAL_ID_NAME: Final = "Transload ID"
NOTE_PARENTS: Final[Mapping[str, str]] = {"deal": "deal_id", "organization": "org_id", "person": "person_id"}
"""Target entities notes can hang on, with the note's field."""
HANGS_ON: Final[Mapping[str, frozenset[str]]] = {
    "note": frozenset(NOTE_PARENTS.values()),
    "file": frozenset({"deal_id", "org_id", "person_id", "product_id", "activity_id"}),
}
"""Target entities that stand only on another record, and the fields that say on which: one of them is needed."""

CUSTOM_KINDS: Final[Mapping[str, TargetField]] = {
    "varchar": TargetField(Kind.TEXT, VARCHAR_CHARACTERS_MAX),
    "varchar_auto": TargetField(Kind.TEXT, VARCHAR_CHARACTERS_MAX),
    "text": TargetField(Kind.TEXT, TEXT_CHARACTERS_MAX),
    "phone": TargetField(Kind.TEXT, VARCHAR_CHARACTERS_MAX),
    "double": TargetField(Kind.NUMBER),
    "monetary": TargetField(Kind.MONEY),
    "date": TargetField(Kind.DATE),
    "daterange": TargetField(Kind.RAW),
    "time": TargetField(Kind.RAW),
    "timerange": TargetField(Kind.RAW),
    "enum": TargetField(Kind.OPTION),
    "set": TargetField(Kind.OPTIONS),
    "user": TargetField(Kind.USER),
    "org": TargetField(Kind.REFERENCE),
    "people": TargetField(Kind.REFERENCE),
    "address": TargetField(Kind.ADDRESS),
}
"""Custom field types and the kind of value they take."""
