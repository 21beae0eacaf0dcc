"""The connector's options, checked: what is assumed of an org can be said otherwise."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any, Final

from services.common.errors import InvalidRequestError
from services.extractor.connector import CallLimits

PLANS: Final[Mapping[str, tuple[int, int]]] = {
    "developer": (15_000, 0),
    "professional": (100_000, 1_000),
    "enterprise": (100_000, 1_000),
    "unlimited": (100_000, 5_000),
    "performance": (100_000, 5_000),
    "sandbox": (5_000_000, 0),
}
"""Calls in 24 hours by edition: a base, and more for each licence. (Known: the platform's documentation.)"""
DEFAULT_PLAN: Final = "enterprise"
DEFAULT_SHARE: Final = 0.8
"""Part of the daily allowance that may be used, by us and by all others: the customer's own programs must go on working. (Assumed.)"""
DEFAULT_VERSION: Final = "60.0"
DEFAULT_BULK_FROM: Final = 10_000
"""Rows from which a bulk job takes fewer calls than a query: five calls and one for every 10,000 rows against one for every 2,000."""
DEFAULT_BULK_ROWS: Final = 10_000
"""Rows in one part of a job's result. Constant, because borders of parts move with it."""
DEFAULT_ADDRESS_BYTES: Final = 12_000
"""Longest address of a query. The platform takes 16,384 bytes with the headers. (Known.)"""
DEFAULT_OVERLAP_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class RoleOption:
    """What a person says about a role: the object that plays it, which of its rows, and fields by their meaning."""

    object: str
    filter: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Options:
    """What a migration's connector options say."""

    version: str = DEFAULT_VERSION
    share: float = DEFAULT_SHARE
    bulk_from: int = DEFAULT_BULK_FROM
    bulk_rows: int = DEFAULT_BULK_ROWS
    address_bytes: int = DEFAULT_ADDRESS_BYTES
    overlap_seconds: int = DEFAULT_OVERLAP_SECONDS
    full_compare: bool = False
    """In a delta, compare all ids with those read before: rows removed for good leave no other trace after 15 days."""
    roles: Mapping[str, RoleOption | None] = field(default_factory=dict)
    """By role; None: nobody plays it."""
    custom_objects: bool = True
    """Whether objects without a role are read too."""


def read_options(options: Mapping[str, Any]) -> Options:
    """Read the connector's options.

    Raises:
        InvalidRequestError: One of them makes no sense; the message names it.
    """
    version = str(options.get("api_version") or DEFAULT_VERSION).removeprefix("v")
    if not re.fullmatch(r"\d{2,3}\.0", version):
        raise InvalidRequestError(f"connector option api_version: {version!r} is not a version such as {DEFAULT_VERSION}")
    return Options(
        version=version,
        share=_share(options),
        bulk_from=_whole(options, "bulk_from", DEFAULT_BULK_FROM),
        bulk_rows=_whole(options, "bulk_rows", DEFAULT_BULK_ROWS, least=1),
        address_bytes=_whole(options, "address_bytes", DEFAULT_ADDRESS_BYTES, least=1_000),
        overlap_seconds=_whole(options, "overlap_seconds", DEFAULT_OVERLAP_SECONDS),
        full_compare=bool(options.get("full_compare", False)),
        roles=_roles({} if options.get("roles") is None else options["roles"]),
        custom_objects=bool(options.get("custom_objects", True)),
    )


def limits_of(options: Mapping[str, Any]) -> CallLimits:
    """Answer what may be called in a day: the share of the edition's allowance.

    The platform counts over a rolling day and tells with every answer how much is used, which is believed over our own count.
    """
    plan = str(options.get("plan") or DEFAULT_PLAN).lower()
    if plan not in PLANS:
        raise InvalidRequestError(f"connector option plan: {plan!r} is none of {', '.join(PLANS)}")
    base, per_licence = PLANS[plan]
    daily = base + per_licence * _whole(options, "licences", 0)
    calls_per_day = _whole(options, "calls_per_day", int(daily * _share(options)))
    return CallLimits(plan=plan, calls_per_minute=_whole(options, "calls_per_minute", 0), calls_per_day=calls_per_day, day_zone=UTC)


def _share(options: Mapping[str, Any]) -> float:
    share = options.get("daily_share", DEFAULT_SHARE)
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 < share <= 1:
        raise InvalidRequestError(f"connector option daily_share: {share!r} is not a number above 0 up to 1")
    return float(share)


def _whole(options: Mapping[str, Any], name: str, default: int, *, least: int = 0) -> int:
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidRequestError(f"connector option {name}: {value!r} is not a whole number from {least}")
    return value


def _roles(wanted: Any) -> dict[str, RoleOption | None]:
    if not isinstance(wanted, Mapping):
        raise InvalidRequestError("connector option roles: it is not an object with roles")
    return {str(role): _role(str(role), value) for role, value in wanted.items()}


def _role(role: str, value: Any) -> RoleOption | None:
    if value is None:
        return None
    if isinstance(value, str):
        return RoleOption(value)
    is_usable = isinstance(value, Mapping) and isinstance(value.get("object"), str) and isinstance(value.get("fields") or {}, Mapping)
    if not is_usable or set(value) - {"object", "filter", "fields"}:
        raise InvalidRequestError(f"connector option roles.{role}: give the object, and if need be filter and fields")
    fields = {str(name): str(api_name) for name, api_name in (value.get("fields") or {}).items()}
    return RoleOption(str(value["object"]), str(value.get("filter") or ""), fields)
