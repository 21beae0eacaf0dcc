"""Transforms of postal addresses."""

from __future__ import annotations

from collections.abc import Mapping

from services.transformer.transforms.problem import ValueProblem, shown
from services.transformer.transforms.texts import text_or_none


def address(
    value: object,
    *,
    street: str = "address-data",
    extra: str = "extra-data",
    city: str = "city-town",
    province: str = "province",
    postal_code: str = "postal-code",
    country: str = "country-code",
    whole: str = "formatted-address",
) -> dict[str, str] | None:
    """Make an address from an object with parts; the options name its keys. Parts that are missing are left out."""
    if isinstance(value, str):
        return {"value": value} if value.strip() else None
    if not isinstance(value, Mapping):
        raise ValueProblem(f"{shown(value)} is not an address")
    parts = {name: text_or_none(value.get(key)) for name, key in (("route", street), ("subpremise", extra), ("locality", city))}
    parts["admin_area_level_1"] = text_or_none(value.get(province))
    parts["postal_code"] = text_or_none(value.get(postal_code))
    parts["country"] = text_or_none(value.get(country))
    found = {name: part for name, part in parts.items() if part}
    town = " ".join(part for part in (found.get("postal_code"), found.get("locality")) if part)
    line = [found.get("route"), found.get("subpremise"), town, found.get("admin_area_level_1"), found.get("country")]
    written = text_or_none(value.get(whole)) if not found.get("route") else None
    shown_whole = written or ", ".join(part for part in line if part)
    return {"value": shown_whole, **found} if shown_whole else None


def address_line(value: object) -> str | None:
    """Write an address as one line."""
    found = address(value)
    return found["value"] if found else None
