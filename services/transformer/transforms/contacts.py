"""Transforms of e-mail addresses and phone numbers: lists of entries with one primary."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import phonenumbers

from services.transformer.transforms.texts import texts_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_EMAIL_SEPARATORS: Final = re.compile(r"[;/,]")
_BLANKS: Final = re.compile(r"(\s+)")
_PHONE_SEPARATORS: Final = re.compile(r"[;/\n]")
_PHONES_KEPT: Final = 4096
_PHONE_CHARACTERS_MAX: Final = 250
"""The longest text in which `phonenumbers` looks for a number."""


def emails(value: object, *, label: str = "work", primary: bool = False) -> list[dict[str, Any]] | None:
    """Make a list of e-mail addresses from text with `;`, `/`, commas or blanks between them.

    The first address is the primary one. Where lists are put `together`, `primary` says from which the primary address comes.
    """
    parts = (part for written in texts_of(value) for part in _EMAIL_SEPARATORS.split(written))
    return _entries((_addresses(part) for part in parts), label, is_chosen=primary)


def _addresses(part: str) -> list[str]:
    """Take addresses with blanks between them apart: each word with `@` begins a new one, so that `Ana García ana@example.com` is two entries."""
    found: list[list[str]] = [[]]
    for word in _BLANKS.split(part):
        if "@" in word:
            found.append([])
        found[-1].append(word)
    return ["".join(words) for words in found]


def phones(
    value: object, *, label: str = "work", primary: bool = False, normalise: bool = False, region: str | None = None
) -> list[dict[str, Any]] | None:
    """Make a list of phone numbers from text with `;`, `/` or line breaks between them.

    The first number is the primary one. Where lists are put `together`, `primary` says from which the primary number comes.
    Numbers stay as they are written; with `normalise` those that can be read (in `region` where they have no country code) become E.164.
    """
    parts = [part for written in texts_of(value) for part in _PHONE_SEPARATORS.split(written)]
    if normalise:
        parts = [e164(part, region=region) for part in parts if part.strip()]
    return _entries([parts], label, is_chosen=primary)


def e164(value: str, *, region: str | None = None) -> str:
    """Write a phone number as E.164 if it is a possible one, else leave it as it is."""
    return _e164(value, region) if len(value) <= _PHONE_CHARACTERS_MAX else value


@lru_cache(maxsize=_PHONES_KEPT)
def _e164(value: str, region: str | None) -> str:
    """Read a phone number, which is slow; a customer's number stands on every one of its records."""
    try:
        found = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return value
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if phonenumbers.is_possible_number(found) else value


def _entries(groups: Iterable[list[str]], label: str, *, is_chosen: bool) -> list[dict[str, Any]] | None:
    seen = list(dict.fromkeys(part.strip() for group in groups for part in group if part.strip()))
    chosen = {"chosen": True} if is_chosen else {}
    return [
        {"value": part, "label": label, "primary": position == 0, **(chosen if position == 0 else {})} for position, part in enumerate(seen)
    ] or None


def one_primary(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what stands twice and keep one primary entry, the chosen or else the first: Pipedrive refuses two."""
    distinct: dict[str, dict[str, Any]] = {}
    for entry in entries:
        distinct.setdefault(entry["value"], entry)
    kept = list(distinct.values())
    primary = next((position for position, entry in enumerate(kept) if entry.get("chosen")), 0)
    return [{"value": entry["value"], "label": entry["label"], "primary": position == primary} for position, entry in enumerate(kept)]
