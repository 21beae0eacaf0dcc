"""Checks of lead bodies. The service of leads words its refusals differently from the rest of version 1.

Recorded are the texts for a title that is too long and for a lead without a contact; the others are formed like them (assumed).
The first problem ends the check.
"""

import re
from collections.abc import Callable
from typing import Any

from sandbox.pipedrive.account.account import Account
from sandbox.pipedrive.account.schema import NUMBER_MAX, is_date
from sandbox.pipedrive.gateway.errors import bad_request
from sandbox.pipedrive.v2.listing import DIGITS_MAX

Check = Callable[[Any, str], Any]

TITLE_MAX = 255
NO_CONTACT = 'One of the "person_id" or "organization_id" must be set.'
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def required(name: str) -> str:
    """Text for a key that is missing."""
    return f'"{name}" is required'


def not_allowed(name: str) -> str:
    """Text for a key that is not known."""
    return f'"{name}" is not allowed'


def text(value: Any, name: str) -> Any:
    """Any text."""
    if type(value) is not str:
        raise bad_request(f'"{name}" must be a string')
    return value


def title(value: Any, name: str) -> Any:
    """A title of 1 to 255 characters."""
    if not text(value, name).strip():
        raise bad_request(f'"{name}" is not allowed to be empty')
    if len(value) > TITLE_MAX:
        raise bad_request(f'"{name}" length must be less than or equal to {TITLE_MAX} characters long')
    return value


def integer(value: Any, name: str) -> Any:
    """A whole number, which may be sent as text (assumed, as elsewhere in version 1)."""
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= DIGITS_MAX:
        return int(value)
    if type(value) is not int:
        raise bad_request(f'"{name}" must be a number')
    return value


def boolean(value: Any, name: str) -> Any:
    """True or false."""
    if type(value) is not bool:
        raise bad_request(f'"{name}" must be a boolean')
    return value


def day(value: Any, name: str) -> Any:
    """A date `YYYY-MM-DD`."""
    if type(value) is not str or not is_date(value):
        raise bad_request(f'"{name}" must be in YYYY-MM-DD format')
    return value


def one_of(*allowed: str) -> Check:
    """One of a closed set of texts."""

    def check(value: Any, name: str) -> Any:
        if text(value, name) not in allowed:
            raise bad_request(f'"{name}" must be one of [{", ".join(allowed)}]')
        return value

    return check


def nullable(check: Check) -> Check:
    """A value or null."""

    def checked(value: Any, name: str) -> Any:
        return None if value is None else check(value, name)

    return checked


def is_uuid(value: Any) -> bool:
    """Whether a value has the form of a UUID."""
    return type(value) is str and _UUID.fullmatch(value) is not None


class LeadChecks:
    """The checks that need the account."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def keys(self, *, is_update: bool) -> dict[str, Check]:
        """Return the keys a body may have beside custom fields. `origin_id` is set once, archiving is an update (official)."""
        person, organization = nullable(self._link("person")), nullable(self._link("organization"))
        shared: dict[str, Check] = {
            "owner_id": self._owner,
            "label_ids": self._labels,
            "person_id": person,
            "organization_id": organization,
            "value": nullable(self._value),
            "expected_close_date": nullable(day),
            "visible_to": self._visible_to,
            "was_seen": boolean,
            "channel": nullable(self._channel),
            "channel_id": nullable(text),
        }
        if is_update:
            # The official schema lets the title be null and every lead have one: null leaves it as it is (assumed).
            return {"title": nullable(title), **shared, "is_archived": boolean}
        return {"title": title, **shared, "origin_id": nullable(text)}

    def _owner(self, value: Any, name: str) -> Any:
        owner = integer(value, name)
        if not self._account.exists("user", owner):
            raise bad_request(f"User {owner} not found or not active")
        return owner

    def _link(self, kind: str) -> Check:
        def check(value: Any, name: str) -> Any:
            record_id = integer(value, name)
            if self._account.live(kind, record_id) is None:
                raise bad_request(f"{kind.capitalize()} {record_id} not found")
            return record_id

        return check

    def _labels(self, value: Any, name: str) -> Any:
        if type(value) is not list:
            raise bad_request(f'"{name}" must be an array')
        table = self._account.store["lead_label"]
        for index, item in enumerate(value):
            if not is_uuid(item):
                raise bad_request(f'"{name}[{index}]" must be a valid GUID')
            if all(label["is_deleted"] for label in table.find("uuid", item.lower())):
                raise bad_request(f"Lead label {item} not found")
        return list(dict.fromkeys(item.lower() for item in value))

    def _value(self, value: Any, name: str) -> Any:
        """An amount with its currency; both are needed (official)."""
        if type(value) is not dict:
            raise bad_request(f'"{name}" must be of type object')
        for part in ("amount", "currency"):
            if part not in value:
                raise bad_request(required(f"{name}.{part}"))
        for part in value:
            if part not in {"amount", "currency"}:
                raise bad_request(not_allowed(f"{name}.{part}"))
        amount, currency = value["amount"], value["currency"]
        if type(amount) not in (int, float) or abs(amount) >= NUMBER_MAX:
            raise bad_request(f'"{name}.amount" must be a number')
        if not self._account.is_currency(text(currency, f"{name}.currency")):
            raise bad_request(f'"{name}.currency" is not a known currency')
        return {"amount": amount, "currency": currency}

    def _visible_to(self, value: Any, name: str) -> Any:
        allowed = [str(number) for number in self._account.options.limits_of_plan.visibilities]
        return int(one_of(*allowed)(value, name))

    def _channel(self, value: Any, name: str) -> Any:
        """One of the company's marketing channels, which are the options of a deal field (official)."""
        channel = integer(value, name)
        if channel not in self._account.fields.option_ids("deal", "channel"):
            raise bad_request(f'"{name}" is not a known channel')
        return channel
