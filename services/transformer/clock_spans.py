"""How long something takes, in the form Pipedrive has it: hours and minutes."""

from __future__ import annotations

from datetime import datetime, time
from typing import Final

from services.transformer.transforms.dates import moment
from services.transformer.transforms.numbers import number
from services.transformer.transforms.problem import ValueProblem, shown

_MINUTES_MAX: Final = 100 * 60
_HOUR: Final = 60


def minutes_as_clock(value: object) -> str:
    """Write minutes as hours and minutes: 90 is `01:30`. Parts of a minute are rounded."""
    minutes = number(value)
    if not 0 <= minutes < _MINUTES_MAX:
        raise ValueProblem(f"{shown(value)} minutes are no duration")
    hours, rest = divmod(round(minutes), _HOUR)
    return f"{hours:02d}:{rest:02d}"


def clock_span(value: object) -> str | None:
    """Write how long it is between two times of day, or points in time: `09:00` and `10:30` are `01:30`. One alone is none."""
    times = value if isinstance(value, list) else [value]
    if len(times) != 2:  # noqa: PLR2004 - a beginning and an end
        return None
    begin, end = (_of_day(one) for one in times)
    minutes = (end - begin).total_seconds() / _HOUR
    if minutes < 0:
        raise ValueProblem(f"it ends ({shown(times[1])}) before it begins ({shown(times[0])})")
    return minutes_as_clock(minutes) if minutes else None


def _of_day(value: object) -> datetime:
    """Read a time of day as one of a day that is the same for all, and a point in time as it is."""
    if isinstance(value, str):
        try:
            return moment(f"2000-01-01T{time.fromisoformat(value.strip()).isoformat()}")
        except ValueError:
            return moment(value)
    return moment(value)
