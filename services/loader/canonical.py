"""The canonical image: one flat spelling of a record for what was sent and for what is read back, so that comparing is comparing texts.

Rules: custom fields stand as `custom_fields.<hash>`; absent, null, empty text and empty list are the same and left out; whole floats are integers;
times are RFC 3339 with `Z` and whole seconds; e-mails and phones are lists of {label, primary, value} with Pipedrive's defaults filled in; of an
address only the parts that are set count; HTML is compared with white space collapsed. `image` is idempotent: the image of an image is itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from html import unescape
from math import isfinite
from typing import Any, Final

from services.common.canonical import canonical_json
from services.common.edits import CUSTOM_PREFIX

Normalise = Callable[[Any], Any]
Image = dict[str, Any]

CUSTOM: Final = "custom_fields"
_SPACE: Final = re.compile(r"\s+")
_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^>]*>")
_ADDRESS_IGNORED: Final = frozenset({"formatted_address", "lat", "long"})
_COMPOSITE_IGNORED: Final = frozenset({"formatted_address", "timezone_id", "lat", "long"})
_CONTACT_DEFAULT_LABEL: Final = "work"
_CLOCK_PARTS: Final = 3
_HOLDERS: Final = (str, list, dict)
# Already in the one spelling; nearly every time is sent so, and reading it as a time would take ten times as long.
_TIME: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z", re.ASCII)


def image(raw: Mapping[str, Any], fields: Mapping[str, Normalise]) -> Image:
    """Answers the canonical image of a record as sent or as read.

    Args:
        raw: a request body, a record of an answer, or an image.
        fields: the entity's fields and how each is normalised; others are left out.
    """
    out: Image = {}
    for name, normalise in fields.items():
        value = raw.get(name)
        if value is not None and not is_empty(value := normalise(value)):
            out[name] = value
    custom = raw.get(CUSTOM)
    if isinstance(custom, Mapping):
        for code, value in custom.items():
            _put_custom(out, CUSTOM_PREFIX + code, value)
    for name in raw:
        if name.startswith(CUSTOM_PREFIX):
            _put_custom(out, name, raw[name])
    return out


def image_bytes(value: Image) -> bytes:
    """Writes an image as the ledger keeps it: canonical JSON."""
    return canonical_json(value)


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: null, empty text, list or object. False and 0 do say something."""
    return value is None or (not value and isinstance(value, _HOLDERS))


def plain(value: Any) -> Any:
    """Normalises numbers; leaves other values as they are."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def text(value: Any) -> str:
    """Normalises text: as it is, only line ends are one."""
    written = str(value)
    return written.replace("\r\n", "\n") if "\r" in written else written


def number(value: Any) -> Any:
    """Normalises a number, also one written as text (version 1 answers some so)."""
    if isinstance(value, str):
        try:
            parsed = float(value)
        except ValueError:
            return value
        # "infinity" and "nan" are words to Pipedrive and to JSON.
        return plain(parsed) if isfinite(parsed) else value
    return plain(value)


def reference(value: Any) -> Any:
    """Normalises an id; version 1 answers some as an object with `value` or `id`."""
    if isinstance(value, Mapping):
        value = value.get("value", value.get("id"))
    return value or None


def boolean(value: Any) -> bool:
    """Normalises a truth value; version 1 answers 0 and 1, and "true" as text."""
    return value.lower() in {"true", "1"} if isinstance(value, str) else bool(value)


def time(value: Any) -> str:
    """Normalises a point in time to RFC 3339 with Z and whole seconds; version 1 writes `YYYY-MM-DD HH:MM:SS` in UTC."""
    written = str(value)
    if _TIME.fullmatch(written) and not written.startswith("0000"):
        return written
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return written
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def date(value: Any) -> str | None:
    """Normalises a day; the empty dates of old data are none (API.md 4.1)."""
    written = str(value)[:10]
    return None if written in {"0000-00-00", "-0001-11-3"} else written


def clock(value: Any) -> str:
    """Normalises a time of day or a duration to HH:MM:SS."""
    written = value.get("value") if isinstance(value, Mapping) else value
    parts = str(written or "").split(":")
    if not all(part.isdigit() for part in parts):
        return str(written or "")
    return ":".join(part.zfill(2) for part in [*parts, "00", "00"][: max(_CLOCK_PARTS, len(parts))])


def html(value: Any) -> str:
    """Normalises HTML: white space is collapsed, line breaks are written one way."""
    return _SPACE.sub(" ", _BREAK.sub("<br>", str(value))).strip()


def words(value: Any) -> str:
    """Answers the bare text of HTML without any white space: what survives every sanitiser, for fingerprints."""
    return _SPACE.sub("", unescape(_TAG.sub("", str(value))))


def ids(value: Any) -> list[Any]:
    """Normalises a list of ids, whose order says nothing."""
    return sorted(value, key=str) if isinstance(value, list) else [value]


def contacts(value: Any) -> list[dict[str, Any]]:
    """Normalises e-mails or phones: label `work` and the first one primary by default, as Pipedrive does (API.md 5.2)."""
    entries = [entry if isinstance(entry, Mapping) else {"value": entry} for entry in (value if isinstance(value, list) else [value])]
    out = [
        {"label": entry.get("label") or _CONTACT_DEFAULT_LABEL, "primary": bool(entry.get("primary")), "value": str(entry["value"])}
        for entry in entries
        if not is_empty(entry.get("value"))
    ]
    if out and not any(entry["primary"] for entry in out):
        out[0]["primary"] = True
    return out


def address(value: Any) -> dict[str, Any]:
    """Normalises an address: only the parts that are set."""
    if not isinstance(value, Mapping):
        return {"value": str(value)}
    return {name: part for name, part in value.items() if name not in _ADDRESS_IGNORED and not is_empty(part)}


def prices(value: Any) -> list[dict[str, Any]]:
    """Normalises a product's prices: by currency; costs of 0 and empty notes are the default."""
    out = []
    for entry in value if isinstance(value, list) else []:
        price = {"currency": entry.get("currency"), "price": plain(entry.get("price") or 0)}
        price |= {name: plain(entry[name]) for name in ("cost", "direct_cost", "notes") if entry.get(name)}
        out.append(price)
    return sorted(out, key=lambda price: str(price["currency"]))


def participants(value: Any) -> list[dict[str, Any]]:
    """Normalises an activity's participants."""
    out = [{"person_id": entry.get("person_id"), "primary": bool(entry.get("primary", False))} for entry in value] if isinstance(value, list) else []
    if out and not any(entry["primary"] for entry in out):
        out[0]["primary"] = True
    return sorted(out, key=lambda entry: str(entry["person_id"]))


def custom(value: Any) -> Any:
    """Normalises a custom field's value by its shape (API.md 4.1), as its type is not known here."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items() if name not in _COMPOSITE_IGNORED and not is_empty(part)}
    if isinstance(value, list):
        return sorted((plain(entry) for entry in value), key=str)
    return plain(value)


def _put_custom(out: Image, name: str, value: Any) -> None:
    if value is not None and not is_empty(value := custom(value)):
        out[name] = value
