"""Field definitions: built-in fields, custom fields with 40-character hashes, and options with ids from one counter."""

import hashlib
from typing import Any

from sandbox.pipedrive.account.clock import SandboxClock
from sandbox.pipedrive.account.schema import ADDRESS_PARTS
from sandbox.pipedrive.gateway.errors import custom_fields_cap
from sandbox.pipedrive.options import Options
from sandbox.pipedrive.store.store import Record, Store

FIELD_TYPES = (
    "varchar", "text", "double", "phone", "date", "daterange", "time", "timerange", "set", "enum", "varchar_auto", "address", "monetary",
    "org", "people", "user",
)  # fmt: skip
ENTITIES = ("deal", "person", "organization", "product", "activity")
OPTIONS_MAX = 10_000

_TIMES = (("add_time", "Created", "date"), ("update_time", "Updated", "date"))
_BUILT_IN: dict[str, tuple[tuple[str, str, str], ...]] = {
    "deal": (
        ("title", "Title", "varchar"), ("value", "Value", "monetary"), ("currency", "Currency", "varchar"), ("label_ids", "Label", "set"),
        ("owner_id", "Owner", "user"), ("person_id", "Contact person", "people"), ("org_id", "Organization", "org"),
        ("pipeline_id", "Pipeline", "double"), ("stage_id", "Stage", "double"), ("status", "Status", "enum"),
        ("probability", "Probability", "double"),
        ("expected_close_date", "Expected close date", "date"), ("won_time", "Won time", "date"), ("lost_time", "Lost time", "date"),
        ("close_time", "Deal closed on", "date"), ("lost_reason", "Lost reason", "varchar"), ("visible_to", "Visible to", "enum"),
        ("channel", "Source channel", "enum"), *_TIMES,
    ),
    "person": (
        ("name", "Name", "varchar"), ("label_ids", "Labels", "set"), ("phone", "Phone", "phone"), ("email", "Email", "varchar"),
        ("org_id", "Organization", "org"), ("owner_id", "Owner", "user"), ("visible_to", "Visible to", "enum"), *_TIMES,
    ),
    "organization": (
        ("name", "Name", "varchar"), ("label_ids", "Labels", "set"), ("address", "Address", "address"), ("owner_id", "Owner", "user"),
        ("visible_to", "Visible to", "enum"), *_TIMES,
    ),
    "product": (
        ("name", "Name", "varchar"), ("code", "Product code", "varchar"), ("category", "Category", "enum"), ("unit", "Unit", "varchar"),
        ("tax", "Tax", "double"), ("description", "Description", "text"), ("owner_id", "Owner", "user"),
        ("visible_to", "Visible to", "enum"), *_TIMES,
    ),
    "activity": (
        ("subject", "Subject", "varchar"), ("type", "Type", "varchar"), ("due_date", "Due date", "date"), ("due_time", "Due time", "time"),
        ("duration", "Duration", "time"), ("done", "Done", "enum"), ("priority", "Priority", "enum"), ("note", "Note", "text"), *_TIMES,
    ),
}  # fmt: skip
_CONTACT_SYNC = (
    ("job_title", "Job title", "varchar"),
    ("birthday", "Birthday", "date"),
    ("notes", "Notes", "text"),
    ("postal_address", "Postal address", "address"),
)
_ORGANIZATION_EXTRAS = (
    ("website", "Website", "varchar"), ("linkedin", "LinkedIn profile", "varchar"), ("industry", "Industry", "enum"),
    ("annual_revenue", "Annual revenue", "double"), ("employee_count", "Number of employees", "double"),
)  # fmt: skip
_CONTACT_LABELS = (("Customer", "green"), ("Hot lead", "red"), ("Warm lead", "yellow"), ("Cold lead", "blue"))
_DEFAULT_OPTIONS: dict[tuple[str, str], tuple[tuple[str, str | None], ...]] = {
    ("person", "label_ids"): _CONTACT_LABELS,
    ("organization", "label_ids"): _CONTACT_LABELS,
    ("deal", "label_ids"): (("Hot", "red"), ("Warm", "yellow"), ("Cold", "blue")),
    ("deal", "channel"): (),
    ("product", "category"): (),
    ("organization", "industry"): (("Manufacturing", None), ("Construction", None), ("Services", None)),
    ("activity", "priority"): (("Low", "green"), ("Medium", "yellow"), ("High", "red")),
}
_FIXED_OPTIONS: dict[tuple[str, str], tuple[tuple[Any, str], ...]] = {
    ("deal", "status"): (("open", "Open"), ("won", "Won"), ("lost", "Lost"), ("deleted", "Deleted")),
    ("activity", "done"): ((0, "To do"), (1, "Done")),
}
_SUBFIELDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "monetary": (("value", "Amount", "double"), ("currency", "Currency", "varchar")),
    "daterange": (("value", "Start", "date"), ("until", "End", "date")),
    "time": (("value", "Time", "time"), ("timezone_id", "Time zone", "double"), ("timezone_name", "Time zone name", "varchar")),
    "timerange": (
        ("value", "Start", "time"), ("until", "End", "time"), ("timezone_id", "Time zone", "double"), ("timezone_name", "Time zone name", "varchar"),
    ),
    "address": tuple((part, part.replace("_", " ").capitalize(), "varchar") for part in (*ADDRESS_PARTS, "formatted_address")),
}  # fmt: skip


class Fields:
    """The field definitions of the account, with look-ups that are rebuilt when one changes."""

    def __init__(self, store: Store, options: Options, clock: SandboxClock) -> None:
        self._store = store
        self._options = options
        self._clock = clock
        self.by_code: dict[str, dict[str, Record]] = {}
        """Live fields by entity and code."""
        self.custom: dict[str, dict[str, Record]] = {}
        """Live custom fields by entity and hash."""
        self._option_ids: dict[tuple[str, str], frozenset[int]] = {}

    def refresh(self) -> None:
        """Rebuild the look-ups from the store."""
        self.by_code = {entity: {} for entity in ENTITIES}
        self.custom = {entity: {} for entity in ENTITIES}
        self._option_ids = {}
        for field in self._store["field"]:
            if field["is_deleted"]:
                continue
            self.by_code[field["entity"]][field["field_code"]] = field
            if field["is_custom_field"]:
                self.custom[field["entity"]][field["field_code"]] = field
        for known in (self.by_code, self.custom):
            known["lead"] = known["deal"]  # leads have the fields of deals (official)

    def create_built_in(self) -> None:
        """Define the fields every account has."""
        for entity, fields in _BUILT_IN.items():
            for code, name, kind in (*fields, *self._switched_on(entity)):
                fixed = _FIXED_OPTIONS.get((entity, code))
                options: list[Record] | None = [{"id": value, "label": text} for value, text in fixed] if fixed is not None else None
                if (entity, code) in _DEFAULT_OPTIONS:
                    options = [self.new_option(text, color) for text, color in _DEFAULT_OPTIONS[entity, code]]
                self._put(entity, code, name, kind, options, is_custom=False)
        self.refresh()

        if self._options.activity_outcomes:
            outcomes = [self.new_option(text) for text in self._options.activity_outcomes]
            self._put("activity", "outcome", "Outcome", "enum", outcomes, is_custom=False)
            self.refresh()

    def _switched_on(self, entity: str) -> tuple[tuple[str, str, str], ...]:
        if entity == "person" and self._options.contact_sync:
            return _CONTACT_SYNC
        if entity == "organization" and self._options.organization_extras:
            return _ORGANIZATION_EXTRAS
        return ()

    def create_custom(self, entity: str, name: str, kind: str, labels: list[str] | None, extras: Record | None = None) -> Record:
        """Define a custom field with a new hash.

        Raises:
            CapError: When the company has as many custom fields as its plan allows.
        """
        cap = self._options.custom_fields_max
        if sum(len(self.custom[owner]) for owner in ENTITIES) >= (self._options.limits_of_plan.custom_fields_max if cap is None else cap):
            raise custom_fields_cap()
        options = [self.new_option(label) for label in labels] if labels is not None else None
        salt = self._store.meta["salt"]
        code = hashlib.sha1(f"{salt}:{entity}:{self._store['field'].next_id()}".encode(), usedforsecurity=False).hexdigest()
        field = self._put(entity, code, name, kind, options, is_custom=True, extras=extras)
        self.refresh()
        return field

    def _put(
        self, entity: str, code: str, name: str, kind: str, options: list[Record] | None, *, is_custom: bool, extras: Record | None = None
    ) -> Record:
        now = self._clock.now()
        field = {
            "id": self._store["field"].next_id(), "entity": entity, "field_code": code, "field_name": name, "field_type": kind, "options": options,
            "is_custom_field": is_custom, "is_deleted": False, "description": None,
            "ui_visibility": {}, "important_fields": {}, "required_fields": {},
            "add_time": now, "update_time": now, **(extras or {}),
        }  # fmt: skip
        self._store.put("field", field)
        return field

    def change(self, field: Record, changes: Record) -> Record:
        """Replace parts of a definition."""
        changed = {**field, **changes, "update_time": self._clock.now()}
        self._store.put("field", changed)
        self.refresh()
        return changed

    def new_option(self, label: str, color: str | None = None) -> Record:
        """Make an option with the account's next option id."""
        option_id = int(self._store.meta.get("option_id", 0)) + 1
        self._store.set_meta("option_id", option_id)
        return {"id": option_id, "label": label} if color is None else {"id": option_id, "label": label, "color": color}

    def option_ids(self, entity: str, code: str) -> frozenset[int]:
        """Ids of a field's options; empty when there is no such field."""
        key = (entity, code)
        ids = self._option_ids.get(key)
        if ids is None:
            field = self.by_code[entity].get(code)
            ids = self._option_ids[key] = frozenset(option["id"] for option in field["options"] or ()) if field else frozenset()
        return ids

    def labels(self, entity: str, code: str) -> dict[int, Record]:
        """Options of a field by id."""
        field = self.by_code[entity].get(code)
        return {option["id"]: option for option in (field["options"] or ())} if field else {}

    def values(self, entity: str, stored: Record) -> Record:
        """Return the values of all live custom fields, null where a record has none."""
        return {code: stored.get(code) for code in self.custom[entity]}


def subfields(field: Record) -> list[Record] | None:
    """Parts of a composite field, None for the others."""
    parts = _SUBFIELDS.get(field["field_type"])
    if parts is None:
        return None
    return [{"field_code": code, "field_name": f"{name} of {field['field_name']}", "field_type": kind} for code, name, kind in parts]
