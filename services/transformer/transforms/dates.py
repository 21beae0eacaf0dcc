"""Transforms of dates and times: reading them as they are written, moving them to a zone, writing them as Pipedrive reads them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from dateutil import parser as dateutil_parser

from services.transformer.transforms.problem import ValueProblem, shown

_PERIOD_MAX: Final = 9999
_DATES_KEPT: Final = 8192
_DATE_CHARACTERS_MAX: Final = 200


def moment(value: object, *, day_first: bool = True) -> datetime:
    """Read a point in time; one without offset counts as UTC. The date must be whole: `March 2024` is refused rather than completed."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if not isinstance(value, str) or len(value) > _DATE_CHARACTERS_MAX:
        raise ValueProblem(f"{shown(value)} is not a date")
    return _written_moment(value, day_first)


@lru_cache(maxsize=_DATES_KEPT)
def _written_moment(value: str, day_first: bool) -> datetime:
    """Read a point in time from text; the same few dates stand in many fields and records."""
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        found = _lenient_moment(value, day_first=day_first)
    if not 1 < found.year < _PERIOD_MAX:
        raise ValueProblem(f"{shown(value)} is not a date")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _lenient_moment(value: str, *, day_first: bool) -> datetime:
    """Read any common form. A missing part would be filled from the default: reading with two defaults shows it."""
    try:
        one, other = (
            dateutil_parser.parse(value, dayfirst=day_first, default=default, tzinfos=_named_zone)
            for default in (datetime(2000, 1, 1), datetime(2001, 2, 2))  # noqa: DTZ001
        )
    except (ValueError, OverflowError, TypeError) as error:
        raise ValueProblem(f"{shown(value)} is not a date") from error
    if one.date() != other.date():
        raise ValueProblem(f"{shown(value)} is not a whole date")
    return one


def _named_zone(name: str | None, offset: int | None) -> tzinfo | None:
    """Answer the zone that stands beside a time. Letters mean different zones in different countries (`CST`, `IST`): only those of UTC are read."""
    if offset is not None:
        return timezone(timedelta(seconds=offset))
    if name is None or name.upper() in {"UTC", "GMT", "Z"}:
        return UTC
    raise ValueError(f"the zone {name} may be several")


def datetime_utc(value: object, *, day_first: bool = True) -> str:
    """Write a point in time as RFC 3339 in UTC, whole seconds: `2026-03-02T10:15:00Z`."""
    return _written_utc(value, day_first) if isinstance(value, str) else _rfc_3339(moment(value, day_first=day_first))


@lru_cache(maxsize=_DATES_KEPT)
def _written_utc(value: str, day_first: bool) -> str:
    return _rfc_3339(moment(value, day_first=day_first))


def _rfc_3339(found: datetime) -> str:
    """Write a point in time in UTC. `strftime` would write the year 999 with three digits."""
    return found.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def calendar_date(value: object, *, day_first: bool = True) -> str:
    """Keep the date part as it is written, without shifting it to another zone: `2026-02-10T00:00:00+0000` is 10 February everywhere."""
    return _written_date(value, day_first) if isinstance(value, str) else moment(value, day_first=day_first).date().isoformat()


@lru_cache(maxsize=_DATES_KEPT)
def _written_date(value: str, day_first: bool) -> str:
    return moment(value, day_first=day_first).date().isoformat()


def date_in_zone(value: object, *, zone: str, day_first: bool = True) -> str:
    """Answer the date a true point in time has on the wall calendar of a zone."""
    return moment(value, day_first=day_first).astimezone(_zone(zone)).date().isoformat()


def noon_utc(value: object, *, day_first: bool = True) -> str:
    """Make a point in time of a calendar date: noon UTC, which is the same date from UTC-12 to UTC+11."""
    return f"{calendar_date(value, day_first=day_first)}T12:00:00Z"


def local_to_utc(value: object, *, zone: str) -> str:
    """Read the clock on the wall of `zone`, whatever offset is written beside it, and write it as UTC."""
    return _rfc_3339(moment(value).replace(tzinfo=_zone(zone)))


def clock_time(value: object) -> str:
    """Answer the time of day in UTC, `HH:MM:SS`."""
    return moment(value).astimezone(UTC).time().isoformat(timespec="seconds")


def written_time(value: object) -> str | None:
    """Keep the time of day as it is written, `HH:MM`, without shifting it to another zone; midnight means no time."""
    written = moment(value).time().isoformat(timespec="minutes")
    return None if written == "00:00" else written


def add_days(value: object, *, days: int) -> str:
    """Move a calendar date by some days."""
    try:
        return (date.fromisoformat(calendar_date(value)) + timedelta(days=days)).isoformat()
    except OverflowError as error:
        raise ValueProblem(f"{days} days from {shown(value)} leave the calendar") from error


@cache
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueProblem(f"{shown(name)} is not a time zone") from error
