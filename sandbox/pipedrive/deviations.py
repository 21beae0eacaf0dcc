"""Where the simulator's answers knowingly differ from the letter of Pipedrive's OpenAPI files, and why.

Each entry names operations, places in the body and a reason; a test fails for a difference without an entry and for an entry without a
difference. Contradictions inside the files (a schema and the example beside it) need none.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

KINDS = {
    "null": "may be null",
    "extra": "shown besides",
    "missing": "never shown",
    "type": "shown with another type",
    "parameter": "refused as a parameter",
    "key": "refused as a key",
    "optional": "not required",
}
EVERYWHERE = frozenset({"* /v1/*", "GET /v1/*", "GET /api/v2/*", "* /api/v2/*"})
"""Patterns of entries that are told once and not operation by operation."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One group of differences that have the same reason."""

    kind: str
    """One of `KINDS`."""
    operations: tuple[str, ...]
    """Patterns such as `* /api/v2/deals*`; a star stands for any text."""
    places: tuple[str, ...]
    """The ends of places: `cost` covers `data[].prices[].cost`. `data`, `additional_data` and `related_objects` cover only themselves."""
    why: str

    def covers(self, operation: str, kind: str, place: str) -> bool:
        """Whether a difference is known."""
        return kind == self.kind and self.concerns(operation) and any(ends(place, end) for end in self.places)

    def concerns(self, operation: str) -> bool:
        """Whether an operation is among those named."""
        return any(fnmatchcase(operation, pattern) for pattern in self.operations)

    @property
    def is_general(self) -> bool:
        """Whether it concerns operations of all kinds."""
        return bool(EVERYWHERE.intersection(self.operations))


def ends(place: str, end: str) -> bool:
    """Whether a place ends with some keys."""
    if end in {"data", "additional_data", "related_objects"}:
        return place == end
    return place == end or place.endswith((f".{end}", f"].{end}"))


_NULLABLE = "The files lack most nullable flags; a value that was never given is null in real answers."
_ADDRESS = ("admin_area_level_1", "admin_area_level_2", "country", "locality", "postal_code", "route", "street_number", "sublocality", "subpremise")
_NOT_SIMULATED = "Not simulated: it comes from mail, calendar synchronisation, notifications or statistics, which no migration makes."

DEVIATIONS: tuple[Deviation, ...] = (
    Deviation("null", ("GET /api/v2/*",), ("additional_data.next_cursor",), "The cursor is null on the last page."),
    Deviation("null", ("GET /v1/*",), ("data",), "Lists of version 1 are null when they are empty (seen in reality)."),
    Deviation("null", ("* /api/v2/deals*",), ("expected_close_date", "lost_time", "won_time", "person_id", "org_id"), _NULLABLE),
    Deviation(
        "null",
        ("* /api/v2/activities*",),
        (
            "conference_meeting_client",
            "conference_meeting_id",
            "conference_meeting_url",
            "lead_id",
            "priority",
            "project_id",
            "deal_id",
            "due_time",
            "duration",
            "location",
            "note",
            "org_id",
            "person_id",
            "public_description",
            "marked_as_done_time",
            "attendees[].person_id",
            "attendees[].status",
            "attendees[].user_id",
            *(f"location.{part}" for part in _ADDRESS),
        ),
        _NULLABLE,
    ),
    Deviation(
        "null",
        ("* /api/v2/persons*",),
        (
            "birthday",
            "job_title",
            "notes",
            "picture_id",
            "postal_address",
            "last_name",
            "org_id",
            *(f"postal_address.{part}" for part in _ADDRESS),
        ),
        _NULLABLE,
    ),
    Deviation("null", ("* /api/v2/organizations*",), ("address", *(f"address.{part}" for part in _ADDRESS)), _NULLABLE),
    Deviation("null", ("* /api/v2/products*",), ("description", "code", "unit"), _NULLABLE),
    Deviation("null", ("* /api/v2/dealFields*",), ("description",), _NULLABLE),
    Deviation(
        "extra",
        ("* /api/v2/activities*",),
        ("outcome",),
        "Newer than the files: the official client has it since version 33.7.0.",
    ),
    Deviation(
        "missing",
        ("POST /api/v2/activities", "PATCH /api/v2/activities/{id}"),
        ("attendees",),
        "Guests are shown only where `include_fields` asks for them, which these operations do not know.",
    ),
    Deviation(
        "key",
        ("POST /api/v2/activities", "PATCH /api/v2/activities/{id}"),
        ("person_id",),
        "Read-only according to the migration guide; the person is the primary participant.",
    ),
    Deviation(
        "type",
        ("GET /api/v2/deals/search", "GET /v1/deals/search"),
        ("value",),
        "Amounts have cents; the files say whole number.",
    ),
    Deviation(
        "type",
        ("GET /api/v2/products/search", "GET /v1/products/search"),
        ("code",),
        "A product's code is a text; the files say whole number.",
    ),
    Deviation(
        "type",
        ("* /api/v2/products*",),
        ("category",),
        "An option id, as in requests; the files say text in answers and show a label.",
    ),
    Deviation(
        "missing",
        ("* /api/v2/*Fields*",),
        ("options[].add_time", "options[].update_time", "options[].color"),
        "Which options have times and colours is not established; these have a colour only where one is known, as the files' examples.",
    ),
    Deviation(
        "missing",
        ("* /api/v2/organizationFields*",),
        ("org_detail_visible_flag", "person_detail_visible_flag", "deal_detail_visible_flag"),
        "Shown in no example and not writable.",
    ),
    Deviation(
        "extra",
        ("GET /v1/users*", "PUT /v1/users*", "POST /v1/users*", "GET /v1/recents"),
        ("is_admin",),
        "Older documents of Pipedrive show it, the files leave it out.",
    ),
    Deviation(
        "extra",
        ("POST /v1/organizationRelationships", "PUT /v1/organizationRelationships/{id}", "GET /v1/organizationRelationships/{id}"),
        ("calculated_type", "calculated_related_org_id", "related_organization_name"),
        "The request's `org_id` is documented as the viewpoint of these values, the files show them in other answers only.",
    ),
    Deviation(
        "null",
        ("* /v1/*",),
        (
            "calendar_sync_include_context",
            "gcal_event_id",
            "google_calendar_etag",
            "google_calendar_id",
            "last_notification_time",
            "last_notification_user_id",
            "notification_language_id",
            "currency",
            "value",
            "activity_id",
            "additional_data.next_cursor",
            "address",
            "address_formatted_address",
            "category",
            "cc_email",
            "code",
            "conference_meeting_client",
            "conference_meeting_id",
            "conference_meeting_url",
            "deal",
            "deal_dropbox_bcc",
            "deal_id",
            "deal_title",
            "description",
            "expected_close_date",
            "file",
            "first_won_time",
            "icon_url",
            "label",
            "last_incoming_mail_time",
            "last_name",
            "last_outgoing_mail_time",
            "last_update_user_id",
            "lead_id",
            "location",
            "location_formatted_address",
            "lost_time",
            "marked_as_done_time",
            "next_activity_date",
            "next_activity_duration",
            "next_activity_note",
            "next_activity_subject",
            "next_activity_time",
            "next_activity_type",
            "note",
            "org_id",
            "org_name",
            "organization",
            "person",
            "person_dropbox_bcc",
            "person_id",
            "person_name",
            "picture_id",
            "product_id",
            "project",
            "project_id",
            "public_description",
            "rec_master_activity_id",
            "rec_rule",
            "rec_rule_extension",
            "reference_id",
            "reference_type",
            "rotten_days",
            "source_timezone",
            "task_id",
            "unit",
            "update_user_id",
            "won_time",
            *(f"address_{part}" for part in _ADDRESS),
            *(f"location_{part}" for part in _ADDRESS),
        ),
        _NULLABLE,
    ),
    Deviation(
        "missing",
        ("POST /v1/activities",),
        ("additional_data.updates_story_id",),
        _NOT_SIMULATED,
    ),
    Deviation(
        "extra",
        ("POST /v1/activities",),
        ("additional_data.more_activities_scheduled_in_context",),
        "Older documents show it, the files do not.",
    ),
    Deviation(
        "extra",
        ("GET /v1/recents",),
        (
            "archive_time",
            "billing_frequency",
            "billing_frequency_cycles",
            "file_type",
            "log_id",
            "pinned_to_lead_flag",
            "primary_email",
            "project_name",
            "selected",
            "next_start",
        ),
        "The files show it in other operations on the same kind of record; all of them are rendered alike.",
    ),
    Deviation(
        "extra", ("GET /v1/persons/{id}",), ("last_activity", "next_activity"), "The files show it for a single deal and a single organization."
    ),
    Deviation("extra", ("POST /v1/persons", "PUT /v1/persons/{id}"), ("related_objects.organization",), "The files show it where persons are read."),
    Deviation(
        "extra",
        ("GET /v1/activities", "GET /v1/activities/{id}"),
        ("related_objects.organization.*.active_flag", "related_objects.person.*.active_flag"),
        "The files show it beside other records.",
    ),
    Deviation(
        "missing",
        ("* /v1/organizations", "* /v1/organizations/{id}"),
        ("related_objects.organization", "related_objects.picture"),
        "Nothing the simulator has would stand there: organizations have no pictures and no parents in version 1.",
    ),
    Deviation("missing", ("GET /v1/persons", "GET /v1/persons/{id}"), ("related_objects.picture",), "A person's picture is shown in the person."),
    Deviation("missing", ("* /v1/productFields*",), ("created_by_user_id", "last_updated_by_user_id"), "Who made a field is not kept."),
    Deviation(
        "extra",
        ("GET /v1/persons/{id}/followers",),
        ("person_id",),
        "The files show the followers of a deal in its place.",
    ),
    Deviation("missing", ("GET /v1/persons/{id}/followers",), ("deal_id",), "The files show the followers of a deal in its place."),
    Deviation(
        "missing",
        ("GET /v1/deals/{id}",),
        ("average_stage_progress", "average_time_to_won"),
        _NOT_SIMULATED,
    ),
    Deviation("missing", ("GET /v1/recents",), ("picture_id.value",), "A picture is shown in the person as in other operations."),
    Deviation(
        "missing", ("GET /v1/organizations/{id}/followers",), ("next_start",), "The files have no parameter that would make more than one page."
    ),
    Deviation("null", ("GET /api/v2/leads/search",), ("currency", "organization", "value"), _NULLABLE),
    Deviation(
        "extra",
        ("GET /api/v2/deals/installments",),
        ("additional_data",),
        "The documented cursor of the next page has no other place.",
    ),
)
"""All known deviations."""
