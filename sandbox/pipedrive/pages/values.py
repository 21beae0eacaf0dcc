"""The fields of a record by their names, with values a person can read."""

from dataclasses import dataclass
from typing import Any

from sandbox.pipedrive.pages import look
from sandbox.pipedrive.pages.reader import Chip, Reader, UserView
from sandbox.pipedrive.store.store import Record

DELETED_OPTION = "(deleted option)"
_VISIBILITY = {1: "Owner only", 3: "Owner's visibility group", 5: "Owner's group and its sub-groups", 7: "Entire company"}
_VISIBILITY_SMALL = {1: "Owner and followers", 3: "Entire company"}
_ADDRESS_ORDER = ("route", "street_number", "subpremise", "postal_code", "locality", "sublocality", "admin_area_level_1", "country")
_SHORT_MAX = 60
"""Longer values stand below the name of their field."""
_LINKS = {"org": "organization", "people": "person"}
_PLURALS = {"email": "emails", "phone": "phones"}


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a value."""

    text: str
    href: str = ""
    note: str = ""
    """What is said beside it, such as the kind of a phone number."""
    chip: Chip | None = None
    user: UserView | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a record."""

    name: str
    parts: tuple[Part, ...]
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """The fields of a record."""

    filled: list[Row]
    custom: list[Row]
    empty: list[str]
    """Names of those without a value."""


def rows(reader: Reader, entity: str, record: Record, leave_out: frozenset[str] = frozenset()) -> Rows:
    """Return the fields of a record; those shown elsewhere on its page may be left out."""
    filled: list[Row] = []
    custom: list[Row] = []
    empty: list[str] = []
    for code, field in reader.account.fields.by_code[entity].items():
        is_custom = field["is_custom_field"]
        if code in leave_out or not (is_custom or code in record or _PLURALS.get(code) in record):
            continue
        value = (record.get("custom_fields") or {}).get(code) if is_custom else record.get(_PLURALS.get(code, code))
        parts = tuple(parts_of(reader, field, value, record))
        if not parts:
            empty.append(field["field_name"])
            continue
        row = Row(field["field_name"], parts, field["field_type"] == "text" or any(len(part.text) > _SHORT_MAX for part in parts))
        (custom if is_custom else filled).append(row)
    return Rows(filled, custom, empty)


def parts_of(reader: Reader, field: Record, value: Any, record: Record) -> list[Part]:
    """Return a value as a person reads it, empty when there is none."""
    if value is None or value in ("", [], {}):
        return []
    code, kind = field["field_code"], field["field_type"]
    if not field["is_custom_field"]:
        special = _built_in(reader, code, value, record)
        if special is not None:
            return special
    if kind in {"enum", "set"}:
        return options(reader, field, value)
    if kind == "user":
        user = reader.user(value)
        return [Part(user.name, user=user)] if user is not None else [Part(f"User {value}")]
    if kind in _LINKS:
        ref = reader.ref(_LINKS[kind], value)
        return [Part(ref.text, ref.href, is_deleted=ref.is_deleted)] if ref is not None else [Part(f"{_LINKS[kind].capitalize()} {value}")]
    return [Part(text)] if (text := plain(reader, value, kind)) else []


def _built_in(reader: Reader, code: str, value: Any, record: Record) -> list[Part] | None:
    """Return a built-in value that its type alone does not explain."""
    if code in {"stage_id", "pipeline_id"}:
        found = reader.store[code.removesuffix("_id")].get(value)
        return [Part(found["name"] if found is not None else str(value))]
    if code == "label_ids":
        entity = "deal" if "title" in record else "person" if "emails" in record else "organization"
        return [Part(chip.text, chip=chip) for chip in reader.chips(entity, record)]
    if code == "visible_to":
        names = _VISIBILITY if 7 in reader.account.options.limits_of_plan.visibilities else _VISIBILITY_SMALL
        return [Part(names.get(value, str(value)))]
    if code in _PLURALS:
        return contacts(value, code)
    if code == "value":
        return [Part(look.money(value, record.get("currency")))]
    if code in {"website", "linkedin"}:
        return [Part(value, safe_href(value))]
    if code == "probability":
        return [Part(f"{look.number(value)}{look.NO_BREAK}%")]
    if code == "tax":
        return [Part(f"{look.number(value)}{look.NO_BREAK}%")]
    return None


def contacts(entries: list[Record], kind: str) -> list[Part]:
    """Return e-mail addresses or phone numbers as links, with their labels."""
    scheme = "mailto:" if kind == "email" else "tel:"
    return [Part(text, scheme + text.replace(" ", ""), entry.get("label") or "") for entry in entries if (text := entry.get("value"))]


def safe_href(text: str) -> str:
    """Return the address of a web site if it is one, without anything a browser would run."""
    return text if text.lower().startswith(("https://", "http://")) and not any(character.isspace() for character in text) else ""


def options(reader: Reader, field: Record, value: Any) -> list[Part]:
    """Return the labels of the options chosen."""
    known = reader.account.fields.labels(field["entity"], field["field_code"])
    chosen = value if isinstance(value, list) else [value]
    return [Part(known[item]["label"] if item in known else DELETED_OPTION if isinstance(item, int) else str(item)) for item in chosen]


def plain(reader: Reader, value: Any, kind: str) -> str:
    """Return a value as text, by its shape and type."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, (int, float)):
        return look.number(value)
    if isinstance(value, list):
        return ", ".join(filter(None, (plain(reader, item, kind) for item in value)))
    if isinstance(value, dict):
        return _composite(value, kind)
    if kind == "date":
        return reader.moment(value) if "T" in value else look.day(value)
    return str(value)


def _composite(value: Record, kind: str) -> str:
    if kind == "address":
        return address(value)
    if kind == "monetary":
        return look.money(value.get("value"), value.get("currency"))
    first, last = value.get("value"), value.get("until")
    if kind == "daterange":
        return f"{look.day(first) or '…'} \u2013 {look.day(last) or '…'}"
    if kind in {"time", "timerange"}:
        text = " \u2013 ".join(item[:5] if item.endswith(":00") else item for item in (first, last) if item)
        return f"{text} ({value['timezone_name']})" if value.get("timezone_name") else text
    return str(first if first is not None else "")


def address(value: Record | None) -> str:
    """An address in one line: as it was written, with what its parts add to it."""
    if not value:
        return ""
    written = str(value.get("value") or "").strip()
    added = [str(value[name]) for name in _ADDRESS_ORDER if value.get(name) and str(value[name]).casefold() not in written.casefold()]
    return ", ".join(filter(None, [written, *added]))
