"""Values as the deprecated operations take them, put into the terms of version 2.

Version 1 is lenient: numbers and flags may be texts. What is wrong beyond that goes through as it is and version 2 refuses it.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.pipedrive.account.schema import ADDRESS_PARTS, parse_time, parse_v1_time
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.store.store import Record
from sandbox.pipedrive.v1.common import integer_of

Convert = Callable[[Any, str], Any]
"""Takes a value and its name in version 1, returns the value of version 2."""

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_FLAGS = {"0": False, "1": True, "false": False, "true": True}


def plain(value: Any, name: str) -> Any:
    """A value that is the same in both versions."""
    del name
    return value


def text(value: Any, name: str) -> Any:
    """A text; null empties it."""
    del name
    return "" if value is None else value


def identifier(value: Any, name: str) -> str | None:
    """A text of another system, or null."""
    if value is not None and type(value) is not str:
        raise bad_request(f"{name} must be a string")
    return value


def number(value: Any, name: str) -> Any:
    """A number, or a text with one."""
    del name
    if type(value) is not str or not _NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)


def flag(value: Any, name: str) -> Any:
    """True or false, also as 0 and 1."""
    known = _FLAGS.get(str(value).lower()) if type(value) in (bool, int, str) else None
    if known is None:
        raise bad_request(f"{name} must be 0 or 1")
    return known


def moment(value: Any, name: str) -> str:
    """A time `YYYY-MM-DD HH:MM:SS` in UTC; the form of version 2 is taken as well (assumed)."""
    stored = parse_v1_time(value) or (parse_time(value) if type(value) is str else None)
    if stored is None:
        raise bad_request(f"{name} must be in the format YYYY-MM-DD HH:MM:SS")
    return stored


def moment_or_null(value: Any, name: str) -> str | None:
    """A time, or nothing."""
    return None if value in (None, "") else moment(value, name)


def labels(value: Any, name: str) -> Any:
    """Label ids: one, a list, or a text such as `3,7`; null takes all away."""
    if value is None or value == "":
        return []
    parts = value.split(",") if type(value) is str else value
    if type(parts) is not list:
        parts = [parts]
    return [integer_of(part.strip() if type(part) is str else part, name) for part in parts]


def contacts(value: Any, name: str) -> Any:
    """E-mails or phones: one text, or a list of texts or objects."""
    if value is None or value == "":
        return []
    entries = value if type(value) is list else [value]
    return [_contact(entry, name) for entry in entries if entry not in (None, "")]


def _contact(entry: Any, name: str) -> Any:
    if type(entry) is not dict:
        return {"value": entry}
    shown = {key: entry[key] for key in ("value", "label") if entry.get(key) is not None}
    if entry.get("primary") is not None:
        shown["primary"] = flag(entry["primary"], f"primary of {name}")
    return shown


def prices(value: Any, name: str) -> Any:
    """Prices of a product, whose overhead cost version 2 calls direct cost."""
    del name
    if type(value) is not list:
        return value
    return [_price(entry) for entry in value]


def _price(entry: Any) -> Any:
    if type(entry) is not dict:
        return entry
    shown = {key: number(entry[key], key) for key in ("price", "cost") if entry.get(key) is not None}
    if entry.get("overhead_cost") is not None:
        shown["direct_cost"] = number(entry["overhead_cost"], "overhead_cost")
    return shown | {key: entry[key] for key in ("currency", "notes") if key in entry}


def address(name: str, body: Mapping[str, Any], before: Record | None) -> tuple[bool, Record | None]:
    """Return whether a body gives an address, and the address.

    One line takes the place of all parts (they are not derived from it here, as there is no geocoding); parts sent without it change an address.

    Args:
        name: Name of the address, which its parts are named after: `address`, `location`.
        body: A version 1 body.
        before: The address stored so far.
    """
    parts = {part: body[f"{name}_{part}"] for part in ADDRESS_PARTS if part != "value" and f"{name}_{part}" in body}
    if name not in body and not parts:
        return False, None
    line = body.get(name) if name in body else (before or {}).get("value")
    if type(line) is dict:
        line = line.get("value")
    if line in (None, ""):
        return True, None
    kept = {} if name in body else {part: value for part, value in (before or {}).items() if part in ADDRESS_PARTS}
    return True, {**kept, **parts, "value": line}
