"""Custom fields as version 1 has them: flat at the root of a record, the parts of a composite value under keys such as `<hash>_currency`.

| Type | Version 2, as stored | Version 1 |
|---|---|---|
| text, number, date, phone | the value | the same |
| single option, multiple options | 123, [123, 456] | "123", "123,456" |
| user, organization, person | 12 | 12 |
| monetary | {value, currency} | `<hash>`, `<hash>_currency` |
| date range | {value, until} | `<hash>`, `<hash>_until` |
| time, time range | {value, (until,) timezone_id, timezone_name} | `<hash>`, (`<hash>_until`,) `<hash>_timezone_id` |
| address | {value, route, ..., formatted_address} | `<hash>`, `<hash>_route`, ..., `<hash>_formatted_address` |
"""

import re
from collections.abc import Mapping
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.custom_values import check_value, zone_of
from sandbox.pipedrive.account.schema import ADDRESS_PARTS, Problems
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.store.store import Record

_HASH_LENGTH = 40
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_PARTS: dict[str, tuple[str, ...]] = {
    "monetary": ("value", "currency"),
    "daterange": ("value", "until"),
    "time": ("value", "timezone_id"),
    "timerange": ("value", "until", "timezone_id"),
    "address": (*ADDRESS_PARTS, "formatted_address"),
}
"""Parts of the composite types in version 1; `value` stands under the bare hash."""
_NUMBERS = frozenset({"double", "enum", "user", "org", "people"})
_TEXTS = frozenset({"varchar", "varchar_auto", "text", "phone"})


def to_v1(fields: Mapping[str, Record], values: Mapping[str, Any], *, with_empty: bool = False) -> Record:
    """Return stored values as the flat keys of version 1.

    Args:
        fields: Live custom fields of the entity by hash, such as `account.fields.custom["deal"]`; values of others are left out.
        values: Stored values by hash, in the shapes of version 2.
        with_empty: Whether fields without a value are shown as null, all their parts too. Deals show them, leads do not.
    """
    shown: Record = {}
    if not with_empty and not values:
        return shown
    for code, field in fields.items():
        value = values.get(code)
        if value is not None or with_empty:
            _show(shown, code, field["field_type"], value)
    return shown


def _show(shown: Record, code: str, kind: str, value: Any) -> None:
    parts = _PARTS.get(kind)
    if parts is not None:
        for part in parts:
            shown[_key(code, part)] = value.get(part) if value is not None else None
    elif value is None:
        shown[code] = None
    elif kind == "enum":
        shown[code] = str(value)
    elif kind == "set":
        shown[code] = ",".join(map(str, value))
    else:
        shown[code] = value


def from_v1(account: Account, entity: str, body: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Record:
    """Return the values of the custom fields a version 1 body gives, as stored; absent fields stay absent.

    Version 1 takes numbers as texts and options as "1,2" or as a list; null and the empty text clear a field with all its parts.
    A part that is sent alone changes only that part; an amount without a currency keeps its currency or gets the company's; an
    address sent as one line loses its parts. All of these are assumed but the shapes and the clearing.

    Args:
        account: The account, for options, links, currencies and zones.
        entity: Kind of record whose fields count: "deal", also for leads.
        body: The body; keys that are not those of a live custom field are not looked at.
        before: The stored values of the record that is changed; None for a new record.

    Raises:
        ApiError: 400 that names the first wrong value.
    """
    known = account.fields.custom[entity]
    given: dict[str, Record] = {}
    for key, value in body.items():
        code = key[:_HASH_LENGTH]
        field = known.get(code)
        part = _part_of(field["field_type"], key) if field is not None else None
        if part is not None:
            given.setdefault(code, {})[part] = value
    problems, stored = Problems(), {}
    for code, sent in given.items():
        field = known[code]
        previous = before.get(code) if before is not None else None
        stored[code] = check_value(field, _to_v2(account, field["field_type"], sent, previous), problems, account)
    if problems.found:
        raise bad_request(problems.found[0].removeprefix("custom_fields: "))
    return stored


def is_flat_key(account: Account, entity: str, key: str) -> bool:
    """Whether a key of a version 1 body is that of a live custom field or of a part of one."""
    field = account.fields.custom[entity].get(key[:_HASH_LENGTH])
    return field is not None and _part_of(field["field_type"], key) is not None


def _key(code: str, part: str) -> str:
    return code if part == "value" else f"{code}_{part}"


def _part_of(kind: str, key: str) -> str | None:
    """Return the part a key with the hash of such a field names, None when it has no such part."""
    if len(key) == _HASH_LENGTH:
        return "value"
    part = key[_HASH_LENGTH + 1 :]
    return part if key[_HASH_LENGTH] == "_" and part != "value" and part in _PARTS.get(kind, ()) else None


def _to_v2(account: Account, kind: str, sent: Record, previous: Any) -> Any:
    """Return what version 1 sent for one field in the shape of version 2; wrong values go through as they are."""
    value = sent.get("value")
    if "value" in sent and value in (None, "", []):
        return None
    if kind in _PARTS:
        return _composite(account, kind, sent, previous)
    if kind in _NUMBERS:
        return _number(value)
    if kind == "set":
        return [_number(item) for item in value] if type(value) is list else [_number(item.strip()) for item in str(value).split(",")]
    if kind in _TEXTS and type(value) in (int, float):
        return str(value)
    return value


def _composite(account: Account, kind: str, sent: Record, previous: Any) -> Any:
    is_one_line = kind == "address" and "value" in sent
    value: Record = {**(previous or {}), **sent} if not is_one_line else dict(sent)
    value.pop("formatted_address", None)  # made by the server
    if kind == "monetary":
        value["value"] = _number(value.get("value"))
        value["currency"] = value.get("currency") or account.options.currency
    elif kind in {"time", "timerange"} and "timezone_id" in sent:
        zone = zone_of(_number(sent["timezone_id"]))
        value["timezone_name"] = zone if zone is not None or sent["timezone_id"] in (None, "") else str(sent["timezone_id"])
    return value


def _number(value: Any) -> Any:
    """Return a number that was sent as text as a number, anything else as it is."""
    if type(value) is not str or not _NUMBER.fullmatch(value):
        return value
    return float(value) if "." in value else int(value)
